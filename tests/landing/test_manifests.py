"""Manifests: what each vendor writes, read from local folders; a delivery is loaded whole or not at all."""

import gzip
import hashlib
import json
import os
from datetime import datetime
from decimal import Decimal

import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError
from tollbook.landing import manifests

HEADER = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"
WRITTEN = datetime(2026, 10, 3, 4, 5, 6)


def bill(*costs):
    lines = [f"{cost},{cost},USD,2026-09-01,2026-10-01,2026-09-01T00:00:00Z,2026-09-01T01:00:00Z,Usage\n" for cost in costs]
    return HEADER + "".join(lines)


def settings(kind, path, **more):
    return json.dumps({"currency": "USD", "sources": [{"name": "bill", "format": "focus", "path": path, "manifest": kind} | more]})


def load(ws):
    (report,) = pipeline.load(ws, tell=lambda _: None)
    return report


def put(ws, name, content):
    file = ws.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


TOTAL = "select sum(billed_cost) from raw.billing_lines"
CURRENT = "select partition_key, version from meta.deliveries where is_current order by all"


def azure(start="2026-09-01T00:00:00", end="2026-09-30T00:00:00", submitted="2026-10-01T03:02:04.9530303Z", blobs=(), **more):
    return {
        "manifestVersion": "2024-04-01",
        "blobCount": len(blobs),
        "exportConfig": {"exportName": "daily", "type": "FocusCost"},
        "deliveryConfig": {"partitionData": True, "fileFormat": "Csv"},
        "runInfo": {"executionType": "Scheduled", "submittedTime": submitted, "runId": "1", "startDate": start, "endDate": end},
        "blobs": [{"blobName": name, "byteCount": size, "dataRowCount": rows} for name, size, rows in blobs],
    } | more


@pytest.mark.parametrize(
    "kind, said, place, partition, version",
    [
        (
            "aws_cur",
            {"reportName": "hourly", "assemblyId": "b1f2", "billingPeriod": {"start": "20260901T000000.000Z"}, "reportKeys": ["a"]},
            "s3://b/p/hourly/20260901-20261001/hourly-Manifest.json",
            "hourly/2026-09",
            "2026-10-03T04:05:06.000000",
        ),
        (
            "aws_data_export",
            {"executionId": "20260901-aaaa-bbbb", "dataFiles": ["a"]},
            "s3://b/p/focus/metadata/billing_period=2026-09/focus-Manifest.json",
            "focus/2026-09",
            "2026-10-03T04:05:06.000000",
        ),
        (
            "aws_data_export",
            {"executionId": "2026-09-05T06:07:08.5Z-aaaa", "dataFiles": ["a"]},
            "s3://b/p/cur2/metadata/BILLING_PERIOD=2026-09/cur2-Manifest.json",
            "cur2/2026-09",
            "2026-09-05T06:07:08.500000",
        ),
        ("azure_export", azure(blobs=[("a", 1, 1)]), "c/manifest.json", "daily/2026-09", "2026-10-01T03:02:04.953030"),
        # a week, a billing month from the 15th, and a quarter
        (
            "azure_export",
            azure("2026-08-31", "2026-09-04", blobs=[("a", 1, 1)]),
            "m.json",
            "daily/2026-08-31",
            "2026-10-01T03:02:04.953030",
        ),
        (
            "azure_export",
            azure("2026-09-15", "2026-10-02", blobs=[("a", 1, 1)]),
            "m.json",
            "daily/2026-09-15",
            "2026-10-01T03:02:04.953030",
        ),
        (
            "azure_export",
            azure("2026-07-01", "2026-09-30", blobs=[("a", 1, 1)]),
            "m.json",
            "daily/2026-07..2026-09-30",
            "2026-10-01T03:02:04.953030",
        ),
        ("listed", {"partition": "2026-09", "version": 12, "files": [{"path": "a"}]}, "m.json", "2026-09", "12"),
    ],
)
def test_each_kind_names_its_partition_and_version(kind, said, place, partition, version):
    manifest = manifests.read(kind, json.dumps(said).encode(), place, WRITTEN)
    assert (manifest.partition, manifest.version, [part.path for part in manifest.parts]) == (partition, version, ["a"])


