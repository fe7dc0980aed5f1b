"""The journal: balanced entries in cents, account codes by rule, and what it says in showback."""

import csv
import random
import re
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.ledgers import OCTOBER, SEPTEMBER, balance, close, line, other_side, post, scratch
from tollbook.errors import ConfigError, TollbookError
from tollbook.finance import accruals, journal, ledger, moments, trial_balance

DAY = date(2026, 9, 7)
HEADER = "account,component,billed_by,bucket,cost_centre,priority,account_code,account_name,valid_from,valid_to\n"


def charge(cost, team="research", cost_centre="CC-100", **said):
    return line(cost, said.pop("day", DAY), **{"team": team, "cost_centre": cost_centre, "component": "Compute"} | said)


def bill(charges, prepaid="0", invoice="N-9", month=SEPTEMBER, **said):
    """Charges and their bill's side; ``prepaid``: what of the bill is for later."""
    total = sum(one["posted_cost"] for one in charges)
    sides = [
        other_side("bridge", str(-total), DAY, billing_period=month, **said),
        other_side("bridge", str(total), DAY, basis="invoiced", billing_period=month, **said),
        other_side("clearing", str(-total - Decimal(prepaid)), DAY, basis="invoiced", billing_period=month, invoice_id=invoice, **said),
        other_side("prepaid", prepaid, DAY, basis="invoiced", billing_period=month, commitment_id="plan-1", **said),
    ]
    return [*charges, *(side for side in sides if side["posted_cost"])]


def rules(tmp_path, *rows):
    file = tmp_path / "accounts.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return journal.accounts_of(file)


def of(db, period=SEPTEMBER, accounts=None, **options):
    return journal.lines(db, period, accounts or journal.accounts_of(Path("absent.csv")), **options)


def amounts(lines):
    return [(one.account_code, one.cost_centre, (one.debit_amount or 0) - (one.credit_amount or 0)) for one in lines]


def assert_balanced(lines):
    entries = defaultdict(Decimal)
    for one in lines:
        assert (one.debit_amount is None) != (one.credit_amount is None)
        assert (one.debit_amount or one.credit_amount) > 0
        entries[one.entry_number] += (one.debit_amount or 0) - (one.credit_amount or 0)
    assert set(entries.values()) == {0}


@pytest.fixture
def db():
    """A bill of 1,060 with 60 paid for later, of two cost centres, and 20 that nobody held."""
    made = scratch({"research": "CC-100", "search": "CC-200"})
    charges = [
        charge("700"),
        charge("280", "search", "CC-200", project="ranking"),
        charge("20", "idle", None, bucket="idle"),
    ]
    post(made, "night-1", bill(charges, prepaid="60"))
    return made


def test_an_entry_is_a_bill_against_cost_centres(db):
    lines = of(db)
    assert amounts(lines) == [
        ("1300", None, 60),
        ("2000", None, -1060),
        ("6000", "CC-100", 700),
        ("6000", "CC-200", 280),
        ("6000", None, 20),
    ]
    assert {(one.entry_date, one.accounting_period, one.currency) for one in lines} == {(date(2026, 9, 30), "2026-09", "USD")}
    ((number, known_at),) = {(one.entry_number, one.known_at) for one in lines}
    assert re.fullmatch(r"2026-09-[0-9a-f]{8}", number)
    assert known_at == db.execute("select max(recorded_at) from ledger.postings").fetchone()[0].isoformat()
    assert [one.line_number for one in lines] == [1, 2, 3, 4, 5]
    assert [one.reference for one in lines] == ["plan-1", "N-9", "2026-09/CC-100", "2026-09/CC-200", "2026-09/bucket:idle"]
    assert lines[1].description == "Nimbus 2026-09, invoice N-9"
    assert lines[-1].description == "Nimbus 2026-09, usage of 2026-09, idle"
    assert {one.project for one in lines} == {None}
    assert {one.cost_centre: one.project for one in of(db, by_project=True)}["CC-200"] == "ranking"


