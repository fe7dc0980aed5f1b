"""``sacct --json`` of old and new versions of Slurm, by example."""

import json
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest

from tollbook.errors import TollbookError
from tollbook.sources import slurm_sacct
from tollbook.workspace import Source

NINE, TEN, TWELVE = (datetime(2026, 3, 1, hour) for hour in (9, 10, 12))
NEVER = {"elapsed": 0, "end": 0, "start": 0, "submission": 1772355600}


def job(**changes):
    """A job of two hours from TEN as Slurm 22.05 prints it, with changes."""
    tres = [{"type": "cpu", "name": None, "id": 1, "count": 8}, {"type": "mem", "name": None, "id": 2, "count": 16384}]
    tres += [{"type": "energy", "name": None, "id": 3, "count": None}, {"type": "gres", "name": "gpu:a100", "id": 1002, "count": 2}]
    return {
        "account": "physics", "comment": {"administrator": None, "job": None, "system": None}, "allocation_nodes": 1,
        "array": {"job_id": 0, "task": None, "task_id": None}, "association": {"user": "ada"}, "cluster": "tiny",
        "time": {"elapsed": 7200, "end": 1772366400, "start": 1772359200, "submission": 1772355600, "suspended": 0},
        "het": {"job_id": 0, "job_offset": None}, "job_id": 7, "name": "a|b", "nodes": "n1", "partition": "gpu", "qos": "normal",
        "required": {"CPUs": 8, "memory": 16384}, "reservation": {"id": 0, "name": 0}, "state": {"current": "COMPLETED", "reason": "None"},
        "steps": [], "tres": {"allocated": tres, "requested": tres}, "user": "ada", "wckey": {"wckey": "", "flags": []},
    } | changes  # fmt: skip


def number(value=None):
    """A number as versions from 23.02 print it."""
    return {"set": value is not None, "infinite": False, "number": value or 0}


@pytest.fixture
def read(tmp_path):
    """The wanted columns of one file of answers, by file_row and node; nothing may be refused."""

    def read(content, *names, name="sacct.json", **options):
        (tmp_path / name).write_text(content)
        with duckdb.connect() as db:
            select = slurm_sacct.project(db, tmp_path / name, Source(name="s", format="slurm_sacct", path="x", **options), "USD")
            assert db.execute("select * from unread").fetchall() == []
            return db.execute(f"select {', '.join(names)} from ({select}) order by file_row, node").fetchall()

    return read


def test_old_and_new_versions(read):
    new = {
        "array": {"job_id": 0, "task_id": number(), "task": ""}, "het": {"job_id": 0, "job_offset": number()}, "restart_cnt": 1,
        "state": {"current": ["COMPLETED"], "reason": "None"}, "comment": {"administrator": "x", "job": "y", "system": ""},
        "required": {"CPUs": 8, "memory_per_cpu": number(), "memory_per_node": number(16384)}, "extra": "z",
        "reservation": {"id": 3, "name": "exam", "requested": ""}, "wckey": {"wckey": "k", "flags": []}, "cluster": "",
    }  # fmt: skip
    meta = {"slurm": {"version": {"major": "25"}, "release": "25.05.2", "cluster": "tiny"}}
    whom = ("holding_id", "job_id", "cluster", "name", "node", "account", "user_name", "priority")
    amounts = ("gpu_count", "gpu_model", "cpu_count", "memory_gb")
    times = ("submitted_at", "started_at", "ended_at", "outcome", "attempt")
    for one, attempt, labels in (
        (job(), 1, {"qos": "normal"}),
        (job(**new), 2, {"qos": "normal", "wckey": "k", "comment": "y", "admincomment": "x", "extra": "z", "reservation": "exam"}),
    ):
        # its times are UTC whatever the cluster's clock is
        answer = json.dumps({"meta": meta, "errors": [], "jobs": [one]}, indent=1)
        assert read(answer, *whom, timezone="Asia/Tokyo") == [("7@1772359200", "7", "tiny", "a|b", "n1", "physics", "ada", "normal")]
        assert read(answer, *amounts) == [(2, "a100", 8, Decimal(16))]
        assert read(answer, *times, timezone="Asia/Tokyo") == [(NINE, TEN, TWELVE, "succeeded", attempt)]
        assert json.loads(read(answer, "labels")[0][0]) == labels


