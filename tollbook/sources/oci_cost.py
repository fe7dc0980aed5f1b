"""Oracle Cloud Infrastructure cost reports (the reports_cost-csv files) as canonical ``billing_lines``.

Quirks: times without seconds (2023-11-13T05:00Z) beside times with them; money in scientific notation; a column for each tag
(``tags/Namespace.key``, also with a backslash in it), empty where a resource lacks the tag; myCost, billedQuantity and unitPrice
already include the overage that other columns name, so only myCost counts; corrections are rows of their own with isCorrection set
and the corrected row in backreferenceNo. The billing period is not stated: it is the month of the usage, UTC.

The report states one cost, what is billed at the contract's price: effective and contracted cost are that cost, and say so; a list
cost is not stated. (Oracle's FOCUS reports are read by ``focus``.)
Source: "Cost and Usage Reports Overview" and its cost report schema, Oracle Cloud Infrastructure documentation.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

#: What the FOCUS service category of an Oracle service is told by: the first pattern that fits its name
_CATEGORIES = [
    ("AI and Machine Learning", "generative|genai|^ai_|data_?science|language|vision|speech|anomaly|digital_?assistant"),
    ("Databases", "database|mysql|nosql|postgres|exadata|autonomous|^cache|redis|opensearch"),
    ("Analytics", "analytics|big_?data|data_?flow|data_?catalog|golden_?gate"),
    ("Storage", "storage|objectstore|object_?store|archive|file_?system|backup"),
    ("Networking", "network|load_?balanc|^dns|fastconnect|^vcn|^waf|^cdn|vpn"),
    ("Compute", "compute|container|oke|kubernetes|functions|vmware"),
    ("Integration", "streaming|queue|integration|notification|events|api_?gateway|email"),
    ("Security", "vault|key_?management|kms|cloud_?guard|bastion|firewall|security"),
    ("Identity", "identity|^iam"),
    ("Developer Tools", "devops|resource_?manager|visual_?builder"),
    ("Management and Governance", "telemetry|monitoring|logging|^log_|health|apm|operations"),
]


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    ``currency`` is taken where a row has no cost/currencyCode, and marked so.

    Raises:
        DeliveryError: unreadable file, or no cost or time column (a usage report has none).
        ConfigError: an option is given; there are none.
    """
    source.refuse_other_options()
    opened = files.open_delivery(db, file, all_text=True)
    tags = {column: column.split("/", 1)[1] for column in opened.columns if re.match(r"tags/.", column, re.IGNORECASE)}
    by_name = {_plain(column): column for column in opened.columns if column not in tags}
    _refuse_without_required(file, by_name)
    used: set[str] = set()

    def field(*names: str) -> str:
        column = next((by_name[name] for name in names if name in by_name), None)
        if column is None:
            return "null::varchar"
        used.add(column)
        return f"nullif(trim({quoted(column)}), '')" if opened.columns[column] == "VARCHAR" else f"{quoted(column)}"

    start = field("lineitemintervalusagestart")
    month = f"date_trunc('month', try_cast({start} as timestamptz) at time zone 'UTC')"
    cost, service, resource = field("costmycost"), field("productservice"), field("productresourceid")
    delivered_currency = f"upper({field('costcurrencycode')})"
    parts = {
        "billing_account_id": field("lineitemtenantid"),
        "sub_account_id": field("productcompartmentid"),
        "sub_account_name": field("productcompartmentname"),
        # a time that cannot be read is handed on for the quarantine
        "billing_period_start": f"coalesce({month}::varchar, ({start})::varchar)",
        "billing_period_end": f"coalesce(({month} + interval 1 month)::varchar, ({start})::varchar)",
        "charge_period_start": start,
        "charge_period_end": field("lineitemintervalusageend"),
        "charge_category": "'Usage'",
        "charge_class": f"case when lower(({field('lineitemiscorrection')})::varchar) in ('true', 'y', 'yes', '1') then 'Correction' end",
        "charge_description": field("productdescription"),
        "charge_frequency": "'Usage-Based'",
        "billed_cost": cost,
        "effective_cost": cost,
        "effective_cost_origin": "'as billed: the report states one cost'",
        "contracted_cost": cost,
        "contracted_cost_origin": "'as billed: the report prices by contract'",
        "contracted_unit_price": field("costunitprice"),
        "billing_currency": f"coalesce({delivered_currency}, {text(currency)})",
        "currency_origin": f"case when {delivered_currency} is null then 'assumed' else 'delivered' end",
        "pricing_category": "'Standard'",
        "pricing_quantity": field("usagebilledquantity"),
        "pricing_unit": field("costskuunitdescription", "costbillingunitreadable"),
        "consumed_quantity": field("usageconsumedquantity"),
        "consumed_unit": field("usageconsumedquantityunits"),
        "provider_name": "'Oracle Cloud Infrastructure'",
        "publisher_name": "'Oracle'",
        "invoice_issuer_name": "'Oracle'",
        "service_name": service,
        "service_category": _category(service),
        "sku_id": field("costproductsku"),
        "sku_meter": field("productresource"),
        "resource_id": resource,
        "resource_type": f"nullif(regexp_extract({resource}, '^ocid1\\.([^.]+)\\.', 1), '')",
        "region_id": field("productregion"),
        "availability_zone": field("productavailabilitydomain"),
        "tags": _tags(tags),
    }
    others = [column for column in opened.columns if column not in used and column not in tags]
    if others:
        parts["other_columns"] = f"json_object({', '.join(f'{text(column)}, {quoted(column)}' for column in others)})::varchar"
    return f"select {', '.join(f'{sql} as {name}' for name, sql in parts.items())}, file_row from delivery"


def _refuse_without_required(file: Path, by_name: dict[str, str]) -> None:
    required = ("cost/myCost", "lineItem/intervalUsageStart", "lineItem/intervalUsageEnd")
    missing = [name for name in required if _plain(name) not in by_name]
    if missing:
        hint = (
            " It looks like a FOCUS report: use `format: focus`."
            if "billedcost" in by_name
            else " Take the cost reports, not the usage reports."
        )
        raise DeliveryError(f"{file.name}: required column missing: {', '.join(missing)}.{hint} Nothing of it was loaded.")


def _tags(tags: dict[str, str]) -> str:
    """SQL of the tags that a row has, as a JSON object; NULL where it has none."""
    if not tags:
        return "null::varchar"
    # merging onto an empty object leaves out what is NULL
    pairs = ", ".join(f"{text(key)}, nullif(({quoted(column)})::varchar, '')" for column, key in tags.items())
    return f"nullif(json_merge_patch('{{}}', json_object({pairs}))::varchar, '{{}}')"


def _category(service: str) -> str:
    tests = " ".join(f"when regexp_matches(lower({service}), {text(pattern)}) then {text(category)}" for category, pattern in _CATEGORIES)
    return f"case {tests} else 'Other' end"


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
