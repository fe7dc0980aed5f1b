"""Deliveries in object storage, against an S3 server on loopback: each object is fetched once, half exports wait."""

import json
import threading
from decimal import Decimal

import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError

pytest.importorskip("s3fs")
pytest.importorskip("moto")
serving = pytest.importorskip("werkzeug.serving")

HEADER = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"


def bill(*costs):
    """A FOCUS bill of one line each."""
    lines = [f"{cost},{cost},USD,2026-09-01,2026-10-01,2026-09-01T00:00:00Z,2026-09-01T01:00:00Z,Usage\n" for cost in costs]
    return (HEADER + "".join(lines)).encode()


class Storage:
    """The server, its bucket, and the GETs of objects that it answered; ``trouble`` maps a key to the answers before the good one."""

    def __init__(self):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.moto = DomainDispatcherApplication(create_backend_app)
        self.fetched, self.trouble = [], {}
        self.server = serving.make_server("127.0.0.1", 0, self.answer, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, environ, start):
        key = environ["PATH_INFO"].removeprefix("/bills/")
        if environ["REQUEST_METHOD"] == "GET" and key != environ["PATH_INFO"] and key:
            self.fetched.append(key)
            if self.trouble.get(key):
                start(self.trouble[key].pop(), [("Content-Type", "application/xml")])
                return [b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"]
        return self.moto(environ, start)

    def put(self, key, content):
        self.client.put_object(Bucket="bills", Key=key, Body=content)

    def drop(self, key):
        self.client.delete_object(Bucket="bills", Key=key)

    def gets(self):
        """What was fetched since the last call."""
        seen, self.fetched = sorted(self.fetched), []
        return seen


@pytest.fixture
def storage(monkeypatch):
    import botocore.session

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    storage = Storage()
    storage.client = botocore.session.get_session().create_client("s3", endpoint_url=storage.url)
    storage.client.create_bucket(Bucket="bills")
    yield storage
    for one in storage.client.list_objects_v2(Bucket="bills").get("Contents", []):
        storage.drop(one["Key"])
    storage.client.delete_bucket(Bucket="bills")
    storage.server.shutdown()


def settings(storage, path="s3://bills/exports/*/*.csv", **more):
    source = {"name": "bill", "format": "focus", "path": path, "storage_options": {"endpoint_url": storage.url}} | more
    return json.dumps({"currency": "USD", "sources": [source]})


def load(ws):
    (report,) = pipeline.load(ws, tell=lambda _: None)
    return report


COSTS = "select file_name, billed_cost::int from raw.billing_lines order by all"


def test_each_object_is_fetched_once_and_a_replaced_one_again(storage, workspace, ask):
    storage.put("exports/aug/a.csv", bill(1, 2))
    storage.put("exports/sep/b.csv", bill(4))
    storage.put("exports/sep/c.csv.part", b"half")
    ws = workspace(settings(storage))
    assert (load(ws).loaded, storage.gets()) == (2, ["exports/aug/a.csv", "exports/sep/b.csv"])
    assert ask(ws, COSTS) == [
        ("s3://bills/exports/aug/a.csv", 1),
        ("s3://bills/exports/aug/a.csv", 2),
        ("s3://bills/exports/sep/b.csv", 4),
    ]
    assert (load(ws).unchanged, storage.gets()) == (2, [])

    storage.put("exports/sep/b.csv", bill(8))
    report = load(ws)
    assert (report.loaded, report.unchanged, storage.gets()) == (1, 1, ["exports/sep/b.csv"])
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(11),)]
    assert sorted(file.name for file in ws.deliveries.rglob("*.csv")) == ["a.csv", "b.csv", "b.csv"]
    assert not list(ws.deliveries.rglob("*.partial")) and not (ws.deliveries / "bill" / ".incoming").exists()


def test_a_deleted_object_changes_nothing(storage, workspace, ask):
    storage.put("exports/aug/a.csv", bill(1))
    storage.put("exports/sep/b.csv", bill(4))
    ws = workspace(settings(storage))
    load(ws)
    storage.drop("exports/aug/a.csv")
    report = load(ws)
    assert (report.loaded, report.unchanged, report.failures) == (0, 1, [])
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(5),)]


def test_what_was_fetched_outlives_a_warehouse_made_anew(storage, workspace, ask):
    storage.put("exports/aug/a.csv", bill(1))
    ws = workspace(settings(storage))
    load(ws)
    ws.warehouse.unlink()
    storage.gets()
    assert (load(ws).loaded, storage.gets()) == (1, [])
    (kept,) = ws.deliveries.rglob("a.csv")
    kept.unlink()
    assert (load(ws).unchanged, storage.gets()) == (1, ["exports/aug/a.csv"])
    assert kept.exists()


