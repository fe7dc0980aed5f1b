"""Kubernetes' pods and nodes as the API says them, by example; every expected number follows from the input beside it."""

import gzip
import json
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest
from reader_rows import dictionaries

from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import kubernetes_nodes, kubernetes_pods
from tollbook.sources.kubernetes_quantities import MACROS
from tollbook.workspace import Source


def at(clock, day=1):
    return datetime.fromisoformat(f"2026-09-{day:02}T{clock}")


def stamp(clock, day=1):
    return f"2026-09-{day:02}T{clock}:00Z"


def container(restart=None, **requests):
    made = {"name": "c", "resources": {"requests": {key.replace("__", "/"): value for key, value in requests.items()}}}
    return made | ({"restartPolicy": restart} if restart else {})


def gpu(count=1, resource="nvidia.com/gpu", **more):
    return {"name": "c", "resources": {"requests": {resource: str(count)} | more, "limits": {resource: str(count)}}}


def pod(name="a", uid=None, *, containers=None, inits=(), phase="Running", node="n1", scheduled="10:00", finished=None, metadata=None, spec=None,
        status=None):  # fmt: skip
    """A pod created at 09:59 and scheduled at 10:00 that requests 2 CPUs and 4 GiB."""
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(scheduled)}] if scheduled else []
    state = {"terminated": {"startedAt": stamp("10:01"), "finishedAt": stamp(finished)}} if finished else {"running": {}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ml", "uid": uid or f"uid-{name}", "creationTimestamp": stamp("09:59")} | (metadata or {}),
        "spec": ({"nodeName": node} if node else {})
        | {"containers": containers or [container(cpu="2", memory="4Gi")], "initContainers": list(inits)}
        | (spec or {}),
        "status": {
            "phase": phase,
            "startTime": stamp("10:00"),
            "conditions": conditions,
            "containerStatuses": [{"name": "c", "state": state}],
        }
        | (status or {}),
    }


def snapshot(*items, at=None, **more):
    return {"kind": "List", "items": list(items)} | ({"timestamp": at} if at else {}) | more


@pytest.fixture
def read(tmp_path):
    """Rows of the objects, one per line, as dictionaries by name; ``refused`` are the (file_row, column_name) of what is not read."""

    def read(*objects, refused=(), reader=kubernetes_pods, text=None, name="objects.ndjson", **options):
        file = tmp_path / name
        content = text if text is not None else "\n".join(json.dumps(one) for one in objects)
        file.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        source = Source(name="k8s", format=reader.__name__.split(".")[-1], path="*", cluster="c1", options=options)
        with duckdb.connect() as db:
            db.execute("set timezone = 'America/New_York'")  # must not matter
            found = db.execute(f"select * from ({reader.project(db, file, source, 'USD')}) order by file_row, started_at, holding_id"
                               if reader is kubernetes_pods else
                               f"select * from ({reader.project(db, file, source, 'USD')}) order by node, started_at")  # fmt: skip
            rows = dictionaries(found)
            assert db.execute("select file_row, column_name from unread order by 1").fetchall() == list(refused)
        return rows

    return read


def column(rows, *names):
    return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] for row in rows]


@pytest.mark.parametrize(
    ("quantity", "billionths"),
    [("500m", 500_000_000), ("1.5Gi", 1_610_612_736 * 10**9), ("2e3", 2000 * 10**9), ("1E", 10**27), ("1E3", 10**12), ("1e-3", 10**6),
     ("1Ei", 2**60 * 10**9), ("7n", 7), ("3u", 3000), (".5", 500_000_000), ("0.1", 100_000_000), ("12Q", None), ("abc", None), (".", None)],
)  # fmt: skip
def test_quantities_are_exact(quantity, billionths):
    with duckdb.connect() as db:
        db.execute(MACROS)
        assert db.execute("select k8s_billionths(q) from (select $1::varchar as q)", [quantity]).fetchone()[0] == billionths


