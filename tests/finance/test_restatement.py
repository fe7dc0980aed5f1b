"""What was known at two moments and why it is not the same: causes that add up, with what is behind them."""

import csv
import json
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations, cycle

import pytest
from typer.testing import CliRunner

from tests.ledgers import TEAMS, charge, delivery, drawn_ledger, line, marts, night, post, scratch
from tests.workspaces import write_workspace
from tollbook import cli
from tollbook.errors import TollbookError
from tollbook.finance import as_of, ledger, moments, periods, restatement
from tollbook.report import restatement as report

MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)
DAY = date(2026, 5, 20)


def owned(cost, resource, **said):
    """A charge of May whose owner is told by the resource."""
    return line(cost, DAY, team=resource, component="Compute", rule=f"owners/{resource}@1", **said)


def closed(db, month):
    moment = ledger.next_moment(db)
    periods.record(db, month, "closed", moment, "controller", "month-end")
    return moment


def between(db, since, until="now", **said):
    return restatement.restate(db, moments.parse(db, str(since)), moments.parse(db, str(until)), **said)


def costs(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture
def may():
    """1,500 of May charged to R-111, and May closed."""
    db = scratch()
    delivery(db, "2026-05.csv", [DAY])
    night(db, "may", [owned("1500", "R-111")])
    closed(db, MAY)
    return db


def correction_line(db):
    db.execute("insert into finance.fct_charges values ('bill', ?, ?, ?, 'Correction')", [DAY, DAY + timedelta(days=1), JUNE])


def as_delta(db):
    delivery(db, "2026-06.csv", [DAY])
    correction_line(db)
    night(db, "june", [owned("1500", "R-111"), owned("-300", "R-111", billing_period=JUNE), owned("300", "R-222", billing_period=JUNE)])


def as_ledger(db):
    delivery(db, "2026-06.csv", [DAY])
    correction_line(db)
    back = [owned("-1500", "R-111", billing_period=JUNE), owned("1200", "R-111", billing_period=JUNE)]
    night(db, "june", [owned("1500", "R-111"), *back, owned("300", "R-222", billing_period=JUNE)])


def as_replacement(db):
    db.execute("update meta.deliveries set is_current = false")
    delivery(db, "2026-05-again.csv", [DAY], partition_key="2026-05.csv")
    night(db, "june", [owned("1200", "R-111"), owned("300", "R-222")])


@pytest.mark.parametrize(
    ("deliver", "file"), [(as_delta, "2026-06.csv"), (as_ledger, "2026-06.csv"), (as_replacement, "2026-05-again.csv")]
)
def test_a_closed_month_is_corrected(may, deliver, file):
    """KA-12: in June, 300 of May turn out to be R-222's, delivered in three ways."""
    deliver(may)
    found = between(may, "close:2026-05", period=MAY)
    assert costs(found.lines, "team", "known_before", "difference", "known_after") == [
        ("R-111", 1500, -300, 1200),
        ("R-222", 0, 300, 300),
    ]
    assert costs(found.changes, "team", "reason", "accounting_period", "posted_cost") == [
        ("R-111", "correction", JUNE, -300),
        ("R-222", "correction", JUNE, 300),
    ]
    (cause,) = found.causes
    assert (cause["posted_cost"], cause["charged_more"], cause["charged_less"], cause["accounting_periods"]) == (0, 300, -300, [JUNE])
    assert costs(found.runs, "reason", "run_id", "posted_cost") == [("correction", "june", 0)]
    assert costs(found.deliveries, "reason", "run_id", "source_name", "file_names", "is_replacement") == [
        ("correction", "june", "bill", f"landing/bill/{file}", deliver is as_replacement)
    ]
    assert found.rules == [], "money moved, but no rule changed"
    # what May's statement says stays, the correction is June's
    posted = as_of.chargeback(may, moments.now(may), accounting=True)
    assert costs(posted, "accounting_period", "team", "charged_cost") == [(MAY, "R-111", 1500), (JUNE, "R-222", 300), (JUNE, "R-111", -300)]


def test_nothing_in_between(may):
    close = moments.parse(may, "close:2026-05")
    found = restatement.restate(may, close, close)
    assert (found.changes, found.causes, found.deliveries) == ([], [], [])
    assert costs(found.lines, "known_before", "difference", "known_after") == [(1500, 0, 1500)]
    (table,) = [table for table in report.tables(found) if table.name == "restatement"]
    assert table.rows == [] and "Nothing of all months was recorded between" in table.empty


def test_the_later_moment_first_is_refused(may):
    as_delta(may)
    with pytest.raises(TollbookError, match=r"\(now\) is after .* \(close:2026-05\): name the earlier moment first"):
        between(may, "now", "close:2026-05")


def test_a_rule_that_changed_is_named_with_what_changed_in_it(may):
    for version, team in ((1, "R-111"), (2, "R-222")):
        content = json.dumps({"rule_id": "R-111", "pattern": "gpu-*", "team": team})
        may.execute(
            "insert into meta.rule_versions by name select 'owners' as table_name, 'R-111' as rule_key, ? as content, ? as rule_version",
            [content, version],
        )
    delivery(may, "unrelated.csv", [date(2026, 6, 1)])
    night(may, "restated", [owned("1500", "R-111") | {"team": "R-222", "rule": "owners/R-111@2"}], rules="other rules")
    found = between(may, "close:2026-05")
    assert costs(found.causes, "reason", "posted_cost", "charged_more") == [("rule_change", 0, 1500)]
    assert costs(found.runs, "rules_changed", "models_changed") == [(True, False)]
    assert found.deliveries == []
    (rule,) = found.rules
    assert (rule["rule_name"], rule["old_versions"], rule["new_versions"]) == ("owners/R-111", "1", "2")
    assert (rule["taken_cost"], rule["given_cost"]) == (-1500, 1500)
    assert rule["fields"] == {"team": ("R-111", "R-222")}
    cells = {table.name: table.rows for table in report.tables(found)}["restatement-rules"][0].cells
    assert cells == ("2026-05", "owners/R-111", "1 → 2", "team: R-111 → R-222", "-1,500.00", "+1,500.00")


def test_a_change_that_no_posting_names_a_rule_of(may):
    night(may, "dearer", [owned("1600", "R-111")], rules="other rules")
    night(may, "counted", [owned("1650", "R-111")], rules="other rules", models="other models")
    found = between(may, "close:2026-05")
    assert costs(found.causes, "reason", "posted_cost") == [("method_change", 50), ("rule_change", 100)]
    behind = {row.cells[1]: row.cells[-1] for table in report.tables(found) if table.name == "restatement-causes" for row in table.rows}
    assert behind["rule change"].endswith("UTC; rules that postings do not name: prices, rates or policies") is (found.rules == [])
    assert behind["method change"].endswith("; another version of Tollbook's models")


def test_what_is_behind_a_run_is_what_was_loaded_for_its_build(may):
    delivery(may, "other-days.csv", [date(2026, 5, 21)])
    delivery(may, "other-bill.csv", [DAY], source="other")
    delivery(may, "failed.csv", [DAY], status="failed")
    delivery(may, "pods.csv", [DAY], source="pods", table_name="holdings")
    delivery(may, "book.csv", [], source="books", table_name="prices")
    night(may, "first", [owned("1400", "R-111")])
    delivery(may, "late.csv", [DAY])
    night(may, "second", [owned("1300", "R-111")])
    # the delivery that takes a file's place has fewer days
    delivery(may, "late-again.csv", [date(2026, 5, 21)], partition_key="late.csv")
    night(may, "third", [owned("1250", "R-111")])
    found = between(may, "close:2026-05")
    assert costs(found.deliveries, "run_id", "file_names", "is_replacement") == [
        ("second", "landing/bill/late.csv", False),
        ("third", "landing/bill/late-again.csv", True),
        ("first", "landing/pods/pods.csv", False),
        ("first", "landing/books/book.csv", False),
    ]
    runs = report.document(found)["causes"][0]["behind"]
    assert [(run["run_id"], run["posted_cost"], len(run["deliveries"])) for run in runs] == [
        ("first", "-100.000000000000", 2),
        ("second", "-100.000000000000", 1),
        ("third", "-50.000000000000", 1),
    ]


def test_causes_add_up_whatever_happened_between_any_two_moments():
    db, seen = drawn_ledger(3)
    points = [moment for moment, _ in seen[::3]]
    for (since, until), (by, keys) in zip(combinations(points, 2), cycle(as_of.DIMENSIONS.items())):
        found = between(db, since, until, by=by)
        key = ("usage_period", *keys)
        for which, moment in (("known_before", since), ("known_after", until)):
            charged = as_of.chargeback(db, moments.parse(db, str(moment)), by)
            known = {costs([row], *key)[0]: row["charged_cost"] for row in charged}
            assert known == {costs([row], *key)[0]: row[which] for row in found.lines if row[which]}
        for row in found.lines:
            mine = [one["posted_cost"] for one in found.changes if costs([one], *key) == costs([row], *key)]
            assert sum(mine) == row["difference"] == row["known_after"] - row["known_before"]
        totals = [sum(row[name] for row in rows) for rows, name in ((found.lines, "difference"), (found.causes, "posted_cost"))]
        assert totals == [sum(row["posted_cost"] for row in found.runs)] * 2
        assert all(row["charged_more"] + row["charged_less"] == row["posted_cost"] for row in found.causes)
    assert len(found.causes) > 1


def test_months_are_told_apart(may):
    night(may, "june", [owned("1400", "R-111"), charge("9", date(2026, 6, 2), "ops"), charge("-4", date(2026, 4, 30), "ops")])
    assert costs(between(may, "close:2026-05").lines, "usage_period", "team", "difference") == [
        (date(2026, 4, 1), "ops", -4),
        (MAY, "R-111", -100),
        (JUNE, "ops", 9),
    ]
    assert costs(between(may, "close:2026-05", period=JUNE).lines, "team", "difference") == [("ops", 9)]


def test_a_close_in_between_is_told(may):
    found = between(may, "2020-01-01")
    assert costs(found.periods, "accounting_period", "event", "approved_by", "reason") == [(MAY, "closed", "controller", "month-end")]
    assert between(may, "close:2026-05").periods == []


def test_adjustments_are_what_a_month_has_of_other_months(may):
    as_replacement(may)
    night(may, "more", [owned("1200", "R-111"), owned("300", "R-222"), charge("9", date(2026, 6, 2), "ops")])
    found = restatement.adjustments(may, JUNE)
    assert costs(found, "usage_period", "team", "component", "reason", "posted_cost") == [
        (MAY, "R-111", "Compute", "correction", -300),
        (MAY, "R-222", "Compute", "correction", 300),
    ]
    assert restatement.adjustments(may, JUNE, moments.parse(may, "close:2026-05")) == []
    assert restatement.adjustments(may, MAY) == []


def test_the_mart_says_which_postings_restate():
    db = scratch(TEAMS)
    marts(db, "fct_postings", "fct_restatements")
    tenth, eleventh = charge("10", date(2026, 5, 10), "ops"), charge("11", date(2026, 5, 11), "ops")
    night(db, "n1", [tenth])
    night(db, "n2", [tenth, eleventh])
    night(db, "n3", [tenth | {"posted_cost": Decimal(8)}, eleventh, charge("1", date(2026, 5, 11), "ops", source_name="other")])
    closed(db, MAY)
    night(
        db,
        "n4",
        [tenth | {"posted_cost": Decimal(8)}, eleventh, charge("1", date(2026, 5, 12), "ops"), charge("5", date(2026, 6, 1), "ops")],
    )
    rows = db.execute(
        "select run_id, usage_period, accounting_period, is_restatement, sum(posted_cost) from finance.fct_restatements group by all order by all"
    ).fetchall()
    assert rows == [
        ("n1", MAY, MAY, False, 10),
        ("n2", MAY, MAY, False, 11),
        ("n3", MAY, MAY, False, 1),
        ("n3", MAY, MAY, True, -2),
        ("n4", MAY, JUNE, True, 0),
        ("n4", JUNE, JUNE, False, 5),
    ]


@pytest.fixture
def books(tmp_path):
    workspace = write_workspace(tmp_path, "currency: USD\nsources: []\n")
    with scratch(file=workspace.warehouse) as db:
        delivery(db, "2026-05.csv", [DAY])
        night(db, "may", [owned("1500", "R-111"), charge("20", DAY, "ops")])
        closed(db, MAY)
        delivery(db, "2026-05-again.csv", [DAY], partition_key="2026-05.csv")
        night(db, "june", [owned("1200", "R-111"), owned("300", "R-222"), charge("20", DAY, "ops")])
    return workspace


def run(workspace, *words):
    return CliRunner().invoke(cli.app, [*words, "-w", str(workspace.root)], catch_exceptions=False, env={"COLUMNS": "200"}).output


def test_the_report_in_print(books):
    shown = run(books, "restatement", "--from", "close:2026-05", "--period", "2026-05").splitlines()
    lines = [" ".join(line.split()) for line in shown]
    for said in (
        "Chargeback of 2026-05, restated (USD)",
        "2026-05 R-111 1,500.00 -300.00 -300.00 1,200.00",
        "2026-05 R-222 0.00 +300.00 +300.00 300.00",
        "2026-05 1 line as before 20.00 0.00 20.00",
        "2026-05 total 1,520.00 0.00 0.00 1,520.00",
    ):
        assert said in lines, said
    whole = " ".join(" ".join(lines).split())
    assert "2026-05-again.csv" in whole and "in place of an earlier one" in whole


def test_the_report_as_a_file(books, tmp_path):
    target = tmp_path / "may.csv"
    assert str(target) in run(books, "restatement", "--from", "close:2026-05", "--out", str(target)).replace("\n", "")
    rows = list(csv.DictReader(target.open()))
    assert [(row["team"], row["entry"], row["reason"], row["accounting_period"], Decimal(row["charged_cost"])) for row in rows] == [
        ("R-111", "known_before", "", "", 1500),
        ("R-111", "change", "correction", "2026-06-01", -300),
        ("R-111", "known_after", "", "", 1200),
        ("R-222", "known_before", "", "", 0),
        ("R-222", "change", "correction", "2026-06-01", 300),
        ("R-222", "known_after", "", "", 300),
        ("ops", "known_before", "", "", 20),
        ("ops", "known_after", "", "", 20),
    ]
    run(books, "restatement", "--from", "close:2026-05", "--by", "bucket", "--out", str(tmp_path / "may.json"))
    said = json.loads((tmp_path / "may.json").read_text())
    assert said["totals"] == [
        {"currency_code": "USD", "known_before": "1520.000000000000", "known_after": "1520.000000000000", "difference": "0.000000000000"}
    ]
    assert [cause["reason"] for cause in said["causes"]] == ["correction"]
    with pytest.raises(TollbookError, match=r"may\.xlsx cannot be written: name a file that ends in \.csv or \.json"):
        run(books, "restatement", "--from", "close:2026-05", "--out", str(tmp_path / "may.xlsx"))


def test_adjustments_in_print(books):
    shown = [" ".join(line.split()) for line in run(books, "ledger", "adjustments", "2026-06").splitlines()]
    assert "2026-05 R-111 Compute correction -300.00" in shown and "total 0.00" in shown
    assert run(books, "ledger", "adjustments", "2026-05").splitlines()[-1] == "Nothing was posted in 2026-05 for usage of other months."


def test_a_moment_ahead_says_so(may):
    found = between(may, "close:2026-05", "9999-01-01")
    assert "ahead" in report.tables(found)[0].notes[0]
    post(may, "again")
    assert between(may, "close:2026-05").until.at - found.until.at < timedelta(0)
