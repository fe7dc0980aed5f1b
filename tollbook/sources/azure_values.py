"""How Azure cost files write dates, numbers, units, places and services, as SQL over their text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

from tollbook.sources.typing import text

MONTH_FIRST, DAY_FIRST = "month_first", "day_first"
POINT, COMMA = "point", "comma"

_SEPARATED = r"^\s*([0-9]{1,2})[/-]([0-9]{1,2})[/-][0-9]{2,4}"
# A comma that cannot part thousands: 0,075 or 12,5 or 1.234,56
_COMMA_DECIMAL = (
    r"^\s*-?(?:0,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{4,},[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]+,[0-9]+[eE].*)\s*$"
)
_COMMA_EITHER = r"^\s*-?[1-9][0-9]{0,2}(?:,[0-9]{3})+\s*$"
_POINT_DECIMAL = (
    r"^\s*-?(?:0?\.[0-9]+|[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{4,}\.[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+|[0-9]+\.[0-9]+[eE].*)\s*$"
)


def date_order_evidence(values: list[str]) -> str:
    """SQL aggregate over the texts of all date columns: the largest first and the largest second part of 9/25/2023 and its like."""
    largest = [
        ", ".join(f"max(try_cast(regexp_extract({value}, '{_SEPARATED}', {group}) as integer))" for value in values) for group in (1, 2)
    ]
    return ", ".join(f"coalesce(greatest({parts}), 0)" for parts in largest)


def decimal_evidence(values: list[str]) -> str:
    """SQL aggregates: whether a number proves decimal commas, proves decimal points, and whether one can be read both ways."""
    return ", ".join(
        "coalesce(" + " or ".join(f"bool_or(regexp_matches({value}, '{pattern}'))" for value in values) + ", false)"
        for pattern in (_COMMA_DECIMAL, _POINT_DECIMAL, _COMMA_EITHER)
    )


def day_of(value: str, order: str) -> str:
    """SQL of the day (ISO text) that the text ``value`` names; what is no date comes back as it was, for the quarantine."""
    parts = ("%d{0}%m{0}", "%m{0}%d{0}") if order == DAY_FIRST else ("%m{0}%d{0}", "%d{0}%m{0}")
    separated = [parts[0].format(sign) + year for sign in "/-" for year in ("%y", "%Y")]
    date_part = f"regexp_extract(trim({value}), '^[^ T]+')"
    return (
        f"case when regexp_matches({value}, '^\\s*[0-9]{{4}}-') then"
        f" coalesce(try_cast({value} as timestamptz)::date::varchar, {value})"
        f" when regexp_matches({value}, '^\\s*[0-9]{{8}}\\s*$') then"
        f" coalesce(try_strptime(trim({value}), '%Y%m%d')::date::varchar, {value})"
        f" when regexp_matches({value}, '^\\s*[0-9]{{1,2}}\\.') then"
        f" coalesce(try_strptime({date_part}, ['%d.%m.%y', '%d.%m.%Y'])::date::varchar, {value})"
        # the words keep a US reading from being tried on what did not fit
        f" when regexp_matches({value}, '{_SEPARATED}') then"
        f" coalesce(try_strptime({date_part}, {separated})::date::varchar, {value} || ' read as {order}')"
        f" else {value} end"
    )


def number(value: str, decimal: str) -> str:
    """SQL of the number text ``value`` with a decimal point; where commas are decimal, a lone point cannot be read."""
    if decimal == POINT:
        return value
    grouped = f"regexp_matches({value}, '^\\s*-?[1-9][0-9]{{0,2}}(?:\\.[0-9]{{3}})+\\s*$')"
    return (
        f"case when contains({value}, ',') then replace(replace({value}, '.', ''), ',', '.')"
        f" when {grouped} then replace({value}, '.', '')"
        f" when contains({value}, '.') then {value} || ' beside decimal commas'"
        f" else {value} end"
    )


#: "100 Hours" is a block of 100; "1M" of a million; "10000s" and "1/10 Days" say no block
_BLOCK = r"^\s*([0-9]{1,15})\s*([KMB]?)(?:\s|/|$)"


def block_size(unit_of_measure: str) -> str:
    """SQL of how many units one priced block of the text unit of measure has; 1 where it names none."""
    count = f"try_cast(regexp_extract({unit_of_measure}, '{_BLOCK}', 1) as hugeint)"
    suffix = f"regexp_extract({unit_of_measure}, '{_BLOCK}', 2)"
    return f"coalesce({count} * case {suffix} when 'K' then 1000 when 'M' then 1000000 when 'B' then 1000000000 else 1 end, 1)"


def counts_blocks(unit_of_measure: str) -> str:
    """SQL: whether the quantity of such a unit already counts blocks: '10K' and '1M' do, '100 Hours' counts hours."""
    return f"regexp_matches({unit_of_measure}, '^\\s*[0-9]+\\s*[KMB](?:\\s|/|$)')"


def distinct_unit(unit_of_measure: str) -> str:
    """SQL of the unit itself, without its block: '100 Hours' and '1 Hour' are Hours, '1M' is Units, '1/Day' Units/Day."""
    bare = f"trim(regexp_replace({unit_of_measure}, '{_BLOCK.replace('(?:', '(')}', '\\3'))"
    return (
        f"case when {unit_of_measure} is null then null when {bare} = '' then 'Units' when {bare} like '/%' then 'Units' || {bare}"
        f" when lower({bare}) in ('hour', 'day', 'month', 'minute', 'second', 'unit') then upper({bare}[1]) || lower({bare}[2:]) || 's'"
        f" else {bare} end"
    )


def in_blocks(quantity: str, unit_of_measure: str, block: str) -> str:
    """SQL of the text ``quantity`` in priced blocks; NULL where the block is no power of ten (decimal division is floating point)."""
    return (
        f"case when {block} = 1 or {unit_of_measure} is null or {counts_blocks(unit_of_measure)} then {quantity}"
        f" else {_shifted(quantity, block, '-')} end"
    )


def in_units(quantity: str, unit_of_measure: str, block: str) -> str:
    """SQL of the text ``quantity`` in single units; NULL where the block is no power of ten."""
    return f"case when {counts_blocks(unit_of_measure)} then {_shifted(quantity, block, '+')} else {quantity} end"


def _shifted(quantity: str, block: str, sign: str) -> str:
    zeros = f"(length({block}::varchar) - 1)"
    moved = f"try_cast(try_cast({quantity} as decimal(38,20))::varchar || 'e{sign}' || {zeros} as decimal(38,20))::varchar"
    return f"case when regexp_matches({block}::varchar, '^10*$') then {moved} end"


def product(quantity: str, price: str) -> str:
    """SQL of the product of two number texts, exact to the 20th decimal; NULL where the price has over 10 decimals or is 10 M and more.

    The engine multiplies decimals of up to 38 digits together, so the quantity's decimals past the 10th are multiplied apart.
    """
    whole = f"try_cast({quantity} as decimal(38,20))"
    near = f"try_cast({quantity} as decimal(19,10))"
    cost = f"try_cast({price} as decimal(19,10))"
    rest = f"(({whole} - {near}) * 10000000000)::decimal(19,10)"
    return (
        f"case when abs({cost}) < 10000000 and {cost} = try_cast({price} as decimal(38,20)) then"
        f" {near} * {cost} + ({rest} * {cost} * 0.0000000001)::decimal(38,20) end"
    )


def period_start(start: str, period: str, day: str, order: str) -> str:
    """SQL of the billing period's first day: as delivered, else the month named (202309, 2023-09), else the month of the charge."""
    named = f"case when regexp_matches({period}, '^[0-9]{{4}}-?[0-9]{{2}}$') then replace({period}, '-', '') || '01' else {period} end"
    months = [f"date_trunc('month', try_cast({moment} as date))" for moment in (day_of(named, order), day)]
    return f"coalesce({start}, coalesce({', '.join(months)})::date::varchar, {day})"


