"""Google Cloud's billing export: every total to the last digit, whatever the file and however it is flattened."""

import json
from decimal import Decimal

import duckdb
import pytest
from reader_rows import dictionaries

from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError
from tollbook.landing.load import prepare
from tollbook.sources import gcp_billing
from tollbook.workspace import Source

FLAT = "usage_start_time,usage_end_time,invoice.month,cost,currency,credits,labels,project.labels,cost_type,sku.description\n"
SETTINGS = "currency: USD\nsources:\n  - {name: gcp, path: 'landing/*', format: gcp_billing, currency: USD}\n"


def record(**changes):
    """One nested record as BigQuery writes it to JSON: NUMERIC and FLOAT64 as numbers, lists of structs."""
    return {
        "billing_account_id": "00AA-11",
        "service": {"id": "6F81", "description": "Compute Engine"},
        "sku": {"id": "S1", "description": "N1 Core"},
        "usage_start_time": "2024-08-31 23:00:00 UTC",
        "usage_end_time": "2024-09-01 00:00:00 UTC",
        "project": {"id": "p1", "labels": [{"key": "team", "value": "far"}, {"key": "env", "value": "prod"}], "ancestry_numbers": "/1/2/"},
        "labels": [{"key": "team", "value": "near"}],
        "system_labels": [{"key": "compute.googleapis.com/cores", "value": "8"}],
        "location": {"location": "us-west1", "region": "us-west1", "zone": None},
        "cost": 1.5,
        "currency": "EUR",
        "currency_conversion_rate": 0.9,
        "usage": {"amount": 3600, "unit": "seconds", "amount_in_pricing_units": 1, "pricing_unit": "hour"},
        "credits": [],
        "invoice": {"month": "202409"},
        "cost_type": "regular",
        "resource": {"name": "vm-1", "global_name": "//compute.googleapis.com/projects/p1/zones/z/instances/1"},
    } | changes


@pytest.fixture
def read(tmp_path):
    """The canonical lines of a file's content as dictionaries."""

    def rows(name, content):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        with duckdb.connect() as db:
            db.execute("set TimeZone = 'UTC'")
            source = Source(name="gcp", path="x", format="gcp_billing")
            result = db.execute(f"select * from ({gcp_billing.project(db, file, source, 'USD')}) order by file_row")
            return dictionaries(result)

    return rows


@pytest.fixture
def load(workspace):
    def loaded(files):
        made = workspace(SETTINGS, {f"landing/{name}": content for name, content in files.items()})
        with made.connect() as db:
            prepare(db)
        return made, pipeline.load(made, tell=lambda _: None)

    return loaded


def test_the_detailed_export_to_the_last_digit(load, ask, shared_data):
    content = (shared_data / "gcp_export" / "gcp_2022-08-01_5.csv").read_bytes()
    made, [report] = load({"gcp.csv": content})
    assert (report.failures, report.rows, report.quarantined) == ([], 9, 0)
    assert ask(made, "select sum(billed_cost), sum(effective_cost), sum(pricing_quantity) from raw.billing_lines") == [
        (Decimal("0.000012"), Decimal("0.000012"), Decimal("0.000302815"))
    ]


def test_four_currencies_in_one_file(load, ask, shared_data):
    content = (shared_data / "gcp_synth_billing" / "sample_billing_data.csv.gz").read_bytes()
    made, [report] = load({"synth.csv.gz": content})
    assert (report.failures, report.rows, report.quarantined) == ([], 500, 0)
    # cost, and with the credits of the nested list
    assert ask(
        made, "select billing_currency, sum(contracted_cost), sum(billed_cost), sum(list_cost) from raw.billing_lines group by 1 order by 1"
    ) == [
        ("AUD", Decimal("372960.1016"), Decimal("347430.6703"), Decimal("451449.7079")),
        ("EUR", Decimal("514755.8672"), Decimal("451968.5541"), Decimal("600665.7363")),
        ("GBP", Decimal("577421.1189"), Decimal("573288.1351"), Decimal("649691.7396")),
        ("USD", Decimal("1439012.5421"), Decimal("1255613.0601"), Decimal("1878262.5319")),
    ]


