"""The macros of the register: a product to the 12th digit, the length of a life, a year's loss by declining balance."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

MACROS = Path(__file__).resolve().parents[2] / "dbt_project" / "macros"
UNIT = Decimal("0.000000000001")


@pytest.fixture(scope="module")
def macros():
    """The macros, rendered as dbt does."""
    files = ("engine/units.sql", "engine/lifetimes.sql", "depreciation.sql")

    class Adapter:
        @staticmethod
        def dispatch(name):
            return getattr(module, f"default__{name}")

    template = Environment().from_string(
        "".join((MACROS / file).read_text() for file in files), globals={"adapter": Adapter, "return": lambda value: value}
    )
    module = template.module
    return module


@pytest.fixture(scope="module")
def db():
    with duckdb.connect() as connection:
        yield connection


amounts = st.decimals(min_value=-(10**6), max_value=10**6, places=12, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(left=amounts, right=amounts)
def test_a_product_is_the_exact_one_rounded_half_up_at_the_12th_digit(macros, db, left, right):
    (product,) = db.execute(
        f"select {macros.multiply_exact('l', 'r')} from (select $l::decimal(38, 12) as l, $r::decimal(38, 12) as r)",
        {"l": left, "r": right},
    ).fetchone()
    exact = Fraction(left) * Fraction(right)
    half_up = int(abs(exact) / Fraction(UNIT) + Fraction(1, 2))
    assert product == (-1 if exact < 0 else 1) * half_up * UNIT


def test_a_product_beyond_the_digits_is_an_error_and_nothing_known_stays_unknown(macros, db):
    query = f"select {macros.multiply_exact('l::decimal(38, 12)', 'r::decimal(38, 12)')} from (select $l as l, $r as r)"
    assert db.execute(query, {"l": None, "r": 1}).fetchone() == (None,)
    with pytest.raises(duckdb.Error):
        db.execute(query, {"l": 10**12, "r": 10**12})


@pytest.mark.parametrize(
    ("start", "end", "length"),
    [
        (datetime(2026, 1, 1), datetime(2027, 1, 1), 12_000_000),
        (datetime(2028, 2, 29, 10, 30), datetime(2028, 8, 29, 10, 30), 6_000_000),
        (datetime(2026, 6, 1), datetime(2027, 9, 16), 15_500_000),  # 15 of September's 30 days
    ],
)
def test_the_length_of_a_life_counts_months_alike(macros, db, start, end, length):
    assert db.execute(f"select {macros.life_length('$start', '$end')}", {"start": start, "end": end}).fetchone() == (length,)


@settings(max_examples=40, deadline=None)
@given(
    price=st.integers(min_value=0, max_value=10**22),
    kept=st.fractions(min_value=0, max_value=1),
    rate=st.decimals(min_value=Decimal("0.01"), max_value=Decimal("0.99"), places=10, allow_nan=False),
    months=st.integers(min_value=1, max_value=120),
)
def test_declining_balance_never_gains_and_ends_at_the_residual_value(macros, db, price, kept, rate, months):
    residual = int(price * kept)
    one = macros.declining_units("$opening::hugeint", "$residual::hugeint", "$rate::decimal(18, 10)", "f", "u", "e")
    opening, year = price, 0
    while 12 * year < months:
        moments = (
            "select timestamp '2025-01-31' + to_months($first) as f, timestamp '2025-01-31' + to_months($last) as u,"
            " timestamp '2025-01-31' + to_months($months) as e"
        )
        values = {"opening": opening, "residual": residual, "rate": rate, "months": months}
        values |= {"first": 12 * year, "last": min(12 * year + 12, months)}
        (lost,) = db.execute(f"select {one} from ({moments})", values).fetchone()
        assert 0 <= lost <= opening - residual
        opening, year = opening - lost, year + 1
    assert opening == residual
