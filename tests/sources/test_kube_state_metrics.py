"""Series of kube-state-metrics as scrapes, API answers and tables; every expected number follows from the samples beside it."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from reader_rows import dictionaries

from tollbook.errors import DeliveryError
from tollbook.sources import kube_state_metrics_nodes, kube_state_metrics_pods
from tollbook.workspace import Source

START = datetime(2026, 9, 1, 12)
EPOCH = 1788264000  # 2026-09-01 12:00 UTC


def minute(number):
    return START + timedelta(minutes=number)


def series(metric, minutes=range(10), value=1, **labels):
    """One series with a sample at each of the minutes; ``value`` is a number, or a function of the minute."""
    said = value if callable(value) else lambda _: value
    return metric, labels, [(EPOCH + 60 * number, said(number)) for number in minutes]


def pod(name="a", uid="u1", minutes=range(10), node="n1", phase="Running", scheduled=EPOCH - 300, **requests):
    names = {"namespace": "ml", "pod": name} | ({"uid": uid} if uid else {})
    found = [
        series("kube_pod_info", minutes, node=node, created_by_kind="ReplicaSet", created_by_name="web-5d4f8c7b9", **names),
        series("kube_pod_status_phase", minutes, phase=phase, **names),
        series("kube_pod_status_phase", minutes, 0, phase="Unknown", **names),
    ]
    if scheduled:
        found.append(series("kube_pod_status_scheduled_time", minutes, scheduled, **names))
    return found + [
        series("kube_pod_container_resource_requests", minutes, value, container="c", node=node, resource=resource, unit="x", **names)
        for resource, value in requests.items()
    ]


def answer(*found):
    """What Prometheus answers to query_range."""
    results = [
        {"metric": {"__name__": metric} | labels, "values": [[moment, str(value)] for moment, value in samples]}
        for metric, labels, samples in found
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": results}})


def exported(*found):
    """The lines that VictoriaMetrics exports."""
    return "\n".join(
        json.dumps(
            {
                "metric": {"__name__": metric} | labels,
                "values": [value for _, value in samples],
                "timestamps": [moment * 1000 for moment, _ in samples],
            }
        )
        for metric, labels, samples in found
    )


def braced(labels):
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def scrapes(*found):
    """Text as it is scraped, one scrape after the other, each headed by its time."""
    lines = []
    for moment in sorted({moment for _, _, samples in found for moment, _ in samples}):
        lines.append(f"# scraped at {datetime.fromtimestamp(moment).astimezone().isoformat()}")
        for metric, labels, samples in found:
            lines += [f"{metric}{braced(labels)} {float(value)!r}" for at, value in samples if at == moment]
    return "\n".join(lines) + "\n"


def stamped(*found):
    return "\n".join(f"{metric}{braced(labels)} {value} {at * 1000}" for metric, labels, samples in found for at, value in samples)


def table(*found):
    rows = [(metric, labels, at, value) for metric, labels, samples in found for at, value in samples]
    quoted = ['"' + json.dumps(labels).replace('"', '""') + '"' for _, labels, _, _ in rows]
    return "Metric,Labels,Timestamp,Value\n" + "\n".join(
        f"{row[0]},{text},{row[2]},{row[3]}" for row, text in zip(rows, quoted, strict=True)
    )


FORMS = {"answer.json": answer, "export.jsonl": exported, "scrapes.prom": scrapes, "stamped.txt": stamped, "table.csv": table}


@pytest.fixture
def read(tmp_path):
    """Rows of the series as dictionaries, by name and time, in one of the forms of file."""

    def read(*found, form="answer.json", text=None, reader=kube_state_metrics_pods, refused=(), **options):
        file = tmp_path / form
        file.write_text(text if text is not None else FORMS[form](*found))
        source = Source(name="ksm", format=reader.__name__.split(".")[-1], path="*", cluster="c1", options=options)
        with duckdb.connect() as db:
            db.execute("set timezone = 'America/New_York'")  # must not matter
            order = "name, started_at" if reader is kube_state_metrics_pods else "node, started_at"
            result = db.execute(f"select * from ({reader.project(db, file, source, 'USD')}) order by {order}")
            rows = dictionaries(result)
            assert db.execute("select file_row, column_name from unread order by 1").fetchall() == list(refused)
        return rows

    return read


def column(rows, *names):
    return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_a_pod_holds_its_requests_in_any_form_of_file(read, form):
    labels = series("kube_pod_labels", namespace="ml", pod="a", uid="u1", label_team="t1", label_app_kubernetes_io_component="inference")
    found = [*pod(cpu=0.5, memory=1.5 * 2**30, nvidia_com_gpu=2), labels, series("up")]
    (row,) = read(*found, form=form, tenant_label="team")
    assert row.pop("file_row") > 0
    assert {key: value for key, value in row.items() if value is not None} == {
        "holding_id": "u1", "job_id": "ml/web", "holder_kind": "inference_server", "name": "a", "cluster": "c1", "node": "n1", "gpu_count": 2,
        "gpu_share": 1, "gpu_sharing": "exclusive", "cpu_count": Decimal("0.5"), "memory_gb": Decimal("1.5"), "disk_gb": 0,
        "started_at": minute(-5), "state": "Running", "outcome": "running", "namespace": "ml", "tenant": "t1",
        "labels": '{"team":"t1","app_kubernetes_io_component":"inference"}',
    }  # fmt: skip


def test_a_parquet_of_labels_as_a_map_and_one_with_a_column_for_each(tmp_path):
    file = tmp_path / "series.parquet"
    samples = "from range(3) as minutes(minute)"
    moment = "timestamptz '2026-09-01 12:00:00+00' + to_minutes(minute) as timestamp, 1.0 as value"
    as_map = f"select 'kube_pod_info' as __name__, map {{'namespace': 'ml', 'pod': 'a', 'uid': 'u1', 'node': 'n1'}} as labels, {moment} {samples}"
    as_columns = (
        f"select 'kube_pod_info' as metric, 'ml' as namespace, 'a' as pod, 'u1' as uid, 'n1' as node, null as phase, {moment} {samples}"
    )
    source = Source(name="ksm", format="kube_state_metrics_pods", path="*")
    for query in (as_map, as_columns):
        with duckdb.connect() as db:
            db.execute(f"copy ({query}) to '{file}' (format parquet)")
            select = kube_state_metrics_pods.project(db, file, source, "USD")
            rows = db.execute(f"select holding_id, node, started_at, gpu_count from ({select})").fetchall()
        assert rows == [("u1", "n1", START, None)]  # nothing said of requests


def test_a_pod_whose_series_stop_is_gone_one_interval_later(read):
    rows = read(
        *pod("a", "u1", range(4)),
        *pod("b", "u2", [0, 1, 2, 6, 7, 8, 9]),  # away for a while: the same holding
        *pod("c", "u3", range(10)),
        *pod("d", "u4", range(9)),
    )
    assert column(rows, "holding_id", "ended_at", "outcome") == [
        ("u1", minute(4), None), ("u2", None, "running"), ("u3", None, "running"), ("u4", minute(9), None),
    ]  # fmt: skip
    assert column(read(*pod("c", "u3"), open_ends="last_seen"), "ended_at") == [minute(9)]


def test_how_pods_end(read):
    def names(pod, uid):
        return {"namespace": "ml", "pod": pod, "uid": uid}

    rows = read(
        *pod("a", "u1", phase="Succeeded"), series("kube_pod_completion_time", value=EPOCH + 90, **names("a", "u1")),
        # evicted at minute 3: nobody says when it was over, only when it was seen
        *pod("b", "u2", range(3)), *pod("b", "u2", range(3, 10), phase="Failed"),
        series("kube_pod_status_reason", range(3, 10), reason="Evicted", **names("b", "u2")),
        series("kube_pod_status_reason", range(10), 0, reason="NodeLost", **names("b", "u2")),
        *pod("c", "u3", range(5)), series("kube_pod_deletion_timestamp", range(3, 5), EPOCH + 270, **names("c", "u3")),
        *pod("d", "u4", phase="Pending", node="", scheduled=None),
        *pod("e", "u5", scheduled=None), series("kube_pod_start_time", value=EPOCH - 60, **names("e", "u5")),
    )  # fmt: skip
    assert column(rows, "started_at", "ended_at", "outcome") == [
        (minute(-5), START + timedelta(seconds=90), "succeeded"),
        (minute(-5), minute(3), "preempted"),
        (minute(-5), START + timedelta(seconds=270), "cancelled"),
        (None, None, "pending"),
        (minute(-1), None, "running"),
    ]


def test_a_name_used_again_is_another_pod_also_where_only_its_info_has_a_uid(read):
    def old(uid, minutes, cpu):
        info = series("kube_pod_info", minutes, namespace="ml", pod="a", uid=uid, node="n1")
        return info, series(
            "kube_pod_container_resource_requests_cpu_cores", minutes, cpu, namespace="ml", pod="a", container=uid, node="n1"
        )

    rows = read(*old("u1", range(3), 2), *old("u2", range(5, 10), 4))
    assert column(rows, "holding_id", "cpu_count", "ended_at") == [("u1", 2, minute(3)), ("u2", 4, None)]


def test_init_containers_sidecars_and_overhead(read):
    names = {"namespace": "ml", "pod": "a", "uid": "u1"}
    rows = read(
        *pod(cpu=1),
        series("kube_pod_container_resource_requests", value=2, container="d", resource="cpu", unit="core", **names),
        series("kube_pod_init_container_resource_requests", value=0.5, container="side", resource="cpu", unit="core", **names),
        series("kube_pod_init_container_info", container="side", restart_policy="Always", **names),
        series("kube_pod_init_container_resource_requests", value=5, container="init", resource="cpu", unit="core", **names),
        series("kube_pod_overhead_cpu_cores", value=0.25, **names),
    )
    assert column(rows, "cpu_count") == [Decimal("5.25")]  # init 5 > 1 + 2 + 0.5, and 0.25 on top


def test_shares_of_gpus_by_resource_and_by_the_labels_of_the_node(read):
    node = series("kube_node_labels", node="n2", label_nvidia_com_gpu_replicas="4", label_nvidia_com_gpu_product="Tesla-T4-SHARED")
    rows = read(
        *pod("a", "u1", nvidia_com_mig_1g_5gb=2), *pod("b", "u2", nvidia_com_gpu=1, nvidia_com_gpucores=25, nvidia_com_gpumem=2048),
        node, *pod("c", "u3", node="n2", nvidia_com_gpu=1), *pod("d", "u4", nvidia_com_gpu_shared=1),
        replicas={"n1": 10},
    )  # fmt: skip
    assert column(rows, "gpu_count", "gpu_share", "gpu_profile", "gpu_sharing", "gpu_memory_gb") == [
        (2, Decimal("0.1"), "1g.5gb", "time_slicing", None),
        (1, Decimal("0.25"), None, "hami", 2),
        (1, Decimal("0.25"), None, "time_slicing", None),
        (1, Decimal("0.1"), None, "time_slicing", None),
    ]


def test_a_single_scrape_has_the_time_of_its_file_or_is_refused(read, tmp_path):
    text = 'kube_pod_info{namespace="ml",pod="a",uid="u1",node="n1"} 1\nbroken{ line\n'
    file = tmp_path / "ksm-2026-09-01T12-00-00Z.prom"
    assert column(read(text=text, form=file.name, refused=[(2, "metric")]), "started_at") == [START]
    with pytest.raises(DeliveryError, match="says no time"):
        read(text=text, form="scrapes.prom")


def test_labels_are_as_they_are_written_whatever_the_form(read):
    for form in FORMS:
        labels = series("kube_pod_labels", namespace="ml", pod="a", uid="u1", label_b="X y", label_A="", label_a="z")
        (row,) = read(*pod(cpu=1), labels, form=form)
        assert row["labels"] == '{"b":"X y","A":"","a":"z"}', form
    text = 'kube_pod_info{namespace="ml",pod="a",uid="u1",node="n1"} 1 %d\nkube_pod_labels{pod="a",uid="u1",namespace="ml",label_a="\\\\n \\"q\\""} 1 %d'
    (row,) = read(text=text % (EPOCH * 1000, EPOCH * 1000), form="stamped.txt")
    assert json.loads(row["labels"]) == {"a": '\\n "q"'}


def test_a_scrape_without_a_time_that_says_two_values_of_a_series_is_several(read):
    file = "ksm-20260901120000.prom"
    text = 'kube_pod_start_time{namespace="ml",pod="a",uid="u1",node="n1"} %d\n'
    with pytest.raises(DeliveryError, match="several scrapes"):
        read(text=text % EPOCH + text % (EPOCH + 60), form=file)


def test_a_file_without_such_series_is_refused(read):
    with pytest.raises(DeliveryError, match="no series"):
        read(series("up"))


def node(name="n1", minutes=range(10), ready=lambda _: 1, unschedulable=0, **capacity):
    found = [
        series("kube_node_info", minutes, node=name, provider_id="aws:///us-east-1a/i-0abc"),
        series("kube_node_created", minutes, EPOCH - 3600, node=name),
        series("kube_node_spec_unschedulable", minutes, unschedulable, node=name),
        series("kube_node_status_condition", minutes, ready, node=name, condition="Ready", status="true"),
        series("kube_node_status_condition", minutes, lambda at: 1 - ready(at), node=name, condition="Ready", status="unknown"),
        series("kube_node_status_condition", minutes, node=name, condition="DiskPressure", status="false"),
    ]
    for resource, value in capacity.items():
        found.append(series("kube_node_status_capacity", minutes, value, node=name, resource=resource, unit="x"))
        found.append(series("kube_node_status_allocatable", minutes, value - 1, node=name, resource=resource, unit="x"))
    return found


@pytest.fixture
def read_nodes(read):
    return lambda *found, **options: read(*found, reader=kube_state_metrics_nodes, **options)


@pytest.mark.parametrize("form", FORMS)
def test_a_node_has_its_capacity_since_it_was_created(read_nodes, form):
    labels = series(
        "kube_node_labels", node="n1", label_nvidia_com_gpu_count="8", label_nvidia_com_gpu_replicas="4", label_nvidia_com_gpu_memory="81920",
        label_nvidia_com_gpu_product="NVIDIA-H100-80GB-HBM3-SHARED", label_node_kubernetes_io_instance_type="p5.48xlarge",
        label_eks_amazonaws_com_nodegroup="gpu", label_eks_amazonaws_com_capacityType="SPOT", label_topology_kubernetes_io_region="us-east-1",
    )  # fmt: skip
    (row,) = read_nodes(*node(cpu=96, memory=2**40, nvidia_com_gpu=32), labels, form=form)
    assert row.pop("file_row") > 0
    assert row == {
        "cluster": "c1", "pool": "gpu", "node": "n1", "gpu_model": "NVIDIA-H100-80GB-HBM3", "gpu_count": 8, "gpu_memory_gb": 80, "cpu_count": 96,
        "memory_gb": 1024, "disk_gb": None, "sku": "p5.48xlarge", "region": "us-east-1", "purchase_option": "spot", "resource_id": "i-0abc",
        "state": "up", "started_at": minute(-60), "ended_at": None,
    }  # fmt: skip


def test_states_from_sample_to_sample(read_nodes):
    rows = read_nodes(
        *node("a", ready=lambda at: int(at not in (3, 4, 5)), unschedulable=lambda at: int(at >= 8)),
        *node("b", range(7)),
        *node("c", ready=lambda _: 0),
    )
    assert column(rows, "node", "state", "started_at", "ended_at") == [
        ("a", "up", minute(-60), minute(3)),
        ("a", "down", minute(3), minute(6)),
        ("a", "up", minute(6), minute(8)),
        ("a", "drain", minute(8), None),
        ("b", "up", minute(-60), minute(7)),  # its series stop
        ("c", "up", minute(-60), minute(0)),
        ("c", "down", minute(0), None),
    ]
