"""Jobs of GitHub Actions and GitLab CI by example: who ran where and held what; made-up people."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from reader_rows import dictionaries, values

from tollbook.errors import ConfigError
from tollbook.sources import github_actions, gitlab_ci
from tollbook.workspace import Source

RUNNERS = {"gpu-a10": {"gpu_count": 1, "cpu_count": 8, "gpu_model": "A10"}, "half": {"gpu_count": 1, "gpu_share": 0.5, "pool": "shared"}}


@pytest.fixture
def read(db, tmp_path):
    """Read content as one file of GitHub's; the holdings as dictionaries by file_row."""

    def read(content, reader=github_actions, name="jobs.json", **options):
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        source = Source(name="ci", format=reader.__name__.split(".")[-1], path="*", options=options)
        result = db.execute(f"select * from ({reader.project(db, file, source, 'USD')}) order by file_row")
        return dictionaries(result)

    return read


def job(number=21, **changes):
    return {
        "id": number, "run_id": 5, "run_attempt": 1, "name": "train", "workflow_name": "Nightly", "status": "completed",
        "conclusion": "success", "created_at": "2026-03-01T09:58:00Z", "started_at": "2026-03-01T10:00:00Z",
        "completed_at": "2026-03-01T10:30:00Z", "runner_id": 7, "runner_name": "gpu-node-3", "runner_group_name": "research",
        "labels": ["self-hosted", "GPU-A10"], "head_sha": "0ff3ae19", "head_branch": "main",
        "url": f"https://api.github.com/repos/acme/models/actions/jobs/{number}",
    } | changes  # fmt: skip


def run(**changes):
    return {"id": 5, "run_attempt": 1, "name": "Nightly", "event": "schedule", "actor": {"login": "ada"}, "jobs_url": "…"} | changes


def github(*jobs):
    return {"total_count": len(jobs), "jobs": list(jobs)}


def test_a_job_holds_its_runner_while_it_runs(read):
    (row,) = read(github(job()), runners=RUNNERS)
    assert json.loads(row.pop("labels")) == {
        "repository": "acme/models", "workflow": "Nightly", "ref": "main", "commit": "0ff3ae19", "run_id": "5", "runner": "gpu-node-3",
        "runner_labels": "self-hosted,gpu-a10",
    }  # fmt: skip
    assert row == {
        "holding_id": "21", "job_id": "5/train", "attempt": "1", "holder_kind": "ci_job", "name": "train", "cluster": None, "pool": "research",
        "node": "gpu-node-3", "gpu_count": "1", "gpu_share": None, "gpu_memory_gb": None, "cpu_count": "8", "memory_gb": None, "disk_gb": None,
        "gpu_model": "A10", "gpu_profile": None, "submitted_at": "2026-03-01T09:58:00Z", "started_at": "2026-03-01T10:00:00Z",
        "ended_at": "2026-03-01T10:30:00Z", "state": "success", "outcome": "succeeded", "namespace": "acme/models", "account": "acme",
        "user_name": None, "file_row": 1,
    }  # fmt: skip


def test_labels_say_what_is_held_and_nothing_is_guessed(read):
    rows = read(github(job(), job(22, labels=["half"]), job(23, labels=["half", "gpu-a10"]), job(24, labels=["ubuntu"])), runners=RUNNERS)
    assert values(rows, "gpu_count", "gpu_share", "cpu_count", "pool") == [
        ("1", None, "8", "research"), ("1", "0.5", None, "shared"), ("1", None, "8", "research"), (None, None, None, "research"),
    ]  # fmt: skip
    assert values(read(github(job())), "gpu_count") == [None]


def test_where_a_runner_stands(read):
    jobs = github(
        job(runner_name="node-7-runner-2"),
        job(22, runner_name="GitHub Actions 12", runner_group_name="GitHub Actions"),
        job(23, runner_name="laptop"),
    )
    assert values(read(jobs), "node") == ["node-7-runner-2", None, "laptop"]
    assert values(read(jobs, node_from="none"), "node") == [None] * 3
    assert values(read(jobs, node_from="^(node-[0-9]+)-runner"), "node") == ["node-7", None, None]