def test_a_pod_holds_its_requests_from_when_it_was_scheduled(read):
    (row,) = read(pod(containers=[gpu(2, cpu="500m", memory="1Gi", **{"ephemeral-storage": "10Gi"})]))
    assert column([row], "holding_id", "node", "cluster", "namespace", "started_at", "ended_at", "outcome") == [
        ("uid-a", "n1", "c1", "ml", at("10:00"), None, "running")
    ]
    assert column([row], "cpu_count", "memory_gb", "disk_gb", "gpu_count", "gpu_share", "gpu_sharing") == [
        (Decimal("0.5"), 1, 10, 2, 1, "exclusive")
    ]


def test_requests_are_the_larger_of_containers_with_sidecars_and_any_init_container_plus_overhead(read):
    rows = read(
        # 1 + 2 + sidecar 0.5 = 3.5 > 3
        pod("a", containers=[container(cpu="1"), container(cpu="2")], inits=[container("Always", cpu="500m"), container(cpu="2500m")]),
        # init 4 + the sidecar before it 0.5 = 4.5 > 3.5; the sidecar after it does not count
        pod(
            "b",
            containers=[container(cpu="3")],
            inits=[container("Always", cpu="500m"), container(cpu="4"), container("Always", cpu="250m")],
        ),
        pod("c", containers=[container(cpu="1", memory="1Gi")], spec={"overhead": {"cpu": "250m", "memory": "512Mi"}}),
        pod("d", containers=[container(cpu="1")], spec={"resources": {"requests": {"cpu": "6", "memory": "2Gi"}}}),
        pod("e", containers=[{"name": "c", "resources": {"limits": {"cpu": "2"}}}, {"name": "d"}]),
    )
    assert column(rows, "cpu_count", "memory_gb") == [
        (Decimal("3.5"), 0),
        (Decimal("4.5"), 0),
        (Decimal("1.25"), Decimal("1.5")),
        (6, 2),
        (2, 0),
    ]


def test_how_a_pod_ended(read):
    over = {"containerStatuses": [{"name": "c", "state": {"terminated": {"finishedAt": stamp(time)}}} for time in ("11:00", "11:30")]}
    evicted = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "lastTransitionTime": stamp("12:00")}]
    rows = read(
        pod("a", phase="Succeeded", status=over),
        pod("b", phase="Failed", finished="11:15"),
        pod("c", phase="Failed", status={"reason": "Evicted", "containerStatuses": [], "conditions": evicted}),
        pod("d", metadata={"deletionTimestamp": stamp("13:00")}),
        pod("e", phase="Pending", node=None, scheduled=None, status={"startTime": None, "containerStatuses": []}),
        pod("f", phase="Pending", status={"containerStatuses": []}),  # pulls its image on its requests
        pod("g", phase="Failed", finished="11:15", status={"reason": "DeadlineExceeded"}),
    )
    assert column(rows, "started_at", "ended_at", "outcome") == [
        (at("10:00"), at("11:30"), "succeeded"),
        (at("10:00"), at("11:15"), "failed"),
        (at("10:00"), at("12:00"), "preempted"),
        (at("10:00"), at("13:00"), "cancelled"),
        (None, None, "pending"),
        (at("10:00"), None, "running"),
        (at("10:00"), at("11:15"), "timed_out"),
    ]


def test_a_watch_stream_gives_each_pod_its_latest_word(read):
    rows = read(
        {"type": "ADDED", "object": pod("a", phase="Pending", node=None, scheduled=None, metadata={"resourceVersion": "9"})},
        {"type": "MODIFIED", "object": pod("a", metadata={"resourceVersion": "10"})},
        {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "11"}}},
        {"type": "ADDED", "object": pod("b", metadata={"resourceVersion": "12"})},
        {"type": "DELETED", "object": pod("b", metadata={"resourceVersion": "13", "deletionTimestamp": stamp("10:30")})},
        {"type": "DELETED", "object": pod("c", metadata={"resourceVersion": "14"}), "timestamp": stamp("10:45")},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410}},
        refused=[(7, "type")],
    )
    assert column(rows, "holding_id", "started_at", "ended_at", "outcome", "file_row") == [
        ("uid-a", at("10:00"), None, "running", 2),
        ("uid-b", at("10:00"), at("10:30"), "cancelled", 5),
        ("uid-c", at("10:00"), at("10:45"), "cancelled", 6),
    ]


