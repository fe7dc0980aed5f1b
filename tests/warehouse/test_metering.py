"""Metering and allocation through the loaders: known answers of the field, and telemetry with its usual troubles."""

from decimal import Decimal

import pytest

from tests.metering_cases import known_answers, troubles
from tests.workspaces import night


def built(folder, cases):
    """A workspace of the cases, loaded and built."""
    workspace = cases.workspace(folder)
    night(workspace)
    return workspace


def layers(workspace, ask, cluster, *columns):
    """Rows of ``columns``, hours and cost of a cluster, by the columns."""
    keys = ", ".join(columns)
    hours = "round(sum(gpu_hours), 9)::decimal(18, 9)"
    found = ask(
        workspace,
        f"select {keys}, {hours}, sum(allocated_cost) from engineering.fct_gpu_hours where cluster = '{cluster}' group by {keys} order by all",
    )
    return [tuple(str(value.normalize().__format__("f")) if isinstance(value, Decimal) else value for value in row) for row in found]


def costs(workspace, ask, cluster, key="holding_id"):
    """Cost by holder (or another column), in nine decimals."""
    found = ask(
        workspace,
        f"select {key}, sum(allocated_cost)::double from engineering.fct_gpu_hours where cluster = '{cluster}' group by 1 having sum(allocated_cost) <> 0 order by 1",
    )
    return {name: pytest.approx(cost, abs=1e-9) for name, cost in found}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return built(tmp_path_factory.mktemp("known"), known_answers())


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    return built(tmp_path_factory.mktemp("troubled"), troubles())


def test_ka_1_a_node_is_split_as_prices_are(known, ask):
    assert costs(known, ask, "ka1", "resource") == {"cpu": 15, "gpu": 15, "memory": 5}
    assert costs(known, ask, "declared", "resource") == {"cpu": 11.25, "gpu": 20, "memory": 3.75}


def test_two_gpu_models_on_one_node_cost_what_each_weighs(known, ask):
    # 4 × 3 + 2 × 1 = 14: an A100-hour is 3.00, a T4-hour 1.00
    assert layers(known, ask, "mixed", "gpu_model", "is_held") == [
        ("A100", False, "2", "6"), ("A100", True, "2", "6"), ("T4", False, "1", "1"), ("T4", True, "1", "1"),
    ]  # fmt: skip


def test_ka_2_use_beyond_the_capacity_is_scaled_to_it(known, ask):
    assert costs(known, ask, "ka2") == {"a": 6, "b": 5}


def test_a_node_with_more_memory_than_products_of_its_parts_have_digits_for(known, ask):
    assert ask(
        known,
        "select layer, holding_id, round(sum(memory_gb_hours), 6), sum(allocated_cost) from engineering.fct_gpu_hours"
        " where cluster = 'large' group by all order by all",
    ) == [("idle", None, 512, 3), ("productive", "db", 512, 3), ("quiet", "db", 1024, 6)]


def test_ka_3_the_split_of_an_accelerated_node(known, ask):
    expected = {"p1": 1.847737, "p2": 3.178761, "p3": 2.352222, "p4": 2.352222, None: 0.269058}
    found = dict(
        ask(known, "select holding_id, sum(allocated_cost)::double from engineering.fct_gpu_hours where cluster = 'ka3' group by 1")
    )
    assert found == {name: pytest.approx(cost, abs=1e-6) for name, cost in expected.items()}
    assert ask(known, "select sum(allocated_cost) from engineering.fct_gpu_hours where cluster = 'ka3'") == [(Decimal(10),)]


def test_ka_4_a_metric_that_each_sharer_repeats_is_the_devices(known, ask):
    assert layers(known, ask, "ka4", "layer", "evidence") == [
        ("productive", "device", "0.714", "4.998"),
        ("quiet", "device", "0.286", "2.002"),
    ]
    assert costs(known, ask, "ka4") == {f"q{n}": 1.75 for n in range(4)}


def test_sharers_pay_by_what_their_processes_did(known, ask):
    # 2 × a quarter of 8.00, shared 6 : 2; what is held stays a quarter each
    assert costs(known, ask, "processes") == {"heavy": 3, "light": 1, None: 4}
    assert layers(known, ask, "processes", "holding_id", "layer", "evidence")[:3] == [
        ("heavy", "productive", "process", "0.25", "3"), ("light", "productive", "process", "0.2", "0.8"), ("light", "quiet", "process", "0.05", "0.2"),
    ]  # fmt: skip
    # the larger of share and use: 0.6 and 0.25 of 8.00
    assert costs(known, ask, "larger") == {"heavy": 4.8, "light": 2, None: 1.2}


def test_ka_5_short_and_wide_in_a_pool(known, ask):
    assert layers(known, ask, "ka5", "is_held", "slot_level") == [
        (False, "pool", "983.333333333", "590"),
        (True, "pool", "16.666666667", "10"),
    ]


