"""The totals of the sample month, worked out from its files hour by hour in exact fractions.

Nothing of the pipeline is used, so that tests can compare the two. ``python tests/sample_truth.py`` writes
``data/sample/expected.json``: money and hours as decimal text, in USD and GPU-hours.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
EXPECTED = SAMPLE / "expected.json"
START, END = datetime(2026, 9, 1), datetime(2026, 10, 1)
BILLS = ("cloud_bill", "onprem_ledger", "vendor_bill")
HOUR = timedelta(hours=1)
#: A sample stands until the next one of its GPU, but at most for two of the intervals in which they come (hourly).
SAMPLE_STANDS = 2 * HOUR
#: Held time by what was seen of it, then what nobody held.
LAYERS = ("productive", "quiet", "unseen", "idle", "down")
HELD = LAYERS[:3]


def totals() -> dict:
    """Every total that ``expected.json`` holds."""
    bills = {source: _rows(f"landing/{source}/2026-09.csv") for source in BILLS}
    capacity = _rows("landing/fleet/2026-09.csv")
    holders = _pods() + _slurm_jobs()
    tokens = _tokens()
    nodes = {row["node"] for row in capacity}

    pools, payers, jobs, serving = _shared_out(capacity, holders, _node_prices(bills, nodes))
    buckets = defaultdict(Fraction, {layer: cost for layer, cost in payers.items() if layer in ("idle", "down", "unowned")})
    teams = defaultdict(Fraction, {team: cost for team, cost in payers.items() if team not in buckets})
    for line in (line for lines in bills.values() for line in lines):
        cost, owner = Fraction(line["EffectiveCost"]), _owner(_tags(line["Tags"]), service_name=line["ServiceName"])
        if line["CommitmentDiscountStatus"] == "Unused":
            buckets["unused_commitment"] += cost
        elif line["ResourceId"] in nodes or line["SkuPriceDetails"]:
            continue  # a node's cost is with its holders, a model's with its consumers
        elif owner:
            teams[owner] += cost
        else:
            buckets["unowned"] += cost

    by_model = _model_costs(tokens, serving, bills["vendor_bill"])
    for shares in by_model.values():
        for team, cost in shares.items():
            teams[team] += cost
    buckets["allocated"] = sum(teams.values())

    billed = {source: sum(Fraction(line["BilledCost"]) for line in lines) for source, lines in bills.items()}
    effective = {source: sum(Fraction(line["EffectiveCost"]) for line in lines) for source, lines in bills.items()}
    assert sum(effective.values()) == sum(buckets.values())
    counted = _token_totals(tokens)
    return {
        "rows_by_source": {source: str(len(lines)) for source, lines in bills.items()},
        "billed_by_source": _money(billed),
        "effective_by_source": _money(effective),
        "billed_total": _plain(sum(billed.values())),
        "effective_total": _plain(sum(effective.values())),
        "bridge": _money(_bridge(bills)),
        "gpu_hours_by_pool_layer": {
            pool: {layer: _plain(layers[layer][0], 0) for layer in LAYERS if layer in layers} for pool, layers in pools.items()
        },
        "cost_by_pool_layer": {
            pool: {layer: _plain(layers[layer][1]) for layer in LAYERS if layer in layers} for pool, layers in pools.items()
        },
        "cost_per_gpu_hour_by_pool": {pool: _plain(_held_rate(layers)) for pool, layers in pools.items()},
        "cost_by_bucket": _money(buckets),
        "chargeback_by_team": _money(teams),
        "token_totals": counted,
        "token_cost_by_model_team": {model: _money(shares) for model, shares in by_model.items()},
        "cost_per_million_tokens_by_model": {
            model: _plain(sum(by_model[model].values()) * 1_000_000 / int(kinds["token_count"])) if model in by_model else None
            for model, kinds in counted.items()
        },
        "tag_coverage_by_cost": {source: _coverage(lines) for source, lines in bills.items()},
        "job_costs": {job: {"gpu_hours": _plain(hours, 0), "cost": _plain(cost)} for job, (hours, cost) in sorted(jobs.items())},
    }


def _shared_out(capacity: list[dict], holders: list[dict], prices: dict) -> tuple[dict, dict, dict, dict]:
    """Each node-hour's GPUs and cost on holders (by what samples say of their GPUs), idle and down.

    Gives (hours, cost) by pool and layer, cost by payer, (hours, cost) by job, cost by model and day of what serves.
    """
    pools = defaultdict(lambda: defaultdict(lambda: (Fraction(0), Fraction(0))))
    payers, serving = defaultdict(Fraction), defaultdict(Fraction)
    jobs = {holder["job"]: (Fraction(0), Fraction(0)) for holder in holders}
    existing, seen = defaultdict(Fraction), _seen_hours()
    for row in capacity:
        for hour in _hours(row["started_at"], row["ended_at"]):
            existing[row["pool"], row["node"], hour, row["state"]] += int(row["gpu_count"])
    for (pool, node, hour, state), gpus in existing.items():
        rate = prices[node] / gpus  # a node is up or down for whole hours
        left = gpus
        for holder in holders if state == "up" else ():
            if node not in holder["nodes"] or not holder["start"] <= hour < holder["end"]:
                continue
            held = holder["gpus"] / len(holder["nodes"])
            left -= held
            for layer, part in _by_layer(held, holder["gpu_ids"], hour, seen).items():
                _add(pools[pool], layer, part, part * rate)
            _add(jobs, holder["job"], held, held * rate)
            if holder["model"]:
                serving[holder["model"], hour.date()] += held * rate
            else:
                payers[holder["team"] or "unowned"] += held * rate
        assert left >= 0, f"{node} is oversubscribed at {hour}"
        layer = "idle" if state == "up" else "down"
        if left:
            _add(pools[pool], layer, left, left * rate)
        payers[layer] += left * rate
    return pools, payers, jobs, serving


def _by_layer(held: Fraction, gpu_ids: list[str], hour: datetime, seen: dict) -> dict[str, Fraction]:
    """An hour's held GPUs by layer: the sample's share of a GPU that was seen is productive, the rest of it quiet."""
    parts = defaultdict(Fraction)
    for gpu in gpu_ids or [None]:
        part, ratio = held / max(len(gpu_ids), 1), seen.get((gpu, hour))
        if ratio is None:
            parts["unseen"] += part
        else:
            parts["productive"] += part * ratio
            parts["quiet"] += part * (1 - ratio)
    return parts


def _seen_hours() -> dict[tuple[str, datetime], Fraction]:
    """How busy a GPU was, by GPU and hour, where a sample stands; they are all taken on the hour."""
    taken = defaultdict(dict)
    for row in _rows("landing/dcgm/2026-09.csv"):
        taken[row["gpu_id"]][datetime.fromisoformat(row["sampled_at"])] = Fraction(row["sm_ratio"])
    seen = {}
    for gpu, ratios in taken.items():
        moments = sorted(ratios)
        for moment, following in zip(moments, [*moments[1:], END], strict=True):
            for hour in _hours(str(moment), str(min(following, moment + SAMPLE_STANDS))):
                seen[gpu, hour] = ratios[moment]
    return seen


def _held_rate(layers: dict) -> Fraction:
    hours, cost = (sum(layers[layer][place] for layer in HELD if layer in layers) for place in (0, 1))
    return cost / hours


def _node_prices(bills: dict, nodes: set[str]) -> dict[str, Fraction]:
    """USD per hour of each node: all its lines of the month over the month's hours, as every hour costs the same."""
    costs = defaultdict(Fraction)
    for line in (line for lines in bills.values() for line in lines if line["ResourceId"] in nodes):
        costs[line["ResourceId"]] += Fraction(line["EffectiveCost"])
    return {node: cost / 720 for node, cost in costs.items()}


