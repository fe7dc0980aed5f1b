"""Three months, two of them restated, in any order of arrival: the same marts."""

import random
from itertools import permutations

import pytest

from tests.workspaces import OF_DELIVERIES, quiet, rows_of_marts
from tollbook import pipeline

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: "landing/*.csv", partition: "(?P<partition>[0-9]{4}-[0-9]{2})_v(?P<version>[0-9]+)"}
"""
HEADER = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ChargeClass,ResourceId,Tags,ProviderName,CommitmentDiscountId,CommitmentDiscountStatus\n"
)


def month(number, *rows):
    period = f"2026-0{number}-01,2026-0{number + 1}-01"
    return HEADER + "".join(
        f'{billed},{effective},USD,{period},{start},{end},{category},{kind},{resource},"{{""team"": ""{team}""}}",Nimbus,{plan},{status}\n'
        for billed, effective, start, end, category, kind, resource, team, plan, status in rows
    )


def usage(cost, start, end, resource, team, kind=""):
    return cost, cost, start, end, "Usage", kind, resource, team, "", ""


DELIVERIES = {
    "2026-06_v1": month(
        6,
        usage("31.30", "2026-06-01", "2026-07-01", "r1", "red"),
        (90, 0, "2026-06-01", "2026-09-01", "Purchase", "", "", "red", "plan", ""),
        (0, 30, "2026-06-01", "2026-07-01", "Usage", "", "r1", "red", "plan", "Used"),
    ),
    "2026-07_v1": month(7, usage("10", "2026-07-03", "2026-07-04", "r1", "red"), usage("5", "2026-07-31", "2026-08-01", "r2", "blue")),
    "2026-08_v1": month(
        8,
        usage("7", "2026-08-01", "2026-08-02", "r2", "blue"),
        # June, corrected on August's bill
        usage("-1.30", "2026-06-01", "2026-07-01", "r1", "red", "Correction"),
        (0, 30, "2026-08-01", "2026-09-01", "Usage", "", "", "red", "plan", "Unused"),
    ),
    # restated: June to another team and a cent less, July with a line more and one day of it gone
    "2026-06_v2": month(
        6,
        usage("31.29", "2026-06-01", "2026-07-01", "r1", "green"),
        (90, 0, "2026-06-01", "2026-09-01", "Purchase", "", "", "red", "plan", ""),
        (0, 30, "2026-06-01", "2026-07-01", "Usage", "", "r1", "red", "plan", "Used"),
    ),
    "2026-07_v2": month(
        7,
        usage("5", "2026-07-31", "2026-08-01", "r2", "blue"),
        usage("0.01", "2026-07-15", "2026-07-16", "r3", ""),
        (0, 30, "2026-07-01", "2026-08-01", "Usage", "", "", "red", "plan", "Used"),
    ),
}


@pytest.fixture
def marts(workspace, ask, tmp_path):
    """The marts after the deliveries arrived in an order, with builds after some of them."""

    def after(order, built_after):
        for name in ("landing", "warehouse.duckdb", "deliveries"):
            place = tmp_path / name
            if place.exists():
                place.rename(tmp_path / f"old-{name}-{len(list(tmp_path.iterdir()))}")
        ws = workspace(SETTINGS)
        (ws.root / "landing").mkdir()
        for number, name in enumerate(order):
            (ws.root / "landing" / f"{name}.csv").write_text(DELIVERIES[name])
            pipeline.load(ws, tell=quiet)
            if number in built_after:
                pipeline.build(ws, tell=quiet)
        return rows_of_marts(ws, but=OF_DELIVERIES) | {"settled": ask(ws, "select open_cost, status from finance.fct_commitments")}

    return after


def test_any_order_of_arrival_ends_in_the_same_marts(marts):
    expected = marts(sorted(DELIVERIES), built_after={4})
    assert expected["settled"] == [(0, "settled")]
    draw = random.Random(3)
    orders = [order for order in permutations(DELIVERIES) if order != tuple(sorted(DELIVERIES))]
    # a restatement before what it restates, then orders drawn from all; one build at the end, or nights in between
    backwards = tuple(sorted(DELIVERIES, reverse=True))
    for order, built_after in ((backwards, {1, 4}), (draw.choice(orders), {0, 4}), (draw.choice(orders), {4})):
        assert marts(order, built_after) == expected, order
