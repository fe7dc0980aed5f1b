"""The AWS Cost and Usage Report as canonical ``billing_lines``: legacy, Athena-style and CUR 2.0 (Data Exports), CSV or Parquet.

Every form holds the same line items under different headers (see ``aws_columns``). Quirks, and what is made of them:

* A file is the month to date and replaces the one before; the invoice number stays empty until the bill is final.
* ``billed_cost`` is the unblended cost of every line, so its sum is AWS's. FOCUS bills usage covered by a savings plan and its
  negation with 0: so here, where the file's sum over both is exactly 0 for the plan and billing period; elsewhere as delivered.
* ``effective_cost``: of reserved usage the reservation's, of covered usage the savings plan's effective cost. A recurring fee
  (RIFee, SavingsPlanRecurringFee) is one line: billed its unblended cost, and effective what of the commitment was not used,
  then with status Unused; what was used is on the usage lines. What is paid up front and negations are worth 0 themselves.
  Real bills say 0 used beside covered usage: then what the usage drew in the fee's time counts.
* Discounts, credits and refunds are negative lines of their own; ``net`` columns exist only where the account has discounts.
* Split cost rows (ECS, EKS) say how the parent's cost falls to pods: nothing is billed again, see ``allocated_*``.
* A line that ends at 23:59:59 ends at midnight.

Sources: AWS, "Data Exports user guide: Cost and Usage Report 2.0 table dictionary", "Line item details", "Reservation details",
"Savings Plans details", "Split line item details"; "Understanding your Amazon Bedrock Cost and Usage Report data".
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import aws_names, files
from tollbook.sources.aws_columns import Columns, json_object, member, raw_member, wholly_empty
from tollbook.sources.typing import text
from tollbook.workspace import Source

_ZERO = "0::decimal(38,20)"
_REQUIRED = (
    "line_item_unblended_cost",
    "line_item_line_item_type",
    "line_item_usage_start_date",
    "line_item_usage_end_date",
    "bill_billing_period_start_date",
)

# what the costs are made from, read once per line
_NUMBERS = {
    "unblended": "line_item_unblended_cost",
    "net_unblended": "line_item_net_unblended_cost",
    "on_demand": "pricing_public_on_demand_cost",
    "of_reservation": "reservation_effective_cost",
    "of_plan": "savings_plan_savings_plan_effective_cost",
    "unused_upfront": "reservation_unused_amortized_upfront_fee_for_billing_period",
    "unused_recurring": "reservation_unused_recurring_fee",
    "committed": "savings_plan_total_commitment_to_date",
    "drawn": "savings_plan_used_commitment",
    "amount": "line_item_usage_amount",
    "normalized": "line_item_normalized_usage_amount",
    "unused_amount": "reservation_unused_quantity",
    "unused_normalized": "reservation_unused_normalized_unit_quantity",
    "rate": "line_item_unblended_rate",
    "net_rate": "line_item_net_unblended_rate",
    "split_usage": "split_line_item_split_usage",
    "split_cost": "split_line_item_split_cost",
}

_TEXTS = {
    "kind": ("line_item_line_item_type",),
    "usage_type": ("line_item_usage_type",),
    "code": ("line_item_product_code",),
    "product": ("product_product_name", "product_servicename"),
    "family": ("product_product_family",),
    "plan_arn": ("savings_plan_savings_plan_a_r_n",),
    "reservation_arn": ("reservation_reservation_a_r_n",),
    "own_id": ("line_item_resource_id",),
    "parent_id": ("split_line_item_parent_resource_id",),
    "zone": ("line_item_availability_zone",),
    "currency": ("line_item_currency_code",),
    "priced_in": ("pricing_unit",),
    "instancetype": ("product_instance_type",),
    "operatingsystem": ("product_operating_system",),
    "corecount": ("product_vcpu",),
    "memorysize": ("product_memory",),
    "gpucount": ("product_gpu",),
    "capacity": ("product_capacitystatus", "product_capacity_status"),
}

#: FOCUS names of what a price depends on
_DETAILS = ("InstanceType", "OperatingSystem", "CoreCount", "MemorySize", "GpuCount")

_SPLIT_DETAILS = (
    "split_usage",
    "split_usage_ratio",
    "actual_usage",
    "reserved_usage",
    "split_cost",
    "unused_cost",
    "net_split_cost",
    "net_unused_cost",
    "public_on_demand_split_cost",
    "public_on_demand_unused_cost",
)


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    ``currency`` is taken, and marked as assumed, where a line names none. Option ``other_columns``: "all" (default) keeps what has no
    canonical place, "none" leaves it in the delivered file.

    Raises:
        DeliveryError: unreadable file, or one that is no Cost and Usage Report.
        ConfigError: an option that the reader does not know.
    """
    keep_others = source.option("other_columns", "all", ("all", "none"))
    source.refuse_other_options("other_columns")
    opened = files.open_delivery(db, file, all_text=True)
    columns = Columns(opened.columns)
    _refuse_other_files(file, columns)
    return _select(db, columns, currency, keep_others == "all")


