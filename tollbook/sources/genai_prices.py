"""The price list of the genai-prices project (its ``data.json``) as canonical ``prices``.

A JSON list of providers with models. A model's ``prices`` are an object, or a list of conditional ones of which the last whose
constraint holds is taken, the first where none holds. Constraints are a ``start_date``, or a ``start_time`` and ``end_time`` in
UTC that may reach over midnight. A price is per million tokens (``input_mtok``), per thousand (``requests_kcount``) or per one
(``audio_hours``); it may have tiers, whose ``start`` must be exceeded by the whole prompt and then price the whole request.
``price_variants`` are prices for requests of another processing (batch, flex). A ``match`` tells by which names a model is
called: it becomes one row per name, with ``*`` for what may vary, and ``sku`` is always the model's id in the list. A regular
expression of digits and fixed text is such a name too; any other stays in ``other_columns`` and goes to ``unread``, as does a
price of a kind that no request counts, and a model without any price.

What has no price of its own is priced in the list as what it is part of: cached input and audio as input, a write for an hour as
any write, audio written as output. These prices are written out, with the key they come from in ``other_columns`` (``priced_as``);
reasoning is output in any book. Providers with ``fallback_model_providers`` sell the models of others: those are prices of a book
of their own, ``<source> fallback``, which ranks after the source's.
Source: genai-prices, "Data format", ``genai_prices.types`` (Provider.find_model, ModelInfo.get_prices, calc_unit_price) and
``genai_prices.decompose``.

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
    "book", "provider", "sku", "model", "region", "service_tier", "price_kind", "quantity_from", "price", "per_quantity", "currency",
    "valid_from", "valid_to", "time_from", "time_to", "other_columns", "file_row",
)  # fmt: skip
#: How bills name the providers that the list names otherwise; the option ``providers`` adds to it.
_BILLED_BY = {"aws": "AWS", "azure": "Microsoft", "google": "Google Cloud"}
_KINDS = {
    "input": "input",
    "cache_read": "cached_input",
    "cache_write": "cache_write_5m",
    "cache_write_5m": "cache_write_5m",
    "cache_write_1h": "cache_write_1h",
    "input_audio": "input_audio",
    "cache_audio_read": "cached_input_audio",
    "input_image": "input_image",
    "output": "output",
    "output_reasoning": "reasoning",
    "output_audio": "output_audio",
    "output_image": "output_image",
    "requests": "request",
    "web_searches": "search",
    "rerank_searches": "search",
}
#: Prices that stand for one that a model lacks: the first that it has.
_STANDS_FOR = {
    "cache_read_mtok": ("input_mtok",),
    "cache_write_mtok": ("input_mtok",),
    "cache_write_1h_mtok": ("cache_write_mtok", "input_mtok"),
    "input_audio_mtok": ("input_mtok",),
    "cache_audio_read_mtok": ("cache_read_mtok", "input_audio_mtok", "input_mtok"),
    "input_image_mtok": ("input_mtok",),
    "output_audio_mtok": ("output_mtok",),
    "output_image_mtok": ("output_mtok",),
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
        rows = list(_rows(listed, _BILLED_BY | names, source.currency or "USD", f"{source.name} fallback"))
        unread = [(row["file_row"], row["sku"], row["price_kind"]) for row in rows if row["price"] is None]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DeliveryError(
            f"{file.name} is no price list of genai-prices: {error!r}. It must be the project's data.json, providers with `models`,"
            " each with `id` and `prices`."
        ) from error
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    if unread:
        db.executemany("insert into unread values (?, 'prices', ?, ?)", unread)
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


def _rows(listed: list[dict], billed_by: dict[str, str], currency: str, other_book: str) -> Iterator[dict[str, Any]]:
    """Rows of prices; where ``price`` is None, ``price_kind`` says why what ``sku`` names is none."""
    models, number = {}, 0
    for provider in listed:
        first, number = number + 1, number + len(provider["models"])
        models[provider["id"]] = list(enumerate(provider["models"], first))
    for provider in listed:
        name = billed_by.get(provider["id"], provider.get("name") or provider["id"])
        whole = dict.fromkeys(_COLUMNS) | {"provider": name, "currency": currency}
        for place, model in models[provider["id"]]:
            yield from _of_model(model, whole | {"file_row": str(place)})
        for other in provider.get("fallback_model_providers") or []:
            for place, model in models.get(other, []):
                own = _of_model(model, whole | {"book": other_book, "file_row": str(place)})
                yield from (row for row in own if row["price"] is not None)


def _of_model(model: dict, whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names, rest = _names(model["id"], model.get("match"))
    other = {key: value for key, value in {"name": model.get("name"), "match": rest}.items() if value}
    prices = list(_prices(model))
    if not prices:
        yield whole | {"sku": model["id"], "price_kind": "has no price in the list, which is not a price of 0"}
    if rest:
        yield whole | {"sku": model["id"], "price_kind": "is also called by names that cannot be read from its `match`"}
    for price in prices:
        if price["price_kind"] not in _KINDS.values():
            said = f"{model['id']}: {price['price_kind']}"
            yield whole | {"sku": said, "price_kind": "is a price of a kind that no request counts; it prices nothing"}
            continue
        told = other | ({"priced_as": price["priced_as"]} if price.get("priced_as") else {})
        row = {key: value for key, value in price.items() if key != "priced_as"} | {
            "sku": model["id"], "other_columns": json.dumps(told) if told else None
        }  # fmt: skip
        yield from (whole | row | {"model": name} for name in names)


def _names(own: str, match: dict | None) -> tuple[list[str], dict | None]:
    """The names and patterns of a ``match``, the model's id at least; and the match itself where they do not say all of it."""
    clauses = match.get("or", [match]) if match else []
    names, is_whole = {}, True
    for clause in clauses:
        (kind, value), *more = clause.items()
        form = {"equals": "{}", "starts_with": "{}*", "ends_with": "*{}", "contains": "*{}*"}.get(kind)
        if kind == "regex" and not more and _glob(value):
            names[_glob(value)] = None
        elif form is None or more:
            is_whole = False
        else:
            names[form.format(value if kind == "equals" else re.sub(r"([\[?*])", r"[\1]", value))] = None
    return list(names) or [own], None if is_whole else match