def test_memory_that_was_asked_for(read):
    tres = {"allocated": [{"type": "cpu", "count": 8}], "requested": []}
    for required, memory in (
        ({"memory_per_cpu": number(1024), "memory_per_node": number()}, 8),
        ({"memory_per_cpu": number(), "memory_per_node": number(4096)}, 8),
        ({"memory_per_cpu": number(), "memory_per_node": number()}, None),
    ):
        one = job(tres=tres, required=required, nodes="n[1-2]", allocation_nodes=2)
        assert read(json.dumps({"jobs": [one]}), "sum(memory_gb) over ()") == [(memory,)] * 2


def test_arrays_parts_requeues_and_what_the_first_node_gave(read):
    tres = [{"type": "cpu", "count": 2}, {"type": "gres", "name": "gpu", "count": 3}]
    step = {"step": {"id": "10.batch", "name": "batch"}, "nodes": {"range": "n1", "count": 1, "list": ["n1"]}}
    step |= {"time": {"start": number(1772359200)}, "tres": {"allocated": [tres[0] | {"count": 1}, tres[1] | {"count": 2}]}}
    first = [
        job(job_id=8, array={"job_id": 5, "task_id": number(2), "task": ""}),
        job(job_id=5, array={"job_id": 5, "task_id": number(), "task": "3-4%1"}, time=NEVER, state={"current": ["PENDING"]}, nodes="None assigned"),
        job(job_id=6, het={"job_id": 6, "job_offset": number(0)}), job(job_id=7, het={"job_id": 6, "job_offset": 1}),
    ]  # fmt: skip
    second = [
        job(job_id=9, state={"current": ["REQUEUED"]}), job(job_id=9, time=NEVER | {"start": 1772370000}, state={"current": ["RUNNING"]}),
        job(job_id=10, nodes="n[1-2]", allocation_nodes=2, tres={"allocated": tres, "requested": tres}, steps=[step]),
    ]  # fmt: skip
    answers = json.dumps({"jobs": first, "meta": {}}) + "\n" + json.dumps({"jobs": second})
    assert read(answers, "file_row", "job_id", "holding_id", "attempt", "outcome", "ended_at", "node", "gpu_count") == [
        (1, "5_2", "8@1772359200", 1, "succeeded", TWELVE, "n1", 2), (2, "5_[3-4%1]", "5", 1, "pending", None, None, 2),
        (3, "6+0", "6@1772359200", 1, "succeeded", TWELVE, "n1", 2), (4, "6+1", "7@1772359200", 1, "succeeded", TWELVE, "n1", 2),
        (5, "9", "9@1772359200", 1, "preempted", TWELVE, "n1", 2), (6, "9", "9@1772370000", 2, "running", None, "n1", 2),
        (7, "10", "10@1772359200", 1, "succeeded", TWELVE, "n1", 2), (7, "10", "10@1772359200", 1, "succeeded", TWELVE, "n2", 1),
    ]  # fmt: skip


def test_jobs_without_the_answer_around_them(read):
    lines = "\n".join(json.dumps(job(job_id=number_)) for number_ in (7, 8))
    for content, name in ((lines, "sacct.jsonl"), (json.dumps([job(job_id=7), job(job_id=8)]), "sacct.json"), (lines, "sacct.out")):
        assert read(content, "file_row", "job_id", "gpu_count", name=name) == [(1, "7", 2), (2, "8", 2)]


def test_what_is_no_answer_says_so(read):
    with pytest.raises(TollbookError, match=r"none of the lists jobs.*no slurmdbd"):
        read(json.dumps({"meta": {}, "errors": [{"error": "no slurmdbd"}]}), "job_id")
    with pytest.raises(TollbookError, match=r"cut off or damaged"):
        read(json.dumps({"jobs": [job()]})[:-20], "job_id")
    assert read(json.dumps({"jobs": []}), "job_id") == []
