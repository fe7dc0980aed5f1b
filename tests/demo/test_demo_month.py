"""A demo of a whole month: its providers ask for it, it can be closed, and what is stated is what they ask for."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import duckdb
import pytest
from typer.testing import CliRunner

from tollbook import pipeline
from tollbook.cli import app
from tollbook.demo import SCALES, Scale, generate
from tollbook.finance.close import close
from tollbook.workspace import Workspace

FEBRUARY = date(2026, 2, 1)
CENT = Decimal("0.01")
# what is invoiced and what is charged: bought ahead and drawn, own servers, and what nobody's cents hold
OVER_THE_BRIDGE = ("prepaid_bought", "prepaid_drawn", "on_prem", "provider_rounding", "rounding")
SMALL = Scale({"h100": 2, "a10": 1, "a100": 1, "l40s": 2}, 3600, 800, 300, 60, ("research", "search", "assistant", "platform"))


@pytest.fixture
def small(monkeypatch):
    """A fleet of as few nodes as have all that is in a large one."""
    monkeypatch.setitem(SCALES, "small", SMALL)
    return "small"


def test_a_whole_month_closes_and_states_what_its_invoices_ask_for(small, tmp_path):
    generate(tmp_path, small, 28, 5, FEBRUARY)
    workspace = Workspace.open(tmp_path)
    # a night, but published once, after the close
    assert [failure for one in pipeline.load(workspace, tell=lambda _: None) for failure in one.failures] == []
    for step in (pipeline.build, pipeline.check, pipeline.post):
        step(workspace, tell=lambda _: None)
    report = close(workspace, FEBRUARY, "Demo", tell=lambda _: None)
    status = {check.check_id: check.status for check in report.checks}
    # what has no price and no bill is told: nova-mini's vendor sends none
    assert {name for name, said in status.items() if said != "pass"} == {"unpriced_usage", "usage_tie_out"}
    assert report.passes and report.waivers == ()
    pipeline.publish(workspace, tell=lambda _: None)

    with duckdb.connect(str(workspace.published_db), read_only=True) as db:
        asked = dict(
            db.execute(
                "select invoice_id, billed_cost from read_parquet(?)", [str(tmp_path / "landing/invoices/2026-02.parquet")]
            ).fetchall()
        )
        tied = db.execute("select invoice_id, status, invoiced_cost, lines_cost, rounding_cost from finance.fct_invoice_tie_out").fetchall()
        terms = dict(db.execute("select term, sum(cost) from quality.fct_bridge group by term").fetchall())
        balances = db.execute("select account, invoice_id, sum(balance_cost) from finance.fct_trial_balance group by all").fetchall()
        stated = db.execute("select stated_amount, charged_cost from finance.fct_statements where recipient_kind <> 'tenant'").fetchall()
        (owed,) = db.execute("select sum(cost) from read_parquet(?)", [str(tmp_path / "truth/team_costs.parquet")]).fetchone()

    assert set(asked) == {"NC-2026-02", "LA-2026-02"} and min(asked.values()) > 0
    assert {name: cost for name, _, cost, _, _ in tied} == asked
    assert {said for _, said, *_ in tied} == {"tied"}
    # each invoice takes its lines' cents, and what they leave is named
    assert all(cost == lines.quantize(CENT, ROUND_HALF_UP) == lines + rest and rest != 0 for _, _, cost, lines, rest in tied)
    cleared = {name: -cost for account, name, cost in balances if account == "clearing"}
    assert {name: cost.quantize(CENT, ROUND_HALF_UP) for name, cost in cleared.items()} == asked
    assert len(balances) > 5 and sum(cost for *_, cost in balances) == 0

    charged = sum(cost for _, cost in stated)
    between = sum(terms[term] for term in OVER_THE_BRIDGE) - sum(rest for *_, rest in tied)
    assert min(terms["on_prem"], terms["prepaid_drawn"], -terms["prepaid_bought"]) > 0
    assert charged == sum(asked.values()) + between == owed
    assert len(stated) == 8 and sum(amount for amount, _ in stated) == (sum(asked.values()) + between).quantize(CENT, ROUND_HALF_UP)


def test_only_whole_months_have_invoices(small, tmp_path):
    generate(tmp_path, small, 31, 1, date(2026, 1, 30))
    assert [file.name for file in (tmp_path / "landing" / "invoices").iterdir()] == ["2026-02.parquet"]
    with duckdb.connect() as db:
        lines = db.execute(
            "select BillingPeriodStart::date, InvoiceIssuerName, InvoiceId, round(sum(BilledCost), 2)"
            f" from read_parquet(['{tmp_path}/landing/cloud_bill/*.parquet', '{tmp_path}/landing/vendor_bill/*.parquet']) group by all"
        ).fetchall()
        invoices = db.execute(
            "select billing_period_start::date, invoice_issuer_name, invoice_id, billed_cost, billing_period_end::date"
            f" from '{tmp_path}/landing/invoices/*.parquet'"
        ).fetchall()
    assert {month for month, _, number, _ in lines if number is None} == {date(2026, 1, 1), date(2026, 3, 1)}
    assert {row for row in lines if row[2] is not None} == {row[:4] for row in invoices}
    assert len(invoices) == 2 and {row[4] for row in invoices} == {date(2026, 3, 1)}


def test_a_month_that_lacks_a_day_has_no_invoice_yet(small, tmp_path):
    generate(tmp_path, small, 27, 1, FEBRUARY)
    assert not (tmp_path / "landing" / "invoices").exists()
    assert "invoices" not in [source.name for source in Workspace.open(tmp_path).sources]
    with duckdb.connect() as db:
        numbers = db.execute(f"select distinct InvoiceId from '{tmp_path}/landing/*_bill/*.parquet'").fetchall()
    assert numbers == [(None,)]


@pytest.mark.parametrize(
    ("said", "days", "start"),
    [([], 1, date(2026, 10, 1)), (["--days", "3"], 3, date(2026, 10, 1)), (["--month", "2028-02"], 29, date(2028, 2, 1))],
)
def test_a_demo_is_of_days_or_of_a_month(said, days, start, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("tollbook.demo.generate", lambda directory, scale, **what: made.append(what))
    assert CliRunner().invoke(app, ["demo", str(tmp_path), *said]).exit_code == 0
    assert made == [{"days": days, "seed": 1, "start": start}]


def test_a_month_has_all_its_days(tmp_path):
    outcome = CliRunner().invoke(app, ["demo", str(tmp_path / "fleet"), "--days", "3", "--month", "2026-09"])
    assert outcome.exit_code != 0 and "either --days or --month" in str(outcome.exception)
    assert not (tmp_path / "fleet").exists()