def test_outcomes(read):
    said = {
        "success": "succeeded", "neutral": "succeeded", "failure": "failed", "startup_failure": "failed", "cancelled": "cancelled",
        "stale": "cancelled", "timed_out": "timed_out",
    }  # fmt: skip
    assert values(read(github(*[job(n, conclusion=word) for n, word in enumerate(said)])), "outcome") == list(said.values())


def test_who_never_had_a_runner_did_not_start(read):
    waiting = {"conclusion": None, "completed_at": None, "runner_id": None, "runner_name": None, "runner_group_name": None}
    rows = read(
        github(
            job(1, status="queued", **waiting),
            job(2, status="in_progress", conclusion=None, completed_at=None),
            job(3, conclusion="skipped", runner_id=0, runner_name=""),
            job(4, conclusion="cancelled", runner_id=0, runner_name=""),
            # a file without runners at all has only the times
            {key: value for key, value in job(5).items() if not key.startswith("runner")},
        )
    )
    assert values(rows, "outcome", "started_at", "ended_at", "node") == [
        ("pending", None, None, None),
        ("running", "2026-03-01T10:00:00Z", None, "gpu-node-3"),
        ("cancelled", None, None, None),
        ("cancelled", None, None, None),
        ("succeeded", "2026-03-01T10:00:00Z", "2026-03-01T10:30:00Z", None),
    ]


def test_runs_tell_who_started_them(read):
    lines = [
        github(job(), job(22, run_attempt=2)),
        {"workflow_runs": [run(), run(id=6)]},
        run(id=5, run_attempt=2, triggering_actor={"login": "grace"}),
    ]
    rows = read("\n".join(json.dumps(line) for line in lines), name="all.ndjson")
    assert values(rows, "holding_id", "job_id", "attempt", "user_name") == [
        ("21", "5/train", "1", "grace"),
        ("22", "5/train", "2", "grace"),
    ]
    assert json.loads(rows[0]["labels"])["event"] == "schedule"


def test_of_webhooks_the_one_that_knows_most_counts(read):
    def payload(action, **changes):
        return {
            "action": action, "workflow_job": job(status=action, **changes), "repository": {"full_name": "acme/models"}, "sender": {"login": "ada"},
        }  # fmt: skip

    unknown = {"conclusion": None, "completed_at": None}
    lines = [payload("completed"), payload("queued", runner_id=None, runner_name=None, **unknown), payload("in_progress", **unknown)]
    rows = read("\n".join(map(json.dumps, lines)), name="hooks.jsonl")
    assert values(rows, "file_row", "outcome", "namespace", "user_name") == [(1, "succeeded", "acme/models", "ada")]


def gitlab(number=6, **changes):
    return {
        "id": number, "name": "train", "stage": "test", "status": "success", "ref": "main", "created_at": "2026-03-01T09:00:00.000Z",
        "started_at": "2026-03-01T10:00:00.000+01:00", "finished_at": "2026-03-01T10:30:00.000+01:00", "queued_duration": 90.5,
        "duration": 1800, "tag_list": ["gpu-a10"], "runner": {"id": 3, "description": "gpu-node-3", "tags": ["linux"]},
        "pipeline": {"id": 77, "sha": "0ff3ae19", "ref": "main", "source": "push"}, "commit": {"id": "0ff3ae198f86"},
        "user": {"username": "ada"}, "web_url": f"https://gitlab.example.com/acme/models/-/jobs/{number}",
    } | changes  # fmt: skip


def test_a_job_of_gitlab(read):
    (row,) = read([gitlab()], gitlab_ci, runners=RUNNERS)
    assert json.loads(row["labels"]) == {
        "repository": "acme/models", "stage": "test", "ref": "main", "commit": "0ff3ae198f86", "event": "push", "pipeline": "77",
        "runner": "gpu-node-3", "runner_labels": "gpu-a10,linux",
    }  # fmt: skip
    names = ("holding_id", "job_id", "attempt", "node", "gpu_count", "cpu_count", "gpu_model", "outcome", "namespace", "user_name")
    assert values([row], *names) == [("6", "77/train", 1, "gpu-node-3", "1", "8", "A10", "succeeded", "acme/models", "ada")]


