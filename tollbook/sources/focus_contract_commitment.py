"""FOCUS Contract Commitment datasets (1.3, 1.4) as canonical ``contract_commitments``.

Quirks: dates without a time; shares written 0.15, in columns whose names end in `%` in drafts; FOCUS 1.3 has 13 of the
columns; ContractCommitmentApplicability is a JSON object whose values are the service categories' display texts (`AI/ML`).
A commitment may be delivered again when it changes: each delivered row is kept, with its ContractCommitmentLastUpdated.
Source: the FOCUS specification's Contract Commitment dataset, https://focus.finops.org.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import focus_dataset
from tollbook.sources.focus_dataset import Column
from tollbook.workspace import Source

_PREFIX = "ContractCommitment"
_COLUMNS = (
    Column("contract_id", ("ContractId",)),
    Column("contract_started_at", ("ContractPeriodStart",)),
    Column("contract_ended_at", ("ContractPeriodEnd",)),
    Column("commitment_id", (f"{_PREFIX}Id",), required=True),
    Column("commitment_category", (f"{_PREFIX}Category",)),
    Column("commitment_type", (f"{_PREFIX}Type",)),
    Column("commitment_description", (f"{_PREFIX}Description",)),
    Column("commitment_started_at", (f"{_PREFIX}PeriodStart",), required=True),
    Column("commitment_ended_at", (f"{_PREFIX}PeriodEnd",), required=True),
    Column("commitment_cost", (f"{_PREFIX}Cost",)),
    Column("commitment_quantity", (f"{_PREFIX}Quantity",)),
    Column("commitment_unit", (f"{_PREFIX}Unit",)),
    Column("billing_currency", ("BillingCurrency", f"{_PREFIX}Currency")),
    Column("pricing_currency", ("PricingCurrency",)),
    Column("pricing_currency_commitment_cost", (f"PricingCurrency{_PREFIX}Cost",)),
    Column("model", (f"{_PREFIX}Model",)),
    Column("fulfillment_interval", (f"{_PREFIX}FulfillmentInterval", f"{_PREFIX}Interval")),
    Column("payment_model", (f"{_PREFIX}PaymentModel",)),
    Column("payment_interval", (f"{_PREFIX}PaymentInterval",)),
    Column("upfront_ratio", (f"{_PREFIX}PaymentUpfrontPercentage",)),
    Column("discount_ratio", (f"{_PREFIX}DiscountPercentage",)),
    Column("applicability", (f"{_PREFIX}Applicability", f"{_PREFIX}Eligibility", f"{_PREFIX}Scope")),
    Column("status", (f"{_PREFIX}LifecycleStatus", f"{_PREFIX}Status")),
    Column("provider", ("ServiceProviderName", "ProviderName", "InvoiceIssuerName")),
    Column("invoice_issuer_name", ("InvoiceIssuerName",)),
    Column("created_at", (f"{_PREFIX}Created",)),
    Column("updated_at", (f"{_PREFIX}LastUpdated",)),
)


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``contract_commitments`` columns and ``file_row``.

    Costs are in the row's BillingCurrency as delivered; where it is absent, so is the currency (FOCUS allows that for a
    commitment of quantity alone).

    Raises:
        DeliveryError: unreadable file, or no id or period of the commitment.
        ConfigError: the source has options.
    """
    source.refuse_other_options()
    parts = focus_dataset.projection(db, file, _COLUMNS)
    for name in ("billing_currency", "pricing_currency"):
        if name in parts:
            parts[name] = f"upper({parts[name]})"
    return focus_dataset.select(parts)
