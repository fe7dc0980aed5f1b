"""The FOCUS export: the specification's columns, every digit, what other tools read; and what the FinOps validator says of it."""

import csv
import re
import shutil
import sys
from datetime import date
from decimal import Decimal

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from tollbook import cli, pipeline
from tollbook.commands.workspaces import SAMPLE
from tollbook.errors import TollbookError
from tollbook.report.focus_export import export_focus
from tollbook.workspace import Workspace

_FOCUS_1_2 = """
    AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd
    BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass ChargeDescription ChargeFrequency
    ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName
    CommitmentDiscountQuantity CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit
    ContractedCost ContractedUnitPrice EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice PricingCategory
    PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice PricingQuantity
    PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName
    ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags
"""
FOCUS_1_2 = _FOCUS_1_2.split()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample month, published."""
    root = tmp_path_factory.mktemp("export") / "sample"
    shutil.copytree(SAMPLE, root)
    workspace = Workspace.open(root)
    assert not pipeline.run(workspace, False, lambda _: None).failures
    return workspace


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory):
    """The sample month by the command line, as CSV and as Parquet."""
    place = tmp_path_factory.mktemp("out")
    for suffix in ("csv", "parquet"):
        arguments = ["export", "focus", "--workspace", str(sample.root), "--period", "2026-09", "--out", str(place / f"month.{suffix}")]
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == 0, done.output
    return place


@pytest.fixture
def charge(sample):
    """A database with one published charge, changed as asked."""

    def charge(**changes):
        db = duckdb.connect()
        db.execute(f"attach '{sample.published_db}' as published (read_only)")
        db.execute("create schema finance")
        replaced = ", ".join(f"{value} as {name}" for name, value in changes.items())
        db.execute(
            f"create table finance.fct_charges as select * replace ({replaced}) from published.finance.fct_charges"
            " where source_name = 'vendor_bill' and file_row = 1"
        )
        return db

    return charge


def read(file):
    with open(file, newline="") as text:
        return list(csv.DictReader(text))


def test_the_specification_s_columns_in_its_order_then_our_own(exported):
    columns = list(read(exported / "month.csv")[0])
    assert columns[: len(FOCUS_1_2)] == FOCUS_1_2 and len(FOCUS_1_2) == 57
    own = columns[len(FOCUS_1_2) :]
    assert all(name.startswith("x_") for name in own) and {"x_Team", "x_CostCentre", "x_ReportingEffectiveCost"} <= set(own)


def test_every_line_and_cent_of_the_month_own_ledger_included(exported):
    rows = read(exported / "month.csv")
    assert len(rows) == 141 + 90 + 4
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("25116.00")  # as the sample's README works it out
    assert sum(Decimal(row["EffectiveCost"]) for row in rows) == Decimal("30516.00")
    assert sum(Decimal(row["EffectiveCost"]) for row in rows if row["x_SourceName"] == "onprem_ledger") == Decimal("7200.00")


def test_what_the_text_looks_like(exported):
    rows = read(exported / "month.csv")
    for row in rows:
        for name in ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[name])
        for name in ("BilledCost", "EffectiveCost", "ListCost", "PricingQuantity"):
            assert re.fullmatch(r"(-?\d+\.\d+)?", row[name])
    (first,) = [row for row in rows if row["x_SourceName"] == "cloud_bill" and row["x_FileRow"] == "1"]
    assert first["BilledCost"] == "576.0" and first["Tags"] == '{"Team": "platform", "environment": "production"}'
    assert first["PricingCurrency"] == "USD" and first["PricingCurrencyEffectiveCost"] == "576.0"


def test_parquet_says_the_same(exported):
    query = "select count(*), sum(BilledCost), min(ChargePeriodStart)::varchar, typeof(any_value(BilledCost)) from '{}'"
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        assert db.execute(query.format(exported / "month.parquet")).fetchone() == (
            235,
            Decimal("25116"),
            "2026-09-01 00:00:00+00",
            "DECIMAL(38,20)",
        )


def test_it_loads_again_to_the_same_sums(exported, workspace, ask):
    settings = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/*.csv}\n"
    ws = workspace(settings, {"landing/month.csv": (exported / "month.csv").read_bytes()})
    pipeline.load(ws, tell=lambda _: None)
    assert ask(ws, "select count(*), sum(billed_cost), sum(effective_cost), sum(list_cost) is null from raw.billing_lines") == [
        (235, Decimal(25116), Decimal(30516), False)
    ]


def test_words_are_mended_and_nothing_is_made_up(charge, tmp_path):
    with charge(
        billed_cost="0.00000000000000000001::decimal(38, 20)",
        list_cost="null::decimal(38, 20)",
        pricing_category="'On-Demand'",
        service_category="'AI/ML'",
        service_subcategory="null",
        region_id="'north-1'",
        resource_type="'Model'",
        pricing_currency="'EUR'",
        commitment_discount_status="'Unused'",
        tags="'team: x'",
        charge_period_start="timestamp '2026-09-01 00:00:00.25'",
    ) as db:
        assert export_focus(db, tmp_path / "one.csv") == 1
    (row,) = read(tmp_path / "one.csv")
    wanted = {
        "BilledCost": "0.00000000000000000001",
        "ListCost": "",  # missing is not zero
        "PricingCategory": "Standard",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Other (AI and Machine Learning)",
        "RegionName": "north-1",
        "ResourceType": "",  # of no resource
        "x_ResourceType": "Model",
        "PricingCurrency": "EUR",
        "PricingCurrencyEffectiveCost": "",  # not known in euro
        "ConsumedQuantity": "",  # nothing was consumed
        "x_ConsumedQuantity": "3000000.0",
        "Tags": "",
        "x_Tags": "team: x",
        "ChargePeriodStart": "2026-09-01T00:00:00.250000Z",
    }
    assert {name: row[name] for name in wanted} == wanted


def test_what_cannot_be_written_says_so_and_leaves_no_file(sample, tmp_path):
    with duckdb.connect(str(sample.published_db), read_only=True) as db:
        with pytest.raises(TollbookError, match="no charges of 2020-01"):
            export_focus(db, tmp_path / "a.csv", date(2020, 1, 1))
        with pytest.raises(TollbookError, match=r"unknown kind of file; known are \.csv, \.csv\.gz, \.parquet"):
            export_focus(db, tmp_path / "a.xlsx")
        with pytest.raises(TollbookError, match=r"FOCUS 0\.5 cannot be written"):
            export_focus(db, tmp_path / "a.csv", version="0.5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_finops_validator_finds_only_its_own_defects(exported, repo, suffix, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(repo / "scripts")])
    import validate_focus

    executable = validate_focus.validator()
    if executable is None:
        pytest.skip("focus-validator is not installed: `make focus-validator`, or set TOLLBOOK_FOCUS_VALIDATOR")
    expected = yaml.safe_load(validate_focus.EXPECTED.read_text())
    assert validate_focus.failed_rules(executable, exported / f"month.{suffix}") == set(expected["validator_defects"])


def test_the_rules_whose_model_is_wrong_are_kept_as_they_are_meant(exported):
    rows = read(exported / "month.csv")
    committed = [row for row in rows if row["CommitmentDiscountId"] and row["ChargeCategory"] == "Usage"]
    assert committed and all(row["CommitmentDiscountStatus"] in ("Used", "Unused") for row in committed)
    assert not [row for row in rows if row["CommitmentDiscountStatus"] and not row["CommitmentDiscountId"]]
    assert {row["x_SourceName"] for row in rows if not row["InvoiceId"]} == {"onprem_ledger"}