def test_ka_6_mig_slices_of_a_day(known, ask):
    assert costs(known, ask, "ka6") == {"four": 24 / 7, "one": 18 / 7, "two": 12 / 7, None: 72 - 54 / 7}
    assert ask(known, "select sum(allocated_cost) from engineering.fct_gpu_hours where cluster = 'ka6'") == [(Decimal(72),)]


@pytest.mark.parametrize(
    ("share", "ones", "stranded_of_ones", "three", "stranded_of_threes"),
    [("compute", 1 / 7, 0, 3 / 7, 1 / 7), ("memory", 1 / 8, 1 / 8, 4 / 8, 0), ("larger", 1 / 7, 0, 4 / 8, 0)],
)
def test_ka_8_both_shares_of_a_slice_and_what_is_stranded(known, ask, share, ones, stranded_of_ones, three, stranded_of_threes):
    cluster = f"mig_{share}"
    assert ask(
        known,
        "select distinct gpu_profile, allocated_method_id, round(mig_compute_ratio * 7), round(mig_memory_ratio * 8)"
        f" from engineering.fct_gpu_hours where cluster = '{cluster}' and is_held order by 1",
    ) == [("1g.5gb", f"node: gpu, gpu: mig_{share}", 1, 1), ("3g.20gb", f"node: gpu, gpu: mig_{share}", 3, 4)]
    found = ask(
        known,
        "select node, coalesce(regexp_extract(holding_id, '[a-z]+-[a-z]+'), layer), sum(gpu_hours), sum(allocated_cost)::double from engineering.fct_gpu_hours"
        f" where cluster = '{cluster}' and (is_held or layer = 'stranded') group by all",
    )
    hours = {(node, what): hours for node, what, hours, _ in found}
    assert hours[("ones", f"{share}-one")] == pytest.approx(7 * ones)
    assert hours.get(("ones", "stranded"), 0) == pytest.approx(stranded_of_ones)
    assert hours[("threes", f"{share}-three")] == pytest.approx(three / 2)  # half an hour
    assert hours.get(("threes", "stranded"), 0) == pytest.approx(stranded_of_threes)
    assert all(cost == pytest.approx(56 * hours) for _, _, hours, cost in found)


def test_rows_of_one_attempt_that_overlap_count_once(troubled, ask):
    for cluster in ("overlap", "halves"):
        assert layers(troubled, ask, cluster, "is_held") == [(False, "0.5", "1.5"), (True, "1.5", "4.5")]


def test_promises_beyond_the_gpu_are_scaled_second_by_second(troubled, ask):
    assert layers(troubled, ask, "promised", "holding_id") == [("first", "0.75", "3"), ("second", "0.25", "1")]
    assert ask(troubled, "select sum(held_gpu_hours) from engineering.fct_gpu_hours where cluster = 'promised'") == [(1.5,)]


def test_down_times_from_elsewhere_and_drains_that_let_work_go_on(troubled, ask):
    assert layers(troubled, ask, "down", "layer", "is_held") == [
        ("down", False, "0.25", "1"), ("idle", False, "0.5", "2"), ("unknown", True, "0.25", "1"),
    ]  # fmt: skip
    assert layers(troubled, ask, "drain", "layer", "is_held") == [("down", False, "0.25", "1"), ("unknown", True, "0.75", "3")]


def test_a_gpu_that_a_full_node_blocks_is_stranded(troubled, ask):
    assert layers(troubled, ask, "full", "layer", "layer_reason") == [
        ("idle", None, "0.5", "2"), ("stranded", "no cpu left on the node", "0.5", "2"), ("unknown", None, "1", "4"),
    ]  # fmt: skip


def test_a_sample_train_that_stops_leaves_the_rest_unknown(troubled, ask):
    # 10 minutes busy, then seen quiet until the last sample has stood for 2 × 30 s, then held unseen, then idle
    assert layers(troubled, ask, "train", "layer", "evidence") == [
        ("idle", "requested", "0.5", "2"),
        ("productive", "device", "0.166666667", "0.666666666667"),
        ("quiet", "device", "0.091666667", "0.366666666667"),
        ("unknown", "requested", "0.241666667", "0.966666666666"),
    ]


def test_a_price_that_changes_inside_the_hour_is_cut_there(troubled, ask):
    assert costs(troubled, ask, "price") == {"early": 3, "late": 9}


def test_hpc_bills_by_the_largest_share_or_by_weights(troubled, ask):
    assert costs(troubled, ask, "hpc") == {"gpus": 5, "memory": 3, None: 2}
    assert costs(troubled, ask, "tres") == {"two": 2.4, "one": 1.6, None: 5.6}