def test_a_name_that_comes_again_is_another_holding_and_a_pod_without_a_uid_is_its_name_and_start(read):
    rows = read(pod("a", "u1"), pod("a", "u2", scheduled="11:00"), pod("a", "u1", phase="Succeeded", finished="10:30"),
                pod("b", metadata={"uid": None}))  # fmt: skip
    assert column(rows, "holding_id", "name", "ended_at") == [
        ("u2", "a", None), ("u1", "a", at("10:30")), ("ml/b@2026-09-01T10:00:00Z", "b", None),
    ]  # fmt: skip


def test_a_pod_that_a_later_snapshot_does_not_have_ended_there_at_the_latest(read):
    other = pod("x", metadata={"namespace": "web"})
    rows = read(
        snapshot(pod("a"), pod("b"), other, at=stamp("11:00")),
        snapshot(pod("b"), other, at=stamp("12:00")),
        snapshot(other, at=stamp("13:00"), metadata={"continue": "page 2 has the rest"}),
        snapshot(pod("b"), at=stamp("13:00")),
        snapshot(pod("c", metadata={"namespace": "web"}), at=stamp("14:00")),  # of one namespace: says nothing of b
    )
    assert {row["name"]: (row["ended_at"], row["outcome"]) for row in rows} == {
        "a": (at("12:00"), None),
        "b": (None, "running"),
        "x": (at("14:00"), None),
        "c": (None, "running"),
    }


def test_open_ends_may_be_where_a_pod_was_last_seen(read):
    rows = read(snapshot(pod("a"), pod("b", phase="Succeeded", finished="10:30"), at=stamp("11:00")), open_ends="last_seen")
    assert column(rows, "ended_at", "outcome") == [(at("11:00"), "running"), (at("10:30"), "succeeded")]


def test_the_time_of_a_snapshot_may_stand_in_the_name_of_its_file(read):
    (row,) = read(snapshot(pod()), name="pods-2026-09-01T16-30-00Z.json.gz", open_ends="last_seen")
    assert row["ended_at"] == at("16:30")


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_list_is_read_however_it_is_laid_out(read, indent):
    # a PodList's items do not say their kind; a closing brace in a text ends nothing
    items = [{key: value for key, value in pod(name, metadata={"annotations": {"a": "\n},{]"}}).items() if key != "kind"} for name in "ab"]
    text = json.dumps({"kind": "PodList", "metadata": {}, "items": items}, indent=indent)
    for several in (text, text + "\n" + text, "[" + text + "]", json.dumps([pod("a"), pod("b")], indent=indent)):
        assert column(read(text=several, name="pods.json"), "holding_id") == ["uid-a", "uid-b"]


def test_what_is_broken_is_refused_with_its_number_and_the_rest_is_read(read):
    lines = [json.dumps(pod("a")), '{"kind": "Pod", "metadata": {', "17", json.dumps({"kind": "Pod", "metadata": {}, "spec": {}}),
             json.dumps(pod("b", containers=[container(cpu="many")])), json.dumps(pod("c", scheduled="25:99")), json.dumps({"kind": "Service"}),
             json.dumps({"kind": "Pod", "metadata": {"uid": "d"}}), json.dumps(pod("e"))]  # fmt: skip
    refused = [(2, ""), (3, ""), (4, "metadata"), (5, "cpu"), (6, "PodScheduled"), (8, "spec")]
    assert column(read(text="\n".join(lines), refused=refused), "holding_id", "file_row") == [("uid-a", 1), ("uid-e", 9)]


@pytest.mark.parametrize("text", ['{"kind": "List", "items": [{"kind": "Po', "", '{\n "items": [\n  {\n   "kind": "Pod"'])
def test_a_file_that_is_cut_off_is_refused(read, text):
    with pytest.raises(DeliveryError, match=r"cut off|empty"):
        read(text=text, name="pods.json")


