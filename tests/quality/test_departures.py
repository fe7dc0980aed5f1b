import pytest

from tollbook.quality.departures import check_departures
from tollbook.quality.gates import Gates

TINY = "0.00000000000000000001"


@pytest.fixture
def check(tmp_path):
    def run(db, gates=""):
        (tmp_path / "gates.yml").write_text(gates)
        return check_departures(db, Gates.read(tmp_path), "run1", tmp_path / "docs")

    return run


def test_marts_that_add_up_pass_with_rows_seen(check, warehouse):
    results = check(warehouse)
    assert {(one.check_id, one.subject) for one in results} == {
        ("reconciliation_delta", "bill"), ("reconciliation_rows", "bill"), ("bridge_remainder", "AWS"),
        ("chargeback_delta", "bill"), ("unowned_ratio", "bill"), ("tag_coverage", "bill: team"),
        ("unsettled_commitments", "AWS"), ("invoice_delta", "AWS"), ("unmatched_usage_ratio", "Lumen"), ("negative_idle", "engineering.fct_gpu_hours"),
        ("null_cost_ratio", "engineering.fct_gpu_hours"), ("null_cost_without_reason", "engineering.fct_gpu_hours"),
        ("null_cost_ratio", "engineering.fct_jobs"), ("null_cost_without_reason", "engineering.fct_jobs"),
        ("null_cost_ratio", "product.fct_token_costs"), ("null_cost_without_reason", "product.fct_token_costs"),
        ("mart_rows", "finance.fct_charges: bill"), ("mart_rows", "engineering.fct_gpu_hours"),
        ("mart_rows", "product.fct_token_costs"),
    }  # fmt: skip
    assert {one.status for one in results} == {"pass"}
    assert all(one.rows_seen > 0 for one in results)
    assert {one.edge for one in results} == {"departure"}