@pytest.mark.parametrize(
    "kind, content, said",
    [
        ("listed", b'{"partition": "x", "fil', "is no JSON; it may be cut off"),
        ("listed", b"[]", "it is no JSON object"),
        ("aws_cur", b"{}", "lists no files under 'reportKeys'"),
        ("aws_cur", b'{"reportKeys": ["a"]}', "billingPeriod.start is None, which is no date"),
        ("aws_data_export", b'{"dataFiles": ["a"]}', "must say its period, as in BILLING_PERIOD=2026-09"),
        ("listed", b'{"files": [{"path": "a"}]}', "has no 'partition'"),
        ("listed", b'{"partition": "x", "files": [{"path": "../../etc/passwd"}]}', "must not lead up"),
        ("listed", b'{"partition": "x", "files": [{"path": "a"}, {"path": "a"}]}', "lists a twice"),
        ("listed", b'{"partition": "x", "files": [{"path": "s3://bucket"}]}', "a listed file has no path"),
        ("listed", b'{"partition": "x", "files": [{"path": "a", "bytes": "many"}]}', "bytes is 'many', which is no whole number"),
    ],
)
def test_what_is_no_manifest_of_the_kind_is_refused_with_the_key(kind, content, said):
    with pytest.raises(DeliveryError, match=said):
        manifests.read(kind, content, "here/manifest.json", WRITTEN)


def test_a_legacy_report_copied_from_any_folder_of_its_bucket_on(workspace, ask):
    ws = workspace(settings("aws_cur", "landing/*/*/*-Manifest.json"))
    keys = [f"prefix/hourly/20260901-20261001/b1f2/hourly-{n}.csv" for n in (1, 2)]
    said = {"reportName": "hourly", "assemblyId": "b1f2", "billingPeriod": {"start": "20260901T000000.000Z"}, "reportKeys": keys}
    put(ws, "landing/hourly/20260901-20261001/hourly-Manifest.json", said)
    put(ws, "landing/hourly/20260901-20261001/b1f2/hourly-1.csv", bill(1))
    # of an older kind of delivery: beside the manifest, under the same name
    put(ws, "landing/hourly/20260901-20261001/hourly-2.csv", bill(100))
    (failure,) = load(ws).failures
    assert "1 of 2 listed files are missing" in failure and "b1f2/hourly-2.csv" in failure
    put(ws, "landing/hourly/20260901-20261001/b1f2/hourly-2.csv", bill(2))
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(3),)]


def test_a_restated_report_replaces_its_month_by_time_whatever_arrives_first(workspace, ask):
    ws = workspace(settings("aws_cur", "landing/hourly/*/*/*-Manifest.json"))

    def deliver(assembly, written, cost):
        folder = f"hourly/20260901-20261001/{assembly}"
        said = {
            "reportName": "hourly",
            "assemblyId": assembly,
            "billingPeriod": {"start": "20260901T000000.000Z"},
            "reportKeys": [f"{folder}/hourly-1.csv"],
        }
        put(ws, f"landing/{folder}/hourly-1.csv", bill(cost))
        os.utime(put(ws, f"landing/{folder}/hourly-Manifest.json", said), (written, written))

    deliver("aaaa", 1_790_000_200, 20)
    assert load(ws).loaded == 1
    # its id sorts later, it was written earlier
    deliver("ffff", 1_790_000_100, 10)
    assert load(ws).loaded == 0
    assert ask(ws, TOTAL) == [(Decimal(20),)]
    deliver("0000", 1_790_000_300, 30)
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(30),)]


