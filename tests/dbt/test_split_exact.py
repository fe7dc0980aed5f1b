"""The macro that splits money: the parts are the whole, no share is further than one unit off, order never matters."""

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
def query():
    """The SQL that the macro renders to for a relation `shares` (g, amount, weight, id)."""
    text = (MACROS / "engine" / "units.sql").read_text() + (MACROS / "split_exact.sql").read_text()
    environment = Environment()

    class Adapter:
        @staticmethod
        def dispatch(name):
            return getattr(module, f"default__{name}")

    template = environment.from_string(text, globals={"adapter": Adapter, "return": lambda value: value})
    module = template.module
    return module.split_exact("shares", by=["g"], amount="amount", weight="weight", tie_break=["id"], keep=["g", "id", "weight"])


amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False)
weights = st.lists(st.integers(min_value=0, max_value=10**15), min_size=1, max_size=12)


def split(query, amount, weights, order=None):
    rows = [(0, amount, weight, number) for number, weight in enumerate(weights)]
    with duckdb.connect() as db:
        db.execute("create table shares (g int, amount decimal(38, 12), weight bigint, id int)")
        db.executemany("insert into shares values (?, ?, ?, ?)", rows if order is None else [rows[place] for place in order])
        return dict(db.execute(f"select id, allocated_cost from ({query})").fetchall())


@settings(max_examples=60, deadline=None)
@given(amount=amounts, weights=weights)
def test_parts_are_the_whole_and_no_share_is_a_unit_off(query, amount, weights):
    parts = split(query, amount, weights)
    assert sum(parts.values()) == amount
    total = sum(weights)
    for number, weight in enumerate(weights):
        ideal = Fraction(amount) * (Fraction(weight, total) if total else Fraction(1, len(weights)))
        assert abs(Fraction(parts[number]) - ideal) < Fraction(UNIT)


@settings(max_examples=20, deadline=None)
@given(amount=amounts, weights=weights, data=st.data())
def test_the_order_of_the_rows_does_not_matter_and_a_credit_is_a_charge_backwards(query, amount, weights, data):
    order = data.draw(st.permutations(range(len(weights))))
    parts = split(query, amount, weights)
    assert split(query, amount, weights, order) == parts
    assert split(query, -amount, weights) == {number: -part for number, part in parts.items()}


def test_more_than_38_digits_is_an_error_not_a_wrong_figure(query):
    with pytest.raises(duckdb.Error):
        split(query, Decimal(10**13), [9 * 10**18, 1])