#: What is done to good marts, and the one check that must then not pass: id, subject, status, rows seen, and part of
#: its message.
BROKEN = {
    "usage that the log lacks": (
        "insert into quality.fct_usage_tie_out values ('2026-11-03', 'Lumen', 'm', 'only_there', false, null, 1, 1, 1, 'USD'),"
        " ('2026-10-03', 'Lumen', 'm', 'only_there', false, null, 90, 90, 90, 'USD'),"
        " ('2026-11-05', 'Lumen', 'm', 'only_here', true, 90, null, null, 90, 'USD')",
        ("unmatched_usage_ratio", "Lumen", "warn", 2, "1 do not match: 1.00 USD unmatched, most m only_there on 2026-11-03"),
    ),
    "a reconciliation off by the last digit": (
        f"update quality.fct_reconciliation set cost_delta = '-{TINY}'",
        ("reconciliation_delta", "bill", "error", 5, f"-{TINY} USD"),
    ),
    "one period of many off": (
        "insert into quality.fct_reconciliation by name select * replace"
        " (date '2026-10-01' as billing_period, 0.01 as cost_delta) from quality.fct_reconciliation",
        ("reconciliation_delta", "bill", "error", 10, "1 of 2 billing periods differ or compared no rows, first 2026"),
    ),
    "a reconciliation that could not be computed": (
        "update quality.fct_reconciliation set cost_delta = null",
        ("reconciliation_delta", "bill", "error", 5, "not computed"),
    ),
    "one period that compared nothing": (
        "insert into quality.fct_reconciliation by name select * replace"
        " (date '2026-10-01' as billing_period, 0 as rows_compared) from quality.fct_reconciliation",
        ("reconciliation_delta", "bill", "error", 5, "first 2026-10"),
    ),
    "a lost billing line": (
        "update quality.fct_reconciliation set rows_loaded = 1, rows_delta = 1",
        ("reconciliation_rows", "bill", "error", 5, "2 lines delivered, 1 in the marts, 0 in quarantine"),
    ),
    "an invoice that its lines do not add up to": (
        "update finance.fct_invoice_tie_out set status = 'differs', delta_cost = 0.01",
        ("invoice_delta", "AWS", "warn", 3, "1 of 1 invoice do not tie out, most INV-1 (differs): 0.01 USD"),
    ),
    "a commitment that is over and not settled": (
        "update finance.fct_commitments set status = 'unsettled', open_cost = 12.5 where commitment_id = 'ri-1'",
        ("unsettled_commitments", "AWS", "warn", 2, "1 of 2 commitments over and not settled, worst ri-1: 12.50 USD"),
    ),
    "a bridge with a remainder in the last digit": (
        f"update quality.fct_bridge set cost = '{TINY}' where term = 'remainder'",
        ("bridge_remainder", "AWS", "error", 5, f"first 2026-11: {TINY} USD"),
    ),
    "a provider without a bridge": (
        "delete from quality.fct_bridge",
        ("bridge_remainder", "AWS", "error", 0, "saw no rows where rows were expected"),
    ),
    "a bridge that compared nothing": (
        "update quality.fct_bridge set rows_compared = 0",
        ("bridge_remainder", "AWS", "error", 0, "saw no rows where rows were expected"),
    ),
    "a charge that was not charged back": (
        "update intermediate.int_chargeback set charged_cost = 3.499999999999 where bucket = 'idle'",
        ("chargeback_delta", "bill", "error", 5, "a difference of 0.000000000001 USD"),
    ),
    "more charged back than billed": (
        "insert into intermediate.int_chargeback select * from intermediate.int_chargeback where bucket = 'idle'",
        ("chargeback_delta", "bill", "error", 6, "a difference of -3.5 USD"),
    ),
    "money without an owner": (
        "update intermediate.int_chargeback set bucket = 'unowned' where component = 'Storage'",
        ("unowned_ratio", "bill", "warn", 3, "30.0% of the money of 2026-11 has no owner: 3.00 USD net"),
    ),
    "money without a required tag": (
        "update quality.fct_tag_coverage set tagged_cost = 9.4, coverage_by_cost_ratio = 0.94",
        ("tag_coverage", "bill: team", "warn", 1, "94.0% of the money of 2026-11 carries the tag, 0.60 USD does not"),
    ),
    "a required tag that was not looked at": (
        "insert into config.required_tags values ('env', '2026-11-01', '2026-12-01', 2)",
        ("tag_coverage", "bill: env", "error", 0, "saw no rows where rows were expected"),
    ),
    "held time below zero": (
        "update engineering.fct_gpu_hours set memory_gb_hours = -1 where layer = 'quiet'",
        ("negative_idle", "engineering.fct_gpu_hours", "error", 2, "1 rows have negative hours"),
    ),
    "a stranded cost below zero on a node that costs": (
        "update engineering.fct_gpu_hours set layer = 'stranded', allocated_cost = -1 where layer = 'idle'",
        ("negative_idle", "engineering.fct_gpu_hours", "error", 2, "1 node-hours a layer of negative cost"),
    ),
    "negative idle hours": (
        "update engineering.fct_gpu_hours set gpu_hours = -0.5 where layer = 'idle'",
        ("negative_idle", "engineering.fct_gpu_hours", "error", 2, "1 rows have negative hours"),
    ),
    "an idle cost below zero on a node that costs": (
        "update engineering.fct_gpu_hours set allocated_cost = -1 where layer = 'idle'",
        ("negative_idle", "engineering.fct_gpu_hours", "error", 2, "1 node-hours a layer of negative cost"),
    ),
    "usage without a price": (
        "insert into product.fct_token_costs values ('2026-11-04', 'new', 1000, null, 'no price of the day')",
        ("null_cost_ratio", "product.fct_token_costs", "warn", 2,
         "1 of 2 rows, 50.0% of the tokens, have no cost: no price of the day (1 rows)"),
    ),
    "a cost missing without a word": (
        "insert into engineering.fct_jobs values ('h2', 0.01, null, ' ')",
        ("null_cost_without_reason", "engineering.fct_jobs", "error", 2, "1 of 1 rows without a cost do not say"),
    ),
    "a billing line that made no charge": (
        "insert into raw.billing_lines by name select 'bill' as source_name, 0 as effective_cost",
        ("mart_rows", "finance.fct_charges: bill", "error", 2, "2 rows for 3 billing lines"),
    ),
    "holdings without GPU hours": (
        "delete from engineering.fct_gpu_hours",
        ("mart_rows", "engineering.fct_gpu_hours", "error", 0, "rows were expected: 0 rows for 1 holding"),
    ),
    "requests without token costs": (
        "delete from product.fct_token_costs",
        ("mart_rows", "product.fct_token_costs", "error", 0, "rows were expected: 0 rows for 1 request"),
    ),
    "a mart that was not built": (
        "drop table quality.fct_bridge",
        ("bridge_remainder", "quality.fct_bridge", "error", 0, "does not exist. Run `tollbook build`."),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_add_up_is_named(check, warehouse, case):
    damage, (check_id, subject, status, rows_seen, said) = BROKEN[case]
    warehouse.execute(damage)
    bad = [one for one in check(warehouse) if one.status != "pass"]
    assert [(one.check_id, one.subject, one.status, one.rows_seen) for one in bad] == [(check_id, subject, status, rows_seen)]
    assert said in bad[0].message


def test_a_bill_that_is_in_no_mart_fails_every_check_that_should_have_seen_it(check, empty_warehouse):
    empty_warehouse.execute("insert into raw.billing_lines by name select 'bill' as source_name, 1 as effective_cost")
    bad = {one.check_id: one for one in check(empty_warehouse) if one.status == "error"}
    assert set(bad) == {"reconciliation_delta", "reconciliation_rows", "chargeback_delta", "unowned_ratio", "mart_rows"}
    assert {one.rows_seen for one in bad.values()} == {0}


def test_an_empty_warehouse_has_nothing_to_fail(check, empty_warehouse):
    results = check(empty_warehouse)
    assert {one.status for one in results} == {"pass"}
    assert {one.rows_seen for one in results} == {0}


def test_a_holding_that_never_ran_needs_no_hour(check, warehouse, find):
    warehouse.execute("delete from engineering.fct_gpu_hours")
    warehouse.execute("update raw.holdings set started_at = null, ended_at = null")
    assert find(check(warehouse), "mart_rows", "engineering.fct_gpu_hours").status == "pass"


def test_a_credit_may_make_a_whole_node_hour_negative(check, warehouse, find):
    warehouse.execute("update engineering.fct_gpu_hours set allocated_cost = -3.5")
    assert find(check(warehouse), "negative_idle", "engineering.fct_gpu_hours").status == "pass"


def test_digits_below_the_twelfth_belong_to_the_rounding_bucket(check, warehouse, find):
    warehouse.execute(f"update finance.fct_charges set reporting_effective_cost = reporting_effective_cost + {TINY}")
    assert find(check(warehouse), "chargeback_delta", "bill").status == "pass"


def test_only_the_newest_period_of_a_tag_counts(check, warehouse, find):
    warehouse.execute("insert into quality.fct_tag_coverage values ('2026-10-01', 'bill', 'team', 0, 10, 0, 'USD')")
    result = find(check(warehouse), "tag_coverage", "bill: team")
    assert (result.status, result.observed, result.rows_seen) == ("pass", 1, 2)


def test_limits_come_from_the_configuration(check, warehouse, find):
    warehouse.execute("update quality.fct_tag_coverage set tagged_cost = 9, coverage_by_cost_ratio = 0.9")
    warehouse.execute("update quality.fct_reconciliation set cost_delta = 0.02")
    warehouse.execute("update intermediate.int_chargeback set bucket = 'unowned' where component = 'Storage'")
    gates = """
        tag_coverage: {warn_below: 0.5}
        reconciliation_delta: {warn_above: 0.01, error_above: 0.02}
        sources: {bill: {tag_coverage: {error_below: 0.91}, unowned_ratio: {warn_above: 0.3}}}
    """
    results = check(warehouse, gates)
    assert find(results, "tag_coverage", "bill: team").status == "error"
    assert find(results, "reconciliation_delta", "bill").status == "warn"
    assert find(results, "reconciliation_delta", "bill").threshold.startswith(
        "warn where more than 0.01 from 0; error where more than 0.02 from 0"
    )
    assert find(results, "unowned_ratio", "bill").status == "pass"