def test_states_of_gitlab_and_its_retries(read):
    never = {"started_at": None, "finished_at": None, "runner": None, "queued_duration": None}
    rows = read(
        [
            gitlab(9), gitlab(8, status="failed", failure_reason="job_execution_timeout"), gitlab(7, status="failed"),
            gitlab(10, name="b", status="running", finished_at=None), gitlab(11, name="c", status="manual", **never),
            gitlab(12, name="d", status="skipped", **never), gitlab(13, name="e", status="canceled"),
        ],
        gitlab_ci,
    )  # fmt: skip
    assert values(rows, "holding_id", "attempt", "outcome", "node") == [
        ("9", 3, "succeeded", "gpu-node-3"), ("8", 2, "timed_out", "gpu-node-3"), ("7", 1, "failed", "gpu-node-3"),
        ("10", 1, "running", "gpu-node-3"), ("11", 1, "pending", None), ("12", 1, "cancelled", None), ("13", 1, "cancelled", "gpu-node-3"),
    ]  # fmt: skip


def test_job_events_of_gitlab(read, db):
    event = {
        "object_kind": "build", "build_id": 6, "build_name": "train", "build_stage": "test", "build_status": "success", "ref": "main",
        "build_created_at": "2026-03-01 09:59:00 UTC", "build_started_at": "2026-03-01 10:00:00 UTC",
        "build_finished_at": "2026-03-01 10:30:00 UTC", "build_queued_duration": 30, "pipeline_id": 77, "retries_count": 1, "sha": "0ff3",
        "runner": {"description": "gpu-node-3", "tags": ["gpu-a10"]}, "user": {"username": "ada"},
        "project": {"path_with_namespace": "acme/models"},
    }  # fmt: skip
    lines = [event | {"build_status": "running", "build_finished_at": None}, event, {"object_kind": "push"}]
    rows = read("\n".join(map(json.dumps, lines)), gitlab_ci, name="hooks.ndjson")
    assert values(rows, "file_row", "attempt", "job_id", "started_at", "ended_at", "namespace") == [
        (2, 2, "77/train", "2026-03-01 10:00:00+00", "2026-03-01 10:30:00+00", "acme/models")
    ]
    assert db.execute("select file_row, reason from unread").fetchall() == [(3, "is no job")]


def test_options_that_make_no_sense(read):
    for options, message in (
        ({"runners": {"a": {"gpus": 1}}}, "runners, a: no gpus; it takes gpu_count"),
        ({"runners": {"a": {"gpu_count": "one"}}}, "gpu_count must be a number"),
        ({"runners": ["a"]}, "must be a map such as"),
        ({"node_from": "node"}, "must be runner, none, or have a group"),
        ({"node_from": "("}, "is no regular expression"),
        ({"labels": {}}, "has no option labels; it knows node_from, runners"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(github(job()), **options)


def test_through_the_loader(workspace, ask):
    from tollbook import pipeline

    settings = (
        "currency: USD\nsources:\n"
        "  - {name: github, format: github_actions, path: landing/github.json, cluster: ci, options: {runners: {gpu-a10: {gpu_count: 2}}}}\n"
        "  - {name: gitlab, format: gitlab_ci, path: landing/gitlab.json, options: {runners: {gpu-a10: {gpu_count: 1, gpu_share: 0.25}}}}\n"
    )
    made = workspace(settings, {"landing/github.json": json.dumps(github(job())), "landing/gitlab.json": json.dumps([gitlab()])})
    assert [(report.rows, report.quarantined, report.failures) for report in pipeline.load(made, tell=lambda _: None)] == [(1, 0, [])] * 2
    assert ask(
        made,
        "select source_name, cluster, submitted_at, started_at, ended_at, gpu_count * coalesce(gpu_share, 1) from raw.holdings order by 1",
    ) == [
        ("github", "ci", datetime(2026, 3, 1, 9, 58), datetime(2026, 3, 1, 10), datetime(2026, 3, 1, 10, 30), 2),
        ("gitlab", None, datetime(2026, 3, 1, 8, 58, 29, 500000), datetime(2026, 3, 1, 9), datetime(2026, 3, 1, 9, 30), Decimal("0.25")),
    ]
