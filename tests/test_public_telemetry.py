"""Public traces of GPU clusters, by the documented tollbook.yml: every known total of what existed, was held and was used."""

import shutil

import pytest

from tollbook import pipeline
from tollbook.workspace import Workspace

# hours of what a row stands for, from whole microseconds
HOURS = "sum({} * epoch_us(ended_at - started_at)::hugeint)::decimal(38, 6) / 3600000000"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    from conftest import REPO, find_shared_data

    data = find_shared_data()
    root = tmp_path_factory.mktemp("telemetry")
    shutil.copy(REPO / "docs" / "examples" / "public-telemetry" / "tollbook.yml", root)
    (root / "landing").symlink_to(data)
    workspace = Workspace.open(root)
    for report in pipeline.load(workspace, tell=lambda _: None):
        assert (report.failures, report.quarantined) == ([], 0)
    return workspace


def rows(workspace, query):
    with workspace.connect(read_only=True) as db:
        return db.execute(query).fetchall()


def hours(workspace, table, amount, source, by="'all'"):
    """Hours of the amount by the column, to six digits."""
    query = f"select {by}, round({HOURS.format(amount)}, 6) from raw.{table} where source_name = '{source}' group by 1 order by 1"
    return rows(workspace, query)


def test_samples_of_the_image_service(loaded):
    # the ratio is kept in 32 bits: seven digits of each sample, nine of the mean
    assert rows(
        loaded,
        "select count(*), count(distinct gpu_id), count(*) filter (sm_ratio = 0), min(epoch(sampled_at)), max(epoch(sampled_at)),"
        " round(avg(sm_ratio::double) * 100, 6) from raw.gpu_samples where source_name = 'genai_samples'",
    ) == [(90752, 80, 60495, 1662858720, 1662940800, 7.563753)]


def test_each_container_of_the_image_service_is_a_gpu_that_it_holds(loaded):
    (existed,) = hours(loaded, "capacity", "gpu_count", "genai_capacity")
    assert existed == hours(loaded, "holdings", "gpu_count", "genai_holdings")[0]
    assert rows(
        loaded,
        "select count(*), sum(gpu_count), min(started_at)::varchar, max(ended_at)::varchar from raw.capacity where source_name = 'genai_capacity'",
    ) == [(80, 80, "2022-09-11 01:12:00", "2022-09-12 00:01:00")]


def test_capacity_of_virtual_clusters_and_what_of_it_ran(loaded):
    assert hours(loaded, "capacity", "gpu_count", "helios_capacity", "node") == [("vc3sl", 47616), ("vc6YE", 154752)]
    running = hours(loaded, "holdings", "gpu_count", "helios_holdings", "account")
    assert running == [("vc3sl", pytest.approx(29869.116667, abs=1e-9)), ("vc6YE", pytest.approx(139683.716667, abs=1e-9))]
    idle = [
        capacity - ran
        for (_, capacity), (_, ran) in zip(hours(loaded, "capacity", "gpu_count", "helios_capacity", "node"), running, strict=True)
    ]
    assert idle == [pytest.approx(17746.883333, abs=1e-9), pytest.approx(15068.283333, abs=1e-9)]


def test_the_jobs_of_philly_by_virtual_cluster(loaded):
    assert hours(loaded, "holdings", "gpu_count", "philly") == [("all", pytest.approx(322337.207778, abs=1e-9))]
    assert hours(loaded, "holdings", "gpu_count", "philly", "account") == [
        (team, pytest.approx(gpu_hours, abs=1e-9))
        for team, gpu_hours in (
            ("0e4a51", 77556.306389), ("103959", 42880.255833), ("51b7ef", 12.158056), ("6214e9", 97184.8225),
            ("6c71a0", 82203.257222), ("795a4c", 5.090556), ("e13805", 13557.8575), ("ed69ec", 8937.459722),
        )
    ]  # fmt: skip
    assert rows(loaded, "select count(*), max(gpu_count) from raw.holdings where source_name = 'philly'") == [(56066, 32)]


def test_hours_requested_and_used_of_openshift_pods(loaded):
    assert rows(
        loaded,
        "select count(*), count(distinct holding_id), count(distinct namespace), count(distinct node), min(started_at)::varchar,"
        " max(ended_at)::varchar, min(labels->>'$.label_key1') from raw.holdings where source_name = 'ocp_pods'",
    ) == [(480, 4, 2, 1, "2019-02-01 00:00:00", "2019-02-06 00:00:00", "label_value1")]
    # a request of 30,000 core-seconds is 8.333333 cores for an hour: the third digit of a core-second is the last that is kept
    (requested,) = hours(loaded, "holdings", "cpu_count", "ocp_pods")
    assert float(requested[1]) == pytest.approx(2430.611111, abs=1e-4)
    assert rows(loaded, "select count(*), round(sum(cpu_seconds) / 3600, 6) from raw.resource_usage where source_name = 'ocp_usage'") == [
        (480, 1218.744564)
    ]
    assert hours(loaded, "capacity", "cpu_count", "ocp_nodes") == [("all", 2 * 120)]


def test_usage_above_the_request_counts_in_either_namespace(loaded):
    by_namespace = rows(
        loaded,
        "select split_part(holding_id, '/', 1), round(sum(greatest(usage.cpu_seconds, pods.cpu_count::double * 3600)) / 3600, 3)"
        " from raw.resource_usage as usage inner join raw.holdings as pods using (holding_id, started_at)"
        " where usage.source_name = 'ocp_usage' and pods.source_name = 'ocp_pods' group by 1 order by 1",
    )
    assert by_namespace == [("namespace_ci", 1204.178), ("namespace_qa", 1226.433)]


@pytest.fixture(scope="module")
def built(loaded):
    pipeline.build(loaded, tell=lambda _: None)
    return loaded


def test_held_and_idle_hours_of_helios(built):
    assert rows(
        built,
        "select node, round(sum(held_gpu_hours), 6), round(sum(gpu_hours) - sum(held_gpu_hours), 6) from engineering.fct_gpu_hours"
        " where cluster = 'helios' group by 1 order by 1",
    ) == [("vc3sl", 29869.116667, 17746.883333), ("vc6YE", 139683.716667, 15068.283333)]


def test_philly_has_no_idle_hours(built):
    assert rows(
        built, "select round(sum(held_gpu_hours), 6), round(sum(gpu_hours), 6) from engineering.fct_gpu_hours where cluster = 'philly'"
    ) == [(322337.207778, 322337.207778)]


def test_gpus_of_the_image_service_are_held_and_mostly_quiet(built):
    ((hours,),) = rows(built, "select round(sum(held_gpu_hours), 6) from engineering.fct_gpu_hours where cluster = 'genai'")
    assert hours == 1492.564167
