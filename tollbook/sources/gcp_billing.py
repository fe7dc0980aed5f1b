"""Google Cloud billing export, standard and detailed (resource level), as canonical ``billing_lines``.

One line per delivered record. Method:

- ``billed_cost`` is ``cost`` plus all its ``credits``, ``effective_cost`` the same: as Google's own FOCUS export does it. Credits
  lower what the same usage costs, whatever their kind (committed and sustained use, free tier, promotion, reseller margin,
  subscription benefit, fee utilisation offset); they stay readable one by one in ``other_columns``. ``contracted_cost`` is
  ``cost`` (negotiated prices, before credits), ``list_cost`` is ``cost_at_list``.
- The fee of a commitment (its SKU says so) is a Purchase. Google bills fees as they accrue, never ahead of the term, so the fee
  is effective when billed, and effective cost is billed cost over any term. With the fee utilisation offset of the newer
  spend-based commitments, what is left of a fee is what nobody used. Who used resource-based commitments is in ``gcp_cud``.
- Charge period: the usage's hours. Billing period: ``invoice.month``, which differs for late usage and adjustments, and whose
  days begin at midnight Pacific time; without it the Pacific month of the usage.
- ``cost_type`` makes the category (regular, tax, adjustment, rounding error); ``adjustment_info`` marks a Correction.
- Tags: labels of the resource, its tags, labels of its project and system labels. The nearer one has the key; a project label
  hidden so is kept as ``project:<key>``.

Quirks: each row has its own currency; conversion rates are from US dollars; nested fields are flattened with dots or
underscores; lists are JSON or Python text; a file flattened twice calls the project's labels ``labels`` and the resource's
``labels_1``; FLOAT64 comes in scientific notation.
Sources: "Structure of Standard data export", "Structure of Detailed data export" and "Structure of FOCUS data export" (Cloud
Billing documentation).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.gcp_records import Records, open_records, plain
from tollbook.sources.gcp_services import service_category
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

MONEY = "decimal(38, 20)"
_CREDIT = ("name", "amount", "full_name", "id", "type")
_LABEL = ("key", "value")

# canonical column: path in the export
_AS_IT_IS = {
    "billing_account_id": ("billing_account_id",),
    "sub_account_id": ("project", "id"),
    "sub_account_name": ("project", "name"),
    "charge_period_start": ("usage_start_time",),
    "charge_period_end": ("usage_end_time",),
    "charge_description": ("sku", "description"),
    "list_cost": ("cost_at_list",),
    "list_unit_price": ("price", "list_price"),
    "contracted_unit_price": ("price", "effective_price"),
    "pricing_quantity": ("usage", "amount_in_pricing_units"),
    "pricing_unit": ("usage", "pricing_unit"),
    "pricing_to_billing_rate": ("currency_conversion_rate",),
    "consumed_quantity": ("usage", "amount"),
    "consumed_unit": ("usage", "unit"),
    "service_name": ("service", "description"),
    "sku_id": ("sku", "id"),
    "sku_meter": ("sku", "description"),
    "resource_name": ("resource", "name"),
    "region_name": ("location", "location"),
    "availability_zone": ("location", "zone"),
    "commitment_discount_id": ("subscription", "instance_id"),
}
# name in other_columns: path in the export
_OTHERS = {
    "cost_type": ("cost_type",),
    "transaction_type": ("transaction_type",),
    "export_time": ("export_time",),
    "service_id": ("service", "id"),
    "project_number": ("project", "number"),
    "ancestry_numbers": ("project", "ancestry_numbers"),
    "location_country": ("location", "country"),
    "adjustment_id": ("adjustment_info", "id"),
    "adjustment_description": ("adjustment_info", "description"),
    "adjustment_mode": ("adjustment_info", "mode"),
    "adjustment_type": ("adjustment_info", "type"),
    "tier_start_amount": ("price", "tier_start_amount"),
    "effective_price_default": ("price", "effective_price_default"),
    "cost_at_effective_price_default": ("cost_at_effective_price_default",),
    "cost_at_list_consumption_model": ("cost_at_list_consumption_model",),
    "consumption_model_id": ("consumption_model", "id"),
    "consumption_model_description": ("consumption_model", "description"),
    "invoice_publisher_type": ("invoice", "publisher_type"),
}
_REQUIRED = {"cost": ("cost",), "usage_start_time": ("usage_start_time",), "usage_end_time": ("usage_end_time",)}
# what the fields above and the lists are made of: every other delivered column goes to other_columns as it is
_PARTS = ("service", "sku", "usage", "project", "location", "resource", "price", "invoice", "credits", "labels", "system_labels", "tags",
          "adjustment_info", "consumption_model", "subscription", "ancestry_numbers", "ancestors")  # fmt: skip


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    ``currency`` (the source's, else the workspace's) is taken where a record has none, and marked so.

    Raises:
        DeliveryError: the file cannot be read, or has no cost or usage times.
    """
    source.refuse_other_options()
    records = open_records(db, file)
    _refuse_without_required(file, records)

    fields = {name: records.field(*path) for name, path in _AS_IT_IS.items()}
    # each costly expression once: the lines are made of these
    made = {name: sql for name, sql in fields.items() if sql}
    made |= {
        "cost": _number(records.field("cost")),
        "credit_list": records.entries("credits", shape=_CREDIT) or "[]::struct(name varchar, amount varchar, type varchar)[]",
        "cost_kind": f"lower(coalesce({_or_null(records.field('cost_type'))}, 'regular'))",
        "invoice_month": _or_null(records.field("invoice", "month")),
        "delivered_currency": f"nullif(upper(trim({_or_null(records.field('currency'))})), '')",
        "seller": _or_null(records.field("seller_name")),
        "global_name": f"nullif({_or_null(records.field('resource', 'global_name'))}, '')",
        "region": f"nullif({_or_null(records.field('location', 'region'))}, '')",
        "model": f"coalesce({_or_null(records.field('consumption_model', 'description'))}, '')",
        "is_adjusted": _any(records, "adjustment_info", "id", "description", "mode", "type"),
        "other_columns": _others(records),
        "cast_fault": _fault(records),
    } | _labels(records)
    for name in ("service_name", "charge_description", "resource_name", "region_name", "commitment_discount_id", "pricing_to_billing_rate"):
        made.setdefault(name, "null::varchar")
    # few services, many lines: each name is looked at once
    db.execute(
        "create or replace temp table gcp_services as"
        f" select name, {service_category('name')} as category from (select distinct {made['service_name']} as name from delivery)"
    )
    inner = "select " + ", ".join(f"{sql} as {quoted(name)}" for name, sql in made.items()) + ", file_row from delivery"
    parts = _lines(currency, has_list_cost="list_cost" in made)
    kept = [quoted(name) for name in fields if name in made and name not in parts]
    return (
        f"select {', '.join(kept)}, {', '.join(f'{sql} as {name}' for name, sql in parts.items())}, tags, other_columns, cast_fault, file_row"
        f" from (select *, list_sum(list_transform(credit_list, lambda credit: try_cast(credit.amount as {MONEY}))) as credit_cost,"
        f" len(list_filter(credit_list, lambda credit: {_says('credit', 'commit')})) > 0 as has_committed_credit,"
        f" len(list_filter(credit_list, lambda credit: {_says('credit', 'offset')})) > 0 as has_offset,"
        " regexp_matches(charge_description, '(?i)\\bcommitment\\b') and cost_kind = 'regular' as is_fee,"
        f" coalesce(try_strptime(invoice_month, '%Y%m'), {_pacific_month()}) as invoice_start from ({_with_tags(inner)})) as records"
        " left join gcp_services on records.service_name = gcp_services.name"
    )