def test_json_keeps_every_digit_and_nests(read):
    nested = record(credits=[{"name": "Committed Usage Discount: CPU", "amount": -0.5, "type": "COMMITTED_USAGE_DISCOUNT"}])
    line = json.dumps(nested).replace('"cost": 1.5', '"cost": 0.12345678901234567891')
    [row] = read("a.jsonl", line)
    assert row["billed_cost"] == Decimal("-0.37654321098765432109")
    assert row["effective_cost"] == row["billed_cost"]
    assert row["contracted_cost"] == Decimal("0.12345678901234567891")
    assert row["billed_cost_origin"] == "cost plus credits"
    assert (row["commitment_discount_status"], row["pricing_category"], row["commitment_discount_category"]) == (
        "Used",
        "Committed",
        "Usage",
    )
    assert (row["resource_id"], row["resource_name"], row["resource_type"]) == (
        "//compute.googleapis.com/projects/p1/zones/z/instances/1", "vm-1", "instances",
    )  # fmt: skip
    assert (row["billing_currency"], row["pricing_currency"], row["pricing_to_billing_rate"]) == ("EUR", "USD", "0.9")
    others = json.loads(row["other_columns"])
    assert others["ancestry_numbers"] == "/1/2/"
    assert others["credits"] == [{"name": "Committed Usage Discount: CPU", "amount": "-0.5", "type": "COMMITTED_USAGE_DISCOUNT"}]


def test_the_nearest_label_has_the_key(read):
    [row] = read("a.json", json.dumps([record()]))
    assert json.loads(row["tags"]) == {"team": "near", "project:team": "far", "env": "prod", "compute.googleapis.com/cores": "8"}


def test_labels_may_be_one_object(read):
    [row] = read("a.json", json.dumps([record(labels={"team": "near", "job": "7"}, project={"id": "p1"}, system_labels=None)]))
    assert json.loads(row["tags"]) == {"team": "near", "job": "7"}


def test_the_billing_period_is_the_invoice_month(read):
    # 06:59 UTC on 1 September is still August in Pacific time
    late = record(usage_start_time="2024-09-01 06:59:00 UTC", invoice=None)
    first, second = read("a.json", json.dumps(record(), indent=2) + "\n\n" + json.dumps(late))
    assert [f"{row['billing_period_start']:%Y-%m-%d} {row['billing_period_end']:%Y-%m-%d}" for row in (first, second)] == [
        "2024-09-01 2024-10-01",
        "2024-08-01 2024-09-01",
    ]
    assert first["charge_period_start"] == "2024-08-31 23:00:00 UTC"


@pytest.mark.parametrize(
    "changes, category, charge_class",
    [
        ({}, "Usage", None),
        ({"cost_type": "tax"}, "Tax", None),
        ({"cost_type": "rounding_error"}, "Adjustment", None),
        ({"cost_type": "adjustment", "adjustment_info": {"id": "A1", "type": "USAGE_CORRECTION"}}, "Adjustment", "Correction"),
        ({"adjustment_info": {"id": None, "type": None}}, "Usage", None),
        ({"sku": {"id": "F", "description": "Commitment v1: Ram in Americas for 1 Year"}}, "Purchase", None),
    ],
)
def test_categories(read, changes, category, charge_class):
    [row] = read("a.json", json.dumps(record(**changes)))
    assert (row["charge_category"], row["charge_class"]) == (category, charge_class)


def test_what_is_left_of_a_fee_is_the_unused_commitment(read):
    offset = [{"name": "Fee offset", "amount": -8, "type": "FEE_UTILIZATION_OFFSET"}]
    fee = {"id": "F", "description": "Commitment - dollar based v1: Cloud SQL for 1 year"}
    [row] = read("a.json", json.dumps(record(cost=10, sku=fee, credits=offset)))
    assert (row["billed_cost"], row["effective_cost"], row["contracted_cost"]) == (2, 2, 10)
    assert (row["commitment_discount_status"], row["commitment_discount_category"]) == ("Unused", "Spend")


