"""Drawn fleets for the properties of metering: many small ones, each a cluster of one node, delivered together to one workspace.

Each fleet is delivered four times: as drawn (``c7``), its rows shuffled and told twice (``c7s``), its holdings cut in two (``c7h``), and all
its intervals cut in two (``c7c``).
Times are minutes of the day until they are written; the same seed draws the same fleets.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

from tests.workspaces import FOCUS, settings_of
from tollbook.workspace import Workspace

DAY = datetime(2026, 9, 1)
HOURS = 6
MINUTES = HOURS * 60
COLUMNS = {
    "capacity": "cluster,pool,node,gpu_id,gpu_model,gpu_count,cpu_count,memory_gb,state,resource_id,started_at,ended_at",
    "gpu_instances": "cluster,node,gpu_id,instance_id,profile,started_at,ended_at",
    "holdings": "holding_id,cluster,pool,node,gpu_ids,gpu_count,gpu_share,gpu_profile,gpu_sharing,cpu_count,memory_gb,started_at,ended_at,labels",
    "gpu_samples": "sampled_at,node,gpu_id,instance_id,sm_ratio,holding_id,process_sm_ratio",
    "resource_usage": "started_at,ended_at,node,holding_id,cpu_seconds,memory_gb_seconds",
    "bill": f"{FOCUS},ProviderName",
}
SETTINGS = settings_of("bill", **{table: table for table in COLUMNS if table != "bill"})
#: Ways in which a GPU can be divided.
LAYOUTS = {
    "A100": (("4g.20gb", "3g.20gb"), ("3g.20gb", "2g.10gb", "1g.5gb"), ("3g.20gb", "3g.20gb"), ("1g.5gb",) * 7),
    "A30": (("2g.12gb", "1g.6gb", "1g.6gb"), ("1g.6gb",) * 3),
}
#: Policies and the values that a fleet draws from; the defaults stand more than once.
POLICIES = {
    "node_cost_split": ("gpu", "gpu", "aws_weights", "max_share"),
    "mig_share": ("compute", "memory", "larger"),
    "shared_gpu_split": ("process", "declared", "larger"),
    "cpu_memory_share": ("larger", "request", "usage"),
}
CPUS_OF_GPU, MEMORY_GB_OF_GPU = 4, 16
DRAINING = ("drain", "cordoned")


@dataclass(frozen=True)
class Fleet:
    """One node as it would be delivered: rows by table. ``resources`` are its cloud instances with the minutes in which each was it."""

    gpus: int
    resources: dict[str, tuple[int, int]]
    #: of each instance and hour in which it was there; None: no bill
    cost_of_hour: Decimal | None
    #: minute of every hour at which the price changes: a third of the cost is before it
    price_cut: int | None
    is_listed_one_by_one: bool
    is_pooled: bool
    policies: dict[str, str]
    rows: dict[str, list[dict]]

    @property
    def exists(self) -> tuple[int, int]:
        return min(start for start, _ in self.resources.values()), max(end for _, end in self.resources.values())

    def cost(self, hour: int) -> Decimal | None:
        """What the node costs in an hour in which it exists."""
        there = sum(start < 60 * hour + 60 and end > 60 * hour for start, end in self.resources.values())
        return None if self.cost_of_hour is None else there * self.cost_of_hour


def draw_fleet(rng: Random) -> Fleet:
    """A fleet: GPUs listed one by one or as a whole, divided or not, down and draining at times, held and measured at times."""
    gpus = [f"g{number}" for number in range(rng.randint(1, 4))]
    model = rng.choice(("A100", "A100", "A30"))
    first, last = rng.choice(((0, MINUTES), (0, MINUTES), (30, MINUTES), (0, 250)))
    resources = {"r": (first, last)}
    if rng.random() < 0.15:
        resources = {"r": (first, 140), "q": (140, last)}
    one_by_one = rng.random() < 0.6
    is_pooled = rng.random() < 0.1
    capacity = [row for own, span in resources.items() for row in _capacity(gpus, model, one_by_one, own, span)]
    for _ in range(rng.randint(0, 3)):
        start, end = _span(rng, first, last)
        of = {"gpu_id": rng.choice(gpus), "gpu_count": 1} if one_by_one and rng.random() < 0.5 else {}
        capacity.append({"state": rng.choice(("down", "maintenance", *DRAINING)), "started_at": start, "ended_at": end, **of})
    instances = [
        {"gpu_id": gpu, "instance_id": f"{gpu}/{place}", "profile": profile, "started_at": first, "ended_at": last}
        for gpu in gpus
        if one_by_one and rng.random() < 0.4
        for place, profile in enumerate(rng.choice(LAYOUTS[model]))
    ]
    held = [row for number in range(rng.randint(0, 5)) for row in _holdings(rng, number, gpus, instances, is_pooled)]
    return Fleet(
        gpus=len(gpus),
        resources=resources,
        cost_of_hour=rng.choice((None, Decimal("8.00"), Decimal("0.07"), Decimal("31.464"))),
        price_cut=rng.choice((None, None, 20, 47)),
        is_listed_one_by_one=one_by_one,
        is_pooled=is_pooled,
        policies={policy: rng.choice(values) for policy, values in POLICIES.items()},
        rows={
            "capacity": capacity,
            "gpu_instances": instances,
            "holdings": held,
            "gpu_samples": _samples(rng, gpus, instances, held),
            "resource_usage": _usage(rng, held),
        },
    )


def _capacity(gpus, model, one_by_one, resource, span):
    base = {"pool": "p", "resource_id": resource, "started_at": span[0], "ended_at": span[1]}
    rest = {"cpu_count": CPUS_OF_GPU * len(gpus), "memory_gb": MEMORY_GB_OF_GPU * len(gpus)}
    if one_by_one:
        return [base | {"gpu_id": gpu, "gpu_model": model, "gpu_count": 1} for gpu in gpus] + [base | rest]
    return [base | rest | {"gpu_model": model, "gpu_count": len(gpus)}]


def _span(rng, first=0, last=MINUTES):
    start = rng.randint(first, last - 1)
    return start, rng.randint(start + 1, last)


def _holdings(rng, number, gpus, instances, is_pooled):
    """The rows of one holding: closed, open, never started, or broken (ends before it starts: quarantined, as if it were not there); told
    by rows that overlap, or changed half-way."""
    start, end = _span(rng)
    kind = rng.choice(("closed",) * 6 + ("open", "pending", "broken", "overlapping", "changed", "changed"))
    share = rng.choice((1, 1, 0.5, 0.25))
    row = {
        "holding_id": f"h{number}",
        "pool": "p",
        "gpu_count": rng.randint(0, len(gpus) + 1),
        "gpu_share": share,
        "gpu_sharing": rng.choice((None, "time_slicing", "mps")) if share < 1 else None,
        "cpu_count": rng.choice((0, 1, 2.5, 8)),
        "memory_gb": rng.choice((0, 4, 16, 40)),
        "started_at": None if kind == "pending" else end if kind == "broken" else start,
        "ended_at": None if kind in ("open", "pending") else start if kind == "broken" else end,
        "labels": json.dumps({"team": rng.choice("abc")}),
    }
    if is_pooled and rng.random() < 0.5:
        row["is_nowhere"] = True
    elif instances and rng.random() < 0.6:
        named = rng.sample(instances, rng.choice((1, 1, 2)) if len(instances) > 1 else 1)
        row |= {"gpu_count": len(named), "gpu_share": 1, "gpu_sharing": None}
        if len(named) > 1 or rng.random() < 0.7:
            row["gpu_ids"] = ",".join(one["instance_id"] for one in named)
        if len(named) == 1 and rng.random() < 0.6:
            row["gpu_profile"] = named[0]["profile"]
    elif rng.random() < 0.6:
        named = sorted(rng.sample(gpus, rng.randint(1, len(gpus))))
        row |= {"gpu_ids": ",".join(named), "gpu_count": len(named)}
    middle = (start + end) // 2
    if kind == "overlapping" and middle > start:
        return [row | {"ended_at": middle + (end - middle) // 2}, row | {"started_at": middle}]
    if kind == "changed" and middle > start:
        other = {"gpu_share": 1, "gpu_sharing": None} if share < 1 else {"gpu_share": 0.5, "gpu_sharing": "time_slicing"}
        return [row | {"ended_at": middle}, row | {"started_at": middle} | ({} if "gpu_profile" in row else other)]
    return [row]


def _samples(rng, gpus, instances, held):
    """How busy: by device, by instance, by process; some never measured, some with gaps, some told twice, some without the metric."""
    step, rows = rng.choice((5, 15)), []

    def train(start, end, **of):
        metric = "process_sm_ratio" if "holding_id" in of else "sm_ratio"
        busy = rng.choice((None, 0, 0, 0.4, 0.714, 1))
        for minute in range(start, end, step):
            if rng.random() < 0.9:
                rows.append({"sampled_at": minute, metric: busy if rng.random() < 0.8 else 0.25, **of})

    for gpu in gpus:
        for of in ({}, *({"instance_id": one["instance_id"]} for one in instances if one["gpu_id"] == gpu)):
            if rng.random() < 0.6:
                train(*_span(rng), gpu_id=gpu, **of)
    for one in held:
        named = [name.split("/")[0] for name in (one.get("gpu_ids") or "").split(",") if name]
        if named and one["started_at"] is not None and rng.random() < 0.6:
            train(one["started_at"], one["ended_at"] or MINUTES, gpu_id=named[0], holding_id=one["holding_id"])
    return rows


def _usage(rng, held):
    """What holders used of CPU and memory, also beyond what they asked for."""
    return [
        {
            "holding_id": one["holding_id"],
            "started_at": one["started_at"],
            "ended_at": one["ended_at"],
            "cpu_seconds": rng.choice((0, 1, 3)) * 60 * (one["ended_at"] - one["started_at"]),
            "memory_gb_seconds": rng.choice((None, 20)) and 20 * 60 * (one["ended_at"] - one["started_at"]),
        }
        for one in held
        if one["started_at"] is not None and (one["ended_at"] or 0) > one["started_at"] and rng.random() < 0.3
    ]


def shuffled(fleet: Fleet, rng: Random) -> Fleet:
    """The same rows in another order, and half of them told twice, as daily dumps do."""
    rows = {table: rng.sample(own, len(own)) for table, own in fleet.rows.items()}
    for table in ("capacity", "gpu_instances", "holdings", "gpu_samples"):
        rows[table] += rng.sample(rows[table], len(rows[table]) // 2)
    return replace(fleet, rows=rows)


def cut_in_two(fleet: Fleet, rng: Random, tables: tuple[str, ...]) -> Fleet:
    """Every interval of the tables that has both ends, cut in two."""
    cut = dict(fleet.rows)
    for table in tables:
        cut[table] = []
        for row in fleet.rows[table]:
            start, end = row["started_at"], row["ended_at"]
            if start is None or end is None or end <= start:
                cut[table].append(row)
            else:
                # in a whole second, so that the activity of samples, in whole microseconds, has no part of one
                between = start + rng.randint(1, 60 * (end - start) - 1) / 60
                cut[table] += [row | {"ended_at": between}, row | {"started_at": between}]
    return replace(fleet, rows=cut)


VARIANTS = {
    "": lambda fleet, _: fleet,
    "s": shuffled,
    "h": partial(cut_in_two, tables=("holdings",)),
    "c": partial(cut_in_two, tables=("holdings", "capacity", "gpu_instances")),
}


def deliver(root, fleets: list[Fleet]) -> Workspace:
    """Write a workspace with every fleet in every variant: cluster c7, c7s ... with node c7-n, c7s-n ..."""
    written = {table: [] for table in COLUMNS}
    policies = []
    for number, fleet in enumerate(fleets):
        for suffix, vary in VARIANTS.items():
            cluster = f"c{number}{suffix}"
            for table, own in vary(fleet, Random(number)).rows.items():
                written[table] += [_named(row, cluster) for row in own]
            if fleet.cost_of_hour is not None:
                written["bill"] += [row for hour in range(HOURS) for row in _bills(fleet, cluster, hour)]
            policies += [{"policy": policy, "value": value, "cluster": cluster} for policy, value in fleet.policies.items()]
    for table, rows in written.items():
        _write(root / "landing" / table / "a.csv", COLUMNS[table], rows)
    _write(root / "config" / "policies.csv", "policy,value,cluster,pool,valid_from,valid_to", policies)
    (root / "tollbook.yml").write_text(SETTINGS)
    return Workspace.open(root)


def _write(file, columns, rows):
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _named(row, cluster):
    """The row with its cluster, node and ids of its own, and moments for minutes."""
    named = row | {"cluster": cluster}
    if not row.get("is_nowhere"):
        named["node"] = f"{cluster}-n"
    for column in ("gpu_id", "instance_id", "holding_id", "resource_id"):
        if row.get(column):
            named[column] = f"{cluster}-{row[column]}"
    if row.get("gpu_ids"):
        named["gpu_ids"] = ",".join(f"{cluster}-{gpu}" for gpu in row["gpu_ids"].split(","))
    for column in ("started_at", "ended_at", "sampled_at"):
        if row.get(column) is not None:
            named[column] = DAY + timedelta(seconds=round(60 * row[column]))
    return named


def _bills(fleet, cluster, hour):
    """The lines of an hour, of each instance that was there in it: one, or two where the price changes."""
    cut = fleet.price_cut
    early = fleet.cost_of_hour if cut is None else (fleet.cost_of_hour / 3).quantize(Decimal("0.0001"))
    parts = [(0, cut or 60, early)] + ([(cut, 60, fleet.cost_of_hour - early)] if cut else [])
    return [
        {
            **dict.fromkeys(("BilledCost", "EffectiveCost"), cost),
            "BillingCurrency": "USD",
            "BillingPeriodStart": "2026-09-01",
            "BillingPeriodEnd": "2026-10-01",
            "ChargePeriodStart": f"{DAY + timedelta(minutes=60 * hour + start)}Z",
            "ChargePeriodEnd": f"{DAY + timedelta(minutes=60 * hour + end)}Z",
            "ChargeCategory": "Usage",
            "ServiceCategory": "Compute",
            "ResourceId": f"{cluster}-{resource}",
            "ProviderName": "Nimbus",
        }
        for resource, (first, last) in fleet.resources.items()
        if first < 60 * hour + 60 and last > 60 * hour
        for start, end, cost in parts
    ]
