"""Deliveries: idempotent, replaced by newer ones, bad rows in quarantine, bad files refused, nothing lost."""

import gzip
from decimal import Decimal

import pytest
import zstandard

from tests.workspaces import quiet
from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError

HEADER = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"
ONE_SOURCE = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/bill/*}\n"


def line(cost="1.5", end="2026-09-01T01:00:00Z", currency="USD"):
    return f"{cost},{cost},{currency},2026-09-01,2026-10-01,2026-09-01T00:00:00Z,{end},Usage\n"


def load(workspace):
    return pipeline.load(workspace, tell=quiet)


def test_loading_twice_keeps_one_copy(workspace, ask):
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv": HEADER + line() + line("2")})
    assert load(ws)[0].loaded == 1
    (again,) = load(ws)
    assert (again.loaded, again.unchanged) == (0, 1)
    assert ask(ws, "select count(*), sum(billed_cost) from raw.billing_lines") == [(2, Decimal("3.5"))]


def test_a_cut_off_copy_is_replaced_by_the_whole_file(workspace, ask):
    whole = HEADER + line() + line("2") + line("4")
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv": whole[: len(whole) - 40]})
    load(ws)
    assert ask(ws, "select rows_loaded, rows_quarantined from meta.deliveries where is_current") == [(2, 1)]
    (ws.root / "landing/bill/a.csv").write_text(whole)
    load(ws)
    assert ask(ws, "select count(*), sum(billed_cost) from raw.billing_lines") == [(3, Decimal("7.5"))]
    assert ask(ws, "select count(*) from raw.quarantine") == [(0,)]
    assert ask(ws, "select count(*) from meta.deliveries") == [(2,)]


def test_the_same_content_under_two_names_is_loaded_once(workspace, ask):
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv": HEADER + line(), "landing/bill/copy.csv": HEADER + line()})
    load(ws)
    assert ask(ws, "select count(*) from raw.billing_lines") == [(1,)]
    assert ask(ws, "select partition_key, status from meta.deliveries order by 1") == [
        ("landing/bill/a.csv", "loaded"),
        ("landing/bill/copy.csv", "duplicate"),
    ]


def test_any_order_of_arrival_ends_with_the_newest_version(workspace, ask):
    settings = (
        "currency: USD\nsources:\n"
        "  - {name: bill, format: focus, path: landing/bill/*, partition: '(?P<partition>2026-\\d\\d)-v(?P<version>\\d+)'}\n"
    )
    ws = workspace(settings, {"landing/bill/2026-09-v2.csv": HEADER + line("2")})
    load(ws)
    (ws.root / "landing/bill/2026-09-v1.csv").write_text(HEADER + line("1"))
    load(ws)
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(2),)]
    (ws.root / "landing/bill/2026-09-v3.csv").write_text(HEADER + line("3"))
    load(ws)
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(3),)]
    kept = ask(ws, "select version, status, is_current from meta.deliveries order by 1")
    assert kept == [("1", "superseded", False), ("2", "loaded", False), ("3", "loaded", True)]


def test_a_delivery_that_was_loaded_is_kept_when_the_landing_folder_is_emptied(workspace, ask):
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv": HEADER + line()})
    load(ws)
    (ws.root / "landing/bill/a.csv").unlink()
    assert "no file matches" in load(ws)[0].failures[0]
    assert ask(ws, "select count(*) from raw.billing_lines") == [(1,)]
    (kept,) = (ws.deliveries / "bill").rglob("a.csv")
    assert kept.read_text() == HEADER + line()


@pytest.mark.parametrize("suffix, pack", [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_files_and_a_folder_of_parts_are_one_delivery(workspace, ask, suffix, pack):
    settings = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/bill}\n"
    parts = {f"landing/bill/part{n}.csv{suffix}": pack((HEADER + line(str(n))).encode()) for n in (1, 2)}
    ws = workspace(settings, parts)
    (report,) = load(ws)
    assert (report.loaded, report.rows, report.failures) == (1, 2, [])
    assert ask(ws, "select file_name, file_row, billed_cost::int from raw.billing_lines order by 1") == [
        (f"landing/bill/part1.csv{suffix}", 1, 1),
        (f"landing/bill/part2.csv{suffix}", 1, 2),
    ]


def test_bad_rows_are_quarantined_with_row_column_value_and_reason(workspace, ask):
    rows = [line(), line("abc"), line(end="2026-08-31"), "3,3,USD\n", line("4").replace(",Usage", ","), line("5")]
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv": HEADER + "".join(rows)})
    (report,) = load(ws)
    assert (report.rows, report.quarantined) == (2, 4)
    assert ask(ws, "select file_row, billed_cost::int from raw.billing_lines order by 1") == [(1, 2), (6, 5)]
    assert ask(ws, "select file_row, column_name, value, reason from raw.quarantine order by 1") == [
        (2, "billed_cost", "abc", "is not a number"),
        (3, "charge_period_end", "2026-08-31 00:00:00", "charge period ends before it starts"),
        (4, "BillingPeriodStart", "3,3,USD", "Expected Number of Columns: 8 Found: 3"),
        (5, "charge_category", None, "is missing"),
    ]


def test_a_delivery_of_which_nothing_can_be_used_leaves_what_was_loaded(workspace, ask):
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv": HEADER + line()})
    load(ws)
    (ws.root / "landing/bill/a.csv").write_text(HEADER + line("abc"))
    (report,) = load(ws)
    assert "none of its 1 rows can be used: row 1, billed_cost 'abc' is not a number" in report.failures[0]
    assert ask(ws, "select count(*) from raw.billing_lines") == [(1,)]


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is empty (0 bytes)"),
        (HEADER.encode(), "has a header but no rows"),
        ((HEADER + line()).replace(",", ";").encode(), "semicolon-delimited"),
        ((HEADER + line()).replace("BilledCost", "Cost").encode(), "required column missing: BilledCost"),
        (gzip.compress((HEADER + line()).encode()), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_the_others_load(workspace, ask, content, said):
    ws = workspace(ONE_SOURCE, {"landing/bill/bad.csv": content, "landing/bill/good.csv": HEADER + line()})
    (report,) = load(ws)
    assert len(report.failures) == 1 and said in report.failures[0] and "bad.csv" in report.failures[0]
    assert ask(ws, "select count(*) from raw.billing_lines") == [(1,)]
    assert ask(ws, "select partition_key, status from meta.deliveries where status = 'failed'") == [("landing/bill/bad.csv", "failed")]


def test_a_cut_off_parquet_file_is_refused(workspace, tmp_path):
    import duckdb

    whole = tmp_path / "whole.parquet"
    duckdb.sql(f"copy (select 1 as BilledCost from range(1000)) to '{whole}'")
    ws = workspace(ONE_SOURCE, {"landing/bill/a.parquet": whole.read_bytes()[:200]})
    assert "a.parquet cannot be read; it may be cut off" in load(ws)[0].failures[0]


def test_a_missing_landing_folder_is_named(workspace):
    ws = workspace(ONE_SOURCE)
    with pytest.raises(DeliveryError, match="landing/bill does not exist"):
        pipeline.load_source(ws, "bill", tell=quiet)


def test_signs_of_a_pattern_in_a_file_name_are_just_signs(workspace, ask):
    ws = workspace(ONE_SOURCE, {"landing/bill/a[1].csv": HEADER + line("7"), "landing/bill/a1.csv": HEADER + line("1")})
    load(ws)
    assert ask(ws, "select file_name, billed_cost::int from raw.billing_lines order by 1") == [
        ("landing/bill/a1.csv", 1),
        ("landing/bill/a[1].csv", 7),
    ]


def test_half_copied_files_wait(workspace):
    ws = workspace(ONE_SOURCE, {"landing/bill/a.csv.part": HEADER + line(), "landing/bill/.hidden.csv": HEADER})
    assert "no file matches" in load(ws)[0].failures[0]


def test_an_unknown_source_names_those_there_are(workspace):
    ws = workspace(ONE_SOURCE)
    with pytest.raises(ConfigError, match="no source `bil`; it has: bill"):
        pipeline.load(ws, ["bil"], tell=quiet)


@pytest.mark.parametrize(
    "settings, said",
    [
        ("currency: usd\nsources: []\n", "currency"),
        ("currency: USD\nsources:\n  - {name: a, path: x}\n", "give either `format`"),
        ("currency: USD\nsources:\n  - {name: a, table: nope, path: x}\n", "no canonical table `nope`"),
        ("currency: USD\nsources:\n  - {name: a, format: focus, path: x, wrong: 1}\n", "wrong"),
        ("currency: USD\nsources:\n  - {name: a, format: focus, path: x}\n  - {name: a, format: focus, path: y}\n", "used twice: a"),
    ],
)
def test_settings_that_cannot_be_used_say_which_key(workspace, settings, said):
    with pytest.raises(ConfigError, match=said):
        workspace(settings)
