"""FOCUS's datasets beside cost and usage, and the newest columns of cost and usage: the specification's examples, exactly."""

import json
from datetime import datetime
from decimal import Decimal

import pytest

from tests.workspaces import quiet
from tollbook import pipeline

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*}
  - {name: commitments, format: focus_contract_commitment, path: landing/commitments/*}
  - {name: periods, format: focus_billing_period, path: landing/periods/*}
  - {name: invoices, format: focus_invoice_detail, path: landing/invoices/*}
  - {name: totals, table: invoices, path: landing/totals/*}
"""
INVOICE = (
    "InvoiceId,InvoiceDetailId,InvoiceIssuerName,BillingPeriodStart,BillingPeriodEnd,BilledCost,BillingCurrency,"
    "PaymentCurrency,PaymentCurrencyBilledCost,InvoiceIssueStatus,ReferenceInvoiceId,PurchaseOrderNumber,PaymentTerms\n"
)


def load(workspace, files, *sources):
    ws = workspace(SETTINGS, files)
    reports = pipeline.load(ws, list(sources), tell=quiet)
    assert [failure for report in reports for failure in report.failures] == []
    return ws


@pytest.mark.parametrize(
    "file, rows, billed, effective, listed, tokens",
    [
        ("ai_prompt_caching_a", 4, "33.9", "33.9", "33.9", "12000000"),
        ("ai_per_token", 2, "94.5", "94.5", "94.5", "10500000"),
        ("ai_drawdown_prepayment", 3, "500000", "50", "500062.5", "6500000"),
        ("closed_s1_original", 1, "1500", "1500", "2000", None),
        ("closed_s1_delta", 2, "0", "0", "0", None),
        ("closed_s1_ledger", 3, "0", "0", "0", None),
        ("aws_sp_all_upfront_75pct", 28, "459035.52", "1269.12", None, None),
    ],
)
def test_specification_examples_of_cost_and_usage(shared_data, workspace, ask, file, rows, billed, effective, listed, tokens):
    content = (shared_data / "focus_spec_new" / f"{file}.csv").read_bytes()
    ws = load(workspace, {f"landing/bill/{file}.csv": content}, "bill")
    ((count, *sums),) = ask(
        ws,
        "select count(*), sum(billed_cost), sum(effective_cost), sum(list_cost),"
        " sum(consumed_quantity) filter (consumed_unit = 'Tokens') from raw.billing_lines",
    )
    wanted = [None if value is None else Decimal(value) for value in (billed, effective, listed, tokens)]
    assert (count, sums[:2], sums[3]) == (rows, wanted[:2], wanted[3])
    if listed:
        assert sums[2] == wanted[2]
    assert ask(ws, "select count(*) from raw.billing_lines where charge_class not in ('Correction')") == [(0,)]


def test_a_savings_plan_of_the_specification_by_status(shared_data, workspace, ask):
    content = (shared_data / "focus_spec_new" / "aws_sp_all_upfront_75pct.csv").read_bytes()
    ws = load(workspace, {"landing/bill/a.csv": content}, "bill")
    assert ask(
        ws,
        "select charge_category, commitment_discount_status, count(*), sum(billed_cost), sum(effective_cost)"
        " from raw.billing_lines group by all order by all",
    ) == [
        ("Purchase", None, 1, Decimal(459024), Decimal(0)),
        ("Usage", "Unused", 6, Decimal(0), Decimal("314.4")),
        ("Usage", "Used", 18, Decimal(0), Decimal("943.2")),
        ("Usage", None, 3, Decimal("11.52"), Decimal("11.52")),
    ]


def test_ka_12_a_closed_month_nets_alike_by_delta_and_by_ledger(shared_data, workspace, ask):
    for kind in ("delta", "ledger"):
        files = {
            f"landing/bill/{name}.csv": (shared_data / "focus_spec_new" / f"closed_s1_{name}.csv").read_bytes()
            for name in ("original", kind)
        }
        ws = load(workspace, files, "bill")
        assert ask(ws, "select resource_id, sum(effective_cost) from raw.billing_lines group by all order by 1") == [
            ("R-111", Decimal(1200)),
            ("R-222", Decimal(300)),
        ]
        (ws.root / f"landing/bill/{kind}.csv").unlink()
        ws.warehouse.unlink()


def test_1_4_columns_of_a_bill_are_canonical(workspace, ask):
    header = (
        "BilledCost,EffectiveCost,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,InvoiceId,"
        "InvoiceDetailId,ReferenceInvoiceId,ContractApplied,PrincipalId\n"
    )
    charge = "1,1,2026-01-01,2026-02-01,2026-01-01,2026-01-02,Usage"
    rows = f"{charge},A,A-1,A,{{}},someone\r\n{charge},B,B-1,A,,(null)\r\n"
    ws = load(workspace, {"landing/bill/a.csv": header.replace("\n", "\r\n") + rows}, "bill")
    assert ask(ws, "select invoice_id, invoice_detail_id, reference_invoice_id, contract_applied from raw.billing_lines order by 1") == [
        ("A", "A-1", None, "{}"),  # a line of A that names A refers to no other invoice
        ("B", "B-1", "A", None),
    ]
    assert ask(ws, "select other_columns->>'PrincipalId' from raw.billing_lines where invoice_id = 'A'") == [("someone",)]


def test_contract_commitments_of_the_specification(shared_data, workspace, ask):
    content = (shared_data / "focus_spec_new" / "contract_commitment_1.csv").read_bytes()
    ws = load(workspace, {"landing/commitments/a.csv": content}, "commitments")
    assert ask(ws, "select count(*), any_value(billing_currency), sum(commitment_cost) from raw.contract_commitments") == [
        (3, "EUR", Decimal(1082250))
    ]
    ((row),) = ask(
        ws,
        "select contract_id, commitment_started_at, commitment_ended_at, commitment_quantity, commitment_unit, pricing_currency,"
        " pricing_currency_commitment_cost, model, fulfillment_interval, payment_model, payment_interval, upfront_ratio,"
        " discount_ratio, applicability->'$.Inclusions[0].Dimension', status, provider, created_at,"
        " other_columns->>'ContractCommitmentOfferCategory'"
        " from raw.contract_commitments where commitment_id = 'CMT-RI-002'",
    )
    assert row == (
        "AGR-99-BETA", datetime(2025, 12, 1), datetime(2026, 12, 1), Decimal(10), "Instance-Hours", "USD", Decimal(50000),
        "Continuous", "Hourly", "All Upfront", "One-Time", Decimal(1), Decimal("0.4"), '"RegionId"', "Active", "Acme Co",
        datetime(2025, 12, 1, 9), "Public",
    )  # fmt: skip


def test_contract_commitments_as_published_1_4_names_and_as_1_3(workspace, ask):
    newest = (
        "contractcommitmentid,CONTRACT_COMMITMENT_PERIOD_START,ContractCommitmentPeriodEnd,ContractCommitmentUnit,"
        "ContractCommitmentQuantity,ContractCommitmentDiscountPercentage,ContractCommitmentApplicability\r\n"
        'CMT-GPU,2026-02-01,2026-05-01,GPU-Hours,5000,null,"{""Values"": [""AI/ML""]}"\r\n'
    )
    oldest = json.dumps(
        {
            "ContractCommitmentId": "CMT-OLD",
            "ContractCommitmentPeriodStart": "2025-01-01T00:00:00Z",
            "ContractCommitmentPeriodEnd": "2026-01-01T00:00:00Z",
            "ContractCommitmentCost": 12.5,
            "BillingCurrency": "usd",
        }
    )
    ws = load(workspace, {"landing/commitments/a.csv": newest, "landing/commitments/b.jsonl": oldest}, "commitments")
    assert ask(
        ws,
        "select commitment_id, commitment_started_at, commitment_quantity, commitment_cost, billing_currency, discount_ratio,"
        " applicability->>'$.Values[0]' from raw.contract_commitments order by 1",
    ) == [
        ("CMT-GPU", datetime(2026, 2, 1), Decimal(5000), None, None, None, "AI/ML"),
        ("CMT-OLD", datetime(2025, 1, 1), None, Decimal("12.5"), "USD", None, None),
    ]


def test_billing_periods(workspace, ask):
    content = (
        "BillingPeriodCreated,BillingPeriodEnd,BillingPeriodLastUpdated,BillingPeriodStart,BillingPeriodStatus,InvoiceIssuerName,x_Run\n"
        "2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-02-03T00:00:00Z,2026-01-01T00:00:00Z,Closed,Acme Co,9\n"
        "2026-02-01T00:00:00Z,2026-03-01T00:00:00Z,2026-02-03T00:00:00Z,2026-02-01T00:00:00Z,OPEN,Acme Co,9\n"
        "2026-02-01T00:00:00Z,2026-02-01T00:00:00Z,2026-02-03T00:00:00Z,2026-02-01T00:00:00Z,Open,Acme Co,9\n"
    )
    ws = load(workspace, {"landing/periods/a.csv": content}, "periods")
    assert ask(ws, "select billing_period_start, status, invoice_issuer_name, other_columns from raw.billing_periods order by 1") == [
        (datetime(2026, 1, 1), "Closed", "Acme Co", '{"x_Run":"9"}'),
        (datetime(2026, 2, 1), "Open", "Acme Co", '{"x_Run":"9"}'),
    ]
    assert ask(ws, "select file_row, column_name, reason from raw.quarantine") == [
        (3, "billing_period_end", "billing period ends before it starts")
    ]


def test_invoice_details_of_the_specification(shared_data, workspace, ask):
    content = (shared_data / "focus_spec_new" / "invoice_detail_1.csv").read_bytes()
    ws = load(workspace, {"landing/invoices/a.csv": content}, "invoices")
    assert ask(
        ws,
        "select count(*), payment_currency, sum(billed_cost), sum(payment_cost), count(reference_invoice_id), min(issued_at), min(due_at)"
        " from raw.invoices group by payment_currency",
    ) == [(3, "USD", Decimal("1578.63"), Decimal("1578.63"), 0, datetime(2025, 2, 3), datetime(2025, 3, 5))]


def test_an_invoice_paid_in_another_currency_and_a_credit_note(workspace, ask):
    # 3.03 + 0.30 USD are paid as 5.17 AUD, on a record of its own; CN corrects INV
    period = "Acme Co,2025-06-01T00:00:00Z,2025-07-01T00:00:00Z"
    content = INVOICE + (
        f"INV,L1,{period},3.03,USD,AUD,0.00,Issued,INV,null,Net 30\n"
        f"INV,L2,{period},0.30,USD,AUD,0.00,Issued,INV,null,Net 30\n"
        f"INV,AGG,{period},0.00,USD,AUD,5.17,Issued,INV,null,Net 30\n"
        f"CN,C1,{period},-1,USD,USD,-1,Issued,INV,PO-1,Net 30\n"
    )
    ws = load(workspace, {"landing/invoices/a.csv": content}, "invoices")
    assert ask(
        ws,
        "select invoice_id, sum(billed_cost), payment_currency, sum(payment_cost), any_value(reference_invoice_id),"
        " any_value(purchase_order) from raw.invoices group by all order by 1",
    ) == [("CN", Decimal(-1), "USD", Decimal(-1), "INV", "PO-1"), ("INV", Decimal("3.33"), "AUD", Decimal("5.17"), None, None)]


def test_a_table_of_invoice_totals_needs_no_code(workspace, ask):
    content = (
        "invoice_id,invoice_issuer_name,billing_period_start,billing_period_end,billed_cost,billing_currency\n"
        'N-1,Nimbus,2026-01-01,2026-02-01,"1,200.50",USD\n'
    )
    ws = load(workspace, {"landing/totals/a.csv": content}, "totals")
    assert ask(ws, "select invoice_id, invoice_detail_id, billed_cost from raw.invoices") == [("N-1", None, Decimal("1200.5"))]


def test_a_file_without_what_identifies_its_rows_is_refused(workspace):
    ws = workspace(SETTINGS, {"landing/invoices/a.csv": INVOICE.replace("InvoiceId,", "Number,", 1) + "1" + ",1" * 12 + "\n"})
    (report,) = pipeline.load(ws, ["invoices"], tell=quiet)
    assert "required column missing: InvoiceId" in report.failures[0]


def test_the_readers_refuse_options_they_do_not_know(workspace):
    settings = "currency: USD\nsources:\n  - {name: i, format: focus_invoice_detail, path: landing/i/*, options: {total: true}}\n"
    ws = workspace(settings, {"landing/i/a.csv": INVOICE})
    (report,) = pipeline.load(ws, ["i"], tell=quiet)
    assert "focus_invoice_detail has no option total" in report.failures[0]
