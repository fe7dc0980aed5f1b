"""FOCUS Billing Period datasets (1.4) as canonical ``billing_periods``.

A period is Open while records may still come, Closed when all its invoices have been issued; other letter case is accepted.
Source: the FOCUS specification's Billing Period dataset, https://focus.finops.org.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import focus_dataset
from tollbook.sources.focus_dataset import Column
from tollbook.workspace import Source

_COLUMNS = (
    Column("billing_period_start", ("BillingPeriodStart",), required=True),
    Column("billing_period_end", ("BillingPeriodEnd",), required=True),
    Column("invoice_issuer_name", ("InvoiceIssuerName",), required=True),
    Column("billing_account_id", ("BillingAccountId",)),
    Column("status", ("BillingPeriodStatus",), required=True),
    Column("created_at", ("BillingPeriodCreated",)),
    Column("updated_at", ("BillingPeriodLastUpdated",)),
)


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_periods`` columns and ``file_row``.

    Raises:
        DeliveryError: unreadable file, or a required column missing.
        ConfigError: the source has options.
    """
    source.refuse_other_options()
    parts = focus_dataset.projection(db, file, _COLUMNS)
    status = parts["status"]
    parts["status"] = f"case lower(trim({status})) when 'open' then 'Open' when 'closed' then 'Closed' else {status} end"
    return focus_dataset.select(parts)
