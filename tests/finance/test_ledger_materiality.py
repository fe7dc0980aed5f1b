"""Small differences of a closed month: collected in one posting per bill, and given back when they are not small any more."""

from decimal import Decimal

import pytest

from tests import scratch_ledgers as ledgers
from tests.scratch_ledgers import assert_balanced, build, charge, charged, close, posted, unlike_computed
from tollbook.finance import ledger

D = Decimal


@pytest.fixture
def db():
    """May, closed: red 100 on the 3rd and 20 on the 4th, blue 50; what is below 5.00 is small."""
    with ledgers.write() as opened:
        charge(opened, "2026-05-03", "red", 100)
        charge(opened, "2026-05-03", "blue", 50)
        charge(opened, "2026-05-04", "red", 20)
        threshold(opened, 5)
        night(opened, "may")
        assert unlike_computed(opened) == []
        close(opened, "2026-05")
        yield opened


def threshold(db, cost, valid_from=None):
    db.execute("delete from config.policies")
    db.execute("insert into config.policies values ('materiality_threshold', ?, ?, null)", [str(cost), valid_from])


def night(db, run_id, *days):
    build(db, *days)
    ledger.post(db, run_id)
    assert_balanced(db)
    return posted(db, run_id)


def cost(db, day, team, value):
    db.execute("update charges set cost = ? where usage_date = ? and team = ?", [value, day, team])


def test_what_is_below_collects_in_one_posting_and_what_reaches_it_goes_through(db):
    cost(db, "2026-05-03", "red", 97)
    cost(db, "2026-05-04", "red", "21.5")
    cost(db, "2026-05-03", "blue", 45)
    # red: 3.00 + 1.50 is below 5.00; blue: 5.00 is not
    assert night(db, "r2") == [
        ("2026-06", "2026-05-01", "immaterial", "rounding", D("-1.5")),
        ("2026-06", "2026-05-03", "blue", "correction", -5),
    ]
    assert charged(db) == {"red": 120, "blue": 45, "immaterial": D("-1.5")}
    assert charged(db, "bucket") == {"allocated": 165, "immaterial": D("-1.5")}
    assert night(db, "again") == []


def test_only_what_is_new_is_added_and_all_goes_back_when_it_is_small_no_longer(db):
    cost(db, "2026-05-03", "red", 97)
    assert night(db, "r2", "2026-05-03") == [("2026-06", "2026-05-01", "immaterial", "rounding", -3)]
    cost(db, "2026-05-03", "blue", "51.5")
    assert night(db, "r3", "2026-05-03") == [("2026-06", "2026-05-01", "immaterial", "rounding", D("1.5"))]
    # with another 4.00 red's differences come to 7.00; only the 4th is built
    cost(db, "2026-05-04", "red", 16)
    assert night(db, "r4", "2026-05-04") == [
        ("2026-06", "2026-05-01", "immaterial", "rounding", 3),
        ("2026-06", "2026-05-03", "red", "correction", -3),
        ("2026-06", "2026-05-04", "red", "correction", -4),
    ]
    assert charged(db) == {"red": 113, "blue": 50, "immaterial": D("1.5")}
    # and where the difference goes away, so does what was collected of it
    cost(db, "2026-05-03", "blue", 50)
    assert night(db, "r5", "2026-05-03") == [("2026-06", "2026-05-01", "immaterial", "rounding", D("-1.5"))]
    assert unlike_computed(db) == []


def test_each_bill_collects_its_own(db):
    cost(db, "2026-05-03", "red", 99)
    charge(db, "2026-05-03", "red", 2, billing_period="2026-06-01")
    charge(db, "2026-05-03", "red", "0.5", source_name="storage")
    night(db, "r2")
    assert db.execute(
        "select billing_period::varchar, source_name, posted_cost from ledger.postings where bucket = 'immaterial' order by all"
    ).fetchall() == [("2026-05-01", "bill", -1), ("2026-05-01", "storage", D("0.5")), ("2026-06-01", "bill", 2)]


def test_an_open_month_is_posted_to_the_last_digit(db):
    charge(db, "2026-06-01", "red", "0.000000000001")
    assert night(db, "r2") == [("2026-06", "2026-06-01", "red", "usage", D("0.000000000001"))]


@pytest.mark.parametrize("value", [0, None])
def test_without_a_threshold_a_closed_month_is_too(db, value):
    if value is None:
        db.execute("delete from config.policies")
    else:
        threshold(db, value)
    cost(db, "2026-05-03", "red", "99.99")
    assert night(db, "r2") == [("2026-06", "2026-05-03", "red", "correction", D("-0.01"))]


@pytest.mark.parametrize("change", ["threshold", "reopened"])
def test_what_was_collected_is_posted_in_full_when_it_is_not_to_be_any_more(db, change):
    cost(db, "2026-05-03", "red", 97)
    night(db, "r2")
    if change == "threshold":
        threshold(db, 0)
        month = "2026-06"
    else:
        close(db, "2026-05", "reopened")
        month = "2026-05"
    # the 3rd, whose difference was collected, is not among the days that were built
    cost(db, "2026-05-04", "red", 21)
    found = night(db, "r3", "2026-05-04")
    assert [row[:3] + row[4:] for row in found] == [
        (month, "2026-05-01", "immaterial", 3),
        (month, "2026-05-03", "red", -3),
        (month, "2026-05-04", "red", 1),
    ]
    assert unlike_computed(db) == []


def test_a_reopened_month_gives_back_what_it_collected_without_a_day_of_its_own(db):
    cost(db, "2026-05-03", "red", 97)
    night(db, "r2")
    close(db, "2026-05", "reopened")
    charge(db, "2026-06-01", "red", 1)
    night(db, "r3", "2026-06-01")
    assert unlike_computed(db) == []


def test_a_day_whose_differences_cancel_out_is_not_forgotten(db):
    # 2.00 from blue to red on a day of which the ledger holds nothing at all
    charge(db, "2026-05-05", "red", 2)
    charge(db, "2026-05-05", "blue", -2)
    assert night(db, "r2", "2026-05-05") == []
    cost(db, "2026-05-04", "red", 24)
    assert night(db, "r3", "2026-05-04") == [
        ("2026-06", "2026-05-01", "immaterial", "rounding", -2),
        ("2026-06", "2026-05-04", "red", "correction", 4),
        ("2026-06", "2026-05-05", "red", "late_bill", 2),
    ]
    assert charged(db) == {"red": 126, "blue": 50, "immaterial": -2}


def test_the_threshold_is_that_of_the_month_the_difference_is_posted_in(db):
    threshold(db, 5, "2026-07-01")
    cost(db, "2026-05-03", "red", 97)
    # built together with days of July, posted in June
    charge(db, "2026-07-02", "red", 1)
    assert ("2026-06", "2026-05-03", "red", "correction", -3) in night(db, "r2")
    close(db, "2026-06")
    cost(db, "2026-05-03", "red", 95)
    assert night(db, "r3", "2026-05-03") == [("2026-07", "2026-05-01", "immaterial", "rounding", -2)]


def test_what_closes_with_a_month_is_given_back_in_the_next(db):
    cost(db, "2026-05-03", "red", 97)
    night(db, "r2")
    close(db, "2026-06")
    cost(db, "2026-05-03", "red", 90)
    assert night(db, "r3") == [
        ("2026-07", "2026-05-01", "immaterial", "rounding", 3),
        ("2026-07", "2026-05-03", "red", "correction", -10),
    ]
    assert charged(db) == {"red": 110, "blue": 50}