def _model_costs(tokens: list[dict], serving: dict, vendor_lines: list[dict]) -> dict[str, dict[str, Fraction]]:
    """Cost by model and team: a vendor's bill by tokens at list price, a server's GPUs by tokens, day by day."""
    pools, weights = defaultdict(Fraction, serving), defaultdict(lambda: defaultdict(Fraction))
    for line in vendor_lines:
        model = json.loads(line["SkuPriceDetails"])["ModelId"]
        pools[model, datetime.fromisoformat(line["ChargePeriodStart"]).date()] += Fraction(line["EffectiveCost"])
    prices = {(row["model"], row["token_kind"]): Fraction(row["price_per_million"]) for row in _rows("config/prices.csv")}
    for row in tokens:
        kinds = {"input": row["input"] - row["cached"], "cached_input": row["cached"], "output": row["output"]}
        weight = sum(count * prices.get((row["model"], kind), 1) for kind, count in kinds.items())
        weights[row["model"], row["day"]][row["team"]] += weight
    costs = defaultdict(lambda: defaultdict(Fraction))
    for (model, day), cost in pools.items():
        shares = weights[model, day]
        for team, weight in shares.items():
            costs[model][team] += cost * weight / sum(shares.values())
    return costs


def _bridge(bills: dict) -> dict[str, Fraction]:
    """From billed to charged: what was paid ahead goes out, what was drawn of it comes in, the own ledger is added."""
    lines = bills["cloud_bill"] + bills["vendor_bill"]
    gaps = [(line["ChargeCategory"], Fraction(line["EffectiveCost"]) - Fraction(line["BilledCost"])) for line in lines]
    terms = {
        "billed": sum(Fraction(line["BilledCost"]) for line in lines),
        "prepaid_bought": sum(gap for category, gap in gaps if category == "Purchase"),
        "prepaid_drawn": sum(gap for category, gap in gaps if category != "Purchase"),
        "on_prem": sum(Fraction(line["EffectiveCost"]) for line in bills["onprem_ledger"]),
    }
    return terms | {"charged": sum(terms.values())}