def test_an_azure_export_is_whole_when_sizes_and_rows_are_as_stated(workspace, ask):
    ws = workspace(settings("azure_export", "landing/azure/*/*/manifest.json"))
    folder = "exports/daily/20260901-20260930/run1"
    one, two = bill(1), bill(2, 4)
    blobs = [(f"{folder}/part_0_0001.csv", len(one), 1), (f"{folder}/part_1_0001.csv", len(two), 2)]
    put(ws, "landing/azure/20260901-20260930/run1/manifest.json", azure(blobs=blobs))
    put(ws, "landing/azure/20260901-20260930/run1/part_0_0001.csv", one)
    put(ws, "landing/azure/20260901-20260930/run1/part_1_0001.csv", two[:-10])
    (failure,) = load(ws).failures
    assert (
        f"1 of 2 have another size than stated: landing/azure/20260901-20260930/run1/part_1_0001.csv ({len(two) - 10} of {len(two)} bytes)"
        in failure
    )
    put(ws, "landing/azure/20260901-20260930/run1/part_1_0001.csv", two)
    put(ws, "landing/azure/20260901-20260930/run1/part_2_0001.csv", bill(1000))
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(7),)]
    assert ask(ws, CURRENT) == [("daily/2026-09", "2026-10-01T03:02:04.953030")]


@pytest.mark.parametrize("path", ["memory://costs", "memory://costs/exports/daily/*/*/manifest.json"])
def test_blobs_are_named_from_their_container_on(workspace, ask, path):
    import fsspec

    container = fsspec.filesystem("memory")
    container.store.clear()
    folder = "exports/daily/20260901-20260930/run1"
    blobs = [(f"{folder}/part_0_0001.csv", len(bill(1)), 1), (f"{folder}/part_1_0001.csv", len(bill(2)), 1)]
    container.pipe(f"/costs/{folder}/manifest.json", json.dumps(azure(blobs=blobs)).encode())
    container.pipe(f"/costs/{folder}/part_0_0001.csv", bill(1).encode())
    ws = workspace(settings("azure_export", path))
    (failure,) = load(ws).failures
    assert f"1 of 2 listed files are missing: /costs/{folder}/part_1_0001.csv" in failure
    container.pipe(f"/costs/{folder}/part_1_0001.csv", bill(2).encode())
    assert (load(ws).loaded, load(ws).unchanged) == (1, 1)
    assert ask(ws, TOTAL) == [(Decimal(3),)]
    container.store.clear()


def test_another_number_of_rows_than_stated_is_not_loaded_and_looked_at_again(workspace, ask):
    ws = workspace(settings("listed", "landing/*/manifest.json"))
    put(ws, "landing/sep/manifest.json", {"partition": "2026-09", "version": "1", "files": [{"path": "data/a.csv", "rows": 2}]})
    put(ws, "landing/sep/data/a.csv", bill(1))
    (failure,) = load(ws).failures
    assert "landing/sep/data/a.csv has 1 rows, its manifest states 2: the delivery is not complete" in failure
    assert ask(ws, "select count(*) from raw.billing_lines") == [(0,)]
    put(ws, "landing/sep/data/a.csv", bill(1, 2))
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(3),)]


def test_content_is_compared_with_the_stated_sha256(workspace, ask):
    ws = workspace(settings("listed", "landing/*/manifest.json"))
    digest = hashlib.sha256(bill(1).encode()).hexdigest().upper()
    put(ws, "landing/sep/manifest.json", {"partition": "2026-09", "version": "1", "files": [{"path": "a.csv", "sha256": digest}]})
    put(ws, "landing/sep/a.csv", bill(2))
    (failure,) = load(ws).failures
    assert "the content of landing/sep/a.csv is not what the manifest states (sha256, bytes)" in failure
    put(ws, "landing/sep/a.csv", bill(1))
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(1),)]


