"""The summary says the sums that were worked out by hand, and a sentence where there is nothing to sum."""

from io import StringIO
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from tollbook.errors import TollbookError
from tollbook.report.summary import print_summary


@pytest.fixture
def printed(published_db: Path):
    """What the summary prints, as a list of lines with single spaces."""

    def run(width: int = 140) -> list[str]:
        console = Console(file=StringIO(), width=width)
        print_summary(published_db, console)
        return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]

    return run


def test_the_money_adds_up_and_says_so(printed):
    lines = printed()
    start = lines.index("Where the money went (USD)")
    assert [line for line in lines[start + 1 : start + 25] if line and "─" not in line] == [
        "share of",
        "2025-01 charge",
        "Billed (cash) 40,420.37",
        "Effective (accrual) 40,630.37",
        "+ estimated, bill not in yet 100.00",
        "= to charge 40,730.37",
        "allocated to teams 28,842.85 70.8 %",
        "idle (held by nobody) 8,359.75 20.5 %",
        "down (could not be used) 900.00 2.2 %",
        "stranded (could not be held) 100.00 0.2 %",
        "unknown (no evidence of use) 500.00 1.2 %",
        "unowned (no owner found) 777.77 1.9 %",
        "unused commitment 1,250.00 3.1 %",
        "rounding 0.000000000003 <0.1 %",
        "= sum of the parts 40,730.37 100.0 %",
        "to charge − sum of the parts 0.00 adds up",
        "By billing period. Shown to the cent; sums are of unrounded amounts.",
        "Adds up to the last digit.",
        "Billed is what was invoiced, effective what the period used; the bridge explains the difference.",
    ]


def test_money_that_went_missing_is_not_rounded_away(printed, change):
    change("delete from finance.fct_chargeback where bucket = 'unowned'")
    lines = printed()
    assert "to charge − sum of the parts 777.77 DOES NOT ADD UP" in lines
    assert "DOES NOT ADD UP: 777.77 USD between what there was to charge and its parts." in lines


def test_chargeback_by_team_adds_up_both_ways(printed):
    lines = printed(width=160)
    start = lines.index("Chargeback by team, 2025-01 (USD)")
    end = lines.index("Teams first, then what no team pays for. An empty cell: nothing of that kind.")
    assert [line for line in lines[start + 1 : end] if line and "─" not in line] == [
        "tokens self tokens",
        "team gpu Storage hosted commitment Networking vendor rounding total",
        "research 16,600.25 16,600.25",
        "search 6,000.00 3,000.50 1,500.00 742.10 11,242.60",
        "</script><script>alert(1)</script> 1,000.00 1,000.00",
        "idle (held by nobody) 8,359.75 8,359.75",
        "unused commitment 1,250.00 1,250.00",
        "down (could not be used) 900.00 900.00",
        "unowned (no owner found) 777.77 777.77",
        "unknown (no evidence of use) 500.00 500.00",
        "stranded (could not be held) 100.00 100.00",
        "rounding <0.01 <0.01",
        "total 32,460.00 3,000.50 2,500.00 1,250.00 777.77 742.10 <0.01 40,730.37",
    ]


def test_a_markup_is_charged_beside_the_money_that_was_spent(printed, change):
    change(
        "insert into finance.fct_chargeback by name select * replace ('markup' as component, 12.34 as charged_cost, '(internal prices)' as source_name)"
        " from finance.fct_chargeback where team = 'research' limit 1"
    )
    lines = printed(width=160)
    assert "= sum of the parts 40,730.37 100.0 %" in lines
    assert "research 16,600.25 12.34 16,612.59" in lines
    assert "Markup is what internal prices add to cost; where the money went has none of it." in lines


def test_components_that_do_not_fit_are_one_column(printed):
    assert "search 6,000.00 3,000.50 2,242.10 11,242.60" in printed(width=80)


def test_a_gpu_hour_costs_what_it_costs_on_both_bases(printed):
    lines = printed()
    assert "H100 3.5000 4.7000 53.3 % 5,000.00 500.00 1,900.00 400.00 100.00 200.00" in lines
    assert "A100 2.2354 3.2235 – 3,400.00 3,400.00 1,800.00" in lines