def owned(kind, name, **labels):
    return {
        "ownerReferences": [{"kind": kind, "name": name, "controller": True}],
        "labels": {k.replace("__", "/"): v for k, v in labels.items()},
    }


@pytest.mark.parametrize(
    ("metadata", "job", "kind", "attempt"),
    [
        ({}, None, "pod", None),
        (owned("Node", "n1"), None, "pod", None),
        (owned("Job", "train", **{"batch.kubernetes.io__job-name": "train"}), "ml/train", "pod", None),
        (owned("Job", "sweep", **{"batch.kubernetes.io__job-index-failure-count": "2"}), "ml/sweep", "pod", 3),
        (owned("ReplicaSet", "web-5d4f8c7b9", **{"pod-template-hash": "5d4f8c7b9"}), "ml/web", "pod", None),
        (owned("RayCluster", "rc", **{"ray.io__cluster": "rc", "ray.io__originated-from-cr-name": "tune"}), "ml/tune", "pod", None),
        (owned("PyTorchJob", "pt", **{"training.kubeflow.org__job-name": "pt"}), "ml/pt", "pod", None),
        (owned("StatefulSet", "nb", **{"notebook-name": "nb"}), "ml/nb", "notebook", None),
        (owned("ReplicaSet", "x-abcde", **{"app.kubernetes.io__component": "inference"}), "ml/x", "inference_server", None),
    ],
)
def test_whose_pod_it_is(read, metadata, job, kind, attempt):
    assert column(read(pod(metadata=metadata)), "job_id", "holder_kind", "attempt") == [(job, kind, attempt)]


def test_labels_are_kept_and_named_ones_are_tenant_and_model(read):
    (row,) = read(
        pod(metadata={"labels": {"team": "t1", "org/model": "llama"}}, spec={"priorityClassName": "high"}),
        tenant_label=["customer", "team"], model_label="org/model",
    )  # fmt: skip
    assert column([row], "tenant", "model", "priority") == [("t1", "llama", "high")]
    assert json.loads(row["labels"]) == {"team": "t1", "org/model": "llama"}


def held(rows):
    return column(rows, "gpu_count", "gpu_share", "gpu_profile", "gpu_sharing", "gpu_ids")


def test_time_slices_are_shares_of_the_replicas(read):
    labels = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.product": "Tesla-T4-SHARED", "nvidia.com/gpu.sharing-strategy": "mps"}
    node = {"kind": "Node", "metadata": {"name": "n1", "labels": labels}}
    assert column(read(node, pod(containers=[gpu(1)])), "gpu_share", "gpu_sharing", "gpu_model") == [(Decimal("0.25"), "mps", "Tesla-T4")]
    selected = {"nodeSelector": {"cloud.google.com/gke-max-shared-clients-per-gpu": "3"}}
    assert held(read(pod(containers=[gpu(1)], spec=selected))) == [(1, Decimal("0.333333"), None, "time_slicing", None)]
    assert held(read(pod(containers=[gpu(2, "nvidia.com/gpu.shared")]), replicas=10)) == [(2, Decimal("0.1"), None, "time_slicing", None)]
    assert held(read(pod(containers=[gpu(1, "nvidia.com/gpu.shared")]))) == [(1, None, None, "time_slicing", None)]
    by_place = {"agentpool=t4": 2, "gpu-*": 5}
    rows = read(pod("a", containers=[gpu(1)], node="gpu-7"), pod("b", containers=[gpu(1)], spec={"nodeSelector": {"agentpool": "t4"}}),
                pod("c", containers=[gpu(1)]), replicas=by_place, sharing="mps")  # fmt: skip
    assert column(rows, "gpu_share", "gpu_sharing") == [(Decimal("0.2"), "mps"), (Decimal("0.5"), "mps"), (1, "exclusive")]


