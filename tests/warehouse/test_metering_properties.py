"""What holds of every fleet: what existed is accounted for once, and the same whatever the order and cut of what was delivered.

A build takes seconds, so many small drawn fleets are built together (tests/metering_fleets.py); what fails is named by its cluster.
"""

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from tests.metering_fleets import CPUS_OF_GPU, DAY, DRAINING, HOURS, MINUTES, VARIANTS, deliver, draw_fleet
from tests.workspaces import night

FLEETS = 50
LAYERS = ("productive", "quiet", "idle", "down", "stranded", "unknown")
MACROS = Path(__file__).parents[2] / "dbt_project" / "macros" / "metering.sql"
#: What is told apart when a variant is compared with what was drawn.
LAYER_AND_EVIDENCE = dict.fromkeys("sh", "layer, evidence") | {"c": "case when is_held then 'held' else layer end, ''"}
#: The least amount of money.
UNIT = Fraction(1, 10**12)


@pytest.fixture(scope="module", params=(1, 2))
def built(request, tmp_path_factory):
    """The drawn fleets and a connection to their warehouse."""
    rng = Random(request.param)
    fleets = [draw_fleet(rng) for _ in range(FLEETS)]
    workspace = deliver(tmp_path_factory.mktemp("fleets"), fleets)
    night(workspace)
    with workspace.connect(read_only=True) as db:
        yield fleets, db


def each(fleets):
    """Every fleet in every variant, with the name of its node."""
    for number, fleet in enumerate(fleets):
        for suffix in VARIANTS:
            yield fleet, f"c{number}{suffix}-n"


def hours_of(fleet):
    """Hours in which the fleet exists, each with the minutes of it."""
    first, last = fleet.exists
    for hour in range(HOURS):
        inside = min(last, 60 * hour + 60) - max(first, 60 * hour)
        if inside > 0:
            yield hour, inside


def at(hour):
    return DAY + timedelta(hours=hour)


def test_the_layers_add_up_to_what_existed(built):
    fleets, db = built
    found = db.execute(
        "select coalesce(node, cluster || '-n'), hour_start_at, resource, sum(case resource when 'gpu' then gpu_hours else cpu_hours end)"
        " from engineering.fct_gpu_hours where resource in ('gpu', 'cpu') and slot_level <> 'none' group by all"
    ).fetchall()
    expected = {}
    for fleet, node in each(fleets):
        for hour, inside in hours_of(fleet):
            if fleet.policies["node_cost_split"] != "max_share":
                expected[node, at(hour), "gpu"] = fleet.gpus * inside / 60
            if fleet.policies["node_cost_split"] == "aws_weights":
                expected[node, at(hour), "cpu"] = CPUS_OF_GPU * fleet.gpus * inside / 60
    compare({tuple(row[:3]): row[3] for row in found}, expected, 1e-9)


def test_the_cost_is_the_nodes_to_the_last_digit(built):
    fleets, db = built
    found = db.execute(
        "select coalesce(node, cluster || '-n'), hour_start_at, sum(allocated_cost) from engineering.fct_gpu_hours"
        " where slot_level <> 'none' group by all"
    ).fetchall()
    expected = {(node, at(hour)): fleet.cost(hour) for fleet, node in each(fleets) for hour, _ in hours_of(fleet)}
    compare({tuple(row[:2]): row[2] for row in found}, expected, 0)
    billed = sum(cost for cost in expected.values() if cost is not None)
    assert db.execute("select sum(charged_cost) from intermediate.int_chargeback_days").fetchone()[0] == billed


#: What no fleet may have, as the query that would find it.
IMPOSSIBLE = {
    "nothing is negative, unnamed, or held and free at once": (
        "select cluster, hour_start_at, resource, layer, evidence, is_held, holding_id, gpu_hours, held_gpu_hours, allocated_cost"
        " from engineering.fct_gpu_hours where least(gpu_hours, cpu_hours, memory_gb_hours, allocated_cost, allocated_ratio) < 0"
        f" or layer not in {LAYERS} or is_held <> (holding_id is not null) or evidence is null"
        " or (layer in ('productive', 'quiet') and not is_held) or (layer in ('idle', 'down', 'stranded') and is_held)"
    ),
    "a holder never has more than it was promised": (
        "select cluster, hour_start_at, holding_id, gpu_id, sum(gpu_hours), sum(held_gpu_hours) from engineering.fct_gpu_hours"
        " where is_held and resource = 'gpu' group by all having sum(gpu_hours) > sum(held_gpu_hours) + 1e-9"
    ),
    "a slot's layer, evidence and holder stand in one row": (
        "select * from (select cluster, hour_start_at, coalesce(node, ''), coalesce(gpu_id, ''), resource, layer, evidence, layer_reason,"
        " holding_id, gpu_profile, gpu_sharing, name, allocated_method_id, count(*) as times from engineering.fct_gpu_hours group by all)"
        " where times > 1"
    ),
}