def _coverage(lines: list[dict]) -> dict[str, dict[str, str]]:
    """Money that carries each required tag; a credit counts as much as a charge."""
    costs = [(set(_tags(line["Tags"])), abs(Fraction(line["EffectiveCost"]))) for line in lines]
    whole = sum(cost for _, cost in costs)
    return {
        tag: {"tagged_cost": _plain(sum(cost for tags, cost in costs if tag in tags)), "total_cost": _plain(whole)}
        for tag in ("team", "environment")
    }


def _pods() -> list[dict]:
    return [
        {
            "job": row["job_id"],
            "team": _owner(_tags(row["labels"]), namespace=row["namespace"]),
            "model": row["model"],
            "nodes": [row["node"]],
            "gpus": int(row["gpu_count"]) * Fraction(row["gpu_share"]),
            "gpu_ids": [gpu for gpu in row["gpu_ids"].split(",") if gpu],
            "start": datetime.fromisoformat(row["started_at"]),
            "end": datetime.fromisoformat(row["ended_at"]),
        }
        for row in _rows("landing/k8s/2026-09.csv")
        if row["started_at"]
    ]


def _slurm_jobs() -> list[dict]:
    lines = (SAMPLE / "landing/slurm/2026-09.txt").read_text().splitlines()
    records = [dict(zip(lines[0].split("|"), line.split("|"), strict=True)) for line in lines[1:]]
    return [
        {
            "job": record["JobID"],
            "team": _owner({}, account=record["Account"]),
            "model": "",
            "nodes": ["slurm-n1", "slurm-n2"] if record["NodeList"] == "slurm-n[1-2]" else [record["NodeList"]],
            "gpus": Fraction(dict(part.split("=") for part in record["AllocTRES"].split(",")).get("gres/gpu", 0)),
            "gpu_ids": [],
            "start": datetime.fromisoformat(record["Start"]),
            "end": END if record["End"] == "Unknown" else datetime.fromisoformat(record["End"]),
        }
        for record in records
        if "." not in record["JobID"] and record["Start"] != "Unknown"
    ]


def _tokens() -> list[dict]:
    return [
        {
            "model": row["model"],
            "day": datetime.fromisoformat(row["time"]).date(),
            "team": row["team"].lower() or "platform",  # who owns the contract bears what names no team
            "input": int(row["prompt_tokens"]),
            "cached": int(row["cached_tokens"]),
            "output": int(row["completion_tokens"]),
        }
        for row in _rows("landing/gateway/2026-09.csv")
    ]


def _token_totals(tokens: list[dict]) -> dict[str, dict[str, str]]:
    counted = {}
    for model in sorted({row["model"] for row in tokens}):
        rows = [row for row in tokens if row["model"] == model]
        sums = {kind: sum(row[kind] for row in rows) for kind in ("input", "cached", "output")}
        counted[model] = {
            "request_count": str(len(rows)),
            "input_tokens": str(sums["input"]),
            "cached_input_tokens": str(sums["cached"]),
            "output_tokens": str(sums["output"]),
            "token_count": str(sums["input"] + sums["output"]),
        }
    return counted


def _owner(tags: dict[str, str], **fields: str) -> str | None:
    """The team of the first rule that matches."""
    values = fields | {f"tag:{key}": value for key, value in tags.items()}
    for rule in sorted(_rows("config/owners.csv"), key=lambda rule: (int(rule["priority"]), rule["rule_id"])):
        value = values.get(rule["field"], "")
        if value and fnmatchcase(value, rule["pattern"]):
            return value if rule["team"] == "{value}" else rule["team"]
    return None


def _tags(text: str) -> dict[str, str]:
    return {key.lower(): value for key, value in json.loads(text or "{}").items()}


def _rows(path: str) -> list[dict]:
    with (SAMPLE / path).open(newline="") as file:
        return list(csv.DictReader(file))


def _hours(start: str, end: str) -> list[datetime]:
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    return [first + HOUR * number for number in range(int((last - first) / HOUR))]


def _add(sums: dict, key: str, hours: Fraction, cost: Fraction) -> None:
    sums[key] = (sums[key][0] + hours, sums[key][1] + cost)


def _money(costs: dict[str, Fraction]) -> dict[str, str]:
    return {key: _plain(cost) for key, cost in sorted(costs.items())}


def _plain(number: Fraction, digits: int = 2) -> str:
    """The number as decimal text; one that needs more digits is an error: the sample is made of round figures."""
    units = number * 10**digits
    assert units.denominator == 1, f"{number} has more than {digits} digits"
    return (
        f"{int(units) // 10**digits}" if digits == 0 else f"{'-' if units < 0 else ''}{abs(int(units)) // 100}.{abs(int(units)) % 100:02d}"
    )


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(totals(), indent=2) + "\n")
