"""What telemetry of several sources says of the same things: a GPU's node, a pod's GPU, an instance told again, nights in between."""

import pytest

from tests.metering_cases import Cases, at
from tests.workspaces import night


def joined() -> Cases:
    cases = Cases()
    # the node with its bill from one list, its GPUs from another that knows neither pool nor ResourceId
    cases.node("two_lists", 8, 2, gpus=2, cpu_count=8)
    for gpu in ("t0", "t1"):
        cases.add("fleet", cluster="two_lists", node="n", gpu_id=gpu, gpu_model="A10", started_at=at(0), ended_at=at(2))
    cases.pod("two_lists", "uid-a", 0, 1.5, gpu_count=1)
    # its samples say on which GPU: busy half of the time, the other GPU all of it
    for sample in range(240):
        cases.add("dcgm", sampled_at=at(sample / 120), node="n", gpu_id="t0", sm_ratio=0.5, holding_id="uid-a")
        cases.add("dcgm", sampled_at=at(sample / 120), node="n", gpu_id="t1", sm_ratio=1)
    # a node that changes its pool in the middle of an hour
    cases.node("pools", 2, 0.5, pool="p1")
    cases.node("pools", None, pool="p2", started_at=at(0.5), ended_at=at(1))
    cases.pod("pools", "mover", 0, 1, gpu_count=1)
    # the number of a MIG instance is used again after half an hour; the list has it twice, once without its node
    cases.node("again", 7, gpus=["g0"], gpu_model="A100", gpu_memory_gb=40)
    for node in ("n", None):
        cases.add("slices", node=node, gpu_id="g0", instance_id="MIG-g0/1", profile="3g.20gb", started_at=at(0), ended_at=at(0.5))
        cases.add("slices", node=node, gpu_id="g0", instance_id="MIG-g0/1", profile="1g.5gb", started_at=at(0.5), ended_at=at(1))
    cases.pod("again", "slice", 0, 1, gpu_ids="MIG-g0/1", gpu_count=1)
    # two hundred busy GPUs in one row
    cases.node("pod_of_200", 200, gpus=200)
    cases.pod("pod_of_200", "all", 0, 1, gpu_count=200)
    for gpu in range(200):
        for sample in range(120):
            cases.add("dcgm", sampled_at=at(sample / 120), node="n200", gpu_id=f"x{gpu}", sm_ratio=1)
    cases.rows["fleet"] = [row.replace("pod_of_200,p,n,", "pod_of_200,p,n200,") for row in cases.rows["fleet"]]
    cases.rows["pods"] = [row.replace("pod_of_200,,n,", "pod_of_200,,n200,") for row in cases.rows["pods"]]
    return cases


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    workspace = joined().workspace(tmp_path_factory.mktemp("told"))
    night(workspace)
    return workspace


def hours(workspace, ask, cluster, *columns):
    keys = ", ".join(columns)
    found = ask(
        workspace,
        f"select {keys}, round(sum(gpu_hours), 6), sum(allocated_cost)::double from engineering.fct_gpu_hours"
        f" where cluster = '{cluster}' group by {keys} order by all",
    )
    return [(*row[:-2], row[-2], pytest.approx(row[-1], abs=1e-9)) for row in found]


def test_gpus_of_one_list_and_the_bill_of_another_are_one_node_and_samples_say_whose_gpu_it_is(told, ask):
    assert hours(told, ask, "two_lists", "gpu_id", "layer", "evidence") == [
        ("t0", "idle", "requested", 0.5, 1),
        ("t0", "productive", "device", 0.75, 1.5),
        ("t0", "quiet", "device", 0.75, 1.5),
        ("t1", "idle", "requested", 2, 4),
    ]
    assert ask(told, "select sum(held_gpu_hours) from engineering.fct_gpu_hours where cluster = 'two_lists'") == [(1.5,)]


def test_a_node_that_changes_its_pool_has_its_holders_once(told, ask):
    assert ask(told, "select sum(gpu_hours), sum(held_gpu_hours) from engineering.fct_gpu_hours where cluster = 'pools'") == [(1, 1)]


def test_an_instance_number_used_again_is_each_profile_in_its_time(told, ask):
    assert hours(told, ask, "again", "gpu_profile", "layer") == [
        ("1g.5gb", "unknown", 0.071429, 0.5), ("3g.20gb", "unknown", 0.214286, 1.5), (None, "idle", 0.714286, 5),
    ]  # fmt: skip


def test_a_row_of_two_hundred_gpus_is_measured(told, ask):
    assert hours(told, ask, "pod_of_200", "layer") == [("productive", 200, 200)]


def test_nights_in_between_end_in_what_a_rebuild_says(tmp_path, ask):
    cases = Cases()
    cases.add("fleet", cluster="k", pool="p", node="a", gpu_id="gm", resource_id="r", started_at=at(0), ended_at=at(24))
    cases.add("fleet", cluster="k", pool="p", node="b", gpu_id="gm", resource_id="r", started_at=at(48), ended_at=at(72))
    cases.pod("k", "first", 0, 2, node="a", gpu_ids="gm", gpu_count=1)
    cases.pod("k", "third", 48, 50, node="b", gpu_ids="gm", gpu_count=1)
    cases.charge(72, 0, 72, "r")
    for sample in range(120):
        cases.add("dcgm", sampled_at=at(sample / 120), gpu_id="gm", sm_ratio=0.5)
    workspace = cases.workspace(tmp_path)
    night(workspace)
    late = Cases()
    for sample in range(10):
        late.add("dcgm", sampled_at=at(48 + sample / 6), gpu_id="gm", sm_ratio=1)
        late.add("dcgm", sampled_at=at(23.99 + sample / 3600), gpu_id="gm", sm_ratio=1)
    (tmp_path / "landing/dcgm/b.csv").write_text(late.files()["landing/dcgm/a.csv"])
    night(workspace)
    query = "select * from engineering.fct_gpu_hours order by all"
    by_night = ask(workspace, query)
    assert {row[0] for row in ask(workspace, "select distinct layer from engineering.fct_gpu_hours where node = 'a'")} >= {
        "productive",
        "quiet",
    }
    night(workspace, full_refresh=True)
    assert ask(workspace, query) == by_night