@pytest.mark.parametrize("stated, loaded", [(len(gzip.compress(bill(1).encode(), mtime=0)), 1), (len(bill(1)), 1), (7, 0)])
def test_a_compressed_part_has_the_stated_size_packed_or_plain(workspace, ask, stated, loaded):
    ws = workspace(settings("listed", "landing/manifest.json"))
    put(ws, "landing/manifest.json", {"partition": "2026-09", "version": "1", "files": [{"path": "a.csv.gz", "bytes": stated}]})
    (ws.root / "landing/a.csv.gz").write_bytes(gzip.compress(bill(1).encode(), mtime=0))
    report = load(ws)
    assert (report.loaded, len(report.failures)) == (loaded, 1 - loaded)


def test_a_legacy_report_of_which_nothing_came_yet_says_where_it_would_be(workspace):
    ws = workspace(settings("aws_cur", "landing/*/*/*-Manifest.json"))
    said = {"billingPeriod": {"start": "20260901T000000.000Z"}, "reportKeys": ["pre/hourly/20260901-20261001/b1f2/hourly-1.csv"]}
    put(ws, "landing/hourly/20260901-20261001/hourly-Manifest.json", said)
    (failure,) = load(ws).failures
    assert f"1 of 1 listed files are missing: {ws.root}/landing/hourly/20260901-20261001/b1f2/hourly-1.csv" in failure


def test_parts_copied_into_one_folder_with_their_manifest_are_found(workspace, ask):
    ws = workspace(settings("azure_export", "landing/flat"))
    blobs = [("exports/daily/20260901-20260930/run1/part_0.csv", len(bill(1)), 1)]
    put(ws, "landing/flat/manifest.json", azure(blobs=blobs))
    put(ws, "landing/flat/part_0.csv", bill(1))
    put(ws, "landing/flat/other.csv", bill(100))
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(1),)]


def test_an_incomplete_newer_delivery_leaves_the_older_one_that_came_with_it(workspace, ask):
    ws = workspace(settings("listed", "landing/*.json"))
    put(ws, "landing/v9.json", {"partition": "2026-09", "version": "9", "files": [{"path": "old.csv"}]})
    put(ws, "landing/v10.json", {"partition": "2026-09", "version": "10", "files": [{"path": "new.csv"}]})
    put(ws, "landing/old.csv", bill(9))
    report = load(ws)
    assert (report.loaded, len(report.failures)) == (1, 1)
    assert ask(ws, TOTAL) == [(Decimal(9),)]
    put(ws, "landing/new.csv", bill(10))
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(10),)]
    # the parts of what was replaced may go
    (ws.root / "landing/old.csv").unlink()
    report = load(ws)
    assert (report.loaded, report.failures) == (0, [])


def test_two_exports_of_one_name_are_told_apart_or_refused(workspace, ask):
    said = {"executionId": "x", "dataFiles": ["costs/data/BILLING_PERIOD=2026-09/costs-1.csv"]}
    ws = workspace(settings("aws_data_export", "landing/*/costs/metadata/*/*.json"))
    for account, cost in (("one", 1), ("two", 2)):
        put(ws, f"landing/{account}/costs/metadata/BILLING_PERIOD=2026-09/costs-Manifest.json", said)
        put(ws, f"landing/{account}/costs/data/BILLING_PERIOD=2026-09/costs-1.csv", bill(cost))
    (failure,) = load(ws).failures
    assert "two exports are called costs/2026-09: one in landing/one/costs, one in landing/two/costs" in failure
    apart = r"landing/(?P<partition>.*)/costs-Manifest"
    ws = workspace(settings("aws_data_export", "landing/*/costs/metadata/*/*.json", partition=apart))
    assert load(ws).loaded == 2
    assert ask(ws, TOTAL) == [(Decimal(3),)]


def test_an_unknown_kind_of_manifest_names_those_there_are(workspace):
    with pytest.raises(ConfigError, match="no kind of manifest `cur`; there are: aws_cur, aws_data_export, azure_export, listed"):
        workspace(settings("cur", "landing/*.json"))
