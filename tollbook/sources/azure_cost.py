"""Azure Cost Management exports (cost and usage details), actual and amortized, as canonical ``billing_lines``.

Columns: Enterprise Agreement, Microsoft Customer and Partner Agreement (camel case), pay-as-you-go, German headers; what each one
is called is in ``azure_columns.yml``, regions and services are in ``azure_names.yml``. A commitment is a reservation or
a savings plan.

Two exports of one bill. The *actual* one has commitment purchases and a zero for the usage they cover; the *amortized* one has no
purchases, but their daily share on the usage, and what was not used (UnusedReservation, UnusedSavingsPlan). Deliver either

- both: a source of the amortized export, and one of the actual export with ``take: commitment_purchases``, which leaves out every
  line but purchases and refunds of commitments (the amortized export has them). Then billed adds up to the actual export, effective
  to the amortized one;
- the actual export alone: effective is billed, and ``effective_cost_origin`` says that nothing is amortized;
- the amortized export alone: what commitments cost is billed with their purchase, which it has not.

Options: ``dataset`` (actual, amortized, auto: amortized where a line is an unused commitment, or usage under a commitment costs
something), ``take`` (all, commitment_purchases), ``date_order`` (auto, month_first, day_first: of 9/2/2023; auto is month first,
Azure's way, unless a day past 12 proves the other), ``decimal`` (auto, point, comma).

Costs that Azure does not state: list cost is PaygCostInBillingCurrency, else PayGPrice x quantity; contracted cost is UnitPrice x
quantity; both only for usage priced by single units in the billing currency. The exports disagree on whether quantities of larger
blocks count blocks (10K, in public Enterprise exports) or units (100 Hours), so there they stay absent. A PayGPrice of 0 on a line
that costs something is a missing one.

Sources: "Understand cost details fields" and the dataset schemas, "Get reservation costs and usage" (Microsoft Cost Management);
"Convert Cost Management data to FOCUS" (FinOps toolkit).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import azure_values as values
from tollbook.sources.azure_files import Columns, open_export
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

_NUMBERS = ("cost", "payg_cost", "pricing_cost", "quantity", "effective_price", "unit_price", "payg_price", "exchange_rate")
_DATES = ("date", "period", "period_start", "period_end")
_COMMITTED = "('reservation', 'savingsplan')"
_UNUSED = "('unusedreservation', 'unusedsavingsplan')"
_PURCHASE = "('purchase', 'refund')"


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``, a row for each taken.

    Raises:
        DeliveryError: unreadable file, no cost or date column, dates or numbers that contradict each other, or purchases beside
            amortized usage without ``dataset``.
        ConfigError: an option that does not exist, or both ``dataset: amortized`` and ``take: commitment_purchases``.
    """
    source.refuse_other_options("dataset", "take", "date_order", "decimal")
    dataset = source.option("dataset", "auto", ("actual", "amortized", "auto"))
    only_purchases = source.option("take", "all", ("all", "commitment_purchases")) == "commitment_purchases"
    if only_purchases and dataset == "amortized":
        raise ConfigError(f"{source.name}: commitment purchases are in the actual export; take: all of the amortized one.")
    columns = open_export(db, file)
    _refuse_without_required(columns)
    order, decimal = _date_order(db, columns, source), _decimal(db, columns, source)
    lines = _lines(columns, order, decimal)
    if only_purchases:
        dataset = "actual"
    elif dataset == "auto":
        dataset = _dataset(db, file, lines)
    parts = _line_columns(columns, currency) | _cost_columns(dataset, only_purchases)
    where = " where az_is_purchase" if only_purchases else ""
    return f"select {', '.join(f'{sql} as {name}' for name, sql in parts.items())}, file_row from ({lines}){where}"


def _refuse_without_required(columns: Columns) -> None:
    missing = [
        said for field, said in (("cost", "CostInBillingCurrency (or PreTaxCost, Cost)"), ("date", "Date")) if not columns.has(field)
    ]
    if missing:
        raise DeliveryError(
            f"{columns.file.name}: required column missing: {', '.join(missing)}. It has {', '.join(columns.types)}."
            " Export cost and usage details (actual or amortized) with it; nothing of it was loaded."
        )