def _glob(expression: str) -> str | None:
    """A regular expression of digits and fixed text as a pattern; None for any other."""
    parts = re.fullmatch(r"(\^?)((?:\\d(?:\{[0-9]+\})?|\\[.\-/]|[\w/:@ -])+)(\$?)", expression)
    if not parts:
        return None
    begins, body, ends = parts.groups()
    body = re.sub(r"\\d(?:\{([0-9]+)\})?", lambda digits: "[0-9]" * int(digits[1] or 1), body)
    body = re.sub(r"\\(.)", r"\1", body)
    return f"{'' if begins else '*'}{body}{'' if ends else '*'}"


def _prices(model: dict) -> Iterator[dict[str, str | None]]:
    listed = model["prices"] if isinstance(model["prices"], list) else [{"prices": model["prices"]}]
    for place, conditional in enumerate(listed):
        dates = _dates(listed, place)
        if dates is not None:
            yield from _of_one(conditional["prices"], dates | _hours(conditional if place else {}))
    standard = {} if isinstance(model["prices"], list) else model["prices"]
    for variant in model.get("price_variants") or []:
        constraint = variant.get("constraint") or {}
        dates = {"valid_from": constraint.get("start_date")}
        # what a variant does not say is as ever
        yield from _of_one(standard | variant["prices"], dates | _hours(variant) | _when(variant["when"]), is_whole=bool(standard))


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


def _of_one(prices: dict[str, Any], common: dict[str, str | None], is_whole: bool = True) -> Iterator[dict[str, str | None]]:
    stated = {key: (price, None) for key, price in prices.items() if price is not None}
    if "cache_write_5m_mtok" in stated:
        stated.pop("cache_write_mtok", None)
    for key, instead in _STANDS_FOR.items() if is_whole and stated else ():
        known = [one for one in instead if one in stated and stated[one][1] is None]
        # cached audio is as much cached as it is audio: where both have a price, the list does not say which
        is_said = key in stated or (key == "cache_write_mtok" and "cache_write_5m_mtok" in stated)
        if known and not is_said and known[:2] != ["cache_read_mtok", "input_audio_mtok"]:
            stated[key] = (stated[known[0]][0], known[0])
    for key, (price, priced_as) in stated.items():
        unit = _UNIT.match(key)
        # a unit other than tokens or counts belongs to the kind
        kind = key if unit is None else unit["kind"] if unit["unit"] in ("tok", "count") else f"{unit['kind']}_{unit['unit']}"
        row = common | {
            "price_kind": _KINDS.get(kind, kind),
            "per_quantity": _SCALES[unit["scale"]] if unit else "1",
            "priced_as": priced_as,
        }
        if not isinstance(price, dict):
            yield row | {"price": price}
            continue
        yield row | {"price": price["base"]}
        for tier in price["tiers"]:
            yield row | {"price": tier["price"], "quantity_from": str(int(tier["start"]) + 1)}