def _lines(currency: str, has_list_cost: bool) -> dict[str, str]:
    """The SQL of the columns that are made of several fields."""
    net = "cost + coalesce(credit_cost, 0)"
    origin = "case when len(credit_list) > 0 then 'cost plus credits' end"
    is_committed = "(has_committed_credit or regexp_matches(model, '(?i)\\b(cud|commit)'))"
    parts = {
        "billing_account_type": "'Billing Account'",
        "sub_account_type": "'Project'",
        "billing_period_start": "invoice_start::timestamp",
        "billing_period_end": "(invoice_start + interval 1 month)::timestamp",
        "charge_category": "case when cost_kind like '%tax%' then 'Tax'"
        " when cost_kind like '%adjust%' or cost_kind like '%round%' then 'Adjustment' when is_fee then 'Purchase' else 'Usage' end",
        "charge_class": "case when is_adjusted then 'Correction' end",
        "charge_frequency": "case when is_fee then 'Recurring' when cost_kind = 'regular' then 'Usage-Based' end",
        "billed_cost": net,
        "effective_cost": net,
        "contracted_cost": "cost",
        "billed_cost_origin": origin,
        "effective_cost_origin": "case when is_fee then 'fee of a commitment: effective when billed'"
        " when len(credit_list) > 0 then 'cost plus credits' else 'as billed' end",
        "billing_currency": f"coalesce(delivered_currency, {text(currency)})",
        "currency_origin": "case when delivered_currency is null then 'assumed' else 'delivered' end",
        "pricing_currency": "case when nullif(trim(pricing_to_billing_rate), '') is not null then 'USD' end",
        "pricing_category": "case when cost_kind <> 'regular' then null"
        f" when is_fee or {is_committed} then 'Committed'"
        " when regexp_matches(coalesce(charge_description, '') || model, '(?i)(spot|preemptible)') then 'Dynamic' else 'Standard' end",
        "provider_name": "'Google Cloud'",
        "publisher_name": "coalesce(nullif(seller, ''), 'Google Cloud')",
        "invoice_issuer_name": "'Google Cloud'",
        "service_category": "coalesce(gcp_services.category, 'Other')",
        "resource_id": "coalesce(global_name, nullif(resource_name, ''))",
        "resource_type": "nullif(regexp_extract(global_name, '/([^/]+)/[^/]+$', 1), '')",
        "region_id": "coalesce(region, nullif(region_name, ''))",
        "commitment_discount_id": "nullif(commitment_discount_id, '')",
        "commitment_discount_name": "case when is_fee then charge_description when has_committed_credit"
        f" then list_filter(credit_list, lambda credit: {_says('credit', 'commit')})[1].name end",
        "commitment_discount_category": f"case when is_fee or {is_committed} then case when regexp_matches(lower(concat_ws(' ',"
        " charge_description, commitment_discount_id, list_aggregate(list_transform(credit_list, lambda credit: credit.type), 'string_agg',"
        " ' '))), 'dollar.based') or model <> '' and not has_committed_credit then 'Spend' else 'Usage' end end",
        "commitment_discount_type": f"case when is_fee or {is_committed} then 'CUD' end",
        "commitment_discount_status": "case when is_fee then case when has_offset then 'Unused' end"
        f" when {is_committed} and cost_kind = 'regular' then 'Used' end",
    }
    if not has_list_cost:
        parts["list_cost"] = f"null::{MONEY}"
    return parts