def _select(db: duckdb.DuckDBPyConnection, columns: Columns, currency: str, keep_others: bool) -> str:
    parts = {name: columns.number(place) for name, place in _NUMBERS.items()}
    parts |= {name: columns.text(*places) for name, places in _TEXTS.items()}
    parts |= _periods(columns)
    parts["tags_json"] = columns.tags_json()
    parts["no_list_cost"] = columns.fault("pricing_public_on_demand_cost") or "false"
    parts["cast_fault"] = _cast_fault(columns)
    parts["netted"] = _netted(db, parts)
    by_usage = _drawn_by_usage(db, parts)
    parts["drawn_by_usage"] = "drawn_by_usage" if by_usage else "null::decimal(38,20)"
    fees = " left join aws_drawn on delivery.file_row = aws_drawn.fee_row" if by_usage else ""
    delivered = _delivered(columns)
    parts["is_split"] = (
        f"({parts['parent_id']} is not null or coalesce({parts['split_usage']}, 0) <> 0 or coalesce({parts['split_cost']}, 0) <> 0)"
    )
    split = [member(name, columns.text(f"split_line_item_{name}")) for name in _SPLIT_DETAILS]
    parts["split_json"] = json_object(split)
    parts |= delivered
    if keep_others:
        others = columns.others(set())
        others = columns.others(wholly_empty(db, others, columns.kinds))
        parts["other_columns"] = json_object([raw_member(column, columns.value(column)) for column in others])
    inner = ", ".join(f"{sql} as {name}" for name, sql in parts.items())
    wanted = _wanted(columns, currency) | {name: name for name in (*delivered, *(["other_columns"] if keep_others else []))}
    lines = ", ".join(f"{sql} as {name}" for name, sql in wanted.items())
    return (
        f"select {lines}, cast_fault, file_row from (select {inner}, file_row from delivery{fees})"
        f" left join {aws_names.service_categories()} on code = services.product_code"
    )


def _periods(columns: Columns) -> dict[str, str]:
    start = columns.moment("bill_billing_period_start_date")
    end = columns.moment("bill_billing_period_end_date")
    if end is None:
        end = f"(try_cast(({start})::varchar as timestamptz) at time zone 'UTC' + interval 1 month)"
    return {
        "period_start": start,
        "period_end": end,
        "charge_start": columns.moment("line_item_usage_start_date"),
        "charge_end": columns.moment("line_item_usage_end_date"),
    }


def _delivered(columns: Columns) -> dict[str, str]:
    """The canonical columns that are one delivered column, renamed."""
    return {
        "billing_account_id": columns.account("bill_payer_account_id"),
        "billing_account_name": columns.text("bill_payer_account_name"),
        "sub_account_id": columns.account("line_item_usage_account_id"),
        "sub_account_name": columns.text("line_item_usage_account_name"),
        "charge_description": columns.text("line_item_line_item_description"),
        "invoice_id": columns.text("bill_invoice_id"),
        "invoice_issuer_name": columns.text("bill_invoicing_entity", "line_item_legal_entity"),
        "publisher_name": f"coalesce({columns.text('line_item_legal_entity')}, 'AWS')",
        "sku_id": columns.text("product_sku"),
        "sku_price_id": columns.text("pricing_rate_code", "pricing_rate_id"),
        "list_unit_price": columns.number("pricing_public_on_demand_rate"),
        "pricing_currency": columns.text("pricing_currency"),
        "region_id": columns.text("product_region_code", "product_region", "product_from_region_code"),
        "region_name": columns.text("product_location", "product_from_location"),
        "resource_type": columns.text("product_instance_type"),
        "capacity_reservation_id": columns.text("capacity_reservation_capacity_reservation_arn"),
    }