@pytest.mark.parametrize("query", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_is_nowhere(built, query):
    _, db = built
    assert db.execute(query).fetchall() == []


def test_held_idle_and_down_are_what_counting_minutes_says(built):
    """Of nodes listed as a whole: the same told by counting, minute by minute, without the pipeline."""
    fleets, db = built
    found = defaultdict(Fraction)
    for node, hour, what, hours in db.execute(
        "select node, hour_start_at, case when is_held then 'held' when layer = 'down' then 'down' else 'free' end, sum(gpu_hours)"
        " from engineering.fct_gpu_hours where resource = 'gpu' and slot_level = 'node' group by all"
    ).fetchall():
        found[node, hour, what] += Fraction(hours)
    expected = {}
    for fleet, node in each(fleets):
        if not fleet.is_listed_one_by_one and not fleet.is_pooled and fleet.policies["node_cost_split"] != "max_share":
            for (hour, what), hours in counted(fleet).items():
                expected[node, at(hour), what] = float(hours)
    compare({key: float(hours) for key, hours in found.items() if key[0] in {node for node, *_ in expected}}, expected, 1e-9)


def counted(fleet):
    """GPU-hours held, free and down of a fleet whose GPUs are listed as a whole, by hour."""
    hours = defaultdict(Fraction)
    states = [row for row in fleet.rows["capacity"] if row.get("state")]
    for minute in range(*fleet.exists):
        now = {row["state"] for row in states if row["started_at"] <= minute < row["ended_at"]}
        promised = {}
        for row in fleet.rows["holdings"]:
            if row["started_at"] is not None and row["started_at"] <= minute < (row["ended_at"] or MINUTES):
                gpus = len(row["gpu_ids"].split(",")) if row.get("gpu_ids") else row["gpu_count"]
                promised.setdefault(row["holding_id"], gpus * Fraction(row["gpu_share"]))
        usable = 0 if now - set(DRAINING) else fleet.gpus
        held = min(usable, sum(promised.values()))
        free = 0 if now else fleet.gpus - held
        for what, gpus in (("held", held), ("free", free), ("down", fleet.gpus - held - free)):
            hours[minute // 60, what] += Fraction(gpus) / 60
    return hours


@pytest.mark.parametrize("variant", [suffix for suffix in VARIANTS if suffix])
def test_order_repeats_and_cuts_change_nothing(built, variant):
    """Per hour, layer and holder (which of several free GPUs it is may differ), to the last digit of each row of cost.

    The CPU time that stands beside GPUs is in whole microseconds of each stretch, so it is not looked at. The best evidence is chosen for a
    stretch as a whole, and rows of the capacity list cut stretches: where those are cut, the three layers of a holder are one.
    """
    _, db = built
    rows = db.execute(
        "select regexp_extract(cluster, '^(c[0-9]+)(.*)$', 2), regexp_extract(cluster, '^(c[0-9]+)(.*)$', 1), hour_start_at, resource,"
        f" {LAYER_AND_EVIDENCE[variant]}, is_held, coalesce(split_part(holding_id, '-', 2), ''), sum(gpu_hours), sum(held_gpu_hours),"
        " sum(memory_gb_hours), sum(case when resource = 'cpu' then cpu_hours end), sum(allocated_cost), count(*)"
        " from engineering.fct_gpu_hours group by all having sum(gpu_hours) <> 0 or sum(allocated_cost) <> 0"
    ).fetchall()
    drawn, other = ({tuple(row[1:8]): row[8:] for row in rows if row[0] == suffix} for suffix in ("", variant))
    different = []
    for key in drawn.keys() | other.keys():
        *hours, cost, count = drawn.get(key, (0, 0, 0, 0, 0, 1))
        *other_hours, other_cost, _ = other.get(key, (0, 0, 0, 0, 0, 1))
        far = any(abs((one or 0) - (two or 0)) > 1e-12 for one, two in zip(hours, other_hours, strict=True))
        if far or abs(Fraction(cost or 0) - Fraction(other_cost or 0)) > count * UNIT:
            different.append((key, drawn.get(key), other.get(key)))
    assert sorted(different, key=str)[:12] == [], len(different)


def compare(found, expected, tolerance):
    """Assert that two mappings to numbers (or None) agree, naming what does not."""
    wrong = {
        key: (found.get(key), expected.get(key))
        for key in found.keys() | expected.keys()
        if (found.get(key) is None) != (expected.get(key) is None and key in expected)
        or abs((found.get(key) or 0) - (expected.get(key) or 0)) > tolerance
    }
    wrong = {key: pair for key, pair in wrong.items() if pair[0] or pair[1]}
    assert sorted(wrong.items(), key=str)[:12] == [], len(wrong)


@pytest.fixture(scope="module")
def macros():
    return Environment(autoescape=False).from_string(MACROS.read_text()).module


#: A slot's hour in parts times microseconds is 7.56e16 per GPU; a pool of a thousand and more, cut by anything.
AMOUNTS = st.lists(st.integers(0, 10**20) | st.integers(0, 100), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(amounts=AMOUNTS.filter(any), whole=st.integers(0, 10**20))
def test_a_proportion_adds_up_and_is_no_further_than_a_step_off(macros, amounts, whole):
    rows = parts_of(macros.proportion("amount", "so_far", "total", "whole"), amounts, whole)
    total = sum(amounts)
    assert sum(rows) == whole
    assert min(rows) >= 0
    # both ends of a row are cut to a step of the running total, and down to a whole
    step = 1 + total // 10**15
    slack = 2 + 2 * Fraction(whole, total // step)
    assert all(abs(row - Fraction(whole * amount, total)) <= slack for row, amount in zip(rows, amounts, strict=True))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(amounts=AMOUNTS, whole=st.integers(0, 10**20))
def test_rations_are_what_was_asked_or_all_there_is(macros, amounts, whole):
    rows = parts_of(macros.rationed("amount", "so_far", "total", "whole"), amounts, whole)
    assert rows == amounts if sum(amounts) <= whole else sum(rows) == whole
    assert min(rows) >= 0


def parts_of(expression, amounts, whole):
    """The expression for each amount, with the running total and total that the models give it."""
    values = ", ".join(f"({number}, {amount}::hugeint)" for number, amount in enumerate(amounts))
    return [
        row[0]
        for row in duckdb.sql(
            f"select {expression} from (select number, amount, {whole}::hugeint as whole, sum(amount) over ()::hugeint as total,"
            f" sum(amount) over (order by number)::hugeint as so_far from (values {values}) as own (number, amount)) order by number"
        ).fetchall()
    ]
