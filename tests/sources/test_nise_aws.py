"""AWS bills made by koku-nise: what it wrote is what is loaded. Skipped where no nise is found."""

import csv
import subprocess
from collections import Counter
from decimal import Decimal

import pytest

from tollbook import pipeline

PLAN = """
generators:
  - EC2Generator: {resource_id: '1', product_sku: VEAJHRNAAAAA, region: us-east-1a, tags: {resourceTags/user:team: ml},
      instance_type: {inst_type: m5.large, vcpu: '2', memory: 8 GiB, storage: EBS, family: General, cost: 0.096, rate: 0.096}}
  - EC2Generator: {resource_id: '2', product_sku: VEAJHRNAAAAA, region: us-east-1a,
      instance_type: {inst_type: m5.large, vcpu: '2', memory: 8 GiB, storage: EBS, family: General, cost: 0.096, rate: 0.096, saving: 0.045}}
  - EC2Generator: {resource_id: '2', product_sku: VEAJHRNAAAAA, region: us-east-1a,
      instance_type: {inst_type: m5.large, vcpu: '2', memory: 8 GiB, storage: EBS, family: General, cost: 0.096, rate: 0.096, negation: true}}
  - EC2Generator: {resource_id: '3', product_sku: VEAJHRNAAAAA, region: us-east-1a,
      instance_type: {inst_type: m5.large, vcpu: '2', memory: 8 GiB, storage: EBS, family: General, cost: 0.096, rate: 0.096,
        reserved_instance: true}}
  - EC2Generator: {resource_id: '4', product_sku: VEAJHRNAAAAA, region: us-east-1a,
      instance_type: {inst_type: m5.large, vcpu: '2', memory: 8 GiB, storage: EBS, family: General, cost: 0.045, rate: 0.045,
        recurring_fee: true}}
  - S3Generator: {product_sku: VEAJHRNAAAAB, amount: 10, rate: 3}
  - EBSGenerator: {product_sku: VEAJHRNAAAAC, resource_id: '5', amount: 10, rate: 1}
  - RDSGenerator: {product_sku: VEAJHRNAAAAD, resource_id: '6', region: us-east-1a,
      instance_type: {inst_type: db.t2.medium, vcpu: '2', memory: 4 GiB, storage: EBS, family: General, cost: 0.068, rate: 0.068}}
  - DataTransferGenerator: {product_sku: VEAJHRNAAAAE, resource_id: '7', amount: 10, rate: 0.09}
accounts: {payer: 999999999999, user: [999999999999]}
"""


@pytest.fixture(scope="module")
def bills(nise, tmp_path_factory):
    """The reports nise writes for three days over the end of a month, one per month."""
    folder = tmp_path_factory.mktemp("nise")
    (folder / "plan.yml").write_text(PLAN)
    subprocess.run(
        [nise, "report", "aws", "--static-report-file", "plan.yml", "-s", "2024-01-30", "-e", "2024-02-02", "-w"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return sorted(folder.glob("*.csv"))


def test_totals_equal_what_nise_wrote(bills, workspace, ask):
    made = workspace(
        "currency: USD\nsources:\n  - {name: aws, path: landing/*, format: aws_cur}\n",
        {f"landing/{bill.name}": bill.read_bytes() for bill in bills},
    )
    (report,) = pipeline.load(made, tell=lambda _: None)
    assert (report.failures, report.quarantined) == ([], 0)

    billed, worth, kinds = Counter(), Counter(), Counter()
    for bill in bills:
        with bill.open(newline="") as text:
            for row in csv.DictReader(text):
                period, kind = row["bill/BillingPeriodStartDate"][:7], row["lineItem/LineItemType"]
                kinds[kind] += 1
                billed[period] += Decimal(row["lineItem/UnblendedCost"])
                of_plan = {"SavingsPlanCoveredUsage": row["savingsPlan/SavingsPlanEffectiveCost"], "SavingsPlanNegation": "0"}
                worth[period] += Decimal(of_plan.get(kind, row["lineItem/UnblendedCost"]))

    assert {"Usage", "DiscountedUsage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee"} <= set(kinds)
    assert report.rows == kinds.total()
    assert ask(
        made,
        "select strftime(billing_period_start, '%Y-%m'), sum(billed_cost), sum(effective_cost) from raw.billing_lines group by 1 order by 1",
    ) == [(period, billed[period], worth[period]) for period in ("2024-01", "2024-02")]