def test_an_unknown_cost_is_a_dash_with_its_reason(printed):
    lines = printed()
    assert "L40S – – – 120.50 120.50" in lines
    assert "L40S: 120.50 GPU-hours without a cost (no bill for the nodes of lab)." in lines
    assert "mystery Nimbus – unpriced – 1,000,000 10" in lines
    assert "mystery: 1,000,000 tokens are unpriced (no bill and no price for Nimbus mystery)." in lines


def test_a_million_tokens_cost_what_they_cost_with_their_basis(printed):
    lines = printed()
    assert "chat-7b own fleet 10.0000 billed 2,500.00 250,000,000 7,000" in lines
    assert "acme-large Acme AI 6.1842 billed 83.3 %, estimated 16.7 % 742.10 120,000,000 2,500" in lines


def test_invoices_and_commitments_are_told_with_their_verdict(printed):
    lines = printed()
    # what does not tie comes first
    assert "2025-01 Nimbus INV-2 50.00 40.00 0.00 10.00 EUR differs" in lines
    assert "2025-01 Nimbus INV-1 100.01 100.01 0.004 0.00 USD tied" in lines
    assert "2025-01 Acme AI – – 7.00 – – USD open" in lines
    assert "Nimbus plan-1 All Upfront 2,700.00 840.00 60.00 1,800.00 93.3 % 77.8 % 180.00 running" in lines
    assert "Nimbus ri-9 – 100.00 40.00 50.00 10.00 44.4 % – – unsettled" in lines


def test_tag_coverage_is_over_all_sources(printed):
    lines = printed()
    # (38,250.50 + 960) of (39,028.27 + 960)
    assert "2025-01 team 98.1 % 39,210.50 39,988.27 95.2 % 20 of 21" in lines
    assert "2025-01 project – 0.00 0.00 – 0 of 0" in lines


def test_what_must_be_equal_says_what_it_compared(printed):
    lines = printed()
    assert "rows delivered = loaded + quarantined 10 0 rows ties" in lines
    assert "effective = allocated + named buckets 18 0.00 USD ties" in lines
    assert "bridge from billed to charged 27 0.00 USD ties" in lines


def test_differences_of_opposite_sign_do_not_hide_each_other(printed, change):
    change("update quality.fct_reconciliation set cost_delta = 0.5 where source_name = 'bill'")
    change("update quality.fct_reconciliation set cost_delta = -0.5 where source_name = 'models'")
    assert "effective = allocated + named buckets 18 1.00 USD DOES NOT TIE" in printed()


def test_the_rows_of_a_source_count_once_whatever_its_periods(printed, change):
    change("""
        insert into quality.fct_reconciliation by name
        select * replace ('2024-12-01'::date as billing_period)
        from quality.fct_reconciliation
        where source_name = 'bill'
    """)
    assert "rows delivered = loaded + quarantined 10 0 rows ties" in printed()


def test_a_comparison_of_nothing_proves_nothing(printed, change):
    change("update quality.fct_bridge set rows_compared = 0")
    assert any("0 0.00 USD compared nothing: proves nothing" in line for line in printed())


def test_warnings_of_the_checks_are_shown(printed):
    lines = printed()
    assert lines[0] == ("Tollbook: published with 1 warning; numbers of 2025-01-05 06:30 UTC, newest usage 2025-01-04")
    assert "warn freshness_days slurm the newest day is 2025-01-01, 4 days ago" in lines
    assert "Of the newest run: 3 pass, 1 warn." in lines


def test_a_narrow_terminal_cuts_no_number(printed):
    assert "total 32,460.00 3,000.50 5,269.87 40,730.37" in printed(width=40)
    assert any('desc nulls last limit 10" -w ' in line for line in printed(width=40))


