"""Public traces of jobs by the documented tollbook.yml: attempts, outcomes and hours as the data's own totals."""

import pytest
import yaml

from tollbook import pipeline
from tollbook.workspace import Workspace

EXAMPLES = {"public-telemetry": "philly", "public-data": "slurm_sacct"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from conftest import REPO, find_shared_data

    data = find_shared_data()
    root = tmp_path_factory.mktemp("jobs")
    sources = []
    for example, name in EXAMPLES.items():
        settings = yaml.safe_load((REPO / "docs" / "examples" / example / "tollbook.yml").read_text())
        sources += [source for source in settings["sources"] if source["name"] == name]
    assert len(sources) == 2
    (root / "tollbook.yml").write_text(yaml.safe_dump({"currency": "USD", "sources": sources}))
    (root / "landing").symlink_to(data)
    workspace = Workspace.open(root)
    for report in pipeline.load(workspace, tell=lambda _: None):
        assert report.failures == []
    pipeline.build(workspace, tell=lambda _: None)
    return workspace


def test_jobs_of_slurm_by_how_they_ended(built, ask):
    by_outcome = "select outcome, count(*), round(sum(cpu_hours), 6) from engineering.fct_job_attempts where cluster = 'pozidriv' group by 1 order by 1"
    assert ask(built, by_outcome) == [
        ("cancelled", 468, 5342.55),
        ("failed", 1007, 416.181111),
        ("preempted", 86, 156.735556),
        ("succeeded", 10134, 57076.246389),
        ("timed_out", 9, 8992.563333),
    ]
    jobs = "select count(*), sum(attempts), sum(preemptions), sum(failures), count(*) filter (where is_success), round(sum(cpu_hours), 6)"
    assert ask(built, f"{jobs} from engineering.fct_jobs where cluster = 'pozidriv'") == [(11704, 11704, 86, 1016, 10134, 71984.276389)]


def test_waiting_and_running_of_slurm_jobs_is_what_the_records_say(built, ask):
    seconds = (
        "select sum(epoch(ended_at - started_at))::bigint, count(latency_seconds), sum(latency_seconds) filter (where is_success)"
        " = sum(epoch(ended_at - submitted_at)) filter (where is_success) from (select *, first_started_at as started_at, last_ended_at as"
        " ended_at from engineering.fct_jobs) where cluster = 'pozidriv'"
    )
    assert ask(built, seconds) == [(24184750, 10134, True)]


def test_no_bill_no_cost_and_no_end_no_loss(built, ask):
    jobs = "select count(*), count(cost), count(lost_cost), count(lost_gpu_hours), count(cost_reason), round(sum(gpu_hours), 6)"
    assert ask(built, f"{jobs} from engineering.fct_jobs where cluster = 'philly'") == [(56066, 0, 0, 0, 56066, 322337.207778)]
    # jobs of Slurm say how they ended: of the GPU-hours that they did not hold, none is lost
    lost = "sum(lost_gpu_hours) = 0 and count(lost_gpu_hours) = count(*)"
    assert ask(built, f"select {lost} from engineering.fct_jobs where cluster = 'pozidriv'") == [(True,)]


def test_gpu_hours_of_philly_by_virtual_cluster(built, ask):
    by_account = "select account, count(*), round(sum(gpu_hours), 6) from engineering.fct_job_attempts where cluster = 'philly' group by 1 order by 1"
    assert ask(built, by_account) == [
        ("0e4a51", 1435, 77556.306389), ("103959", 1934, 42880.255833), ("51b7ef", 4, 12.158056), ("6214e9", 41226, 97184.8225),
        ("6c71a0", 9953, 82203.257222), ("795a4c", 3, 5.090556), ("e13805", 374, 13557.8575), ("ed69ec", 1137, 8937.459722),
    ]  # fmt: skip
