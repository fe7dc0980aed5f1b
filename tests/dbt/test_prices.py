"""The macros that reckon with prices: exact, rounded once, and of the right hour."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

MACROS = Path(__file__).resolve().parents[2] / "dbt_project" / "macros"


@pytest.fixture(scope="module")
def macros():
    names = ("engine/units.sql", "engine/lists.sql", "prices.sql")
    text = "".join((MACROS / name).read_text() for name in names)

    class Adapter:
        @staticmethod
        def dispatch(name):
            return getattr(module, f"default__{name}")

    module = Environment().from_string(text, globals={"adapter": Adapter, "return": lambda value: value}).module
    return module


@pytest.fixture(scope="module")
def db():
    with duckdb.connect() as connection:
        yield connection


@settings(max_examples=80, deadline=None)
@given(
    price=st.decimals(min_value=0, max_value=100_000, places=12, allow_nan=False),
    per=st.sampled_from([1, 1000, 1_000_000, 3, Decimal("0.5")]),
    quantity=st.integers(min_value=0, max_value=10**12),
)
def test_a_cost_is_price_times_quantity_rounded_once(macros, db, price, per, quantity):
    unit = macros.unit_price("price", "per_quantity")
    query = f"select {unit}, {macros.cost_units(f'{unit} * quantity')} from (select ?::decimal(38, 20), ?::decimal(38, 20), ?::bigint)"
    unit, cost = db.execute(f"{query} as given (price, per_quantity, quantity)", [price, per, quantity]).fetchone()
    assert abs(unit - Fraction(price) * 10**18 / Fraction(per)) <= Fraction(1, 2)
    ideal = Fraction(unit * quantity, 10**6)
    assert abs(cost - ideal) <= Fraction(1, 2)
    if per in (1, 1000, 1_000_000):
        assert ideal == Fraction(price) * quantity * 10**12 / Fraction(per)  # nothing lost before


def test_hours_of_the_day(macros, db):
    def clock(text):
        return db.execute(f"select {macros.clock('moment')} from (select ?::varchar) as given (moment)", [text]).fetchone()[0]

    minute = 60_000_000
    assert [clock(text) for text in ("00:00", "9:05", "16:30:00Z", "23:59:59", "24:00")] == [
        0, 545 * minute, 990 * minute, 1440 * minute - 1_000_000, 1440 * minute
    ]  # fmt: skip
    assert [clock(text) for text in ("late", "25:00", "12:60", "12", None)] == [None] * 5


@pytest.mark.parametrize(
    "day_from, day_to, minutes_that_hold",
    [(30, 990, [30, 500, 989]), (990, 30, [990, 1439, 0, 29]), (0, 1440, [0, 30, 1439]), (None, None, [0, 1439])],
)
def test_a_price_holds_in_its_hours_also_over_midnight(macros, db, day_from, day_to, minutes_that_hold):
    query = f"""
        select minute from (select unnest([0, 29, 30, 500, 989, 990, 1439]) as minute) as minutes
        cross join (select ?::bigint * 60000000 as day_from, ?::bigint * 60000000 as day_to, null::timestamp as valid_from,
            null::timestamp as valid_to) as price
        where {macros.price_holds("price", "(timestamp '2026-09-01' + to_minutes(minute))")}
    """
    held = {row[0] for row in db.execute(query, [day_from, day_to]).fetchall()}
    assert held >= set(minutes_that_hold)
    others = {"30-990": {0, 29, 990, 1439}, "990-30": {30, 500, 989}}.get(f"{day_from}-{day_to}", set())
    assert not held & others


def test_a_price_in_another_currency(macros, db):
    query = f"select {macros.convert_unit_price('3000000000000', 'rate')} from (select ?::decimal(38, 20)) as given (rate)"
    assert [db.execute(query, [rate]).fetchone()[0] for rate in ("1", "1.1", "0.0000000001", None)] == [3 * 10**12, 33 * 10**11, 300, None]
