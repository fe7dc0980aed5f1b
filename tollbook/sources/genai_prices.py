"""The price list of the genai-prices project (its ``data.json``) as canonical ``prices``.

A JSON list of providers with models. A model's ``prices`` are an object, or a list of conditional ones of which the last whose
constraint holds is taken, the first where none holds. Constraints are a ``start_date``, or a ``start_time`` and ``end_time`` in
UTC that may reach over midnight. A price is per million tokens (``input_mtok``), per thousand (``requests_kcount``) or per one
(``audio_hours``); it may have tiers, whose ``start`` must be exceeded by the whole prompt and then price the whole request.
``price_variants`` are prices for requests of another processing (batch, flex). A ``match`` tells by which names a model is
called: it becomes one row per name, with ``*`` for what may vary, and ``sku`` is always the model's id in the list. What a
pattern cannot say (a regular expression) stays in ``other_columns``. A model without any price goes to ``unread``.
Source: genai-prices, "Data format" and ``genai_prices.types`` (ModelInfo.get_prices, calc_unit_price).

The document is read by Python because DuckDB's JSON reads numbers as binary floats; here they stay the text they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec

from tollbook.errors import ConfigError, DeliveryError
from tollbook.workspace import Source

_COLUMNS = (
    "provider", "sku", "model", "region", "service_tier", "price_kind", "quantity_from", "price", "per_quantity", "currency",
    "valid_from", "valid_to", "time_from", "time_to", "other_columns", "file_row",
)  # fmt: skip
#: How bills name the providers that the list names otherwise; the option ``providers`` adds to it.
_BILLED_BY = {"aws": "AWS", "azure": "Microsoft", "google": "Google Cloud"}
_KINDS = {
    "cache_read": "cached_input",
    "cache_write": "cache_write_5m",
    "cache_audio_read": "cached_input_audio",
    "cache_image_read": "cached_input_image",
    "requests": "request",
}
_UNIT = re.compile(r"^(?P<kind>.+)_(?P<scale>[mk])(?P<unit>tok|count|chars|pages)$")
_SCALES = {"m": "1000000", "k": "1000"}


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Read ``file``; return the SELECT that gives ``prices`` columns. ``file_row`` is the model's place in the list, from 1.

    The list is in USD unless the source says another ``currency``. Option ``providers`` (id in the list to name on the bill).

    Raises:
        DeliveryError: the file is no such list.
        ConfigError: an option is unknown, or ``providers`` is no mapping.
    """
    source.refuse_other_options("providers")
    names = source.option("providers", {})
    if not isinstance(names, dict):
        raise ConfigError(f"{source.name}: option providers is {names!r}; it must map ids of the list to names on the bill.")
    listed = _opened(file)
    try:
        rows = list(_rows(listed, _BILLED_BY | names, source.currency or "USD"))
        unpriced = [(row["file_row"], row["sku"]) for row in rows if row["price"] is None]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DeliveryError(
            f"{file.name} is no price list of genai-prices: {error!r}. It must be the project's data.json, providers with `models`,"
            " each with `id` and `prices`."
        ) from error
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    if unpriced:
        db.executemany("insert into unread values (?, 'prices', ?, 'has no price in the list, which is not a price of 0')", unpriced)
    structure = json.dumps([dict.fromkeys(_COLUMNS, "VARCHAR")])
    db.execute("drop view if exists temp.delivery")
    db.execute(
        "create or replace temp table delivery_prices as select unnest(from_json(?, ?), max_depth := 2)",
        [json.dumps([row for row in rows if row["price"] is not None]), structure],
    )
    db.execute("create temp view delivery as select * replace (file_row::bigint as file_row) from delivery_prices")
    return "select * from delivery"


def _opened(file: Path) -> list[dict]:
    try:
        with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8-sig") as text:
            listed = json.load(text, parse_float=str, parse_int=str)
    except (OSError, EOFError, ValueError) as error:
        raise DeliveryError(f"{file.name} cannot be read as JSON; it may be cut off or damaged: {error}") from error
    listed = listed.get("providers") if isinstance(listed, dict) else listed
    if not isinstance(listed, list):
        raise DeliveryError(f"{file.name} is no price list of genai-prices: it has no list of providers.")
    return listed