def test_a_number_is_of_the_same_entry_in_every_export_of_the_month(db):
    def numbers(period=SEPTEMBER, **options):
        return {
            (one.source_name, one.billed_by, one.billing_period, one.usage_period and one.reason): one.entry_number
            for one in of(db, period, **options)
        }

    first, known_at = numbers(), of(db)[0].known_at
    # another bill that stands before it in every order
    said = {"billed_by": "Acme", "source_name": "a bill"}
    charges = [charge("700"), charge("280", "search", "CC-200", project="ranking"), charge("20", "idle", None, bucket="idle")]
    post(db, "night-2", bill(charges, prepaid="60") + bill([charge("5", **said)], invoice="A-1", **said))
    again = numbers()
    assert first.items() < again.items() and next(iter(again))[0] == "a bill"
    assert again == numbers(by_project=True)
    assert len(set(again.values())) == 2
    # two exports are told apart, and the first can be had again
    (newer,) = {one.known_at for one in of(db)}
    assert newer > known_at
    assert of(db, known_at=datetime.fromisoformat(known_at))[0].known_at == known_at
    # another month's entry of the same bill is another entry
    close(db, SEPTEMBER)
    post(db, "night-3", bill(charges, prepaid="70") + bill([charge("6", **said)], invoice="A-1", **said))
    assert numbers() == again and set(numbers(OCTOBER).values()).isdisjoint(again.values())


def test_entries_balance_to_the_cent_and_no_line_is_a_cent_away_from_the_ledger():
    draw = random.Random(7)
    made = scratch()
    charges = [
        charge(f"{draw.uniform(-50, 400):.12f}", f"team {number}", f"CC-{number % 23}", billed_by=provider, source_name=provider)
        for provider in ("A", "B", "C")
        for number in range(120)
    ]
    sides = []
    for provider in "ABC":
        own = [one for one in charges if one["billed_by"] == provider]
        # what is asked for is in cents; what is left to twelve digits is the provider's rounding
        left = sum(one["posted_cost"] for one in own) % Decimal("0.01")
        said = {"billed_by": provider, "source_name": provider}
        sides += bill(own, invoice=f"{provider}-9", **said)
        sides[-1]["posted_cost"] += left
        sides.append(other_side("provider_rounding", str(-left), DAY, basis="invoiced", **said))
    post(made, "night-1", sides)
    lines = of(made)
    assert_balanced(lines)
    assert len({one.entry_number for one in lines}) == 3 and len(lines) > 60
    for one in lines:
        stated = (one.debit_amount or 0) - (one.credit_amount or 0)
        assert abs(stated - one.ledger_amount) < Decimal("0.01")
        assert one.account_code != "2000" or stated == one.ledger_amount
    assert sum(one.ledger_amount for one in lines if one.bucket) == balance(made, "bucket is not null")


@pytest.mark.parametrize(
    ("given", "stated"),
    [
        (["0.333333333333", "0.333333333333", "0.333333333334", "-1"], ["0.33", "0.33", "0.34", "-1"]),
        (["0.005", "-0.005"], ["0.01", "-0.01"]),
        (["-0.004", "-0.004", "0.008"], ["0.00", "-0.01", "0.01"]),
        (["12.34", "-12.34"], ["12.34", "-12.34"]),
    ],
)
def test_the_missing_cents_go_to_the_largest_remainders(given, stated):
    assert journal.rounded([Decimal(one) for one in given], 2) == [Decimal(one) for one in stated]


def test_what_does_not_balance_is_refused():
    with pytest.raises(TollbookError, match=r"adds up to 0\.5"):
        journal.rounded([Decimal("1"), Decimal("-0.5")], 2)


def test_a_currency_without_cents_has_none():
    made = scratch()
    post(made, "n", bill([charge("10.6", currency_code="JPY"), charge("20.4", "search", "CC-2", currency_code="JPY")], currency_code="JPY"))
    assert [value for *_, value in amounts(of(made))] == [-31, 11, 20]


def test_the_most_specific_rule_gives_the_code(db, tmp_path):
    common = ("clearing,,,,,,2000,Payables,,", "prepaid,,,,,,1300,Prepaid,,")
    accounts = rules(
        tmp_path,
        *common,
        "cost,,,,,,6000,Other,,",
        "cost,Comp*,,,,,6100,Compute,,",
        "cost,Comp*,nimbus,,,,6200,Nimbus compute,,",
        "cost,,,idle,,,6300,Idle,,",
        "cost,*,*,*,CC-2*,1,6400,Search,,",
    )
    assert amounts(of(db, accounts=accounts))[2:] == [("6200", "CC-100", 700), ("6200", None, 20), ("6400", "CC-200", 280)]
    # dated by the month's last day
    accounts = rules(tmp_path, *common, "cost,,,,,,6000,Old,,2026-09-30", "cost,,,,,,6001,New,2026-09-30,")
    assert {one.account_code for one in of(db, accounts=accounts) if one.bucket} == {"6001"}


