"""Known answers of the field about costs that are shared out, through the loaders: KA-3, KA-7 and KA-9 in one build."""

import pytest

from tests.metering_cases import Cases, at
from tests.workspaces import charged_on, night

RULES = """rule_id,step,cost,within,method,driver,receivers,valid_from,valid_to
by-what-is-held,1,bucket:idle,node,by_resource,,,2026-09-01,2026-09-02
ka-9,1,bucket:idle,pool,proportional,,,2026-09-02,2026-09-03
ka-7,1,bucket:idle,node,proportional,,,2026-09-03,2026-09-04
"""


def cases() -> Cases:
    told = Cases()
    told.aws_accelerated()
    # 1 : 0.9 of a node of 19 with 10 CPUs and 10 GPUs: idle CPUs cost 4.5, and nobody holds any
    told.node("nobody", 19, gpus=10, cpu_count=10)
    told.policy("nobody", "node_cost_split", "by_unit")
    told.rate("by_unit", "gpu", 1)
    told.rate("by_unit", "cpu", 0.9)
    told.pod("nobody", "one", 0, 1, gpu_count=1)
    told.pod("nobody", "three", 0, 1, gpu_count=3)
    # KA-9: of 200, 100 are idle; a holds 25, b 75
    told.node("ka9", None, gpus=8, started_at=at(24), ended_at=at(25))
    told.charge(200, 24, 25, "ka9-n")
    told.pod("ka9", "a", 24, 25, gpu_count=1)
    told.pod("ka9", "b", 24, 25, gpu_count=3)
    # KA-7: 1,000 for 30 days; on one of them 2 h x 4, 6 h x 1 and 2 h x 2 compute slices of one GPU
    told.node("ka7", 1000, 30 * 24, gpus=["g"], gpu_model="NVIDIA-A100-SXM4-40GB")
    told.pod("ka7", "eight", 48, 50, gpu_ids="g", gpu_count=1, gpu_profile="4g.20gb")
    told.pod("ka7", "six", 48, 54, gpu_ids="g", gpu_count=1, gpu_profile="1g.5gb")
    told.pod("ka7", "four", 52, 54, gpu_ids="g", gpu_count=2, gpu_profile="1g.5gb")
    return told


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    workspace = cases().workspace(tmp_path_factory.mktemp("sharing"), {"config/cost_sharing.csv": RULES})
    night(workspace)
    return workspace


@pytest.fixture
def charged(built):
    def of(day, teams):
        return {team: float(cost) for team, cost in charged_on(built, day, f"team in {tuple(teams)}").items()}

    return of


@pytest.fixture
def moved(built, ask):
    def of(rule, where="true"):
        return dict(
            ask(
                built,
                f"select team, sum(moved_cost)::double from finance.fct_shared_costs where rule_id = '{rule}' and {where} group by team",
            )
        )

    return of


def near(expected, digits):
    return {name: pytest.approx(cost, abs=0.6 * 10**-digits) for name, cost in expected.items()}


def test_ka_3_the_unused_memory_is_shared_by_gb_held(charged, moved, built, ask):
    assert charged("2026-09-01", ["p1", "p2", "p3", "p4"]) == near({"p1": 1.908887, "p2": 3.264370, "p3": 2.413371, "p4": 2.413371}, 6)
    assert sum(charged("2026-09-01", ["p1", "p2", "p3", "p4"]).values()) == pytest.approx(10, abs=1e-11)
    unused = {"p1": 0.061150, "p2": 0.085609, "p3": 0.061150, "p4": 0.061150, "idle": -0.269058}
    assert moved("by-what-is-held", "cluster = 'ka3'") == near(unused, 6)
    assert ask(
        built,
        "select distinct resource, allocated_method_id, sum(case when entry = 'received' then share_ratio end) over ()"
        " from finance.fct_shared_costs where cluster = 'ka3'",
    ) == [("memory", "by_resource_within_node", pytest.approx(1))]


def test_what_nobody_holds_any_of_is_shared_by_all_that_is_held(moved):
    # 10 of 19 are GPUs: 6 of them idle; 9 are CPUs, which nobody holds: 1 : 3
    assert moved("by-what-is-held", "cluster = 'nobody' and resource = 'gpu'") == {"one": 1.5, "three": 4.5, "idle": -6}
    assert moved("by-what-is-held", "cluster = 'nobody' and resource = 'cpu'") == {"one": 2.25, "three": 6.75, "idle": -9}


def test_ka_7_the_unallocated_part_of_a_gpu_goes_to_the_holders_of_its_slices(charged, moved, built, ask):
    day = "2026-09-03"
    # 1.5873, 1.1905 and 0.7937 of their own
    assert moved("ka-7") == near({"eight": 13.228, "six": 9.921, "four": 6.614, "idle": -29.7619}, 3)
    assert charged(day, ["eight", "six", "four"]) == near({"eight": 13.228 + 1.5873, "six": 9.921 + 1.1905, "four": 6.614 + 0.7937}, 3)
    assert ask(built, "select count(*) from finance.fct_shared_costs where rule_id = 'ka-7' and entry = 'negating'") == [(1,)]
    ((total,),) = ask(
        built, f"select sum(charged_cost)::double from intermediate.int_chargeback_days where usage_date = '{day}' and billed_by = 'Nimbus'"
    )
    assert total == pytest.approx(1000 / 30, abs=1e-9)


def test_ka_9_a_pool_of_100_by_25_and_75(charged, moved):
    assert moved("ka-9") == {"a": 25, "b": 75, "idle": -100}
    assert charged("2026-09-02", ["a", "b"]) == {"a": 50, "b": 150}
