"""OpenCost's allocations by example: pods on nodes by the hour, shared GPUs, idle; what was used."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from reader_rows import dictionaries, values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import opencost_allocation, opencost_usage
from tollbook.workspace import Source

GIB = 1024**3


@pytest.fixture
def read(db, tmp_path):
    """Read content as one file; the holdings (or uses) as dictionaries, by file_row, and what was refused."""

    def read(content, name="allocation.json", reader=opencost_allocation, cluster=None, **options):
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        source = Source(name="opencost", format=reader.__name__.split(".")[-1], path="*", cluster=cluster, options=options)
        result = db.execute(f"select * from ({reader.project(db, file, source, 'USD')}) order by file_row")
        rows = dictionaries(result)
        return rows, db.execute("select * from unread order by file_row").fetchall()

    return read


def allocation(pod="train-0", hour=10, minutes=60, **changes):
    """One container's hour; ``minutes`` of it from the start."""
    place = {"cluster": "prod", "node": "gpu-1", "namespace": "research", "pod": pod, "container": "main"}
    return {
        "name": "/".join(place.values()),
        "properties": place | {"controller": "train", "controllerKind": "statefulset", "labels": {"team": "vision"}, "providerID": "i-0a"},
        "window": {"start": f"2026-03-01T{hour:02}:00:00Z", "end": f"2026-03-01T{hour + 1:02}:00:00Z"},
        "start": f"2026-03-01T{hour:02}:00:00Z",
        "end": f"2026-03-01T{hour + minutes // 60:02}:{minutes % 60:02}:00Z",
        "cpuCores": 9.5, "cpuCoreRequestAverage": 8, "cpuCoreUsageAverage": 9.5, "cpuCoreHours": 9.5,
        "ramBytes": 32 * GIB, "ramByteRequestAverage": 32 * GIB, "ramByteUsageAverage": 20 * GIB,
        "gpuCount": 2, "gpuHours": 2 * minutes / 60, "gpuAllocation": {"isGPUShared": False, "gpuUsageAverage": 0.4, "gpuRequestAverage": 2},
    } | changes  # fmt: skip


def page(*windows):
    return {"code": 200, "data": [{one["name"]: one for one in window} for window in windows]}


def test_a_container_holds_on_its_node_in_each_window(read):
    (first, second), unread = read(page([allocation()], [allocation(hour=11, minutes=30)]))
    assert unread == []
    assert json.loads(first.pop("labels")) == {
        "team": "vision", "controller": "train", "controller_kind": "statefulset", "container": "main", "provider_id": "i-0a",
    }  # fmt: skip
    assert first == {
        "holding_id": "research/train-0/main", "job_id": "research/train-0", "holder_kind": "pod", "name": "train-0", "cluster": "prod",
        "node": "gpu-1", "namespace": "research", "gpu_ids": None, "gpu_count": 2, "gpu_share": 1, "gpu_model": None, "gpu_sharing": None,
        "cpu_count": Decimal(8), "memory_gb": 32, "started_at": "2026-03-01T10:00:00Z", "ended_at": "2026-03-01T11:00:00Z", "file_row": 1,
    }  # fmt: skip
    assert values([second], "holding_id", "job_id", "started_at", "ended_at", "gpu_count") == [
        ("research/train-0/main", "research/train-0", "2026-03-01T11:00:00Z", "2026-03-01T11:30:00Z", 2)
    ]


def test_idle_is_nobodys(read):
    idle = {"name": "prod/__idle__", "properties": {"cluster": "prod"}, "start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"}
    unmounted = allocation(pod="__unmounted__") | {"name": "prod//__unmounted__/__unmounted__/__unmounted__"}
    unallocated = {**idle, "name": "__unallocated__", "properties": None}
    rows, unread = read(page([idle, allocation(), unmounted, unallocated]))
    assert (values(rows, "name"), unread) == (["train-0"], [])


def test_an_allocation_that_is_not_a_pods_is_refused(read):
    namespace = allocation() | {"name": "research", "properties": {"cluster": "prod", "namespace": "research"}}
    rows, unread = read(page([namespace, allocation()]))
    assert values(rows, "name") == ["train-0"]
    assert unread == [(1, "pod", "research", "is no allocation of a pod: ask OpenCost for it without `aggregate`")]
    # without containers it is still a pod's
    pod = allocation(properties={"cluster": "prod", "node": "gpu-1", "namespace": "research", "pod": "train-0"})
    assert values(read(page([pod]))[0], "holding_id", "job_id") == [("research/train-0", "research/train-0")]


def shared(pod, request, model="NVIDIA A10", **changes):
    device = {"isGPUShared": True, "gpuRequestAverage": request, "gpuUsageAverage": 0.714, "gpuUUID": "GPU-1", "gpuModel": model}
    return allocation(pod, gpuCount=1, gpuAllocation=device) | changes


def test_four_holders_of_one_shared_gpu_hold_one_gpu(read):
    pods = [shared(f"p{n}", 1) for n in range(4)]
    rows, _ = read(page(pods), gpu_replicas=4)
    assert values(rows, "gpu_ids", "gpu_count", "gpu_share", "gpu_sharing") == [("GPU-1", 1, 0.25, "time_slicing")] * 4
    rows, _ = read(page([shared("a", 1), shared("b", 3, "Tesla T4"), shared("c", 1, "L4")]), gpu_replicas={"nvidia a10": 4, "Tesla T4": 2})
    # three halves of a GPU are on two; of the L4 nothing is said, so it is whole
    assert values(rows, "gpu_count", "gpu_share", "gpu_ids") == [(1, 0.25, "GPU-1"), (2, 0.75, None), (1, 1, "GPU-1")]


