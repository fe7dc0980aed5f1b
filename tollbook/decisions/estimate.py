"""What a planned job or prompt will cost, before it runs: from the published marts, with a range and what it rests on.

Two bases, told apart: the ``price book`` (finance.dim_prices, as it holds at a moment) and ``history`` (what the same model, pool or
job cost by day). A price that lacks is no price of zero: the estimate is None then and says why. Amounts are decimals throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext
from fractions import Fraction

import duckdb

from tollbook.errors import TollbookError
from tollbook.report.formats import UNKNOWN, exact
from tollbook.report.tables import Column, Row, Table, in_currency

#: The range of the days' figures that is told: from the tenth to the ninetieth percentile.
LOW, HIGH = Fraction(1, 10), Fraction(9, 10)
_MILLION = 1_000_000
_PLACES = Decimal("0.000001")


@dataclass(frozen=True)
class Range:
    """Three amounts in the reporting currency, or None each where they are not known."""

    low: Decimal | None
    expected: Decimal | None
    high: Decimal | None

    @classmethod
    def unknown(cls) -> Range:
        return cls(None, None, None)

    def times(self, low: Fraction, expected: Fraction, high: Fraction) -> Range:
        pairs = ((self.low, low), (self.expected, expected), (self.high, high))
        return Range(*(None if amount is None else _decimal(Fraction(amount) * by) for amount, by in pairs))


@dataclass(frozen=True)
class Part:
    """One way to see it: by which basis, of what, and what is said of it."""

    basis: str
    what: str
    range: Range


@dataclass
class Estimate:
    """What was asked, what it will cost, by which parts, and what is missing. ``fault``: why there is no figure at all."""

    asked: dict[str, object]
    currency: str
    parts: list[Part] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def known(self) -> list[Part]:
        return [part for part in self.parts if part.range.expected is not None]

    @property
    def basis(self) -> str:
        bases = {part.basis for part in self.known}
        return "both" if len(bases) > 1 else next(iter(bases), "none")

    @property
    def whole(self) -> Range:
        """Expected by the first basis that is known; from the lowest to the highest of all."""
        if not self.known:
            return Range.unknown()
        ranges = [part.range for part in self.known]
        return Range(min(one.low for one in ranges), ranges[0].expected, max(one.high for one in ranges))

    @property
    def fault(self) -> str | None:
        return None if self.known else f"no estimate: {'; '.join(self.missing) or 'nothing is known of it'}."


def tokens(
    db: duckdb.DuckDBPyConnection,
    model: str,
    input_tokens: int,
    output_tokens: int,
    cached_input_tokens: int = 0,
    requests: int = 1,
    provider: str | None = None,
    tier: str | None = None,
    region: str | None = None,
    at: datetime | None = None,
    days: int = 30,
) -> Estimate:
    """What ``requests`` calls of a model will cost, each of so many tokens (cached ones are part of the input).

    Raises:
        TollbookError: a count is negative, or more is cached than read; or several providers have the model.
    """
    _refuse_negative(input=input_tokens, cached=cached_input_tokens, output=output_tokens, requests=requests)
    if cached_input_tokens > input_tokens:
        raise TollbookError("--cached-input-tokens are part of --input-tokens, so they cannot be more.")
    at = at or _now()
    asked = {
        "model": model, "provider": provider, "tier": tier, "region": region, "requests": requests, "input_tokens": input_tokens,
        "cached_input_tokens": cached_input_tokens, "output_tokens": output_tokens, "priced_at": at.isoformat(sep=" "),
    }  # fmt: skip
    estimate = Estimate(asked, _currency(db))
    counts = {"input": input_tokens - cached_input_tokens, "cached_input": cached_input_tokens, "output": output_tokens}
    _by_prices(db, estimate, counts, requests, at)
    _by_past_tokens(db, estimate, (input_tokens + output_tokens) * requests, days)
    return estimate


def _by_prices(db: duckdb.DuckDBPyConnection, estimate: Estimate, counts: dict[str, int], requests: int, at: datetime) -> None:
    asked = estimate.asked
    tier = (asked["tier"] or "").strip().lower()
    found = db.execute(
        _PRICES,
        {
            "model": asked["model"].strip().lower(),
            "provider": asked["provider"],
            "tier": None if tier in ("", "standard", "default", "auto", "on_demand", "on-demand") else tier,
            "region": asked["region"],
            "length": asked["input_tokens"],
            "at": at,
        },
    ).fetchall()
    providers = sorted({row[0] or "an own fleet" for row in found})
    if len(providers) > 1 and asked["provider"] is None:
        raise TollbookError(f"the price book has {asked['model']} of {', '.join(providers)}: name one with --provider.")
    prices: dict[str, list[tuple]] = {}
    for _, kind, price, currency, holds_now in found:
        prices.setdefault(kind, []).append((holds_now, price, currency))
    wanted = [kind for kind, count in counts.items() if count]
    lacking = [kind for kind in wanted if not any(now and price is not None for now, price, _ in prices.get(kind, []))]
    for kind in lacking:
        unrated = [currency for _, price, currency in prices.get(kind, []) if price is None]
        if unrated:
            estimate.missing.append(f"no exchange rate from {unrated[0]} for the price of {kind} tokens")
        else:
            estimate.missing.append(f"the price book has no price of {kind} tokens of {asked['model']}{_as_asked(asked)} on {at:%Y-%m-%d}")
    if lacking:
        estimate.parts.append(Part("price book", "list price", Range.unknown()))
        return
    low, now, high = Decimal(0), Decimal(0), Decimal(0)
    for kind, count in {**counts, "request": 1}.items():
        if not count or (kind == "request" and kind not in prices):
            continue
        known = [price for _, price, _ in prices[kind] if price is not None]
        units = Fraction(count * requests, _MILLION)
        standing = next((price for holds, price, _ in prices[kind] if holds), Decimal(0))
        low, now, high = (
            _total((whole, _decimal(Fraction(price) * units))) for whole, price in ((low, min(known)), (now, standing), (high, max(known)))
        )
    estimate.parts.append(Part("price book", "list price" + (" by hour of the day" if low != high else ""), Range(low, now, high)))


def _as_asked(asked: dict[str, object]) -> str:
    said = [f"{name} {asked[name]}" for name in ("provider", "tier", "region") if asked[name]]
    return f" ({', '.join(said)})" if said else ""


def _by_past_tokens(db: duckdb.DuckDBPyConnection, estimate: Estimate, count: int, days: int) -> None:
    asked = estimate.asked
    rows = db.execute(_PAST_TOKENS, {"model": asked["model"].strip(), "provider": asked["provider"], "days": days}).fetchall()
    rates = [(Fraction(cost), tokens) for _, cost, tokens in rows if cost is not None and tokens]
    if not rates:
        estimate.missing.append(
            f"no cost of {asked['model']} is published in the last {days} days" + (": its tokens are unpriced" if rows else "")
        )
        return
    spread = _spread([cost / tokens for cost, tokens in rates])
    mean = sum(cost for cost, _ in rates) / sum(tokens for _, tokens in rates)
    estimate.facts |= {
        "history_days": len(rates),
        "history_from": str(rows[0][0]),
        "history_to": str(rows[-1][0]),
        "full_cost_per_million_tokens": f"{_decimal(mean * _MILLION):f}",
    }
    estimate.parts.append(Part("history", f"full cost per token of {len(rates)} days", _range(spread, mean).times(*[Fraction(count)] * 3)))


def job(
    db: duckdb.DuckDBPyConnection,
    gpus: Decimal,
    gpu_model: str | None = None,
    hours: Decimal | None = None,
    pool: str | None = None,
    like: str | None = None,
    days: int = 30,
) -> Estimate:
    """What a job on so many GPUs will cost: by the days' cost of a GPU-hour, and how attempts of jobs ``like`` it went.

    Raises:
        TollbookError: a number is not above zero, or it is not said where it runs or for how long.
    """
    if gpus <= 0 or (hours is not None and hours <= 0):
        raise TollbookError("--gpus and --hours must be above 0.")
    if not (gpu_model or pool):
        raise TollbookError("say where it runs: --gpu-model, --pool, or both.")
    if hours is None and not like:
        raise TollbookError("say for how long it runs: --hours, or --like with jobs that ran.")
    asked = {"gpus": f"{gpus:f}", "gpu_model": gpu_model, "pool": pool, "hours": None if hours is None else f"{hours:f}", "like": like}
    estimate = Estimate(asked, _currency(db))
    went = _how_it_went(db, estimate, like) if like else None
    lasts = [Fraction(hours)] * 3 if hours is not None else went and went["hours"]
    tries = went["tries"] if went and went["tries"] else [Fraction(1)] * 3
    for part in (_past_rate(db, estimate, days), _listed_rate(db, estimate)):
        if part is None:
            continue
        if lasts is None:
            estimate.missing.append("how long it runs is not known: no such job succeeded")
            estimate.parts.append(Part(part.basis, part.what, Range.unknown()))
            continue
        factors = [Fraction(gpus) * last * attempts for last, attempts in zip(lasts, tries, strict=True)]
        estimate.parts.append(Part(part.basis, part.what, part.range.times(*factors)))
        break
    return estimate


def _past_rate(db: duckdb.DuckDBPyConnection, estimate: Estimate, days: int) -> Part | None:
    asked = estimate.asked
    rows = db.execute(_PAST_HOURS, {"gpu_model": asked["gpu_model"], "pool": asked["pool"], "days": days}).fetchall()
    rates = [(Fraction(cost), Fraction(hours), Fraction(held)) for _, cost, hours, held in rows if cost is not None and hours]
    where = " ".join(filter(None, (asked["gpu_model"], asked["pool"] and f"in pool {asked['pool']}")))
    if not rates:
        estimate.missing.append(f"no cost of a GPU-hour of {where} is published in the last {days} days")
        return None
    hours, held = sum(row[1] for row in rates), sum(row[2] for row in rates)
    cost = sum(row[0] for row in rates)
    estimate.facts |= {
        "history_days": len(rates),
        "history_from": str(rows[0][0]),
        "history_to": str(rows[-1][0]),
        "cost_per_gpu_hour": f"{_decimal(cost / hours):f}",
        "cost_per_held_gpu_hour": f"{_decimal(cost / held):f}" if held else None,
    }
    return Part(
        "history", f"cost of a GPU-hour of {where} on {len(rates)} days", _range(_spread([row[0] / row[1] for row in rates]), cost / hours)
    )


def _listed_rate(db: duckdb.DuckDBPyConnection, estimate: Estimate) -> Part | None:
    if not estimate.asked["gpu_model"]:
        return None
    row = db.execute(_GPU_PRICE, {"gpu_model": estimate.asked["gpu_model"].strip().lower(), "at": _now()}).fetchone()
    if row is None or row[0] is None:
        estimate.missing.append(f"the price book has no price of a GPU-hour of {estimate.asked['gpu_model']}")
        return None
    return Part("price book", f"list price of a GPU-hour of {estimate.asked['gpu_model']}", Range(row[0], row[1], row[2]))


def _how_it_went(db: duckdb.DuckDBPyConnection, estimate: Estimate, like: str) -> dict[str, list[Fraction] | None]:
    """Hours of an attempt that succeeded, and GPU-hours of all attempts to those of them: low, expected, high each."""
    attempts = db.execute(_ATTEMPTS, {"like": like.strip().lower()}).fetchall()
    ended = [row for row in attempts if row[2] not in ("running", "pending")]
    succeeded = [row for row in ended if row[2] == "succeeded"]
    estimate.facts |= {
        "jobs_like_it": len({row[:2] for row in ended}),
        "attempts": len(ended),
        "failure_rate": round(1 - len(succeeded) / len(ended), 6) if ended else None,
    }
    if not succeeded:
        estimate.missing.append(f"no job like {like!r} succeeded" if ended else f"no job like {like!r} is published")
        return {"hours": None, "tries": None}
    lasted = sorted(Fraction(row[3], 3_600_000_000) for row in succeeded)
    spent = sum(Fraction(row[3]) * Fraction(row[4]) for row in ended) / (
        sum(Fraction(row[3]) * Fraction(row[4]) for row in succeeded) or Fraction(1)
    )
    by_job: dict[tuple, list[Fraction]] = {}
    for row in ended:
        both = by_job.setdefault(row[:2], [Fraction(0), Fraction(0)])
        both[0] += Fraction(row[3]) * Fraction(row[4])
        both[1] += Fraction(row[3]) * Fraction(row[4]) if row[2] == "succeeded" else 0
    factors = [whole / good for whole, good in by_job.values() if good]
    worst = max(spent, _quantile(sorted(factors), HIGH)) if factors else spent
    estimate.facts |= {
        "median_hours_of_success": float(_quantile(lasted, Fraction(1, 2))),
        "gpu_hours_per_gpu_hour_of_success": float(spent),
    }
    return {
        "hours": [_quantile(lasted, LOW), _quantile(lasted, Fraction(1, 2)), _quantile(lasted, HIGH)],
        "tries": [Fraction(1), spent, worst],
    }


def _spread(values: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    ordered = sorted(values)
    return _quantile(ordered, LOW), _quantile(ordered, HIGH)


def _quantile(ordered: Sequence[Fraction], share: Fraction) -> Fraction:
    """The value at a share of the way through, between two of them in proportion."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _range(spread: tuple[Fraction, Fraction], mean: Fraction) -> Range:
    return Range(*(_decimal(value, digits=18) for value in (min(spread[0], mean), mean, max(spread[1], mean))))