def _date_order(db: duckdb.DuckDBPyConnection, columns: Columns, source: Source) -> str:
    order = source.option("date_order", "auto", ("auto", values.MONTH_FIRST, values.DAY_FIRST))
    dates = columns.texts(*_DATES)
    if order != "auto" or not dates:
        return order if order != "auto" else values.MONTH_FIRST
    first, second = db.execute(f"select {values.date_order_evidence(dates)} from delivery").fetchone()
    if first > 12 and second > 12:
        raise DeliveryError(
            f"{columns.file.name}: some of its dates have the day first, some the month ({columns.found['date']})."
            " Say `date_order: day_first` or `month_first` in the source's options; what does not fit is quarantined."
        )
    if columns.has_semicolons and 0 < first <= 12 and 0 < second <= 12:
        raise DeliveryError(
            f"{columns.file.name}: its dates can be read with the day first and with the month first ({columns.found['date']}), and semicolons"
            " say that it is no US file. Say `date_order: day_first` or `month_first` in the source's options."
        )
    return values.DAY_FIRST if first > 12 else values.MONTH_FIRST


def _decimal(db: duckdb.DuckDBPyConnection, columns: Columns, source: Source) -> str:
    decimal = source.option("decimal", "auto", ("auto", values.POINT, values.COMMA))
    numbers = columns.texts(*_NUMBERS)
    if decimal != "auto" or not numbers:
        return decimal if decimal != "auto" else values.POINT
    comma, point, either = db.execute(f"select {values.decimal_evidence(numbers)} from delivery").fetchone()
    if (comma and point) or (either and columns.localized and not comma and not point):
        raise DeliveryError(
            f"{columns.file.name}: its numbers can be read with decimal commas and with decimal points ({columns.found['cost']})."
            " Say `decimal: comma` or `decimal: point` in the source's options; what does not fit is quarantined."
        )
    return values.COMMA if comma else values.POINT


def _lines(columns: Columns, order: str, decimal: str) -> str:
    """``delivery`` with the facts that several columns are made of, named az_…: no delivered column hides them."""
    info = columns.text("additional_info")
    # usage under a reservation names it in AdditionalInfo where there is no column for it
    in_info = f"""nullif(regexp_extract({info}, '"ReservationId"\\s*:\\s*"([^"]+)"', 1), '')"""
    cost = values.number(columns.text("cost"), decimal)
    facts = {
        "az_kind": f"coalesce(regexp_replace(lower({columns.text('charge_type')}), '[^a-z]', '', 'g'), 'usage')",
        "az_model": f"regexp_replace(lower({columns.text('pricing_model')}), '[^a-z]', '', 'g')",
        # usage that costs something may name a reservation there too: its licence, say, that the reservation does not cover
        "az_in_info": f"case when try_cast({cost} as decimal(38,20)) = 0 then {in_info} end",
        "az_commitment": f"coalesce({columns.first('benefit_id', 'reservation_id')}, az_in_info)",
        "az_is_committed": f"coalesce(az_model in {_COMMITTED}, az_commitment is not null) or az_kind in {_UNUSED}",
        "az_is_purchase": f"az_is_committed and az_kind in {_PURCHASE}",
        "az_is_covered": f"az_is_committed and (az_kind = 'usage' or az_kind in {_UNUSED})",
        **{f"az_{field}": values.number(columns.text(field), decimal) for field in _NUMBERS},
        "az_unit": columns.text("unit_of_measure"),
        "az_block": values.block_size("az_unit"),
        "az_day": values.day_of(columns.text("date"), order),
        "az_period_start": values.day_of(columns.text("period_start"), order),
        "az_period_end": values.day_of(columns.text("period_end"), order),
        "az_tags": values.json_text(columns.text("tags")),
        "az_info": values.json_text(info),
        "az_currency": f"upper({columns.text('billing_currency')})",
        "az_pricing_currency": f"upper({columns.text('pricing_currency')})",
        "az_place": columns.text("resource_location"),
    }
    lines = f"select *, {', '.join(f'{sql} as {name}' for name, sql in facts.items())} from delivery"
    costs = "try_cast(az_cost as decimal(38,20)) <> 0"
    in_one_currency = "coalesce(az_pricing_currency = az_currency, az_pricing_currency is null)"
    by_price = f"az_kind = 'usage' and az_block = 1 and az_unit is not null and {in_one_currency}"
    # a price of nothing for what costs something is a price that is not there
    known = {
        name: f"case when try_cast({name} as decimal(38,20)) <> 0 or not {costs} then {name} end"
        for name in ("az_payg_price", "az_unit_price", "az_payg_cost")
    }
    made = {
        "az_start": values.period_start("az_period_start", columns.text("period"), "az_day", order),
        "az_in_one_currency": in_one_currency,
        "az_list_price": known["az_payg_price"],
        "az_contracted_price": known["az_unit_price"],
        "az_list_cost": known["az_payg_cost"],
        "az_list_product": f"case when {by_price} then {values.product('az_quantity', known['az_payg_price'])} end",
        "az_contracted_product": f"case when {by_price} then {values.product('az_quantity', known['az_unit_price'])} end",
    }
    return f"select *, {', '.join(f'{sql} as {name}' for name, sql in made.items())} from ({lines})"