def test_a_folder_of_parts_is_one_delivery_and_only_its_new_parts_are_fetched(storage, workspace, ask):
    storage.put("exports/sep/part1.csv", bill(1))
    storage.put("exports/sep/part2.csv", bill(2))
    storage.put("exports/sep/_temporary/part3.csv", bill(100))
    ws = workspace(settings(storage, "s3://bills/exports/*"))
    assert (load(ws).loaded, len(storage.gets())) == (1, 2)
    storage.put("exports/sep/part2.csv", bill(3))
    assert (load(ws).loaded, storage.gets()) == (1, ["exports/sep/part2.csv"])
    assert ask(ws, COSTS) == [("s3://bills/exports/sep/part1.csv", 1), ("s3://bills/exports/sep/part2.csv", 3)]


def test_throttling_is_waited_out_and_what_stays_broken_fails_alone(storage, workspace, ask):
    storage.put("exports/aug/a.csv", bill(1))
    storage.put("exports/sep/b.csv", bill(4))
    storage.trouble = {"exports/aug/a.csv": ["503 Slow Down"], "exports/sep/b.csv": ["403 Forbidden"] * 20}
    ws = workspace(settings(storage))
    report = load(ws)
    assert (report.loaded, len(report.failures)) == (1, 1)
    assert "fetching s3://bills/exports/sep/b.csv failed" in report.failures[0]
    assert "the next load tries again" in report.failures[0]
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(1),)]
    storage.trouble = {}
    storage.gets()
    assert (load(ws).loaded, storage.gets()) == (1, ["exports/sep/b.csv"])


def test_a_half_delivered_export_waits_for_its_parts(storage, workspace, ask):
    root = "pre/costs/data/BILLING_PERIOD=2026-09/"
    meta = "pre/costs/metadata/BILLING_PERIOD=2026-09/costs-Manifest.json"
    ws = workspace(settings(storage, "s3://bills/pre/*/metadata/*/*-Manifest.json", manifest="aws_data_export"))

    def export(execution, *parts):
        files = [f"s3://bills/{root}{execution}/costs-{part:05d}.csv" for part in parts]
        storage.put(meta, json.dumps({"executionId": execution, "dataFiles": files}).encode())

    first, second = "2026-09-02T03:00:00.000Z-aa", "2026-09-03T03:00:00.000Z-bb"
    storage.put(f"{root}{first}/costs-00001.csv", bill(1))
    storage.put(f"{root}{first}/costs-00009.csv", bill(1000))
    export(first, 1)
    report = load(ws)
    assert (report.loaded, report.failures) == (1, [])
    assert ask(ws, "select partition_key, version from meta.deliveries where is_current") == [
        ("costs/2026-09", "2026-09-02T03:00:00.000000")
    ]
    # the part that no manifest lists was not even fetched
    assert storage.gets() == [f"{root}{first}/costs-00001.csv", meta]

    storage.put(f"{root}{second}/costs-00001.csv", bill(2))
    export(second, 1, 2)
    (failure,) = load(ws).failures
    assert f"1 of 2 listed files are missing: bills/{root}{second}/costs-00002.csv" in failure
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(1),)]
    assert ask(ws, "select status, count(*) from meta.deliveries group by all order by all") == [("failed", 1), ("loaded", 1)]

    storage.put(f"{root}{second}/costs-00002.csv", bill(4))
    storage.gets()
    assert (load(ws).loaded, load(ws).unchanged) == (1, 1)
    assert storage.gets() == [f"{root}{second}/costs-00001.csv", f"{root}{second}/costs-00002.csv"]  # not its manifest again
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal(6),)]

    # its parts go, the manifest stays: it was complete once
    storage.drop(f"{root}{second}/costs-00001.csv")
    report = load(ws)
    assert (report.unchanged, report.failures) == (1, [])


def test_what_cannot_be_reached_says_what_to_do(storage, workspace, monkeypatch):
    ws = workspace(settings(storage, "s3://nosuchbucket/x/*.csv"))
    (failure,) = load(ws).failures
    assert "no file matches s3://nosuchbucket/x/*.csv" in failure and "Check bucket and prefix" in failure
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    (failure,) = load(workspace(settings(storage))).failures
    assert "Give credentials in the environment" in failure


@pytest.mark.parametrize(
    "options", [{"key": "AKIA"}, {"client_kwargs": {"aws_secret_access_key": "x"}}, {"sas_token": "x"}, {"connection_string": "x"}]
)
def test_settings_hold_no_credentials(workspace, options):
    source = {"name": "bill", "format": "focus", "path": "s3://bills/*", "storage_options": options}
    with pytest.raises(ConfigError, match="so it holds no credentials") as refused:
        workspace(json.dumps({"currency": "USD", "sources": [source]}))
    assert "AKIA" not in str(refused.value)
