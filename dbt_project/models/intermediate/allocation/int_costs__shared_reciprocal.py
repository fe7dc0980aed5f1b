"""Costs of one step that are shared out among each other: what each of them comes to in the end, solved exactly.

One row per day, step, cost, place and final receiver, in the columns of int_costs__shared_weights, for the costs there that give to
another cost of the same step. With A what shared costs give to each other and B what they give to those who pay, the final shares are
(1 - A)^-1 B: Gauss-Jordan elimination in fractions, in sorted order, so that the result never depends on the order of arrival.
"""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from math import lcm

# weights are whole numbers; shares whose common denominator is longer are rounded to as many digits
LARGEST_WEIGHT = 10**18


def solve(shares):
    """The final shares of each pool: ``{pool: {receiver: Fraction}}``, each adding up to 1.

    ``shares`` is ``{pool: {receiver: weight}}``; pools are tuples that begin with what is shared (``team:platform``), receivers are
    pools or texts, and a receiver ``kept:...`` stays with the giver. Pools from which nothing gets out are ``kept:no_way_out``.
    """
    rows = {}
    for pool, row in shares.items():
        total = sum(row.values())
        rows[pool] = {receiver: Fraction(weight, total) for receiver, weight in row.items()}
    open_pools = _with_a_way_out(rows)
    for pool in rows.keys() - open_pools:
        rows[pool] = {"kept:no_way_out": Fraction(1)}
    for pool in open_pools:
        for closed in [receiver for receiver in rows[pool] if receiver in rows and receiver not in open_pools]:
            _give(rows[pool], _resting_place(closed, "kept:no_way_out"), rows[pool].pop(closed))
    received = {receiver for pool in open_pools for receiver in rows[pool] if receiver in open_pools}
    for pool in sorted(received, key=repr):
        row = rows[pool]
        stays = row.pop(pool, Fraction(0))
        rows[pool] = row = {receiver: share / (1 - stays) for receiver, share in row.items()}
        for other in open_pools - {pool}:
            passed_on = rows[other].pop(pool, None)
            if passed_on is not None:
                for receiver, share in row.items():
                    kept = isinstance(receiver, str) and receiver.startswith("kept:")
                    _give(rows[other], _resting_place(pool, receiver) if kept else receiver, passed_on * share)
    return rows


def _give(row, receiver, share):
    row[receiver] = row.get(receiver, Fraction(0)) + share


def _resting_place(pool, reason):
    """Where a cost rests that a pool got and does not pass on: a team bears it; nothing else can, so the giver keeps it."""
    return pool[0] if pool[0].startswith("team:") else reason


def _with_a_way_out(rows):
    """The pools from which some receiver that is no pool can be reached."""
    givers = defaultdict(set)
    for pool, row in rows.items():
        for receiver in row:
            givers[receiver if receiver in rows else None].add(pool)
    reached, frontier = set(), [None]
    while frontier:
        new = givers[frontier.pop()] - reached
        reached |= new
        frontier += new
    return reached


def whole_weights(shares):
    """Fractions that add up to 1 as whole numbers in the same ratio, exact where they are not too long."""
    denominator = lcm(*(share.denominator for share in shares.values()))
    if denominator > LARGEST_WEIGHT:
        return {receiver: round(share * LARGEST_WEIGHT) for receiver, share in shares.items()}
    return {receiver: int(share * denominator) for receiver, share in shares.items()}


def final_weights(rows):
    """Rows (pool, receiver, weight, next pool or None) of one day and step to rows (pool, receiver, weight) of the pools to be solved."""
    shares = defaultdict(dict)
    pools = {row[0] for row in rows}
    for pool, receiver, weight, following in rows:
        # a pool that shares nothing out at that place bears the cost itself
        target = following if following in pools else receiver
        if target == receiver and receiver.startswith("component:"):
            target = "kept:receiver_not_shared"
        _give(shares[pool], target, weight)
    giving = {pool for pool, row in shares.items() if any(target in pools for target in row)}
    solved = solve(shares)
    return [
        (pool, receiver, weight)
        for pool in sorted(giving, key=repr)
        for receiver, weight in sorted(whole_weights(solved[pool]).items())
        if weight > 0
    ]


def model(dbt, session):
    """The dbt model."""
    dbt.config(materialized="table")
    weights = dbt.ref("int_costs__shared_weights").set_alias("weights")
    linked = weights.filter("next_pool_key is not null").project("usage_date, step").distinct().set_alias("linked")
    rows = weights.join(linked, "usage_date, step", how="semi").project(
        "usage_date, step, pool_key, cluster, pool, node, resource, receiver_key, weight::varchar,"
        " next_pool_key, next_cluster, next_pool, next_node, next_resource"
    )
    steps = defaultdict(list)
    for day, step, *pool, receiver, weight, following, cluster, in_pool, node, resource in rows.fetchall():
        target = (following, cluster, in_pool, node, resource) if following else None
        steps[day, step].append((tuple(pool), receiver, int(weight), target))
    result = [
        (day, step, *pool, receiver, weight)
        for (day, step), shares in sorted(steps.items())
        for pool, receiver, weight in final_weights(shares)
    ]
    if not result:
        # the usual case: nothing gives to each other
        return weights.filter("false").project(
            "usage_date, step, pool_key, cluster, pool, node, resource, receiver_key, weight::decimal(38, 0) as weight"
        )
    import pyarrow as pa

    columns = {
        "usage_date": pa.date32(),
        "step": pa.int32(),
        "pool_key": pa.string(),
        "cluster": pa.string(),
        "pool": pa.string(),
        "node": pa.string(),
        "resource": pa.string(),
        "receiver_key": pa.string(),
        "weight": pa.decimal128(38, 0),
    }
    arrays = list(zip(*result, strict=True))
    arrays[-1] = [Decimal(weight) for weight in arrays[-1]]
    return pa.table({name: pa.array(values, kind) for (name, kind), values in zip(columns.items(), arrays, strict=True)})