def _rows(listed: list[dict], billed_by: dict[str, str], currency: str) -> Iterator[dict[str, Any]]:
    number = 0
    for provider in listed:
        for model in provider["models"]:
            number += 1
            names, rest = _names(model["id"], model.get("match"))
            other = {key: value for key, value in {"name": model.get("name"), "match": rest}.items() if value}
            whole = {
                "provider": billed_by.get(provider["id"], provider.get("name") or provider["id"]),
                "sku": model["id"],
                "currency": currency,
                "other_columns": json.dumps(other) if other else None,
                "file_row": str(number),
            }
            prices = list(_prices(model))
            for name in names if prices else []:
                yield from (dict.fromkeys(_COLUMNS) | whole | {"model": name} | price for price in prices)
            if not prices:
                yield dict.fromkeys(_COLUMNS) | whole


def _names(own: str, match: dict | None) -> tuple[list[str], dict | None]:
    """The names and patterns of a ``match``, the model's id at least; and the match itself where they do not say all of it."""
    clauses = match.get("or", [match]) if match else []
    names, is_whole = {}, True
    for clause in clauses:
        (kind, value), *more = clause.items()
        form = {"equals": "{}", "starts_with": "{}*", "ends_with": "*{}", "contains": "*{}*"}.get(kind)
        if form is None or more:
            is_whole = False
        else:
            names[form.format(value if kind == "equals" else re.sub(r"([\[?*])", r"[\1]", value))] = None
    return list(names) or [own], None if is_whole else match


def _prices(model: dict) -> Iterator[dict[str, str | None]]:
    listed = model["prices"] if isinstance(model["prices"], list) else [{"prices": model["prices"]}]
    for place, conditional in enumerate(listed):
        dates = _dates(listed, place)
        if dates is not None:
            yield from _of_one(conditional["prices"], dates | _hours(conditional if place else {}))
    for variant in model.get("price_variants") or []:
        constraint = variant.get("constraint") or {}
        dates = {"valid_from": constraint.get("start_date")}
        yield from _of_one(variant["prices"], dates | _hours(variant) | _when(variant["when"]))


def _dates(listed: list[dict], place: int) -> dict[str, str | None] | None:
    """From when to when one of conditional prices holds: until a later one without hours does; None where it never does."""
    # what no constraint lets in falls back to the first
    start = (listed[place].get("constraint") or {}).get("start_date") if place else None
    later = [one.get("constraint") or {} for one in listed[place + 1 :]]
    ends = [constraint.get("start_date", "") for constraint in later if "start_time" not in constraint]
    end = min(ends, default=None)
    if end is not None and end <= (start or ""):
        return None
    return {"valid_from": start, "valid_to": end}


def _hours(conditional: dict) -> dict[str, str | None]:
    constraint = conditional.get("constraint") or {}
    return {"time_from": constraint.get("start_time"), "time_to": constraint.get("end_time")}


def _when(when: dict[str, str]) -> dict[str, str]:
    """What a variant is for; conditions that are neither a tier nor a region make a tier of their own, which no usage has by chance."""
    tiers = [value if key in ("processing", "service_tier") else f"{key}={value}" for key, value in when.items() if key != "region"]
    named = {"service_tier": " ".join(sorted(tiers))} if tiers else {}
    return named | ({"region": when["region"]} if "region" in when else {})


def _of_one(prices: dict[str, Any], common: dict[str, str | None]) -> Iterator[dict[str, str | None]]:
    for key, price in prices.items():
        if price is None:
            continue
        unit = _UNIT.match(key)
        # a unit other than tokens or counts belongs to the kind
        kind = key if unit is None else unit["kind"] if unit["unit"] in ("tok", "count") else f"{unit['kind']}_{unit['unit']}"
        row = common | {"price_kind": _KINDS.get(kind, kind), "per_quantity": _SCALES[unit["scale"]] if unit else "1"}
        if not isinstance(price, dict):
            yield row | {"price": price}
            continue
        yield row | {"price": price["base"]}
        for tier in price["tiers"]:
            yield row | {"price": tier["price"], "quantity_from": str(int(tier["start"]) + 1)}