def test_mig_instances_have_their_profile(read):
    both = {"name": "c", "resources": {"requests": {"cpu": "3", "nvidia.com/mig-1g.5gb": "1", "nvidia.com/mig-3g.20gb": "2"}}}
    rows = read(pod(containers=[both]))
    assert column(rows, "holding_id", "gpu_profile", "gpu_count", "gpu_sharing", "cpu_count") == [
        ("uid-a", "1g.5gb", 1, "mig", 3), ("uid-a/3g.20gb", "3g.20gb", 2, "mig", 0),
    ]  # fmt: skip
    single = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-2g.10gb"}}
    assert held(read(pod(containers=[gpu(1)], spec=single))) == [(1, 1, "2g.10gb", "mig", None)]


def test_hami_shares_follow_cores_then_memory_and_its_annotation_names_the_gpus(read):
    # KA-4: four tenants with a quarter each are one GPU
    quarters = [
        pod(name, containers=[gpu(1, **{"nvidia.com/gpucores": "25", "nvidia.com/gpumem": "4096"})],
            metadata={"annotations": {"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,4096,25:;"}}) for name in "abcd"
    ]  # fmt: skip
    rows = read(*quarters)
    assert held(rows) == [(1, Decimal("0.25"), None, "hami", "GPU-1")] * 4
    assert column(rows, "gpu_memory_gb") == [4] * 4
    two = {"annotations": {"hami.io/vgpu-devices-allocated": ";GPU-1,NVIDIA,1000,30:GPU-2,NVIDIA,1000,30:;"}}
    assert held(read(pod(containers=[container(cpu="1"), gpu(2)], metadata=two))) == [(2, Decimal("0.3"), None, "hami", "GPU-1,GPU-2")]
    assert held(read(pod(containers=[gpu(1, **{"nvidia.com/gpumem-percentage": "50"})]))) == [(1, Decimal("0.5"), None, "hami", None)]
    memory = pod(containers=[gpu(1, **{"nvidia.com/gpumem": "6144"})])
    assert held(read(memory, gpu_memory_mib=24576)) == [(1, Decimal("0.25"), None, "hami", None)]
    assert held(read(memory)) == [(1, None, None, "hami", None)]


def test_other_shares_and_other_accelerators(read):
    rows = read(
        pod("a", metadata={"annotations": {"gpu-fraction": "0.5"}}),
        pod("b", containers=[gpu(8, "amd.com/gpu")]),
        pod("c", containers=[gpu(4, "google.com/tpu")]),
        pod("d", containers=[gpu(1, "aws.amazon.com/neuroncore")]),
        pod("e", containers=[gpu(2, "vendor.com/xpu")]),
        accelerators={"vendor.com/xpu": 0.5},
    )
    assert column(rows, "gpu_count", "gpu_share") == [(1, Decimal("0.5")), (8, 1), (4, 1), (1, Decimal("0.5")), (2, Decimal("0.5"))]


def claim(name, *devices, pods=1):
    results = [{"request": "gpu", "driver": "gpu.nvidia.com", "pool": "n1", "device": device} for device in devices]
    reserved = [{"resource": "pods", "name": f"p{n}"} for n in range(pods)]
    return {"kind": "ResourceClaim", "metadata": {"name": name, "namespace": "ml"},
            "status": {"allocation": {"devices": {"results": results}}, "reservedFor": reserved}}  # fmt: skip


def test_claims_give_their_devices_named_where_a_slice_knows_them(read):
    slices = {"kind": "ResourceSlice", "spec": {"driver": "gpu.nvidia.com", "pool": {"name": "n1"}, "devices": [
        {"name": f"gpu-{n}", "attributes": {"uuid": {"string": f"GPU-{n}"}}} for n in (0, 1)]}}  # fmt: skip
    template = {"spec": {"resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": "t"}]},
                "status": {"resourceClaimStatuses": [{"name": "gpus", "resourceClaimName": "a-gpus"}]}}  # fmt: skip
    rows = read(
        slices,
        claim("a-gpus", "gpu-0", "gpu-1"), pod("a", spec=template["spec"], status=template["status"]),
        claim("shared", "gpu-7", pods=2), pod("b", spec={"resourceClaims": [{"name": "x", "resourceClaimName": "shared"}]}),
        claim("mig", "gpu-0-mig-1g.5gb-0-1"), pod("c", spec={"resourceClaims": [{"name": "x", "resourceClaimName": "mig"}]}),
        pod("d", spec={"resourceClaims": [{"name": "x", "resourceClaimName": "elsewhere"}]}),
    )  # fmt: skip
    assert held(rows) == [
        (2, 1, None, "exclusive", "GPU-0,GPU-1"),
        (1, Decimal("0.5"), None, "time_slicing", None),
        (1, 1, "1g.5gb", "mig", None),
        (None, None, None, None, None),  # how many, nobody says
    ]