def test_periods_get_columns_and_old_ones_share_one(printed, change):
    for month, cost in (("2024-12", 3), ("2024-11", 20), ("2024-10", 100), ("2024-09", 1000)):
        change(f"""
            insert into finance.fct_charges by name select '{month}-05'::date as charge_date, 'USD' as currency_code,
                '{month}-01'::timestamp as billing_period_start, {cost} as reporting_billed_cost,
                {cost} as reporting_effective_cost;
            insert into finance.fct_chargeback by name select '{month}-01'::date as billing_period,
                'USD' as currency_code, 'allocated' as bucket, 'old' as team, 'gpu' as component, 'billed' as basis,
                {cost} as charged_cost
        """)
    lines = printed()
    assert "earlier 2024-11 2024-12 2025-01 total charge" in lines
    assert "Billed (cash) 1,100.00 20.00 3.00 40,420.37 41,543.37" in lines
    assert "allocated to teams 1,100.00 20.00 3.00 28,842.85 29,965.85 71.6 %" in lines
    assert "to charge − sum of the parts 0.00 0.00 0.00 0.00 0.00 adds up" in lines
    assert "Chargeback by team, 2024-11 (USD)" in lines
    assert "Chargeback by team, 2024-10 (USD)" not in lines


def test_a_period_without_a_bill_is_unknown_not_zero(printed, change):
    change("""
        insert into finance.fct_chargeback by name select '2025-02-01'::date as billing_period, 'USD' as currency_code,
            'allocated' as bucket, 'search' as team, 'tokens_vendor' as component, 'estimated' as basis,
            7 as charged_cost
    """)
    lines = printed()
    assert "Billed (cash) 40,420.37 – 40,420.37" in lines
    assert "to charge − sum of the parts 0.00 0.00 0.00 adds up" in lines


def test_many_teams_are_folded_without_losing_a_cent(printed, change):
    change("""
        insert into finance.fct_chargeback by name select '2025-01-01'::date as billing_period, 'USD' as currency_code,
            'allocated' as bucket, 'team ' || i as team, 'gpu' as component, 'billed' as basis, 0.01 as charged_cost
        from range(100) as small (i)
    """)
    lines = printed()
    assert "63 more teams 0.63 0.63" in lines
    assert any(line.startswith("total 32,461.00") and line.endswith("40,731.37") for line in lines)


def test_names_cannot_write_to_the_terminal(published_db, change):
    change("update finance.fct_chargeback set team = '[red]\x1b[2Jgone\u202e' where team = 'research'")
    console = Console(file=StringIO(), width=140, force_terminal=True, color_system=None)
    print_summary(published_db, console)
    said = console.file.getvalue()
    assert "[red]\ufffd[2Jgone\ufffd" in said
    assert "\x1b[2J" not in said
    assert "\u202e" not in said


def test_empty_marts_give_sentences(empty_db):
    console = Console(file=StringIO(), width=140)
    print_summary(empty_db, console)
    said = console.file.getvalue()
    for sentence in (
        "No bill is published yet",
        "Nothing is charged to anyone yet",
        "No GPU hours are published",
        "No tokens are published",
        "No tag coverage",
        "Nothing is reconciled",
        "No check has run",
    ):
        assert sentence in said


def test_a_mart_that_is_not_there_is_named(published_db, printed, change):
    change("drop table quality.fct_bridge")
    assert "Not in the published file: quality.fct_bridge." in printed()


def test_nothing_published_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(TollbookError, match="tollbook run"):
        print_summary(tmp_path / "tollbook.duckdb")


def test_mixed_currencies_are_an_error(published_db, change):
    change("update finance.fct_chargeback set currency_code = 'EUR' where team = 'search'")
    with pytest.raises(TollbookError, match="EUR, USD"):
        print_summary(published_db, Console(file=StringIO()))


def test_the_published_file_is_only_read(published_db):
    before = published_db.read_bytes()
    print_summary(published_db, Console(file=StringIO()))
    assert published_db.read_bytes() == before
    with duckdb.connect(str(published_db)) as db:
        assert db.execute("select count(*) from finance.fct_chargeback").fetchone() == (18,)