def period_end(start: str, end: str) -> str:
    """SQL of the day after the billing period: Azure names its last day; an end on the start's day of the month is past it already."""
    last, first = f"try_cast({end} as date)", f"try_cast({start} as date)"
    past = f"case when day({last}) = day({first}) and {last} > {first} then {last} else {last} + 1 end"
    return f"case when {end} is null then ({first} + interval 1 month)::date::varchar else coalesce(({past})::varchar, {end}) end"


def json_text(value: str) -> str:
    """SQL of a JSON object's text: braces that are missing are put around; NULL where there is none, or it is no JSON."""
    bare = f"rtrim({value}, ', ')"
    return (
        f"case when {value} in ('{{}}', '\"\"', 'null') then null when {value}[1] = '{{' then case when json_valid({value}) then {value} end"
        f" when json_valid('{{' || {bare} || '}}') then '{{' || {bare} || '}}' end"
    )


def region_id(place: str) -> str:
    """SQL of the region's id: eastus for 'US East', 'East US' and 'useast'."""
    key = f"regexp_replace(lower({place}), '[^a-z0-9]', '', 'g')"
    also = {other: region for region, facts in _names()["regions"].items() for other in facts.get("also", [])}
    return f"coalesce({_lookup(also, key)}, nullif({key}, ''))"


def region_name(place: str) -> str:
    """SQL of the region's name, as delivered where the region is not known."""
    return f"coalesce({_lookup({region: facts['name'] for region, facts in _names()['regions'].items()}, region_id(place))}, {place})"


def service_category(meter_category: str, consumed_service: str, service_family: str) -> str:
    """SQL of the FOCUS service category: by what is metered, else by the resource provider, else by the product family."""
    found = [
        (_by_category("meter_categories"), f"lower({meter_category})"),
        (_by_category("providers"), f"regexp_extract(lower({consumed_service}), '^microsoft\\.(.+)$', 1)"),
        (_by_category("families"), f"lower({service_family})"),
    ]
    return f"coalesce({', '.join(_lookup(*one) for one in found)}, 'Other')"


def _by_category(kind: str) -> dict[str, str]:
    return {name: category for category, names in _names()[kind].items() for name in names}


def _lookup(table: dict[str, str], key: str) -> str:
    keys, values = (", ".join(text(word) for word in words) for words in (table.keys(), table.values()))
    return f"map([{keys}], [{values}])[{key}]"


def plain(header: str) -> str:
    """A header in small letters without signs."""
    return re.sub(r"[\W_]", "", header.casefold())


@cache
def synonyms() -> dict[str, list[str]]:
    """What each field is called, in order of preference, as ``plain`` gives it."""
    fields = yaml.safe_load((Path(__file__).parent / "azure_columns.yml").read_text(encoding="utf-8"))
    return {field: [plain(name) for name in names] for field, names in fields.items()}


@cache
def _names() -> dict[str, dict]:
    return yaml.safe_load((Path(__file__).parent / "azure_names.yml").read_text(encoding="utf-8"))