def test_the_kubelet_may_name_the_devices(read):
    devices = [{"name": "nvidia.com/gpu", "resources": [{"resourceID": "GPU-b::1"}, {"resourceID": "GPU-a"}]}]
    status = {"containerStatuses": [{"name": "c", "state": {"running": {}}, "allocatedResourcesStatus": devices}]}
    assert held(read(pod(containers=[gpu(2)], status=status))) == [(2, 1, None, "exclusive", "GPU-a,GPU-b")]


@pytest.mark.parametrize("options", [{"replicas": 0}, {"sharing": "often"}, {"accelerators": {"x": 2}}, {"tenant_label": 3}, {"other": 1}])
def test_an_option_that_makes_no_sense_is_refused(read, options):
    with pytest.raises(ConfigError):
        read(pod(), **options)


# --- nodes


def node(name="n1", ready="True", since="00:01", heartbeat=None, labels=None, capacity=None, provider="aws:///us-east-1a/i-0abc", **spec):
    """A node created at 00:00 with 96 CPUs, 1 TiB and 8 GPUs, Ready since 00:01."""
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": stamp("00:00"), "labels": labels or {}},
        "spec": {"providerID": provider} | spec,
        "status": {
            "capacity": {"cpu": "96", "memory": "1Ti", "nvidia.com/gpu": "8"} | (capacity or {}),
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": stamp(since), "lastHeartbeatTime": heartbeat}],
        },
    }


@pytest.fixture
def read_nodes(read):
    return lambda *objects, **options: read(*objects, reader=kubernetes_nodes, **options)