def test_fractions_of_a_gpu_as_requested(read):
    half = allocation(gpuCount=0.5, gpuAllocation=None)
    fraction = shared("b", 0.25)
    whole = allocation("c", gpuCount=0.99999)
    none = allocation("d", gpuCount=0, gpuHours=0, gpuAllocation=None)
    unsaid = {key: value for key, value in allocation("e", minutes=30).items() if key not in ("gpuCount", "gpuAllocation")}
    rows, _ = read(page([half, fraction, whole, none, unsaid]))
    assert values(rows, "gpu_count", "gpu_share") == [(1, 0.5), (1, 0.25), (1, 1), (0, None), (2, 1)]


def test_the_request_counts_before_the_use(read):
    bare = {key: value for key, value in allocation("b", minutes=30).items() if "Request" not in key}
    hours = {key: value for key, value in bare.items() if key not in ("cpuCores", "ramBytes")} | {"cpuCoreHours": 2, "ramByteHours": GIB}
    rows, _ = read(page([allocation(cpuCoreRequestAverage=0), bare, hours | {"name": "h"}]))
    assert values(rows, "cpu_count", "memory_gb") == [(0, 32), (Decimal("9.5"), 32), (4, 2)]


def test_what_was_used(read):
    absent = allocation("b", cpuCoreUsageAverage=None, ramByteUsageAverage=None)
    rows, _ = read(page([allocation(minutes=30), absent]), reader=opencost_usage)
    assert values(rows, "holding_id", "node", "cpu_seconds", "memory_gb_seconds", "ended_at") == [
        ("research/train-0/main", "gpu-1", 17100, 36000, "2026-03-01T10:30:00Z"),  # 9.5 cores and 20 GB for 1,800 s
        ("research/b/main", "gpu-1", None, None, "2026-03-01T11:00:00Z"),
    ]


def test_the_forms_that_pages_take(read):
    one = allocation()
    # a summary's names hold the properties
    summary = {key: one[key] for key in ("name", "start", "end", "cpuCoreRequestAverage")} | {"gpuRequestAverage": 2}
    forms = {
        "pages.ndjson": "\n".join(json.dumps(page([allocation(hour=hour)])) for hour in (10, 11)),
        "pages.json": json.dumps([page([one]), page([allocation(hour=11)])], indent=2),
        "maps.json": json.dumps({"data": {one["name"]: one, "b": allocation("b")}}),
        "flat.ndjson": "\n".join(json.dumps(allocation(hour=hour)) for hour in (10, 11)),
        "summary.json": json.dumps({"data": {"sets": [{"allocations": {"x": summary, "y": summary | {"name": "prod/gpu-1/a/b/c"}}}]}}),
    }
    for name, content in forms.items():
        rows, unread = read(content, name)
        assert (values(rows, "node", "gpu_count"), unread) == ([("gpu-1", 2), ("gpu-1", 2)], []), name


def test_the_daily_csv_counts_whole_days(read):
    csv = (
        "Date,Namespace,ControllerKind,ControllerName,Pod,Container,Labels,CPUCoreUsageAverage,CPUCoreRequestAverage,"
        "RAMBytesUsageAverage,RAMBytesRequestAverage,GPUs\n"
        f'2026-02-28,research,job,train,train-0,main,"{{""team"":""vision""}}",9.5,8,1,{4 * GIB},2\n'
        "2026-02-28,,,,__idle__,,,,,,,\n"
    )
    rows, unread = read(csv, "export.csv", cluster="prod")
    assert unread == []
    assert values(rows, "holding_id", "cluster", "node", "cpu_count", "memory_gb", "gpu_count", "started_at", "ended_at") == [
        ("research/train-0/main", "prod", None, 8, 4, 2, "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z")
    ]
    assert json.loads(rows[0]["labels"])["team"] == "vision"


def test_errors_say_what_to_do(read):
    _, unread = read({"code": 500, "message": "no such window", "data": None})
    assert unread == [(1, "code", "no such window", "is an error that the API answered")]
    with pytest.raises(ConfigError, match="gpu_replicas is 0; it must be a whole number"):
        read(page([allocation()]), gpu_replicas=0)
    with pytest.raises(ConfigError, match="has no option replicas; it knows gpu_replicas"):
        read(page([allocation()]), replicas=4)
    with pytest.raises(DeliveryError, match="is empty"):
        read("")
    with pytest.raises(DeliveryError, match="cannot be read"):
        read('{"code": 200, "data": [{"a"')


def test_through_the_loader_times_are_utc_and_windows_follow_each_other(workspace, ask):
    from tollbook import pipeline

    settings = "currency: USD\nsources:\n" + "".join(
        f"  - {{name: {name}, format: {name}, path: landing/*.json}}\n" for name in ("opencost_allocation", "opencost_usage")
    )
    made = workspace(settings, {"landing/a.json": json.dumps(page([allocation()], [allocation(hour=11)]))})
    assert [(report.rows, report.quarantined, report.failures) for report in pipeline.load(made, tell=lambda _: None)] == [(2, 0, [])] * 2
    assert ask(made, "select started_at, ended_at, gpu_count * gpu_share, cpu_count, memory_gb from raw.holdings order by 1") == [
        (datetime(2026, 3, 1, 10), datetime(2026, 3, 1, 11), 2, 8, 32),
        (datetime(2026, 3, 1, 11), datetime(2026, 3, 1, 12), 2, 8, 32),
    ]
    assert ask(made, "select sum(cpu_seconds), sum(memory_gb_seconds) from raw.resource_usage") == [(2 * 34200, 2 * 72000)]