def _labels(records: Records) -> dict[str, str]:
    """The SQL of the lists that tags are made of."""
    project_path, label_path = ("project", "labels"), ("labels",)
    if records.column("project", "labels") is None and records.column("labels_1") is not None:
        project_path, label_path = ("labels",), ("labels_1",)
    paths = {"own_labels": label_path, "own_tags": ("tags",), "project_labels": project_path, "system_labels": ("system_labels",)}
    return {name: records.entries(*path, shape=_LABEL) or "[]::struct(key varchar, value varchar)[]" for name, path in paths.items()}


def _with_tags(rows: str) -> str:
    """``rows`` with one JSON object of all labels as ``tags``; see the module's docstring for which of them has a key."""
    # in steps, so that no list is made anew for each of its entries
    near = f"select *, list_concat(own_labels, own_tags) as near from ({rows})"
    keyed = f"select *, list_transform(near, lambda entry: entry.key) as near_keys from ({near})"
    renamed = (
        "case when len(near_keys) = 0 then project_labels else list_transform(project_labels, lambda entry: {'key':"
        " case when list_contains(near_keys, entry.key) then 'project:' || entry.key else entry.key end, 'value': entry.value}) end"
    )
    together = f"select *, list_concat(near, {renamed}, system_labels) as entries from ({keyed})"
    numbered = f"select *, list_transform(entries, lambda entry: entry.key) as entry_keys from ({together})"
    # a JSON object has each key once: the first counts
    once = (
        "case when len(list_distinct(entry_keys)) = len(entries) then entries else list_filter(entries, lambda entry, place:"
        " entry.key is not null and list_position(entry_keys, entry.key) = place) end"
    )
    pairs = f"list_transform({once}, lambda entry: to_json(entry.key)::varchar || ':' || to_json(coalesce(entry.value, ''))::varchar)"
    return f"select *, case when len(entries) > 0 then '{{' || array_to_string({pairs}, ',') || '}}' end as tags from ({numbered})"