def test_python_text_and_json_text_mean_the_same(read):
    python = "\"[{'name': 'Reseller''s', 'amount': -1e-06, 'id': None}]\"".replace("''", "\\'")
    double = '"[{\'name\': ""it\'s free"", \'amount\': -0.25}]"'
    proper = '"[{""name"": ""Promo"", ""amount"": -0.1}, {""name"": ""Tier"", ""amount"": ""-0.2""}]"'
    lines = [f"2024-08-01T00:00:00,2024-08-01T01:00:00,202408,1.0,USD,{credits},[],\"[{{'key': 'a', 'value': 'b'}}]\",regular,x"
             for credits in (python, double, proper, "[]", "")]  # fmt: skip
    rows = read("a.csv", FLAT + "\n".join(lines) + "\n")
    assert [row["billed_cost"] for row in rows] == [Decimal("0.999999"), Decimal("0.75"), Decimal("0.7"), 1, 1]
    assert {row["tags"] for row in rows} == {'{"a":"b"}'}


def test_what_cannot_be_read_is_quarantined_and_named(load, ask):
    start = "2024-08-01T00:00:00,2024-08-01T01:00:00,202408"
    lines = [f"{start},1.0,USD,[],[],[],regular,x", f"{start},1.0,USD,oops,[],[],regular,x", f"{start},abc,USD,[],[],[],regular,x",
             f'{start},1.0,USD,"[{{""name"": ""Promo"", ""amount"": ""many""}}]",[],[],regular,x']  # fmt: skip
    made, [report] = load({"a.csv": FLAT + "\n".join(lines) + "\n"})
    assert (report.rows, report.quarantined) == (1, 3)
    assert ask(made, "select file_row, column_name, reason from raw.quarantine order by 1") == [
        (2, "credits", "is neither JSON nor a Python list"),
        (3, "cost", "is not a number"),
        (4, "credits.amount", "is not a number"),
    ]


def test_parquet_with_structs_and_lists(read, tmp_path):
    with duckdb.connect() as db:
        db.execute(
            f"""
            copy (select '00AA-11' as billing_account_id, {{'id': '6F81', 'description': 'BigQuery'}} as service,
                timestamptz '2024-08-31 23:00:00+00' as usage_start_time, timestamptz '2024-09-01 00:00:00+00' as usage_end_time,
                {{'id': 'p1', 'labels': [{{'key': 'team', 'value': 'ml'}}]}} as project, {{'month': '202409'}} as invoice,
                0.3::double as cost, 'USD' as currency, [{{'name': 'Promo', 'amount': -0.1::double}}] as credits,
                'regular' as cost_type) to '{tmp_path / "a.parquet"}'
            """
        )
    [row] = read("a.parquet", None)
    assert (row["billed_cost"], row["contracted_cost"]) == (Decimal("0.2"), Decimal("0.3"))
    assert (row["tags"], row["service_category"], row["sub_account_id"]) == ('{"team":"ml"}', "Analytics", "p1")
    assert f"{row['charge_period_start']:%Y-%m-%d %H}" == "2024-08-31 23"


def test_a_broken_json_line_costs_only_itself(load, ask):
    made, [report] = load({"a.jsonl": json.dumps(record()) + '\n{"cost": 1,\n' + json.dumps(record()) + "\n"})
    assert (report.rows, report.quarantined) == (2, 1)
    assert ask(made, "select file_row, reason from raw.quarantine") == [(2, "is not a JSON object")]
    assert ask(made, "select file_row from raw.billing_lines order by 1") == [(1,), (3,)]


def test_a_file_without_cost_is_refused(read):
    with pytest.raises(DeliveryError, match="required column missing: cost, usage_end_time"):
        read("a.csv", "usage_start_time;x\n1;2\n".replace(";", ","))


def test_options_are_refused(tmp_path):
    source = Source(name="gcp", path="x", format="gcp_billing", options={"credits": "lines"})
    with duckdb.connect() as db, pytest.raises(ConfigError, match="has no option credits; it has none"):
        gcp_billing.project(db, tmp_path / "a.csv", source, "USD")