def _dataset(db: duckdb.DuckDBPyConnection, file: Path, lines: str) -> str:
    """Which export it is, by its lines; actual where nothing tells, as the two are the same then."""
    amortized, purchases = db.execute(
        f"select bool_or(az_kind in {_UNUSED} or az_is_covered and try_cast(az_cost as decimal(38,20)) <> 0), bool_or(az_is_purchase)"
        f" from ({lines})"
    ).fetchone()
    if amortized and purchases:
        raise DeliveryError(
            f"{file.name}: purchases of commitments beside their amortized usage. If both exports were put into this one file,"
            " say `dataset: amortized` in the source's options: purchases are billed then, usage under a commitment is effective."
        )
    return "amortized" if amortized else "actual"


def _cost_columns(dataset: str, only_purchases: bool) -> dict[str, str]:
    """The four costs and where they come from; see the module's docstring."""
    if only_purchases:
        billed, billed_origin = "az_cost", "null::varchar"
        effective, effective_origin = "'0'", "'purchase of a commitment: the amortized export spreads it'"
    elif dataset == "amortized":
        billed = "case when az_is_covered then '0' else az_cost end"
        billed_origin = "case when az_is_covered then 'under a commitment: billed with its purchase' end"
        effective = "case when az_is_purchase then '0' else az_cost end"
        effective_origin = "case when az_is_purchase then 'purchase of a commitment: spread over the lines under it' end"
    else:
        billed, billed_origin, effective = "az_cost", "null::varchar", "az_cost"
        effective_origin = (
            "case when az_is_committed then 'actual export alone: as billed, not amortized' else 'no commitment: as billed' end"
        )
    return {
        "billed_cost": billed,
        "billed_cost_origin": billed_origin,
        "effective_cost": effective,
        "effective_cost_origin": effective_origin,
        "list_cost": "coalesce(az_list_cost, az_list_product::varchar)",
        "list_cost_origin": "case when az_list_cost is null and az_list_product is not null then 'PayGPrice x quantity' end",
        "contracted_cost": "az_contracted_product",
        "contracted_cost_origin": "case when az_contracted_product is not null then 'UnitPrice x quantity' end",
        "list_unit_price": "case when az_in_one_currency then az_list_price end",
        "contracted_unit_price": "case when az_in_one_currency then az_contracted_price end",
        "pricing_currency_list_unit_price": "case when not az_in_one_currency then az_list_price end",
        "pricing_currency_contracted_unit_price": "case when not az_in_one_currency then az_contracted_price end",
        "pricing_currency_effective_cost": f"case when ({effective}) = az_cost then az_pricing_cost end",
    }


