from datetime import datetime

import pytest

from tollbook.quality.arrivals import check_arrivals
from tollbook.quality.gates import Gates
from tollbook.quality.results import save


@pytest.fixture
def check(warehouse, tmp_path, now):
    def run(sources, gates="", now=now):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "gates.yml").write_text(gates)
        return check_arrivals(warehouse, Gates.read(tmp_path / "config"), sources, "run1", tmp_path / "docs", now)

    return run


def requests(warehouse, delivery_id, day, rows, source="gateway"):
    warehouse.execute(
        "insert into raw.requests by name select ? as source_name, ? as delivery_id, ?::timestamp as requested_at from range(?)",
        [source, delivery_id, day, rows],
    )


def test_a_good_night_passes_with_rows_seen(check, deliver):
    deliver("bill", "d1", "2026-11-04", 2)
    results = check(["bill"])
    assert {one.check_id for one in results} == {
        "arrived", "failed_deliveries", "freshness_days", "row_volume", "quarantine_ratio", "schema_drift",
        "rows_conserved", "assumed_currency",
    }  # fmt: skip
    assert {one.status for one in results} == {"pass"}
    assert all(one.rows_seen > 0 for one in results if one.check_id != "row_volume")
    assert {one.edge for one in results} == {"arrival"}


def test_a_source_that_never_delivered_warns_and_is_an_error_where_required(check, find):
    results = check(["bill", "gateway"], "sources: {gateway: {required: true}}")
    assert find(results, "arrived", "bill").status == "warn"
    assert find(results, "arrived", "bill").message.startswith("no delivery has ever arrived")
    gateway = find(results, "arrived", "gateway")
    assert (gateway.status, gateway.severity, gateway.rows_seen) == ("error", "error", 0)
    assert "tollbook load gateway" in gateway.message


def test_a_failed_delivery_is_named_with_its_reason_until_it_is_withdrawn(check, deliver, find):
    failed = {"status": "failed", "is_current": False, "error": "2026-11-04.csv: truncated"}
    deliver("bill", "d0", "2026-11-04", None, quarantined=None, **failed)
    results = check(["bill"])
    assert "truncated" in find(results, "arrived", "bill").message
    assert find(results, "failed_deliveries", "bill").status == "warn"
    assert "truncated" in find(results, "failed_deliveries", "bill").message
    later = check(["bill"], now=datetime(2026, 11, 20))
    assert find(later, "failed_deliveries", "bill").status == "pass"


def test_a_partition_that_was_mended_has_not_failed(check, deliver, find):
    deliver("bill", "d0", "2026-11-04", None, quarantined=None, status="failed", is_current=False)
    deliver("bill", "d1", "2026-11-04", 2, loaded_at="2026-11-05 01:00:00")
    assert find(check(["bill"]), "failed_deliveries", "bill").status == "pass"


@pytest.mark.parametrize(("now", "days", "status"), [("2026-11-07", 3, "pass"), ("2026-11-08", 4, "warn")])
def test_freshness_counts_days_from_the_newest_day_covered(check, deliver, find, now, days, status):
    deliver("bill", "d1", "2026-11-04", 2)
    result = find(check(["bill"], now=datetime.fromisoformat(now)), "freshness_days", "bill")
    assert (result.observed, result.status, result.rows_seen) == (days, status, 2)
    assert "2026-11-04" in result.message


def test_a_monthly_fee_does_not_make_a_bill_fresh(check, deliver, find, warehouse):
    deliver("bill", "d1", "2026-11-04", 3)
    warehouse.execute(
        "insert into raw.billing_lines by name select 'bill' as source_name, 'd1' as delivery_id,"
        " timestamp '2026-11-01' as charge_period_start, timestamp '2026-12-01' as charge_period_end"
    )
    result = find(check(["bill"], now=datetime(2026, 11, 20)), "freshness_days", "bill")
    assert (result.observed, result.status) == (16, "warn")


def test_capacity_without_an_end_is_there_today(check, deliver, find, warehouse):
    deliver("fleet", "d9", "2026-01-01", 1, table="capacity")
    warehouse.execute(
        "insert into raw.capacity by name select 'fleet' as source_name, 'd9' as delivery_id, 'n1' as node,"
        " timestamp '2026-01-01' as started_at"
    )
    assert find(check(["fleet"]), "freshness_days", "fleet").observed == 0


def test_row_volume_needs_three_earlier_deliveries(check, deliver, find):
    for number, day in enumerate(("2026-11-02", "2026-11-03", "2026-11-04")):
        deliver("gateway", f"g{number}", day, 100, table="requests")
    result = find(check(["gateway"]), "row_volume", "gateway")
    assert (result.status, result.observed, result.rows_seen) == ("pass", None, 2)
    assert "not enough history" in result.message


def test_row_volume_is_held_against_the_four_deliveries_before(check, deliver, find):
    sizes = {"half_less": (49, "warn"), "half": (50, "pass"), "double": (200, "pass"), "double_more": (201, "warn")}
    history = {"2026-10-30": 1, "2026-10-31": 90, "2026-11-01": 100, "2026-11-02": 100, "2026-11-03": 500}
    for source, (rows, _) in sizes.items():
        for day, size in (history | {"2026-11-04": rows}).items():
            deliver(source, f"{source} {day}", day, size, table="requests")
    results = check(list(sizes))
    for source, (rows, status) in sizes.items():
        result = find(results, "row_volume", source)
        assert (result.status, result.observed, result.rows_seen) == (status, rows / 100, 4)
        assert f"{source}/2026-11-04.csv has {rows} rows" in result.message


