"""Rounding of statements: every sum is kept, on every level, and nothing is a whole unit off."""

import random
from decimal import ROUND_HALF_UP, Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.finance.currencies import coins, minor_units
from tollbook.finance.statements.lines import money, spread

AMOUNTS = st.decimals(min_value=-(10**7), max_value=10**7, places=12, allow_nan=False) | st.sampled_from(
    [Decimal(said) for said in ("0", "0.005", "-0.005", "0.004999999999", "-1.995", "0.333333333333", "100")]
)
STATEMENTS = st.lists(st.lists(AMOUNTS, min_size=1, max_size=7), min_size=1, max_size=6)


def rounded(db, statements, digits):
    """The rows (statement, line, exact, stated statement, stated line) of amounts by statement and line."""
    db.execute("create or replace table given_rows (statement integer, line integer, charged_cost decimal(38, 12))")
    rows = [(number, line, cost) for number, costs in enumerate(statements) for line, cost in enumerate(costs)]
    random.shuffle(rows)
    columns = "unnest($1::integer[]), unnest($2::integer[]), unnest($3::decimal(38, 12)[])"
    db.execute(f"insert into given_rows select {columns}", [list(column) for column in zip(*rows, strict=True)])
    sums = "(select statement, 1 as pot, sum(charged_cost)::decimal(38, 12) as charged_cost from given_rows group by statement)"
    db.execute(f"create or replace table totals as {spread(sums, ['pot'], ['statement'], digits)}")
    lines = "(select given_rows.*, stated as whole from given_rows inner join totals using (statement))"
    return db.execute(
        f"select statement, line, charged_cost, {money('whole', digits)}, {money('stated', digits)}"
        f" from ({spread(lines, ['statement'], ['line'], digits, total='whole')}) order by all"
    ).fetchall()


@settings(max_examples=60, deadline=None)
@given(statements=STATEMENTS, digits=st.sampled_from([0, 2, 3, 4]))
def test_lines_add_up_to_statements_and_statements_to_the_month(statements, digits):
    with duckdb.connect() as db:
        rows = rounded(db, statements, digits)
        again = rounded(db, statements, digits)
    unit = Decimal(1).scaleb(-digits)
    stated = {number: whole for number, _, _, whole, _ in rows}
    month = sum(sum(costs) for costs in statements)
    assert sum(stated.values()) == month.quantize(unit, ROUND_HALF_UP)
    for number, costs in enumerate(statements):
        assert sum(line for of, _, _, _, line in rows if of == number) == stated[number]
        assert abs(stated[number] - sum(costs)) < unit
    assert all(abs(line - cost) < unit for _, _, cost, _, line in rows)
    # what is a whole number of units may only move with a statement that was rounded, and nothing is never something
    assert all(line == 0 for _, _, cost, _, line in rows if cost == 0)
    assert rows == again, "the order of the rows decides nothing"


def test_the_largest_remainder_gets_the_cent():
    with duckdb.connect() as db:
        rows = rounded(db, [[Decimal("0.333"), Decimal("0.333"), Decimal("0.334")]], 2)
        assert [row[4] for row in rows] == [Decimal("0.33"), Decimal("0.33"), Decimal("0.34")]
        # 1.005 of each of two: the month is 2.01, and of equal ones the first has the cent
        rows = rounded(db, [[Decimal("1.005")], [Decimal("1.005")]], 2)
        assert [row[4] for row in rows] == [Decimal("1.01"), Decimal("1.00")]
        # what nets to nothing is stated as nothing
        rows = rounded(db, [[Decimal("0.005"), Decimal("-0.005")]], 2)
        assert [row[4] for row in rows] == [Decimal("0.00"), Decimal("0.00")]


def test_large_amounts_keep_every_cent():
    with duckdb.connect() as db:
        rows = rounded(db, [[Decimal("12345678901234.565"), Decimal("-0.000000000001")]], 2)
    assert [row[4] for row in rows] == [Decimal("12345678901234.56"), Decimal("0.00")]


def test_whole_units_are_written_with_the_decimals_that_are_asked_for():
    with duckdb.connect() as db:
        found = db.execute(f"select {money('-1234567', 3)}, {money('1001', 0)}, {money('1001', 0, 2)}, {money('15374', 2)}").fetchone()
    assert [str(amount) for amount in found] == ["-1234.567", "1001", "1001.00", "153.74"]


@pytest.mark.parametrize(
    ("currency", "digits", "said"),
    [("USD", 2, "1,234.50"), ("EUR", 2, "1,234.50"), ("JPY", 0, "1,234"), ("KWD", 3, "1,234.500"), ("BHD", 3, "1,234.500"),
     ("CLF", 4, "1,234.5000"), ("QQQ", 2, "1,234.50")],
)  # fmt: skip
def test_digits_are_those_of_the_currency(currency, digits, said):
    assert (minor_units(currency), coins(Decimal("1234.5"), currency)) == (digits, said)