def _wanted(columns: Columns, currency: str) -> dict[str, str]:
    has_split = columns.has("split_line_item_split_cost") or columns.has("split_line_item_parent_resource_id")
    is_split = "is_split" if has_split else "false"
    bedrock = aws_names.is_bedrock("code", "product")
    return {
        "provider_name": "'AWS'",
        "service_provider_name": "'AWS'",
        "host_provider_name": "'AWS'",
        "billing_period_start": "period_start",
        "billing_period_end": "period_end",
        "charge_period_start": "charge_start",
        "charge_period_end": "charge_end",
        "charge_category": aws_names.charge_category("kind"),
        "charge_class": "case when kind = 'Refund' then 'Correction' end",
        "charge_frequency": _frequency(),
        **_costs(columns, is_split),
        "billing_currency": f"coalesce(upper(currency), {text(currency)})",
        "currency_origin": "case when currency is null then 'assumed' else 'delivered' end",
        "pricing_category": _pricing_category(),
        "pricing_quantity": f"case when not {is_split} then amount end",
        "pricing_unit": "priced_in",
        "consumed_quantity": f"case when {_is_used()} and not {is_split} then amount end",
        "consumed_unit": f"case when {_is_used()} then priced_in end",
        "service_name": "coalesce(product, code)",
        "service_category": aws_names.service_category("family", bedrock, "services.service_category"),
        "service_subcategory": "family",
        "sku_meter": "usage_type",
        "sku_price_details": _price_details(bedrock),
        "resource_id": "coalesce(parent_id, own_id)",
        "availability_zone": "zone",
        **_commitment(),
        "capacity_reservation_status": "case when capacity = 'UnusedCapacityReservation' or usage_type like '%UnusedBox%'"
        " then 'Unused' when capacity = 'AllocatedCapacityReservation' then 'Used' end",
        "allocated_method_id": f"case when {is_split} then 'AWS split cost allocation' end",
        "allocated_method_details": f"case when {is_split} then split_json end",
        "allocated_resource_id": f"case when {is_split} then own_id end",
        "allocated_resource_name": f"case when {is_split} then regexp_extract(own_id, '[^/]+$') end",
        "allocated_tags": f"case when {is_split} then tags_json end",
        "tags": f"case when not {is_split} then tags_json end",
    }


