"""Closing and reopening accounting periods: in their order, by name, and never taken back."""

from datetime import date

import pytest

from tests import scratch_ledgers as ledgers
from tests.scratch_ledgers import build, charge, close
from tollbook.errors import TollbookError
from tollbook.finance import ledger, periods

MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)


@pytest.fixture
def db():
    """Charges posted in May and June."""
    with ledgers.write() as opened:
        for month in (MAY, JUNE):
            charge(opened, month, "red", 100)
        build(opened)
        ledger.post(opened, "r1")
        yield opened


def record(db, period, event="closed", approved_by="A. Approver"):
    periods.record(db, period, event, ledger.next_moment(db), approved_by, "all checks passed", "hash", f"{period:%Y-%m}")


def test_months_are_closed_in_their_order(db):
    with pytest.raises(TollbookError, match="2026-06 is not closed: 2026-05 is still open"):
        record(db, JUNE)
    record(db, MAY)
    record(db, JUNE)
    assert ledger.closed_periods(db) == [MAY, JUNE]
    assert [ledger.open_period(db, month) for month in (date(2026, 4, 1), MAY, JUNE, JULY)] == [date(2026, 4, 1), JULY, JULY, JULY]


def test_a_reopened_month_is_the_next_open_one_and_every_event_stays(db):
    for event in ("closed", "reopened", "closed", "reopened"):
        record(db, MAY, event)
    assert ledger.closed_periods(db) == []
    record(db, MAY)
    record(db, JUNE)
    record(db, MAY, "reopened")
    assert [ledger.open_period(db, month) for month in (MAY, JUNE)] == [MAY, JULY]
    events = db.execute("select accounting_period, event, approved_by from ledger.period_events order by recorded_at").fetchall()
    assert [event for _, event, _ in events] == ["closed", "reopened"] * 2 + ["closed", "closed", "reopened"]
    assert {approved_by for *_, approved_by in events} == {"A. Approver"}


def test_the_last_close_is_that_of_the_newest_event(db):
    assert periods.last_close(db, MAY) is None
    first = close(db, MAY)
    close(db, MAY, "reopened")
    assert periods.last_close(db, MAY)[0] == first
    second = close(db, MAY)
    assert periods.last_close(db, MAY)[0] == second > first


@pytest.mark.parametrize(
    ("period", "event", "approved_by", "said"),
    [
        (MAY, "closed", " ", "2026-05 is not closed: say who approved it"),
        (MAY, "reopened", "A. Approver", "2026-05 is not closed"),
        (date(2026, 5, 15), "closed", "A. Approver", "2026-05-15 is no accounting period"),
    ],
)
def test_what_cannot_be_recorded_is_refused(db, period, event, approved_by, said):
    with pytest.raises(TollbookError, match=said):
        record(db, period, event, approved_by)
    record(db, MAY)
    with pytest.raises(TollbookError, match="2026-05 is closed already"):
        record(db, MAY)
    assert db.execute("select count(*) from ledger.period_events").fetchone() == (1,)
