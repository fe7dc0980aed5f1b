"""Percentiles from counted values: those of the values themselves, and within half a percent where these are kept to three digits."""

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

MACROS = Path(__file__).resolve().parents[2] / "dbt_project" / "macros"


@pytest.fixture(scope="module")
def macros():
    return Environment().from_string((MACROS / "percentiles.sql").read_text()).module


@pytest.fixture(scope="module")
def db():
    with duckdb.connect() as db:
        yield db


def percentiles(db, macros, rows):
    """(p50, p95) by group of rows (group, value, count)."""
    db.execute("create or replace table counted (g varchar, latency double, n bigint)")
    db.executemany("insert into counted values (?, ?, ?)", rows)
    query = macros.percentiles_of_counts("counted", by=["g"], value="latency", count="n")
    return {group: (p50, p95) for group, _, p50, p95 in db.execute(query).fetchall()}


values = st.lists(st.integers(min_value=0, max_value=10**7), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(first=values, second=values, times=st.integers(min_value=1, max_value=5))
def test_counted_values_have_the_percentiles_of_their_rows(db, macros, first, second, times):
    found = percentiles(db, macros, [("a", value, times) for value in first] + [("b", value, 1) for value in second])
    for group, rows in (("a", first * times), ("b", second)):
        exact = db.execute("select quantile_cont(value, [0.5, 0.95]) from (select unnest(?::double[]) as value)", [rows]).fetchone()[0]
        assert found[group] == pytest.approx(tuple(exact), rel=1e-9)


def test_groups_without_a_name_and_values_that_are_missing(db, macros):
    assert percentiles(db, macros, [(None, 10.0, 1), (None, 20.0, 1), (None, None, 7), ("only missing", None, 3)]) == {None: (15.0, 19.5)}


@settings(max_examples=100, deadline=None)
@given(number=st.floats(min_value=1e-6, max_value=1e12))
def test_three_digits_are_within_half_a_percent(db, macros, number):
    (kept,) = db.execute(f"select {macros.three_digits('x')} from (select ?::double as x)", [number]).fetchone()
    assert abs(kept - number) <= 0.005 * number
    assert db.execute(f"select {macros.three_digits('x')} from (select ?::double as x)", [kept]).fetchone()[0] == pytest.approx(kept)


def test_what_has_three_digits_stays_and_nothing_is_nothing(db, macros):
    kept = db.execute(
        f"select list({macros.three_digits('x')}) from (select unnest([0.0, 1200000.0, 0.5, 29000.0, null]) as x)"
    ).fetchone()[0]
    assert kept == [0.0, 1_200_000.0, 0.5, 29_000.0, None]