def _costs(columns: Columns, is_split: str) -> dict[str, str]:
    covered = "kind = 'SavingsPlanCoveredUsage'"
    split = f"coalesce(unblended, 0) = 0 and {is_split}"
    upfront = "kind = 'SavingsPlanUpfrontFee' or (kind = 'Fee' and reservation_arn is not null)"
    contracted = "net_unblended" if columns.has("line_item_net_unblended_cost") else "unblended"
    says = "null" if contracted == "net_unblended" else "'no net cost on the bill, so no negotiated discount: as unblended'"
    on_demand = "kind in ('Usage', 'SavingsPlanCoveredUsage')"
    # the one list of what a line is worth: condition, cost, how it came about
    worth = [
        (split, _ZERO, "'share of the parent''s cost: not billed again'"),
        ("kind = 'DiscountedUsage' and of_reservation is not null", "of_reservation", "null"),
        (f"{covered} and of_plan is not null", "of_plan", "null"),
        ("kind = 'SavingsPlanNegation'", _ZERO, "'negation of covered usage: worth nothing itself'"),
        (
            "kind = 'RIFee' and coalesce(unused_recurring, unused_upfront) is not null",
            "coalesce(unused_recurring, 0) + coalesce(unused_upfront, 0)",
            "'unused recurring fee + unused upfront fee'",
        ),
        (
            "kind = 'SavingsPlanRecurringFee' and drawn_by_usage is not null",
            "committed - drawn_by_usage",
            "'commitment to date - effective cost of the usage it covered: the bill says that none was used'",
        ),
        (
            "kind = 'SavingsPlanRecurringFee' and committed is not null and drawn is not null",
            "committed - drawn",
            "'commitment to date - used commitment'",
        ),
        (upfront, _ZERO, "'paid up front: worth what is drawn from it'"),
        (
            "kind in ('DiscountedUsage', 'SavingsPlanCoveredUsage', 'RIFee', 'SavingsPlanRecurringFee')",
            "unblended",
            "'no effective cost on the bill: as billed'",
        ),
    ]
    effective = " ".join(f"when {condition} then {cost}" for condition, cost, _ in worth)
    origin = " ".join(f"when {condition} then {how}" for condition, _, how in worth)
    return {
        "billed_cost": f"case when netted then {_ZERO} when {split} then {_ZERO} else unblended end",
        "billed_cost_origin": "case when netted then 'covered usage and its negation cancel: FOCUS bills neither'"
        " when kind = 'SavingsPlanNegation' then 'negation of covered usage: as delivered, it does not cancel exactly'"
        f" when unblended is null and {split} then 'share of the parent''s cost: not billed again' end",
        "effective_cost": f"case {effective} else unblended end",
        "effective_cost_origin": f"case {origin} else 'no commitment: as billed' end",
        "list_cost": "on_demand",
        # a word in its place (shifted columns do exist) costs no billed cent: the line stays, its list cost is unknown
        "list_cost_origin": "case when no_list_cost then 'not a number on the bill' end",
        "contracted_cost": f"case when {on_demand} and not ({split}) then {contracted} end",
        "contracted_unit_price": f"case when {on_demand} then coalesce(net_rate, rate) end",
        "contracted_cost_origin": f"case when {on_demand} and not ({split}) then {says} end",
    }


def _commitment() -> dict[str, str]:
    of_plan = "(plan_arn is not null or kind like 'SavingsPlan%')"
    of_reservation = "(reservation_arn is not null or kind in ('RIFee', 'DiscountedUsage'))"
    unused = "coalesce(unused_recurring, 0) + coalesce(unused_upfront, 0) <> 0"
    in_units = "coalesce(normalized, 0) <> 0"
    return {
        "commitment_discount_id": "coalesce(plan_arn, reservation_arn)",
        "commitment_discount_category": f"case when {of_plan} then 'Spend' when {of_reservation} then 'Usage' end",
        "commitment_discount_type": f"case when {of_plan} then 'Savings Plan' when {of_reservation} then 'Reserved Instance' end",
        "commitment_discount_status": "case when kind in ('DiscountedUsage', 'SavingsPlanCoveredUsage') then 'Used'"
        f" when (kind = 'RIFee' and {unused}) or (kind = 'SavingsPlanRecurringFee' and committed <> coalesce(drawn_by_usage, drawn)) then 'Unused' end",
        "commitment_discount_quantity": "case kind when 'SavingsPlanCoveredUsage' then of_plan"
        f" when 'DiscountedUsage' then case when {in_units} then normalized else amount end"
        " when 'SavingsPlanRecurringFee' then committed - coalesce(drawn_by_usage, drawn)"
        f" when 'RIFee' then case when {in_units} then unused_normalized else unused_amount end end",
        "commitment_discount_unit": "case when kind in ('SavingsPlanCoveredUsage', 'SavingsPlanRecurringFee') then upper(currency)"
        f" when kind in ('DiscountedUsage', 'RIFee') then case when {in_units} then 'Normalized Hours' else 'Hours' end end",
    }


def _frequency() -> str:
    return (
        f"case when {_is_used()} then 'Usage-Based' when kind in ('RIFee', 'SavingsPlanRecurringFee', 'FlatRateSubscription')"
        " then 'Recurring' when kind in ('Fee', 'SavingsPlanUpfrontFee') then 'One-Time' end"
    )


