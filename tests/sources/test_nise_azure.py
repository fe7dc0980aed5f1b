"""Azure reports made by Red Hat's generator koku-nise load to the last digit it wrote."""

import csv
import gzip
import subprocess
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from tollbook import pipeline

SETTINGS = "currency: USD\nsources:\n  - {name: azure, format: azure_cost, path: landing/azure/*}\n"
ONE_MACHINE = """
generators:
  - VMGenerator:
      start_date: 2024-02-01
      end_date: 2024-02-11
      meter_id: 55555555-4444-3333-2222-111111111115
      resource_location: US East
      usage_quantity: 24
      resource_rate: 0.1
      pre_tax_cost: 2.4
      tags: {environment: ci, team: a}
accounts:
  payer: 38f1d748-3ac7-4b7f-a5ae-8b5ff16db82c
  user: [38f1d748-3ac7-4b7f-a5ae-8b5ff16db82c]
  currency_code: EUR
"""


@pytest.fixture
def report(nise, tmp_path):
    """Make Azure reports with these arguments; the files that have rows."""

    def make(*arguments: str) -> list[Path]:
        folder = tmp_path / "made"
        folder.mkdir()
        command = [nise, "report", "azure", "-s", "2024-02-01", "-e", "2024-02-11", "-w", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return [file for file in sorted(folder.glob("*.csv")) if rows_of(file)]

    return make


def rows_of(file: Path) -> list[dict]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def to_20_decimals(value: str) -> Decimal:
    return Decimal(value).quantize(Decimal("1e-20"), ROUND_HALF_UP)


@pytest.mark.parametrize("layout", [[], ["--resource-group"]], ids=["subscription", "resource_group"])
def test_both_layouts_load_to_the_last_digit(report, workspace, ask, layout):
    made = report(*layout)
    written = [row for file in made for row in rows_of(file)]
    assert len(written) > 0
    # one plain and, where the months are two, one compressed
    files = {f"landing/azure/{file.name}": file.read_bytes() for file in made[:1]}
    files |= {f"landing/azure/{file.name}.gz": gzip.compress(file.read_bytes()) for file in made[1:]}
    ws = workspace(SETTINGS, files)
    (loaded,) = pipeline.load(ws, tell=lambda _: None)
    assert (loaded.failures, loaded.rows, loaded.quarantined) == ([], len(written), 0)

    expected = {}
    for row in written:
        service = row["MeterCategory"]
        count, cost = expected.get(service, (0, Decimal(0)))
        expected[service] = (count + 1, cost + to_20_decimals(row["CostInBillingCurrency"]))
    assert ask(ws, "select service_name, count(*), sum(billed_cost) from raw.billing_lines group by 1 order by 1") == [
        (service, *expected[service]) for service in sorted(expected)
    ]
    assert ask(ws, "select sum(effective_cost) = sum(billed_cost), sum(pricing_quantity) is not null from raw.billing_lines") == [
        (True, True)
    ]
    tagged = sum(row["Tags"] not in ("", '""') for row in written)
    assert ask(ws, "select count(tags), count(resource_id), min(charge_period_start)::date::varchar from raw.billing_lines") == [
        (tagged, len(written), min(row["Date"] for row in written))
    ]


def test_a_machine_of_known_cost(report, workspace, ask, tmp_path):
    (tmp_path / "machine.yml").write_text(ONE_MACHINE)
    made = report("--static-report-file", str(tmp_path / "machine.yml"))
    written = [row for file in made for row in rows_of(file)]
    ws = workspace(SETTINGS, {f"landing/azure/{file.name}": file.read_bytes() for file in made})
    (loaded,) = pipeline.load(ws, tell=lambda _: None)
    assert loaded.failures == []
    # 24 h at 0.10 a day
    assert ask(
        ws,
        "select count(*), sum(billed_cost), min(billing_currency), min(region_id), min(sub_account_id), min(tags), min(consumed_quantity),"
        " min(pricing_quantity), min(pricing_unit), min(consumed_unit) from raw.billing_lines",
    ) == [
        (
            *(len(written), len(written) * Decimal("2.4"), "EUR", "eastus", "38f1d748-3ac7-4b7f-a5ae-8b5ff16db82c"),
            *('{"environment": "ci", "team": "a"}', Decimal(24), Decimal("0.24"), "100 Hours", "Hours"),
        )
    ]
    assert len(written) >= 10