def _decimal(value: Fraction, digits: int = 12) -> Decimal:
    with localcontext(prec=60):
        return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(1).scaleb(-digits))


def _total(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(prec=60):
        return sum(amounts, Decimal(0))


def number(option: str, given: str | None) -> Decimal | None:
    """What an option says, to the digit.

    Raises:
        TollbookError: it is no number.
    """
    if given is None:
        return None
    try:
        found = Decimal(given)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise TollbookError(f"{option} should be a number, not {given!r}.")
    return found


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _refuse_negative(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise TollbookError(f"the number of {name} is {count}: it cannot be negative.")


def _currency(db: duckdb.DuckDBPyConnection) -> str:
    row = (
        db.execute("select currency_code from finance.fct_chargeback where currency_code is not null limit 1").fetchone()
        or db.execute("select currency_code from finance.dim_prices limit 1").fetchone()
    )
    if row is None:
        raise TollbookError("there is no cost and no price in what is published. Load a bill or a price book, then `tollbook run`.")
    return row[0]


def table(of: Estimate) -> Table:
    """The estimate as a table of the report: one row per basis, and the whole."""
    rows = [Row((part.basis, part.what, *_cells(part.range))) for part in of.parts]
    rows.append(Row(("estimate", f"basis: {of.basis}", *_cells(of.whole)), "total"))
    facts = [f"{name.replace('_', ' ')}: {value}" for name, value in of.facts.items() if value is not None]
    notes = [*facts, *(f"Missing: {one}." for one in of.missing)]
    headings = [Column("basis", right=False), Column("what", right=False), *(Column(title) for title in ("low", "expected", "high"))]
    return Table("estimate", f"What it will cost{in_currency(of.currency)}", headings, rows, "", "", notes)


def _cells(of: Range) -> tuple[str, ...]:
    return tuple(UNKNOWN if one is None else exact(one.quantize(_PLACES)) for one in (of.low, of.expected, of.high))


def document(of: Estimate) -> dict:
    """The estimate for machines: amounts as text with every digit, null where they are not known."""
    return {
        "asked": of.asked,
        "currency_code": of.currency,
        "basis": of.basis,
        **_figures(of.whole),
        "parts": [{"basis": part.basis, "what": part.what, **_figures(part.range)} for part in of.parts],
        "facts": of.facts,
        "missing": of.missing,
    }


def records(of: Estimate) -> list[dict]:
    """A row per part of the estimate, then the estimate itself."""
    found = document(of)
    whole = {"what": "estimate"} | {name: found[name] for name in ("basis", "low", "expected", "high")}
    columns = ("basis", "what", "low", "expected", "high")
    return [{name: part.get(name) for name in columns} | {"currency_code": found["currency_code"]} for part in (*found["parts"], whole)]


def _figures(of: Range) -> dict[str, str | None]:
    return {
        name: None if value is None else f"{value:f}" for name, value in (("low", of.low), ("expected", of.expected), ("high", of.high))
    }


# The prices that a request of this length has over the day: for each kind and time of day the book and price that decide.
_PRICES = """
with named as (
    select *, case when model = $model then 100001 when sku = $model then 100000 else length(model) end as closeness
    from finance.dim_prices
    where price_kind not in ('node_hour', 'gpu_hour')
        and (model = $model or sku = $model or (contains(model, '*') and $model glob model))
        and ($provider::varchar is null or lower(trim(coalesce(provider_name, ''))) = lower(trim($provider)))
        and service_tier is not distinct from $tier::varchar
        and (region is null or region = lower(trim($region)))
        and quantity_from <= $length
        and coalesce(valid_from <= $at, true) and coalesce($at < valid_to, true)
),

moments as (
    select epoch_us($at::timestamp) - epoch_us(date_trunc('day', $at::timestamp)) as moment, true as is_now
    union
    select unnest([day_from_microseconds, day_to_microseconds % 86400000000]), false from named where day_from_microseconds is not null
),

holding as (
    select
        named.*,
        moments.*,
        row_number() over (
            partition by moments.moment, moments.is_now, named.provider_name, named.price_kind
            order by named.book_priority, named.book, named.closeness desc, named.region is null, named.quantity_from desc,
                named.day_from_microseconds is null, named.valid_from desc nulls last, named.price_row
        ) as place
    from named
    cross join moments
    where named.day_from_microseconds is null
        or case when named.day_from_microseconds < named.day_to_microseconds
            then moments.moment >= named.day_from_microseconds and moments.moment < named.day_to_microseconds
            else moments.moment >= named.day_from_microseconds or moments.moment < named.day_to_microseconds end
)

select provider_name, price_kind, reporting_unit_price, price_currency, is_now
from holding
where place = 1
order by all
"""

_PAST_TOKENS = """
with costs as (
    select * from product.fct_token_costs
    where lower(model) = lower($model) and ($provider::varchar is null or lower(trim(coalesce(provider_name, ''))) = lower(trim($provider)))
)

-- what requests rest on alone is no cost of the model
select
    usage_date,
    sum(full_cost) filter (where basis not in ('partial', 'unpriced')),
    sum(token_count) filter (where basis not in ('partial', 'unpriced'))
from costs
where usage_date > (select max(usage_date) from product.fct_token_costs) - $days::integer
group by usage_date
order by usage_date
"""

_PAST_HOURS = """
with costs as (
    select * from engineering.fct_gpu_days
    where ($pool::varchar is null or lower(pool) = lower(trim($pool)))
        and ($gpu_model::varchar is null or contains(lower(gpu_model), lower(trim($gpu_model))))
)

select
    usage_date,
    sum(allocated_cost),
    sum(gpu_hours::decimal(38, 12)),
    coalesce(sum(gpu_hours::decimal(38, 12)) filter (where is_held), 0)
from costs
where usage_date > (select max(usage_date) from engineering.fct_gpu_days) - $days::integer
group by usage_date
order by usage_date
"""

_GPU_PRICE = """
select min(reporting_unit_price), median(reporting_unit_price)::decimal(38, 12), max(reporting_unit_price)
from finance.dim_prices
where price_kind = 'gpu_hour' and $gpu_model in (model, sku)
    and coalesce(valid_from <= $at, true) and coalesce($at < valid_to, true)
"""

# An attempt on several nodes lasts from its first start to its last end; an attempt that never started took no time.
_ATTEMPTS = """
select
    source_name,
    job_id,
    max(outcome) as outcome,
    coalesce(epoch_us(max(ended_at)) - epoch_us(min(started_at)), 0)::bigint as microseconds,
    coalesce(sum(gpu_count * gpu_share), 0)::decimal(38, 6) as gpus
from engineering.dim_holdings
where lower(name) glob $like
group by source_name, cluster, job_id, holding_id
order by all
"""