def test_row_volume_is_held_against_the_same_weekday_where_there_are_weeks_enough(check, deliver, find):
    # quiet Wednesdays among busy days
    for number, day in enumerate(("2026-10-14", "2026-10-21", "2026-10-28")):
        deliver("gateway", f"w{number}", day, 10, table="requests")
    for number, day in enumerate(("2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03")):
        deliver("gateway", f"g{number}", day, 1000, table="requests")
    deliver("gateway", "g9", "2026-11-04", 11, table="requests")
    result = find(check(["gateway"]), "row_volume", "gateway")
    assert (result.status, result.rows_seen) == ("pass", 3)
    assert result.observed == pytest.approx(1.1)


def test_limits_of_a_source_hold_for_it_alone(check, deliver, find):
    for source in ("bill", "gateway", "slurm"):
        deliver(source, f"{source}1", "2026-11-04", 100, table="requests", quarantined=20)
    gates = """
        quarantine_ratio: {error_above: 0.1}
        sources: {gateway: {quarantine_ratio: {error_above: 0.5}}, slurm: {quarantine_ratio: {warn_above: 0.2}}}
    """
    results = check(["bill", "gateway", "slurm"], gates)
    found = {source: find(results, "quarantine_ratio", source) for source in ("bill", "gateway", "slurm")}
    assert {name: one.status for name, one in found.items()} == {"bill": "error", "gateway": "warn", "slurm": "error"}
    assert found["gateway"].threshold.startswith("warn above 0; error above 0.5")
    assert {one.observed for one in found.values()} == {0.2}


def test_the_worst_delivery_decides_on_quarantine(check, deliver, find):
    deliver("gateway", "g1", "2026-11-03", 1000, table="requests")
    deliver("gateway", "g2", "2026-11-04", 10, table="requests", quarantined=6)
    result = find(check(["gateway"]), "quarantine_ratio", "gateway")
    assert (result.status, result.observed, result.rows_seen) == ("error", 0.6, 1010)
    assert "2026-11-04.csv" in result.message
    assert "quality.fct_quarantine" in result.message


def test_schema_drift_names_columns_that_came_and_went(check, deliver, find):
    deliver("gateway", "g1", "2026-11-03", 1, table="requests", columns=("model", "tokens"))
    deliver("gateway", "g2", "2026-11-04", 1, table="requests", columns=("model", "token_count", "region"))
    result = find(check(["gateway"]), "schema_drift", "gateway")
    assert (result.status, result.observed, result.rows_seen) == ("warn", 3, 3)
    assert "added region, token_count; removed tokens" in result.message
    assert find(check(["gateway"], "schema_drift: {warn_above: 3}"), "schema_drift", "gateway").status == "pass"


def test_lost_rows_are_an_error(check, deliver, find, warehouse):
    deliver("gateway", "g1", "2026-11-04", 5, table="requests", quarantined=2)
    requests(warehouse, "g1", "2026-11-04", 3)
    warehouse.execute("insert into raw.quarantine by name select 'gateway' as source_name, 'g1' as delivery_id from range(2)")
    assert find(check(["gateway"]), "rows_conserved", "gateway").status == "pass"
    warehouse.execute("delete from raw.requests where rowid = (select max(rowid) from raw.requests)")
    result = find(check(["gateway"]), "rows_conserved", "gateway")
    assert (result.status, result.observed, result.rows_seen) == ("error", 1, 2)
    assert "5 delivered, 2 loaded, 2 in quarantine" in result.message


def test_deliveries_that_say_more_than_they_loaded_are_an_error(check, deliver, find, warehouse):
    deliver("gateway", "g1", "2026-11-04", 5, table="requests", rows_loaded=3)
    requests(warehouse, "g1", "2026-11-04", 3)
    assert find(check(["gateway"]), "rows_conserved", "gateway").status == "error"


def test_a_check_that_saw_no_rows_where_there_should_be_some_is_an_error(check, deliver, warehouse):
    deliver("bill", "d1", "2026-11-04", 2)
    warehouse.execute("delete from raw.billing_lines")
    results = {one.check_id: one for one in check(["bill"])}
    assert (results["freshness_days"].status, results["freshness_days"].rows_seen) == ("error", 0)
    assert results["rows_conserved"].status == "error"
    assert results["rows_conserved"].message.startswith("saw no rows where rows were expected")


def test_assumed_currencies_are_counted(check, deliver, find, warehouse):
    deliver("bill", "d1", "2026-11-04", 2)
    warehouse.execute("update raw.billing_lines set currency_origin = 'assumed' where effective_cost = 3")
    result = find(check(["bill"]), "assumed_currency", "bill")
    assert (result.status, result.observed, result.rows_seen) == ("warn", 1, 2)
    assert "1 of 2 lines name no currency; USD was assumed" in result.message


def test_gates_of_a_source_that_is_not_configured_are_pointed_out(check, find):
    assert find(check(["bill"], "sources: {bil: {required: true}}"), "known_source", "bil").status == "warn"


def test_without_sources_there_is_nothing_to_judge(check):
    assert check([]) == []


def test_results_are_kept_once_per_run_and_edge(check, deliver, warehouse):
    deliver("bill", "d1", "2026-11-04", 2)
    results = check(["bill"])
    save(warehouse, "run1", results)
    save(warehouse, "run1", results)
    save(warehouse, "run2", results[:1])
    kept = warehouse.execute(
        "select run_id, count(*), count(distinct check_id), bool_and(checked_at is not null) from meta.check_results"
        " group by run_id order by run_id"
    ).fetchall()
    assert kept == [("run1", 8, 8, True), ("run2", 1, 1, True)]
