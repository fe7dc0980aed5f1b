"""The sources that docs/telemetry.md maps by a `select`: each runs as it stands there, on records as its program writes them."""

import json
import re
from datetime import datetime

import pytest
import yaml

from tollbook import pipeline

TEN, HALF = datetime(2026, 3, 1, 10), datetime(2026, 3, 1, 10, 30)
TEN_MS = 1772359200000


@pytest.fixture
def load(repo, workspace, ask):
    """Load records as the documented source; the holdings (or the columns asked for)."""

    def load(name, records, columns, table="holdings"):
        blocks = re.findall(r"^```yaml\n(.*?)^```", (repo / "docs" / "telemetry.md").read_text(), re.DOTALL | re.MULTILINE)
        source = next(source for block in blocks for source in yaml.safe_load(block) if isinstance(source, dict) and source["name"] == name)
        file = source["path"].replace("*", "1")
        made = workspace(yaml.safe_dump({"currency": "USD", "sources": [source]}), {file: json.dumps(records)})
        (report,) = pipeline.load(made, tell=lambda _: None)
        assert (report.failures, report.quarantined) == ([], 0)
        return ask(made, f"select {columns} from raw.{table} order by 1")

    return load


def test_tasks_of_ray(load):
    task = {
        "task_id": "c8ef", "attempt_number": 0, "name": "train", "state": "FINISHED", "job_id": "01000000", "node_id": "7e4f",
        "required_resources": {"CPU": 4.0, "GPU": 0.5, "memory": 2147483648.0}, "creation_time_ms": TEN_MS - 60000,
        "start_time_ms": TEN_MS, "end_time_ms": TEN_MS + 1800000,
    }  # fmt: skip
    waiting = {
        "task_id": "c8f0",
        "state": "PENDING_NODE_ASSIGNMENT",
        "required_resources": {"CPU": 1.0},
        "start_time_ms": None,
        "end_time_ms": None,
    }
    columns = "holding_id, attempt, node, gpu_count, cpu_count, memory_gb, started_at, ended_at, outcome"
    assert load("ray_tasks", [task, task | waiting], columns) == [
        ("c8ef:0", 1, "7e4f", 0.5, 4, 2, TEN, HALF, "succeeded"), ("c8f0:0", 1, "7e4f", 0, 1, None, None, None, None),
    ]  # fmt: skip


def test_nodes_of_ray(load):
    node = {"node_id": "7e4f", "resources_total": {"CPU": 8.0, "GPU": 2.0}, "start_time_ms": TEN_MS, "end_time_ms": 0}
    gone = {"node_id": "7e50", "resources_total": {"CPU": 8.0}, "end_time_ms": TEN_MS + 1800000}
    assert load("ray_nodes", [node, node | gone], "node, gpu_count, cpu_count, started_at, ended_at", "capacity") == [
        ("7e4f", 2, 8, TEN, None), ("7e50", 0, 8, TEN, HALF),
    ]  # fmt: skip


def test_jobs_of_kubeflow(load):
    def replicas(count, gpus):
        return {
            "replicas": count,
            "template": {"spec": {"containers": [{"name": "pytorch", "resources": {"limits": {"nvidia.com/gpu": gpus}}}]}},
        }

    job = {
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
        "metadata": {"name": "train", "namespace": "vision", "uid": "f4c7", "creationTimestamp": "2026-03-01T09:59:00Z", "labels": {"team": "a"}},
        "spec": {"pytorchReplicaSpecs": {"Master": replicas(1, 1), "Worker": replicas(3, "2")}},
        "status": {
            "startTime": "2026-03-01T10:00:00Z", "completionTime": "2026-03-01T10:30:00Z",
            "conditions": [{"type": "Created", "status": "True"}, {"type": "Succeeded", "status": "True"}],
        },
    }  # fmt: skip
    running = json.loads(json.dumps(job)) | {"status": {"startTime": "2026-03-01T10:00:00Z", "conditions": [{"type": "Running"}]}}
    running["metadata"]["uid"] = "f4c8"
    assert load("pytorchjobs", {"kind": "List", "items": [job, running]}, "holding_id, gpu_count, started_at, ended_at, outcome, labels") == [
        ("f4c7/Master", 1, TEN, HALF, "succeeded", '{"team":"a"}'), ("f4c7/Worker", 6, TEN, HALF, "succeeded", '{"team":"a"}'),
        ("f4c8/Master", 1, TEN, None, "running", '{"team":"a"}'), ("f4c8/Worker", 6, TEN, None, "running", '{"team":"a"}'),
    ]  # fmt: skip


def test_workflows_of_argo(load):
    times = {"startedAt": "2026-03-01T10:00:00Z", "finishedAt": "2026-03-01T10:30:00Z", "phase": "Succeeded"}
    workflow = {
        "metadata": {"name": "pipeline-x", "namespace": "vision", "uid": "9a1b", "labels": {"team": "a"}},
        "status": {
            "phase": "Succeeded",
            "nodes": {
                "pipeline-x": {"id": "pipeline-x", "type": "DAG", "displayName": "pipeline-x", **times},
                "pipeline-x-1": {
                    "id": "pipeline-x-1", "type": "Pod", "displayName": "train", "hostNodeName": "gpu-1", **times,
                    "resourcesDuration": {"cpu": 7200, "memory": 3600, "nvidia.com/gpu": 3600},
                },
                "pipeline-x-2": {"id": "pipeline-x-2", "type": "Pod", "displayName": "report", "hostNodeName": "cpu-1", **times},
            },
        },
    }  # fmt: skip
    assert load("argo", {"kind": "List", "items": [workflow]}, "holding_id, job_id, node, gpu_count, started_at, ended_at, outcome") == [
        ("pipeline-x-1", "9a1b", "gpu-1", 2, TEN, HALF, "succeeded"), ("pipeline-x-2", "9a1b", "cpu-1", 0, TEN, HALF, "succeeded"),
    ]  # fmt: skip


def test_executions_of_cloud_run(load):
    execution = {
        "apiVersion": "run.googleapis.com/v1", "kind": "Execution",
        "metadata": {"name": "embed-x1", "namespace": "123456", "uid": "77aa", "labels": {"run.googleapis.com/job": "embed"}},
        "spec": {
            "taskCount": 3,
            "template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}}}]}},
        },
        "status": {"startTime": "2026-03-01T10:00:00.000000Z", "completionTime": "2026-03-01T10:30:00.000000Z", "succeededCount": 3},
    }  # fmt: skip
    assert load("cloud_run", [execution], "holding_id, job_id, account, gpu_count, cpu_count, started_at, ended_at, outcome") == [
        ("77aa", "embed", "123456", 3, 12, TEN, HALF, "succeeded")
    ]