def test_an_account_without_a_code_is_named(db, tmp_path):
    with pytest.raises(
        ConfigError, match=r"account prepaid \(billed_by Nimbus\) has no account code in 2026-09. Add a row with account prepaid"
    ):
        of(db, accounts=rules(tmp_path, "clearing,,,,,,2000,Payables,,", "cost,,,,,,6000,Cost,,"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("costs,,,,,,6000,Cost,,", "is not one of 'cost'"),
        ("cost,,,,,,,Cost,,", "account_code: None is missing"),
        ("cost,,,,,first,6000,Cost,,", "is not a whole number"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(tmp_path, row, said):
    with pytest.raises(ConfigError, match=r"accounts\.csv, row 1") as refused:
        rules(tmp_path, row)
    assert said in str(refused.value)


def test_two_rules_for_the_same_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="same account and patterns"):
        rules(tmp_path, "cost,,,,,,6000,Cost,,", "cost,,,,,2,6001,Cost,,")


def test_every_account_has_a_code_without_a_file():
    from tollbook.warehouse.rule_tables import LEDGER_ACCOUNTS

    assert {account for account, *_ in journal.DEFAULT_ACCOUNTS} == set(LEDGER_ACCOUNTS)


def test_in_showback_one_cost_centre_bears_what_is_charged(db):
    db.execute("insert into config.policies values ('chargeback_mode', 'showback', null, null)")
    with pytest.raises(ConfigError, match="no policy showback_cost_centre"):
        of(db)
    db.execute("insert into config.policies values ('showback_cost_centre', 'CC-900', null, null)")
    lines = of(db)
    assert_balanced(lines)
    assert {one.cost_centre for one in lines if one.bucket} == {"CC-900"}
    assert sum(one.debit_amount for one in lines if one.bucket) == 1000
    # the policy is dated: by the month's last day
    db.execute("update config.policies set valid_from = date '2026-10-01'")
    assert {one.cost_centre for one in of(db)} == {None, "CC-100", "CC-200"}


def test_accruals_and_their_reversal_are_entries_of_their_own(db):
    item = {"item": "power", "reason": "the meter is read in October", "cost": Decimal("90.01"), "team": "research", "billed_by": None}
    accruals.book(db, "close-1", ledger.next_moment(db), SEPTEMBER, [item | {"currency_code": "USD"}])
    lines = [one for one in of(db) if one.source_name == "(close)"]
    assert_balanced(lines)
    assert {one.entry_number for one in lines}.isdisjoint(one.entry_number for one in of(db) if one.source_name != "(close)")
    assert [(one.account_code, one.debit_amount, one.credit_amount) for one in lines] == [
        ("2100", None, Decimal("90.01")),
        ("6000", Decimal("90.01"), None),
    ]
    back = of(db, OCTOBER)
    assert_balanced(back)
    assert [(one.account_code, one.debit_amount, one.credit_amount) for one in back] == [
        ("2100", Decimal("90.01"), None),
        ("6000", None, Decimal("90.01")),
    ]
    assert back[1].description == "(close) 2026-09, accrual reversed, usage of 2026-09"
    assert {one.entry_date for one in lines} == {date(2026, 9, 30)} and {one.entry_date for one in back} == {OCTOBER}


def test_what_was_accrued_finer_than_a_coin_is_taken_back_by_the_same_coins(db):
    item = {"item": "power", "reason": "the meter is read in October", "cost": Decimal("90"), "team": "research", "billed_by": None}
    accruals.book(db, "close-1", ledger.next_moment(db), SEPTEMBER, [item | {"currency_code": "USD"}])
    db.execute("update ledger.postings set posted_cost = sign(posted_cost) * 90.005 where source_name = '(close)'")
    booked, back = (
        [value for *_, value in amounts(one for one in of(db, month) if one.source_name == "(close)")] for month in (SEPTEMBER, OCTOBER)
    )
    assert [-value for value in back] == booked and abs(booked[0]) in (90, Decimal("90.01"))


def test_a_bill_of_another_month_stands_on_the_bridge_until_it_comes():
    made = scratch()
    post(made, "night-1", bill([charge("100", billing_period=OCTOBER)], month=OCTOBER))
    september, october = of(made), of(made, OCTOBER)
    assert_balanced(september + october)
    assert amounts(september) == [("6000", "CC-100", 100), ("9999", None, -100)]
    assert amounts(october) == [("2000", None, -100), ("9999", None, 100)]


def test_a_correction_of_a_closed_month_is_the_next_months_entry_and_says_so(db):
    closed = of(db)
    moment = close(db, SEPTEMBER)
    charges = [charge("650"), charge("280", "search", "CC-200", project="ranking"), charge("70", "idle", None, bucket="idle")]
    post(db, "night-2", bill(charges, prepaid="60"))
    assert of(db) == closed == of(db, known_at=moment) == of(db, known_at=moments.parse(db, "close:2026-09").at)
    later = of(db, OCTOBER)
    assert_balanced(later)
    assert [(one.account_code, one.cost_centre, one.usage_period, one.ledger_amount) for one in later] == [
        ("6000", "CC-100", "2026-09", -50),
        ("6000", None, "2026-09", 50),
    ]
    with pytest.raises(TollbookError, match=r"the journal of 2026-10 as known at .* is empty"):
        of(db, OCTOBER, known_at=moment)


def test_the_file_is_csv_in_which_nothing_is_a_formula(tmp_path):
    made = scratch()
    evil = '=HYPERLINK("http://example.com","pay")'
    post(made, "n", bill([charge("10", cost_centre=evil, billed_by="+1")], invoice="@N-9", billed_by="+1"))
    out = tmp_path / "made" / "journal.csv"
    journal.export(of(made), out)
    with out.open(newline="") as content:
        found = list(csv.DictReader(content))
    assert found[0]["reference"] == "'@N-9"
    assert found[1]["cost_centre"] == f"'{evil}"
    assert {row["billed_by"] for row in found} == {"'+1"}
    assert [(row["debit_amount"], row["credit_amount"]) for row in found] == [("", "10.00"), ("10.00", "")]
    for row in found:
        texts = {name: value for name, value in row.items() if name != "ledger_amount"}
        assert not [value for value in texts.values() if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert sorted(path.name for path in out.parent.iterdir()) == ["journal.csv"]
    with pytest.raises(TollbookError, match=r"call the file \.csv"):
        journal.export(of(made), tmp_path / "journal.xlsx")


def test_a_month_whose_postings_come_to_nothing_has_no_lines_to_keep(db, tmp_path):
    close(db, SEPTEMBER)
    for cost, idle in (("650", "70"), ("700", "20")):
        charges = [charge(cost), charge("280", "search", "CC-200", project="ranking"), charge(idle, "idle", None, bucket="idle")]
        post(db, f"night-{cost}", bill(charges, prepaid="60"))
    assert of(db, OCTOBER) == []
    journal.export(of(db, OCTOBER), tmp_path / "october.csv")
    assert (tmp_path / "october.csv").read_text().count("\n") == 1


def test_nothing_posted_is_said(db):
    with pytest.raises(TollbookError, match="the journal of 2026-08 is empty; there are postings of 2026-09"):
        of(db, date(2026, 8, 1))


def test_the_trial_balance_is_0_and_as_of_any_moment(db):
    moment = close(db, SEPTEMBER)
    post(db, "night-2", bill([charge("1100")], prepaid="60"))
    now = ledger.next_moment(db)
    found = {(row["accounting_period"], row["account"]): row for row in trial_balance.balances(db, now)}
    cost = found[OCTOBER, "cost"]
    assert (cost["debit_cost"], cost["credit_cost"], cost["balance_cost"]) == (400, 300, 100)
    assert found[SEPTEMBER, "clearing"]["invoice_id"] == "N-9" and found[SEPTEMBER, "prepaid"]["commitment_id"] == "plan-1"
    assert sum(row["balance_cost"] for row in found.values()) == 0
    assert {row["accounting_period"] for row in trial_balance.balances(db, moment)} == {SEPTEMBER}
    assert {row["account"] for row in trial_balance.balances(db, now, OCTOBER)} == {"bridge", "clearing", "cost"}