def test_a_node_exists_from_its_creation_on(read_nodes):
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81920", "node.kubernetes.io/instance-type": "p5.48xlarge",
        "topology.kubernetes.io/region": "us-east-1", "karpenter.sh/nodepool": "gpu", "karpenter.sh/capacity-type": "spot",
    }  # fmt: skip
    (row,) = read_nodes(snapshot(node(labels=labels), at=stamp("12:00")))
    assert row == {
        "cluster": "c1", "pool": "gpu", "node": "n1", "gpu_model": "NVIDIA-H100-80GB-HBM3", "gpu_count": 8, "gpu_memory_gb": 80,
        "cpu_count": 96, "memory_gb": 1024, "disk_gb": None, "sku": "p5.48xlarge", "region": "us-east-1", "purchase_option": "spot",
        "resource_id": "i-0abc", "state": "up", "started_at": at("00:00"), "ended_at": None, "file_row": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "capacity", "gpus"),
    [
        ({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.replicas": "4"}, "32", 8),
        ({"nvidia.com/gpu.replicas": "4"}, "32", 8),
        # 14 of the seven 1g.5gb that an A100 has room for
        ({"nvidia.com/gpu.count": "14", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"}, "14", 2),
        # 1g.20gb of 80 GB takes 2 of 8 memory slices: four of a GPU
        ({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.20gb"}, "8", 2),
        ({}, "4", 4),
        ({}, "0", 0),
    ],
)
def test_gpus_of_a_node_are_physical_ones(read_nodes, labels, capacity, gpus):
    (row,) = read_nodes(node(labels=labels, capacity={"nvidia.com/gpu": capacity}))
    assert row["gpu_count"] == gpus


def test_hami_and_the_option_replicas_multiply_no_gpus(read_nodes):
    hami = node()
    hami["metadata"]["annotations"] = {
        "hami.io/node-nvidia-register": "GPU-1,10,24576,100,NVIDIA-L4,0,true:GPU-2,10,24576,100,NVIDIA-L4,0,true:"
    }
    hami["status"]["capacity"]["nvidia.com/gpu"] = "20"
    assert column(read_nodes(hami), "gpu_count") == [2]
    assert column(read_nodes(node(), replicas=4), "gpu_count") == [2]


def test_states_hold_until_the_next_is_seen_and_from_when_the_node_says(read_nodes):
    rows = read_nodes(
        snapshot(node(), at=stamp("11:00")),
        snapshot(node(ready="Unknown", since="11:20"), at=stamp("12:00")),
        snapshot(node(since="12:40"), at=stamp("13:00")),
        snapshot(node(since="12:40", unschedulable=True), at=stamp("14:00")),
        snapshot(node(since="12:40", unschedulable=True), at=stamp("15:00")),
    )
    assert column(rows, "state", "started_at", "ended_at") == [
        ("up", at("00:00"), at("11:20")),
        ("down", at("11:20"), at("12:40")),
        ("up", at("12:40"), at("14:00")),
        ("drain", at("14:00"), None),
    ]


def test_a_node_that_was_down_when_first_seen_was_up_before(read_nodes):
    rows = read_nodes(snapshot(node(ready="False", since="09:00"), at=stamp("10:00")), open_ends="last_seen")
    assert column(rows, "state", "started_at", "ended_at") == [("up", at("00:00"), at("09:00")), ("down", at("09:00"), at("10:00"))]


def test_a_node_that_is_gone_has_ended(read_nodes):
    rows = read_nodes(snapshot(node("a"), node("b"), at=stamp("11:00")), snapshot(node("b"), at=stamp("12:00")))
    assert column(rows, "node", "ended_at") == [("a", at("12:00")), ("b", None)]
    deleted = {"type": "DELETED", "object": node("a"), "timestamp": stamp("12:30")}
    assert column(read_nodes({"type": "ADDED", "object": node("a")}, deleted), "ended_at") == [at("12:30")]


@pytest.mark.parametrize(
    ("provider", "resource"),
    [
        ("gce://project/us-central1-a/gke-pool-1", "gke-pool-1"),
        ("azure:///subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/v/virtualMachines/3",
         "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/v"),
        ("ocid1.instance.oc1.iad.abc", "ocid1.instance.oc1.iad.abc"),
        (None, None),
    ],
)  # fmt: skip
def test_the_resource_is_named_as_on_the_bill(read_nodes, provider, resource):
    assert column(read_nodes(node(provider=provider)), "resource_id") == [resource]


@pytest.mark.parametrize(
    ("labels", "option"),
    [
        ({"eks.amazonaws.com/capacityType": "ON_DEMAND"}, "on_demand"),
        ({"karpenter.sh/capacity-type": "reserved"}, "reserved"),
        ({"cloud.google.com/gke-spot": "true"}, "spot"),
        ({"kubernetes.azure.com/scalesetpriority": "spot"}, "spot"),
        ({}, None),
    ],
)
def test_purchase_options_of_the_clouds(read_nodes, labels, option):
    assert column(read_nodes(node(labels=labels)), "purchase_option") == [option]


def test_pods_and_nodes_of_one_file_load_through_the_pipeline(workspace, ask):
    both = "\n".join(json.dumps(one) for one in (node(), pod(containers=[gpu(8)]), pod("b", containers=[container(cpu="x")])))
    ws = workspace(
        "currency: USD\nsources:\n"
        "  - {name: pods, format: kubernetes_pods, path: landing/*.ndjson, cluster: c1}\n"
        "  - {name: nodes, format: kubernetes_nodes, path: landing/*.ndjson, cluster: c1}\n",
        {"landing/a.ndjson": both},
    )
    pipeline.load(ws)
    assert ask(ws, "select holding_id, gpu_count, memory_gb from raw.holdings") == [("uid-a", 8, 0)]
    assert ask(ws, "select node, gpu_count, state from raw.capacity") == [("n1", 8, "up")]
    assert ask(ws, "select source_name, file_row, column_name, value from raw.quarantine") == [("pods", 3, "cpu", "x")]