def _line_columns(columns: Columns, currency: str) -> dict[str, str]:
    """Everything else that FOCUS names."""
    resource = columns.text("resource_id")
    is_plan = "(az_model = 'savingsplan' or az_kind = 'unusedsavingsplan' or contains(lower(az_commitment), 'microsoft.billingbenefits'))"
    is_usage = "az_kind = 'usage'"
    return {
        "billing_account_id": columns.first("billing_profile_id", "billing_account_id")
        if columns.has("billing_profile_id", "billing_account_id")
        else columns.text("subscription_id"),
        "billing_account_name": columns.first("billing_profile_name", "billing_account_name"),
        "sub_account_id": columns.text("subscription_id"),
        "sub_account_name": columns.text("subscription_name"),
        "billing_period_start": "az_start",
        "billing_period_end": values.period_end("az_start", "az_period_end"),
        "charge_period_start": "az_day",
        "charge_period_end": "coalesce((try_cast(az_day as date) + 1)::varchar, az_day)",
        "charge_category": f"case when az_kind = 'usage' or az_kind in {_UNUSED} then 'Usage'"
        f" when az_kind in {_PURCHASE} then 'Purchase' when az_kind = 'tax' then 'Tax' when az_kind = 'credit' then 'Credit'"
        " else 'Adjustment' end",
        "charge_class": "case when az_kind = 'refund' then 'Correction' end",
        "charge_description": columns.first("product_name", "product_order_name", "meter_name"),
        "charge_frequency": f"case lower({columns.text('frequency')}) when 'onetime' then 'One-Time' when 'recurring' then 'Recurring'"
        " when 'usagebased' then 'Usage-Based' end",
        "billing_currency": f"coalesce(az_currency, {text(currency)})",
        "currency_origin": "case when az_currency is null then 'assumed' else 'delivered' end",
        "pricing_category": "case when az_is_committed then 'Committed' when az_model = 'ondemand' then 'Standard'"
        " when az_model = 'spot' then 'Dynamic' when az_model is not null then 'Other' end",
        "pricing_quantity": values.in_blocks("az_quantity", "az_unit", "az_block"),
        "pricing_unit": "az_unit",
        "pricing_currency": "az_pricing_currency",
        "pricing_to_billing_rate": "az_exchange_rate",
        "consumed_quantity": f"case when {is_usage} then {values.in_units('az_quantity', 'az_unit', 'az_block')} end",
        "consumed_unit": f"case when {is_usage} then {values.distinct_unit('az_unit')} end",
        "provider_name": "'Microsoft'",
        "publisher_name": columns.first("publisher_name", "publisher_type"),
        "invoice_issuer_name": f"coalesce({columns.text('partner_name')}, 'Microsoft')",
        "invoice_id": columns.text("invoice_id"),
        "reference_invoice_id": columns.text("previous_invoice_id"),
        "service_name": columns.first("meter_category", "service_name", "consumed_service", "product_order_name", "product_name"),
        "service_category": values.service_category(
            columns.text("meter_category"), columns.text("consumed_service"), columns.text("service_family")
        ),
        "sku_id": columns.first("product_id", "meter_id", "part_number"),
        "sku_meter": columns.text("meter_name"),
        "sku_price_id": columns.text("part_number"),
        "sku_price_details": "az_info",
        "resource_id": resource,
        "resource_name": f"coalesce({columns.text('resource_name')}, nullif(regexp_extract({resource}, '/([^/]+)/?$', 1), ''))",
        "resource_type": f"coalesce({columns.text('resource_type')},"
        f" nullif(regexp_extract({resource}, '(?i)/providers/([^/]+/[^/]+)(?:/|$)', 1), ''))",
        "region_id": values.region_id("az_place"),
        "region_name": values.region_name("az_place"),
        "availability_zone": columns.text("availability_zone"),
        "commitment_discount_id": "case when az_is_committed then az_commitment end",
        "commitment_discount_name": f"case when az_is_committed then {columns.first('benefit_name', 'reservation_name')} end",
        "commitment_discount_category": f"case when az_is_committed then case when {is_plan} then 'Spend' else 'Usage' end end",
        "commitment_discount_type": f"case when az_is_committed then case when {is_plan} then 'Savings Plan' else 'Reservation' end end",
        "commitment_discount_status": f"case when az_kind in {_UNUSED} then 'Unused' when az_is_covered then 'Used' end",
        "capacity_reservation_id": """nullif(regexp_extract(az_info, '"VMCapacityReservationId"\\s*:\\s*"([^"]+)"', 1), '')""",
        "tags": "az_tags",
        "other_columns": _others(columns),
    }


#: Fields that the canonical columns hold whole; the rest of what was delivered is kept beside them
_PLACED = [
    "date",
    "quantity",
    "unit_of_measure",
    "billing_currency",
    "pricing_currency",
    "exchange_rate",
    "invoice_id",
    "previous_invoice_id",
    "meter_name",
    "meter_category",
    "part_number",
    "subscription_id",
    "subscription_name",
    "resource_id",
    "resource_location",
    "availability_zone",
    "additional_info",
]


def _others(columns: Columns) -> str:
    placed = {columns.found[field] for field in _PLACED if field in columns.found}
    tags = columns.found.get("tags")
    others = [column for column in columns.types if column not in placed and column != tags]
    pairs = [f"{text(column)}, {quoted(column)}" for column in others]
    if tags:
        # tags that are no JSON are kept as they came
        pairs.append(f"{text(tags)}, case when az_tags is null then {columns.text('tags')} end")
    return f"json_object({', '.join(pairs)})::varchar" if pairs else "null::varchar"
