"""FOCUS Invoice Detail datasets (1.4) as canonical ``invoices``: one row per line of an invoice.

Quirks: an invoice that adjusts no other names itself as ReferenceInvoiceId (NULL here); where the currency of payment
differs, its amount may stand on a record of its own with a BilledCost of 0, so that only the sums over the invoice compare;
InvoiceIssueStatus is Open (provisional), Issued or Voided.
Source: the FOCUS specification's Invoice Detail dataset, https://focus.finops.org.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import focus_dataset
from tollbook.sources.focus_dataset import Column
from tollbook.workspace import Source

_COLUMNS = (
    Column("invoice_id", ("InvoiceId",), required=True),
    Column("invoice_detail_id", ("InvoiceDetailId",)),
    Column("invoice_issuer_name", ("InvoiceIssuerName",), required=True),
    Column("billing_account_id", ("BillingAccountId",)),
    Column("billing_period_start", ("BillingPeriodStart",), required=True),
    Column("billing_period_end", ("BillingPeriodEnd",), required=True),
    Column("issued_at", ("InvoiceIssueDate",)),
    Column("due_at", ("PaymentDueDate", "InvoicePaymentDueDate")),
    Column("status", ("InvoiceIssueStatus", "InvoiceStatus")),
    Column("charge_category", ("ChargeCategory",)),
    Column("description", ("InvoiceDetailDescription",)),
    Column("billed_cost", ("BilledCost",), required=True),
    Column("billing_currency", ("BillingCurrency",), required=True),
    Column("payment_cost", ("PaymentCurrencyBilledCost",)),
    Column("payment_currency", ("PaymentCurrency",)),
    Column("reference_invoice_id", ("ReferenceInvoiceId",)),
    Column("purchase_order", ("PurchaseOrderNumber", "PaymentOrderNumber")),
)


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``invoices`` columns and ``file_row``.

    Raises:
        DeliveryError: unreadable file, or a required column missing.
        ConfigError: the source has options.
    """
    source.refuse_other_options()
    parts = focus_dataset.projection(db, file, _COLUMNS)
    for name in ("billing_currency", "payment_currency"):
        if name in parts:
            parts[name] = f"upper({parts[name]})"
    if "reference_invoice_id" in parts:
        parts["reference_invoice_id"] = f"nullif({parts['reference_invoice_id']}, {parts['invoice_id']})"
    return focus_dataset.select(parts)
