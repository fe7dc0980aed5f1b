"""What holds of every fleet: what existed is accounted for once, and the same whatever the order and cut of what was delivered.

A build takes seconds, so one example is many small fleets, each a cluster of its own, built together. Each fleet is there three times
(as drawn, its rows shuffled, its holdings cut in two), so one build also says whether the three come out alike.
"""

import csv
import json
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tollbook import pipeline
from tollbook.workspace import Workspace

pytest.skip("engineering.fct_gpu_hours has no resources, layers of use and evidence yet", allow_module_level=True)

FLEETS = 40
DAY = datetime(2026, 9, 1)
HOURS = 6
MINUTES = HOURS * 60
SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: fleet, table: capacity, path: landing/capacity/*.csv}
  - {name: mig, table: gpu_instances, path: landing/gpu_instances/*.csv}
  - {name: pods, table: holdings, path: landing/holdings/*.csv}
  - {name: dcgm, table: gpu_samples, path: landing/gpu_samples/*.csv}
"""
COLUMNS = {
    "capacity": "cluster,pool,node,gpu_id,gpu_model,gpu_count,state,started_at,ended_at",
    "gpu_instances": "cluster,node,gpu_id,instance_id,profile,started_at,ended_at",
    "holdings": "holding_id,cluster,node,gpu_ids,gpu_count,gpu_share,gpu_profile,started_at,ended_at,labels",
    "gpu_samples": "sampled_at,node,gpu_id,instance_id,sm_ratio,holding_id,process_sm_ratio",
    "bill": "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,"
    "ChargeCategory,ServiceCategory,ResourceId,ProviderName",
}
#: Ways in which an A100 of 40 GB can be divided.
LAYOUTS = (("4g.20gb", "3g.20gb"), ("3g.20gb", "2g.10gb", "1g.5gb"), ("1g.5gb",) * 7)
LAYERS = {"productive", "quiet", "idle", "down", "stranded", "unknown"}


@dataclass(frozen=True)
class Fleet:
    """One node of one cluster as it would be delivered: rows by table, each a dict; spans are minutes of the day until written."""

    gpus: int
    exists: tuple[int, int]
    cost_of_hour: Decimal | None
    rows: dict[str, list[dict]] = field(default_factory=dict)


def minutes(first=0, last=MINUTES):
    return st.integers(first, last)


@st.composite
def spans(draw, longest=MINUTES):
    start = draw(minutes(0, MINUTES - 1))
    return start, draw(minutes(start + 1, min(MINUTES, start + longest)))


@st.composite
def holdings(draw, number, gpus, instances):
    """One holding: closed, open, never started, or broken (it ends before it starts: quarantined, so as if it were not there)."""
    start, end = draw(spans())
    kind = draw(st.sampled_from(("closed",) * 6 + ("open", "pending", "broken")))
    row = {
        "holding_id": f"h{number}",
        "gpu_count": draw(st.integers(0, len(gpus) + 1)),
        "gpu_share": draw(st.sampled_from((1, 1, 0.5, 0.25))),
        "started_at": None if kind == "pending" else end if kind == "broken" else start,
        "ended_at": {"closed": end, "broken": start}.get(kind),
        "labels": json.dumps({"team": draw(st.sampled_from("abc"))}),
    }
    if instances and draw(st.booleans()):
        named = draw(st.sampled_from(instances))
        row |= {"gpu_count": 1, "gpu_share": 1, "gpu_profile": named["profile"]}
        if draw(st.booleans()):
            row |= {"gpu_ids": named["instance_id"]}
    elif draw(st.booleans()):
        named = draw(st.lists(st.sampled_from(gpus), min_size=1, unique=True))
        row |= {"gpu_ids": ",".join(sorted(named)), "gpu_count": len(named)}
    return row


@st.composite
def fleets(draw):
    """A fleet: GPUs listed one by one or as a whole, divided or not, down and draining at times, held and measured at times."""
    gpus = [f"g{number}" for number in range(draw(st.integers(1, 4)))]
    first, last = draw(st.sampled_from(((0, MINUTES), (0, MINUTES), (30, MINUTES), (0, 250))))
    one_by_one = draw(st.booleans())
    base = {"pool": "p", "gpu_model": "A100", "started_at": first, "ended_at": last}
    capacity = [base | {"gpu_id": gpu, "gpu_count": 1} for gpu in gpus] if one_by_one else [base | {"gpu_count": len(gpus)}]
    for _ in range(draw(st.integers(0, 3))):
        start, end = draw(spans())
        start, end = max(start, first), min(end, last)
        if start < end:
            state = draw(st.sampled_from(("down", "maintenance", "drain")))
            of = {"gpu_id": draw(st.sampled_from(gpus)), "gpu_count": 1} if one_by_one and draw(st.booleans()) else {}
            capacity.append({"state": state, "started_at": start, "ended_at": end, **of})
    instances = [
        {"gpu_id": gpu, "instance_id": f"{gpu}/{place}", "profile": profile, "started_at": first, "ended_at": last}
        for gpu in gpus
        if one_by_one and draw(st.integers(0, 2)) == 0
        for place, profile in enumerate(draw(st.sampled_from(LAYOUTS)))
    ]
    held = [draw(holdings(number, gpus, instances)) for number in range(draw(st.integers(0, 5)))]
    return Fleet(
        gpus=len(gpus),
        exists=(first, last),
        cost_of_hour=draw(st.sampled_from((None, Decimal("8.00"), Decimal("0.07")))),
        rows={"capacity": capacity, "gpu_instances": instances, "holdings": held, "gpu_samples": draw(samples(gpus, instances, held))},
    )


@st.composite
def samples(draw, gpus, instances, held):
    """How busy: by device, by instance, by process; some never measured, some with gaps, some without the metric."""
    step, rows = draw(st.sampled_from((5, 15))), []
    ratio = st.sampled_from((None, 0, 0, 0.4, 1))
    for gpu in gpus:
        for of in ({}, *({"instance_id": one["instance_id"]} for one in instances if one["gpu_id"] == gpu)):
            start, end = draw(spans()) if draw(st.booleans()) else (0, 0)
            busy = draw(ratio)
            rows += [{"sampled_at": minute, "gpu_id": gpu, "sm_ratio": busy, **of} for minute in range(start, end, step)]
    for one in held:
        named = [gpu for gpu in (one.get("gpu_ids") or "").split(",") if gpu in gpus]
        if named and one["started_at"] is not None and draw(st.booleans()):
            busy = draw(ratio)
            until = one["ended_at"] or MINUTES
            process = {"gpu_id": named[0], "holding_id": one["holding_id"], "process_sm_ratio": busy}
            rows += [{"sampled_at": minute, **process} for minute in range(one["started_at"], until, step)]
    return rows


def shuffled(fleet, seed):
    """The same rows in another order, and half of the holdings told twice, as daily dumps do."""
    order = random.Random(seed)
    rows = {table: order.sample(own, len(own)) for table, own in fleet.rows.items()}
    rows["holdings"] += order.sample(rows["holdings"], len(rows["holdings"]) // 2)
    return replace(fleet, rows=rows)


def cut_in_two(fleet):
    """Every interval that has both ends, cut in its middle: of holdings, of capacity and of instances."""
    cut = {}
    for table, own in fleet.rows.items():
        cut[table] = []
        for row in own:
            start, end = row.get("started_at"), row.get("ended_at")
            if start is None or end is None or end - start < 2:
                cut[table].append(row)
            else:
                middle = (start + end) // 2
                cut[table] += [row | {"ended_at": middle}, row | {"started_at": middle}]
    return replace(fleet, rows=cut)


VARIANTS = {"": lambda fleet, _: fleet, "s": shuffled, "h": lambda fleet, _: cut_in_two(fleet)}


def deliver(root, drawn):
    """Write a workspace with every fleet in every variant: cluster c7, c7s, c7h with node c7-n, c7s-n, c7h-n."""
    written = {table: [] for table in COLUMNS}
    for number, fleet in enumerate(drawn):
        for suffix, vary in VARIANTS.items():
            cluster = f"c{number}{suffix}"
            varied = vary(fleet, number)
            for table, own in varied.rows.items():
                written[table] += [_named(row, cluster) for row in own]
            if fleet.cost_of_hour is not None:
                written["bill"] += [_bill(f"{cluster}-n", fleet.cost_of_hour, hour) for hour in range(HOURS)]
    for table, rows in written.items():
        file = root / "landing" / table / "a.csv"
        file.parent.mkdir(parents=True)
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, COLUMNS[table].split(","), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    (root / "tollbook.yml").write_text(SETTINGS)
    return Workspace.open(root)


def _named(row, cluster):
    """The row with its cluster, node and ids of its own, and moments for minutes."""
    named = row | {"cluster": cluster, "node": f"{cluster}-n"}
    for column in ("gpu_id", "instance_id", "holding_id"):
        if row.get(column):
            named[column] = f"{cluster}-{row[column]}"
    if row.get("gpu_ids"):
        named["gpu_ids"] = ",".join(f"{cluster}-{gpu}" for gpu in row["gpu_ids"].split(","))
    for column in ("started_at", "ended_at", "sampled_at"):
        if row.get(column) is not None:
            named[column] = DAY + timedelta(minutes=row[column])
    return named


def _bill(node, cost, hour):
    start = DAY + timedelta(hours=hour)
    return {
        **dict.fromkeys(("BilledCost", "EffectiveCost"), cost),
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-09-01",
        "BillingPeriodEnd": "2026-10-01",
        "ChargePeriodStart": f"{start}Z",
        "ChargePeriodEnd": f"{start + timedelta(hours=1)}Z",
        "ChargeCategory": "Usage",
        "ServiceCategory": "Compute",
        "ResourceId": node,
        "ProviderName": "Nimbus",
    }


def existed(drawn):
    """GPU-hours that existed, by node and hour: what the drawn fleets say, without the pipeline."""
    hours = {}
    for number, fleet in enumerate(drawn):
        for suffix in VARIANTS:
            for hour in range(HOURS):
                inside = min(fleet.exists[1], 60 * hour + 60) - max(fleet.exists[0], 60 * hour)
                if inside > 0:
                    hours[f"c{number}{suffix}-n", DAY + timedelta(hours=hour)] = fleet.gpus * inside / 60
    return hours


def check_hours_are_conserved(db, drawn):
    """Of each node and hour, the layers' GPU-hours add up to what existed: nothing lost, nothing twice."""
    found = db.execute(
        "select node, hour_start_at, sum(gpu_hours) from engineering.fct_gpu_hours"
        " where resource = 'gpu' and slot_level <> 'none' group by all having sum(gpu_hours) <> 0"
    ).fetchall()
    assert {(node, hour): hours for node, hour, hours in found} == pytest.approx(existed(drawn), abs=1e-9)


def check_cost_is_conserved(db, drawn):
    """Of each node and hour in which it existed, the costs add up to its bill, to the last digit."""
    found = db.execute(
        "select node, hour_start_at, sum(allocated_cost) from engineering.fct_gpu_hours where slot_level <> 'none' group by all"
    ).fetchall()
    cost = {f"c{number}{suffix}-n": fleet.cost_of_hour for number, fleet in enumerate(drawn) for suffix in VARIANTS}
    assert {(node, hour): charged for node, hour, charged in found} == {(node, hour): cost[node] for node, hour in existed(drawn)}
    billed = HOURS * sum(own for own in cost.values() if own is not None)
    assert db.execute("select sum(charged_cost) from finance.fct_chargeback_days").fetchone()[0] == billed


def check_nothing_is_negative_or_unnamed(db):
    """Hours and costs are at least 0, layers are those that there are, a holder stands where something is held and nowhere else."""
    wrong = db.execute(
        "select * from engineering.fct_gpu_hours where gpu_hours < 0 or allocated_cost < 0 or layer not in (select unnest(?))"
        " or is_held <> (holding_id is not null) or (layer in ('productive', 'quiet') and not is_held)"
        " or (layer in ('idle', 'down', 'stranded') and is_held) or evidence is null",
        [sorted(LAYERS)],
    ).fetchall()
    assert wrong == []


def check_variants_are_alike(db):
    """Order and cut of the deliveries change nothing: per hour, layer and holder (which of several free GPUs it is may differ)."""
    summed = {suffix: {} for suffix in VARIANTS}
    rows = db.execute(
        "select regexp_extract(cluster, '^(c[0-9]+)', 1), regexp_extract(cluster, '^c[0-9]+(.*)$', 1), hour_start_at, resource, layer,"
        " evidence, is_held, coalesce(split_part(holding_id, '-', 2), ''), sum(gpu_hours), sum(allocated_cost)"
        " from engineering.fct_gpu_hours group by all having sum(gpu_hours) <> 0 or sum(allocated_cost) <> 0"
    ).fetchall()
    for fleet, suffix, *key, hours, cost in rows:
        # shares of the same time, added in another order
        summed[suffix][fleet, *key] = (round(hours, 9), cost)
    for suffix in VARIANTS:
        assert summed[suffix] == summed[""], suffix


@settings(
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    # every try is a build: a failure is shown as drawn, by its cluster
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(drawn=st.lists(fleets(), min_size=FLEETS, max_size=FLEETS))
def test_of_any_fleet_all_is_accounted_for_once(tmp_path_factory, drawn):
    workspace = deliver(tmp_path_factory.mktemp("fleets"), drawn)
    pipeline.load(workspace, tell=lambda _: None)
    pipeline.build(workspace, tell=lambda _: None)
    with workspace.connect(read_only=True) as db:
        check_hours_are_conserved(db, drawn)
        check_cost_is_conserved(db, drawn)
        check_nothing_is_negative_or_unnamed(db)
        check_variants_are_alike(db)