def _is_used() -> str:
    return "kind in ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')"


def _pricing_category() -> str:
    return (
        "case when kind in ('DiscountedUsage', 'SavingsPlanCoveredUsage') then 'Committed'"
        " when kind = 'Usage' and usage_type like '%SpotUsage%' then 'Dynamic'"
        f" when kind in ('Usage', {', '.join(map(text, aws_names.CATEGORIES['Purchase']))}) then 'Standard' end"
    )


def _price_details(bedrock: str) -> str:
    model = member("ModelId", aws_names.model("usage_type", "product"))
    tokens = member("TokenType", aws_names.token_type("usage_type"))
    details = json_object([member(name, name.casefold()) for name in _DETAILS])
    return f"case when {bedrock} then {json_object([model, tokens])} else {details} end"


def _cast_fault(columns: Columns) -> str:
    faults = []
    for name in ("line_item_unblended_cost", "line_item_usage_amount"):
        failed = columns.fault(name)
        if failed:
            place = f"{{'column_name': {text(name)}, 'value': ({columns.raw(name)})::varchar, 'reason': 'is not a number'}}"
            faults.append(f"when {failed} then {place}")
    nothing = "null::struct(column_name varchar, value varchar, reason varchar)"
    return f"case {' '.join(faults)} else {nothing} end" if faults else nothing


def _netted(db: duckdb.DuckDBPyConnection, parts: dict[str, str]) -> str:
    """SQL that is true for covered usage and negations of the plans whose sum over both is exactly 0 in a billing period."""
    both = f"{parts['kind']} in ('SavingsPlanCoveredUsage', 'SavingsPlanNegation')"
    key = f"concat_ws(' ', ({parts['period_start']})::varchar, {parts['plan_arn']})"
    found = db.execute(
        f"select {key} from delivery where {both} group by 1 having sum({parts['unblended']}) = 0"
        f" and bool_or({parts['kind']} = 'SavingsPlanNegation') and count({parts['unblended']}) = count(*)"
    ).fetchall()
    if not found:
        return "false"
    return f"coalesce({both} and {key} in ({', '.join(text(row[0]) for row in found)}), false)"


def _drawn_by_usage(db: duckdb.DuckDBPyConnection, parts: dict[str, str]) -> bool:
    """Make the temp table ``aws_drawn``: what covered usage drew in the time of each plan's fee that says nothing was used."""
    names = ("kind", "plan_arn", "of_plan", "committed", "drawn")
    lines = ", ".join(f"{parts[name]} as {name}" for name in names)
    start, end = (f"try_cast(({parts[name]})::varchar as timestamptz)" for name in ("charge_start", "charge_end"))
    return (
        db.execute(
            f"""
        create or replace temp table aws_drawn as
        with lines as (
            select file_row, {lines}, {start} as starts_at, {end} as ends_at from delivery
            where {parts["kind"]} in ('SavingsPlanRecurringFee', 'SavingsPlanCoveredUsage')
        )
        select fees.file_row as fee_row, sum(covered.of_plan)::decimal(38, 20) as drawn_by_usage
        from lines as fees
        inner join lines as covered
            on fees.plan_arn = covered.plan_arn and covered.starts_at >= fees.starts_at and covered.starts_at < fees.ends_at
        where fees.kind = 'SavingsPlanRecurringFee' and covered.kind = 'SavingsPlanCoveredUsage'
            and fees.committed is not null and coalesce(fees.drawn, 0) = 0
        group by fees.file_row
        having sum(covered.of_plan) <> 0
        """
        ).fetchone()[0]
        > 0
    )


def _refuse_other_files(file: Path, columns: Columns) -> None:
    missing = [name for name in _REQUIRED if not columns.has(name)]
    if not missing:
        return
    hint = " It looks like a FOCUS export: use `format: focus`." if columns.has("BilledCost") else ""
    raise DeliveryError(
        f"{file.name}: required column missing: {', '.join(missing)} (or lineItem/... in a legacy report).{hint}"
        " Export it again with these columns; nothing of it was loaded."
    )
