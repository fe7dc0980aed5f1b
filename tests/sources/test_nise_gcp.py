"""Bills that koku-nise makes up are loaded with the totals it wrote. Needs its `nise`: TOLLBOOK_NISE, else .nise/bin/nise."""

import ast
import csv
import json
import subprocess
from decimal import ROUND_HALF_UP, Decimal

import pytest

from tollbook import pipeline
from tollbook.landing.load import prepare

SETTINGS = "currency: USD\nsources:\n  - {name: gcp, path: 'landing/*', format: gcp_billing}\n"
# nise writes JSON lines only on the way to BigQuery: the upload is left out
JSON_LINES = """
import datetime
from nise import report
report.gcp_bucket_to_dataset = lambda *arguments, **options: None
day = datetime.datetime(2025, 1, 30, tzinfo=datetime.UTC)
compute = {"start_date": "2025-01-30", "end_date": "2025-02-02", "price": 2, "usage.amount": 1, "credit_amount": -0.1}
report.gcp_create_report({
    "start_date": day, "end_date": day + datetime.timedelta(days=3), "gcp_dataset_name": "none", "gcp_report_prefix": "made",
    "write_monthly": True,
    "static_report_data": {
        "projects": [{"billing_account_id": "A", "project.id": "p", "project.labels": "team:ml", "location.region": "r"}],
        "generators": [{"ComputeEngineGenerator": compute}, {"CloudStorageGenerator": {**compute, "credit_amount": None}}],
    },
})
"""


@pytest.fixture
def generate(workspace):
    """Run a command in a workspace's empty landing folder; the workspace and the one file that it wrote."""

    def run(command):
        made = workspace(SETTINGS)
        landing = made.root / "landing"
        landing.mkdir()
        subprocess.run([str(part) for part in command], cwd=landing, check=True, capture_output=True)
        [file] = landing.iterdir()
        return made, file

    return run


def assert_same(made, ask, records):
    """``records``: (cost, credits, invoice month) as written, numbers as text."""
    with made.connect() as db:
        prepare(db)
    [report] = pipeline.load(made, tell=lambda _: None)
    assert (report.failures, report.rows, report.quarantined) == ([], len(records), 0)
    # the warehouse holds 20 decimals; nise writes up to 22
    cost = sum(Decimal(cost).quantize(Decimal("1e-20"), ROUND_HALF_UP) for cost, _, _ in records)
    credits = sum(Decimal(str(credit["amount"])) for _, listed, _ in records for credit in listed)
    assert ask(made, "select sum(contracted_cost), sum(billed_cost), sum(effective_cost) from raw.billing_lines") == [
        (cost, cost + credits, cost + credits)
    ]
    months = [month for _, _, month in records]
    assert ask(made, "select strftime(billing_period_start, '%Y%m'), count(*) from raw.billing_lines group by 1 order by 1") == [
        (month, months.count(month)) for month in sorted(set(months))
    ]
    return credits


@pytest.mark.parametrize("level", [(), ("--resource-level",)], ids=["standard", "resource_level"])
def test_csv_totals_are_what_nise_wrote(nise, generate, ask, level):
    days = ("--start-date", "2025-01-30", "--end-date", "2025-02-02")
    made, file = generate([nise, "report", "gcp", *days, "--gcp-report-prefix", "made", "--write-monthly", *level])
    with file.open(newline="") as lines:
        records = [(row["cost"], ast.literal_eval(row["credits"]), row["invoice.month"]) for row in csv.DictReader(lines)]
    assert_same(made, ask, records)


def test_json_lines_totals_are_what_nise_wrote(nise, generate, ask):
    made, file = generate([nise.parent / "python", "-c", JSON_LINES])
    written = [json.loads(line, parse_float=str) for line in file.read_text().splitlines()]
    # its `credits` is one object, where Google has a list
    records = [(row["cost"], [row["credits"]], row["invoice"]["month"]) for row in written]
    assert assert_same(made, ask, records) < 0
    assert ask(made, "select distinct tags::json ->> 'team' from raw.billing_lines") == [("ml",)]
