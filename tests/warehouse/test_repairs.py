"""quality.fct_repairs: each trouble of telemetry in a small fleet, counted, and the same after a rebuild."""

import pytest

from tests.metering_cases import Cases, at
from tests.workspaces import night, quiet
from tollbook import pipeline


@pytest.fixture(scope="module")
def workspace_of_troubles(tmp_path_factory):
    told = Cases()
    told.overlapping("r1")
    # said again word for word
    told.node("again", 6, 2, gpus=["r2"])
    told.pod("again", "same", 0, 1, gpu_ids="r2", gpu_count=1)
    told.pod("again", "same", 0, 1, gpu_ids="r2", gpu_count=1)
    # a GPU promised twice for half an hour, on a node that lists two rows of one interval
    told.promised_twice("r3")
    told.add(
        "fleet",
        cluster="promised",
        pool="p",
        node="n",
        resource_id="promised-n",
        gpu_id="r3",
        gpu_count=1,
        started_at=at(0),
        ended_at=at(1),
    )
    told.pod("ghost", "elsewhere", 0, 0.25, node="ghost", gpu_count=2)
    # no end: to the horizon, which is the end of what is known
    told.node("open", 4, 2, gpus=["r4"], node="o")
    told.pod("open", "running", 1.5, None, node="o", gpu_ids="r4", gpu_count=1)
    # busy for a quarter of an hour, the last sample standing for 2 × 30 s, and held by nobody; three samples say nothing
    told.node("busy", 4, gpus=["r5"], node="b")
    for sample in range(30):
        told.add("dcgm", sampled_at=at(sample / 120), node="b", gpu_id="r5", sm_ratio=1)
    for sample in range(3):
        told.add("dcgm", sampled_at=at(0.5 + sample / 120), node="b", gpu_id="r5")
    workspace = told.workspace(tmp_path_factory.mktemp("repairs"))
    night(workspace)
    return workspace


def test_what_was_mended_is_counted_in_records_and_hours(workspace_of_troubles, ask):
    found = {
        (repair, source): (count, hours, unit)
        for repair, source, count, hours, unit in ask(
            workspace_of_troubles,
            "select repair, source_name, sum(record_count)::bigint, sum(hours), max(hours_of) from quality.fct_repairs group by all",
        )
    }
    ((open_hours,),) = ask(
        workspace_of_troubles, "select (epoch_us(horizon_at) - epoch_us(timestamp '2026-09-01 01:30')) / 3600e6 from meta.horizon"
    )
    assert found == {
        ("repeated_holdings", "pods"): (1, None, None),
        ("repeated_capacity", "fleet"): (1, None, None),
        ("overlap", "pods"): (1, 0.5, "attempts"),
        ("open_end", "pods"): (1, pytest.approx(open_hours), "attempts"),
        ("beyond_capacity", "pods"): (2, pytest.approx(0.5), "GPUs"),
        ("unknown_node", "pods"): (1, pytest.approx(0.5), "GPUs"),
        # all that is held on nodes that exist is unseen: 1.5 + 1 + 1 + 0.5
        ("unseen", "pods"): (5, pytest.approx(4.0), "GPUs"),
        ("sample_without_activity", "dcgm"): (3, None, None),
        ("busy_unheld", "dcgm"): (1, pytest.approx(15.5 / 60), "GPUs"),
    }


def test_incremental_equals_rebuild(workspace_of_troubles, ask):
    rows = ask(workspace_of_troubles, "select * from quality.fct_repairs order by all")
    pipeline.build(workspace_of_troubles, full_refresh=True, tell=quiet)
    assert len(rows) >= 9
    assert ask(workspace_of_troubles, "select * from quality.fct_repairs order by all") == rows