def _others(records: Records) -> str:
    pairs = {name: records.field(*path) for name, path in _OTHERS.items()}
    known = {plain("".join(path)) for path in (*_AS_IT_IS.values(), *_OTHERS.values(), *_REQUIRED.values())}
    known |= {plain(name) for name in ("currency", "seller_name", "invoice_month", "resource_global_name")}
    for column in records.types:
        name = plain(column)
        if name not in known and not name.startswith(tuple(plain(part) for part in _PARTS)):
            pairs[column] = quoted(column)
    filled = [f"{text(name)}, {sql}" for name, sql in pairs.items() if sql]
    credits = records.document("credits")
    if credits:
        filled.append(f"'credits', {credits}")
    return f"json_object({', '.join(filled)})::varchar" if filled else "null::varchar"


def _fault(records: Records) -> str:
    """The SQL of what keeps a record out: money that is no number, credits that cannot be read."""
    cost = records.field("cost")
    faults = [("cost", cost, f"nullif(trim({cost}), '') is not null and {_number(cost)} is null", "is not a number")]
    column, document = records.column("credits"), records.document("credits")
    if column is not None and document and str(records.types[column]) in ("VARCHAR", "JSON"):
        raw = quoted(column) if str(records.types[column]) == "VARCHAR" else f"({quoted(column)} ->> '$')"
        broken = f"trim({raw}) not in ('', '[]', '{{}}') and coalesce(json_type({document}), '') not in ('ARRAY', 'OBJECT')"
        faults.append(("credits", raw, broken, "is neither JSON nor a Python list"))
    entries = records.entries("credits", shape=_CREDIT)
    if entries:
        unread = f"len(list_filter({entries}, lambda credit: try_cast(credit.amount as {MONEY}) is null and {_says('credit', '')})) > 0"
        faults.append(("credits.amount", f"({entries})::varchar", unread, "is not a number"))
    cases = " ".join(
        f"when {broken} then {{'column_name': {text(name)}, 'value': {value}::varchar, 'reason': {text(why)}}}"
        for name, value, broken, why in faults
    )
    return f"case {cases} end::struct(column_name varchar, value varchar, reason varchar)"


def _says(credit: str, word: str) -> str:
    """The SQL that is true where a credit's kind or name holds ``word``, in a spelling of any case."""
    said = f"coalesce(lower(concat_ws(' ', {credit}.type, {credit}.name)), '')"
    return f"contains({said}, {text(word)})" if word else f"{said} <> ''"


def _number(sql: str) -> str:
    return f"try_cast({sql} as {MONEY})"


def _or_null(sql: str | None) -> str:
    return f"{sql}::varchar" if sql else "null::varchar"


def _any(records: Records, parent: str, *names: str) -> str:
    found = [f"nullif({sql}, '')" for sql in (records.field(parent, name) for name in names) if sql]
    return f"coalesce({', '.join(found)}) is not null" if found else "false"


def _pacific_month() -> str:
    return "date_trunc('month', try_cast(charge_period_start as timestamptz) at time zone 'America/Los_Angeles')"


def _refuse_without_required(file: Path, records: Records) -> None:
    missing = [name for name, path in _REQUIRED.items() if records.field(*path) is None]
    if not missing:
        return
    hint = ""
    if records.is_text:
        found = files.guess_delimiter(files.header(file))
        if found != ",":
            hint = f" The header looks {files.delimiter_name(found)}-delimited; the export is comma-delimited."
    raise DeliveryError(
        f"{file.name}: required column missing: {', '.join(missing)}.{hint}"
        " A Cloud Billing export to BigQuery has them; nothing of it was loaded."
    )
