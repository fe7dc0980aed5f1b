"""Lambda's reports by example: what each invocation held, for how long, and whether it started cold."""

import gzip
import json
from datetime import datetime
from decimal import Decimal

import pytest
from reader_rows import dictionaries, values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import aws_lambda
from tollbook.workspace import Source

REQUEST = "faff6a71-7ea0-11e8-ac94-1710ce2fc493"
OTHER = "0b8ee4c0-7ea1-11e8-9f3f-2b6c3d1a0e55"
TEN = "2026-03-01T10:00:00.000Z"


@pytest.fixture
def read(db, tmp_path):
    """Read content as one file; the holdings as dictionaries by file_row."""

    def read(content, name="lambda.log", **options):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        source = Source(name="lambdas", format="aws_lambda", path="*", options=options)
        result = db.execute(f"select * from ({aws_lambda.project(db, file, source, 'USD')}) order by file_row")
        return dictionaries(result)

    return read


def report(request=REQUEST, billed=500, init=None, end=""):
    cold = f"Init Duration: {init} ms\t" if init else ""
    return f"REPORT RequestId: {request}\tDuration: 432.10 ms\tBilled Duration: {billed} ms\tMemory Size: 1536 MB\tMax Memory Used: 123 MB\t{cold}{end}"


def platform(request=REQUEST, status="success", **metrics):
    metrics = {"durationMs": 432.1, "billedDurationMs": 500, "memorySizeMB": 1536, "maxMemoryUsedMB": 123} | metrics
    return {"time": TEN, "type": "platform.report", "record": {"requestId": request, "status": status, "metrics": metrics}}


HELD = (Decimal("1.5"), datetime(2026, 3, 1, 9, 59, 59, 500000), datetime(2026, 3, 1, 10))  # half a second to ten
NAMES = ("memory_gb", "started_at", "ended_at")


def test_lines_with_their_times(read):
    lines = [
        f"{TEN} START RequestId: {REQUEST} Version: $LATEST",
        f"{TEN} {report()}",
        f"2026-03-01T12:00:02+02:00 2026/03/01/[$LATEST]0a1b {report(OTHER, billed=1000, init='321.5')}",
        f"{TEN} the function's own words: REPORT follows",
    ]
    warm, cold = read("\n".join(lines), function="thumbnails")
    assert json.loads(warm["labels"]) == {
        "function": "thumbnails", "duration_ms": 432.1, "billed_duration_ms": 500, "max_memory_mb": 123,
    }  # fmt: skip
    assert values([warm], "holding_id", "job_id", "attempt", "holder_kind", "name", "gpu_count", "file_row", *NAMES) == [
        (REQUEST, REQUEST, 1, "serverless", "thumbnails", 0, 2, *HELD)
    ]
    assert values([cold], *NAMES) == [(Decimal("1.5"), datetime(2026, 3, 1, 10, 0, 1), datetime(2026, 3, 1, 10, 0, 2))]
    assert (json.loads(cold["labels"])["cold"], json.loads(cold["labels"])["init_duration_ms"]) == (True, 321.5)


def test_an_export_to_s3_is_gzip_without_a_suffix_of_its_own(read):
    assert values(read(gzip.compress(f"{TEN} {report()}\n".encode()), "000000.gz"), *NAMES) == [HELD]


def test_events_of_cloudwatch(read):
    event = {"timestamp": 1772359200000, "message": report() + "\n"}
    forms = {
        "filtered.json": {"events": [event, {"timestamp": 1772359200000, "message": "hello"}]},
        "subscription.json": {"owner": "123456789012", "logGroup": "/aws/lambda/thumbnails", "logEvents": [event]},
        "array.json": [event],
        "lines.ndjson": event,
        "message.json": {"events": [{"timestamp": 1772359200001, "message": json.dumps(platform())}]},
        "platform.ndjson": platform(),
        "platform.log": platform(),
    }
    for name, content in forms.items():
        assert values(read(json.dumps(content), name), *NAMES) == [HELD], name
    assert values(read(json.dumps(forms["subscription.json"]), "a.json"), "name", "account") == [("thumbnails", "123456789012")]


def test_results_of_logs_insights(read):
    csv = f'@timestamp,@message,@log\n2026-03-01 10:00:00.000,"{report()}",123456789012:/aws/lambda/thumbnails\n'
    assert values(read(csv, "insights.csv"), "name", "account", *NAMES) == [("thumbnails", "123456789012", *HELD)]
    fields = f"@timestamp,@requestId,@duration,@billedDuration,@memorySize,@maxMemoryUsed\n2026-03-01 10:00:00,{REQUEST},432.1,500.0,1.536E9,123000000\n"
    assert values(read(fields, "fields.csv"), *NAMES) == [HELD]


def test_outcomes_and_retries(read):
    lines = [
        f"{TEN} {report()}Status: error\tError Type: Runtime.ExitError",
        f"2026-03-01T10:01:00Z {report()}",
        f"2026-03-01T10:02:00Z {OTHER} Task timed out after 3.00 seconds",
        f"2026-03-01T10:02:00Z {report(OTHER)}",
        f"2026-03-01T10:03:00Z {report('a-third')}Status: timeout",
    ]
    assert values(read("\n".join(lines)), "holding_id", "attempt", "outcome") == [
        (REQUEST, 1, "failed"), (f"{REQUEST}@2", 2, None), (OTHER, 1, "timed_out"), ("a-third", 1, "timed_out"),
    ]  # fmt: skip
    lines = [json.dumps(platform(status=status)) for status in ("success", "failure", "error", "timeout")]
    assert values(read("\n".join(lines), "p.ndjson"), "outcome") == ["succeeded", "failed", "failed", "timed_out"]


def test_a_report_without_a_time_or_a_duration_is_refused(read, db):
    broken = report().replace("500 ms", "? ms")
    assert read(f"{report()}\n{TEN} {broken}\n") == []
    assert db.execute("select file_row, column_name, reason from unread order by 1").fetchall() == [
        (1, "timestamp", "has no time: deliver the lines with their timestamps"), (2, "Billed Duration", "is not a number"),
    ]  # fmt: skip
    with pytest.raises(DeliveryError, match="is empty"):
        read("")
    with pytest.raises(ConfigError, match="has no option functions; it knows function"):
        read(report(), functions="a")


def test_through_the_loader(workspace, ask):
    from tollbook import pipeline

    settings = "currency: USD\nsources:\n  - {name: lambdas, format: aws_lambda, path: landing/*, options: {function: thumbnails}}\n"
    made = workspace(settings, {"landing/a.log": f"{TEN} START\n{TEN} {report()}\n"})
    (loaded,) = pipeline.load(made, tell=lambda _: None)
    assert (loaded.rows, loaded.quarantined, loaded.failures) == (1, 0, [])
    assert ask(made, "select name, memory_gb, started_at, ended_at, labels->>'$.max_memory_mb' from raw.holdings") == [
        ("thumbnails", *HELD, "123.0")
    ]
