"""GPU metrics as samples, capacity and MIG instances: exposition text, API answers, tables, and what nvidia-smi prints."""

import gzip
import json
from datetime import datetime, timedelta
from importlib import import_module

import duckdb
import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError
from tollbook.workspace import Source

GPU = 'gpu="0",UUID="GPU-aa",device="nvidia0",modelName="NVIDIA A100-SXM4-40GB",Hostname="n1"'
MASKED = "GPU-00000000-0000-0000-0000-000000000000"
AT = 1752483626  # 2025-07-14 09:00:26
MOMENT = datetime(2025, 7, 14, 9, 0, 26)


@pytest.fixture
def read(tmp_path):
    """Rows of a file (path or name and content) as dictionaries without what is NULL, and what was unread."""

    def rows(file, content=None, table="", unread=None, **options):
        if content is not None:
            place = tmp_path / file
            place.write_bytes(gzip.compress(content.encode()) if file.endswith(".gz") else content.encode())
            file = place
        source = Source(name="gpu", path="gpu/*", format=f"prometheus_gpu{table}", options=options)
        with duckdb.connect() as db:
            db.execute("set TimeZone = 'America/New_York'")  # must not matter
            found = db.execute(import_module(f"tollbook.sources.{source.format}").project(db, file, source, "USD"))
            names = [column[0] for column in found.description]
            values = [{name: value for name, value in zip(names, row, strict=True) if value is not None} for row in found.fetchall()]
            if unread is not None:
                unread += db.execute("select file_row, column_name, value, reason from unread order by all").fetchall()
        return sorted(
            values, key=lambda row: [str(row.get(name)) for name in ("sampled_at", "started_at", "gpu_id", "instance_id", "holding_id")]
        )

    return rows


# power and memory as the exporter's own pages state them; the file of no MIG has utilisation, the other has none
@pytest.mark.parametrize(
    ("name", "power", "busy", "used"),
    [
        ("h100-80gb-hbm3__590.48.01__idle", 69.85, 0, 0),
        ("h100-80gb-hbm3__590.48.01__load", 631.95, 1, 20780679168),
        ("h100-mig__590.48.01__idle", 71.15, None, 61865984),
        ("h100-mig__590.48.01__load", 433.78, None, 11665408000),
    ],
)
def test_pages_of_nvidia_gpu_exporter_have_the_published_values(read, shared_data, name, power, busy, used):
    file = shared_data / "nvidia_gpu_metrics" / f"{name}.metrics"
    (row,) = read(file, scraped_at="2026-07-14T09:00:00Z")
    assert (row["gpu_id"], row["power_watts"], row.get("sm_ratio")) == (MASKED, power, busy)
    assert (row["memory_used_gb"] * 2**30, row["memory_ratio"]) == (used, used / 85520809984)
    (there,) = read(file, table="_capacity", scraped_at="2026-07-14T09:00:00Z", node="n1")
    assert (there["gpu_model"], there["gpu_count"], there["gpu_memory_gb"] * 2**30) == ("NVIDIA H100 80GB HBM3", 1, 85520809984)
    assert there["ended_at"] - there["started_at"] == timedelta(seconds=60)


def test_the_sentinel_of_dcgm_is_no_number(read, shared_data):
    (row,) = read(shared_data / "nvidia_gpu_metrics/readme_sample.prom", scraped_at="2026-01-01T00:00:00Z")
    assert row == {"sampled_at": datetime(2026, 1, 1), "gpu_id": "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52", "file_row": 8}


@pytest.mark.parametrize(
    "blank", ["9223372036854775792", "9223372036854775795", "2147483632", "140737488355328", "140737488355331.0", "NaN", "+Inf"]
)
def test_every_blank_of_dcgm_is_null(read, blank):
    (row,) = read("a.prom", f"DCGM_FI_DEV_POWER_USAGE{{{GPU}}} {blank} {AT}000\nDCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50 {AT}000\n")
    assert row == {"sampled_at": MOMENT, "node": "n1", "gpu_id": "GPU-aa", "sm_ratio": 0.5, "file_row": 1}


def test_a_page_of_dcgm_exporter_with_all_that_label_values_may_hold(read):
    holder = 'container="c",namespace="a",pod="p \\"q\\" \\\\ }1"'
    unread = []
    (row,) = read(
        "page.prom.gz",
        f"""# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
DCGM_FI_DEV_GPU_UTIL{{{GPU},{holder}}} 97 {AT}123
DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{GPU},{holder}}} 0.5 {AT}123
DCGM_FI_PROF_SM_ACTIVE{{{GPU},{holder}}} 0.25 {AT}123
DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{{GPU},{holder}}} 0.125 {AT}123
DCGM_FI_PROF_DRAM_ACTIVE{{{GPU},{holder}}} 6.25e-2 {AT}123
DCGM_FI_DEV_FB_USED{{{GPU},{holder}}} 1024 {AT}123
DCGM_FI_DEV_FB_FREE{{{GPU},{holder}}} 2560 {AT}123
DCGM_FI_DEV_FB_RESERVED{{{GPU},{holder}}} 512 {AT}123
{{__name__="DCGM_FI_DEV_XID_ERRORS",{GPU},{holder}}} 63 {AT}123
{{"DCGM_FI_DEV_POWER_USAGE",{GPU},{holder}}} 300.5 {AT}123
broken{{ 5
up 1
""",
        unread=unread,
    )
    assert row == {
        "sampled_at": MOMENT + timedelta(milliseconds=123),
        "node": "n1",
        "gpu_id": "GPU-aa",
        "holding_id": 'a/p "q" \\ }1',
        "sm_ratio": 0.97,
        "sm_active_ratio": 0.25,
        "tensor_active_ratio": 0.125,
        "dram_active_ratio": 0.0625,
        "memory_used_gb": 1,
        "memory_ratio": 0.25,  # 1024 of 1024 + 2560 + 512
        "xid": 63,
        "power_watts": 300.5,
        "file_row": 2,
    }
    assert unread == [(12, "line", "broken{ 5", "is no sample: name{labels} value")]


SERIES = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "gpu": "1", "UUID": "GPU-bb", "instance": "10.0.0.1:9400"}
MATRIX = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": SERIES, "values": [[AT, "5"], [AT + 30.5, "NaN"]]}]}}
VECTOR = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": SERIES, "value": [AT + 60, "50"]}]}}
EXPORT = {"metric": SERIES, "values": [5, 2.5], "timestamps": [AT * 1000, (AT + 1) * 1000]}


@pytest.mark.parametrize(
    ("name", "content", "busy"),
    [
        ("range.json", json.dumps(MATRIX), {0: 0.05, 30.5: None}),
        ("pretty.json", json.dumps(MATRIX, indent=2), {0: 0.05, 30.5: None}),
        ("list.json", json.dumps([MATRIX, VECTOR]), {0: 0.05, 30.5: None, 60: 0.5}),
        ("lines.jsonl.gz", json.dumps(MATRIX) + "\n" + json.dumps(VECTOR), {0: 0.05, 30.5: None, 60: 0.5}),
        ("series.jsonl", json.dumps(MATRIX["data"]["result"][0]), {0: 0.05, 30.5: None}),
        ("export.jsonl", json.dumps(EXPORT), {0: 0.05, 1: 0.025}),
        ("again.jsonl", json.dumps(MATRIX) + "\n" + json.dumps(EXPORT), {0: 0.05, 1: 0.025, 30.5: None}),
    ],
)
def test_answers_of_the_api(read, name, content, busy):
    rows = read(name, content)
    assert {(row["sampled_at"] - MOMENT).total_seconds(): row.get("sm_ratio") for row in rows} == busy
    assert {(row["node"], row["gpu_id"]) for row in rows} == {("10.0.0.1", "GPU-bb")}


def test_an_error_that_the_server_answered_is_no_series(read):
    unread = []
    assert len(read("a.jsonl", json.dumps(VECTOR) + '\n{"status":"error","errorType":"x","error":"y"}', unread=unread)) == 1
    assert [(row, reason) for row, _, _, reason in unread] == [(2, "is an error that the server answered")]


def test_a_series_that_a_function_left_without_its_name_is_what_the_option_says(read):
    nameless = json.dumps({"metric": {"UUID": "GPU-bb"}, "values": [[AT, "5"]]})
    unread = []
    assert read("a.jsonl", nameless, unread=unread) == []
    assert [column for _, column, _, _ in unread] == ["metric"]
    assert read("a.jsonl", nameless, metric="DCGM_FI_DEV_GPU_UTIL")[0]["sm_ratio"] == 0.05
    assert read("DCGM_FI_DEV_GPU_UTIL.jsonl", nameless)[0]["sm_ratio"] == 0.05


TIME = "2025-07-14T09:00:26Z"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("long.csv", f'__name__,labels,timestamp,value\nDCGM_FI_DEV_GPU_UTIL,"{{""gpu"":""0"",""Hostname"":""n1""}}",{TIME},50\n'),
        ("text.csv", f'Metric,Labels,Time,Value\nDCGM_FI_DEV_GPU_UTIL,"{{gpu=""0"",Hostname=""n1""}}",{AT},50\n'),
        ("naive.csv", 'Metric,Labels,Time,Value\nDCGM_FI_DEV_GPU_UTIL,"{gpu=""0"",Hostname=""n1""}",2025-07-14 09:00:26,50\n'),
        ("columns.csv", f"metric,gpu,Hostname,ts,val\nDCGM_FI_DEV_GPU_UTIL,0,n1,{AT}000,50\n"),
        ("semicolon.csv", f"metric;gpu;Hostname;ts;val\nDCGM_FI_DEV_GPU_UTIL;0;n1;{AT}000;50\n"),
        ("wide.csv", f"timestamp,gpu,hostname,DCGM_FI_DEV_GPU_UTIL,DCGM_FI_DEV_FB_USED\n{TIME},0,n1,50,9223372036854775794\n"),
        ("by_series.csv", f'Time,"DCGM_FI_DEV_GPU_UTIL{{gpu=""0"",Hostname=""n1""}}"\n{TIME},50\n'),
        ("flat.jsonl", json.dumps({"metric": "DCGM_FI_DEV_GPU_UTIL", "gpu": 0, "Hostname": "n1", "timestamp": AT, "value": 50})),
    ],
)
def test_tables_long_and_wide(read, name, content):
    (row,) = read(name, content)
    assert row == {"sampled_at": MOMENT, "node": "n1", "gpu_id": "0", "sm_ratio": 0.5, "file_row": 1}


@pytest.mark.parametrize(
    "columns",
    [
        "'DCGM_FI_DEV_GPU_UTIL' as metric, map(['gpu', 'hostname'], ['0', 'n1']) as labels, 50.0 as value",
        "'DCGM_FI_DEV_GPU_UTIL' as metric, {'gpu': 0, 'hostname': 'n1'} as labels, 50 as value",
        "0 as gpu, 'n1' as hostname, 50.0 as DCGM_FI_DEV_GPU_UTIL",
    ],
)
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_parquet_long_and_wide(read, tmp_path, columns, kind):
    file = tmp_path / "a.parquet"
    with duckdb.connect() as db:
        db.execute(f"set TimeZone = 'UTC'; copy (select {columns}, {kind} '2025-07-14 09:00:26' as timestamp) to '{file}'")
    assert [(row["sampled_at"], row["node"], row["gpu_id"], row["sm_ratio"]) for row in read(file)] == [(MOMENT, "n1", "0", 0.5)]


def test_cells_that_are_no_time_and_no_number_are_told(read):
    unread = []
    content = (
        f"metric,gpu,timestamp,value\nDCGM_FI_DEV_GPU_UTIL,0,soon,50\nDCGM_FI_DEV_GPU_UTIL,0,{AT},much\nDCGM_FI_DEV_GPU_UTIL,0,{AT + 1},1\n"
    )
    assert len(read("a.csv", content, unread=unread)) == 1
    assert unread == [(1, "timestamp", "soon", "is not a time"), (2, "value", "much", "is not a number")]


@pytest.mark.parametrize(
    ("name", "options", "moment"),
    [
        ("n1-2026-07-14T09:05:06Z.prom", {}, datetime(2026, 7, 14, 9, 5, 6)),
        ("n1_20260714-090506.metrics", {}, datetime(2026, 7, 14, 9, 5, 6)),
        ("n1.1752483626.txt", {}, MOMENT),
        ("page.prom", {"scraped_at": "2026-07-14 11:05:06+02:00"}, datetime(2026, 7, 14, 9, 5, 6)),
    ],
)
def test_a_page_without_times_is_of_the_moment_that_its_name_or_the_option_says(read, name, options, moment):
    (row,) = read(name, f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50\n", **options)
    assert row["sampled_at"] == moment


PAGES = f"""# scraped 2026-07-14T09:05:06Z
# HELP DCGM_FI_DEV_GPU_UTIL Counts since 2020-01-01T00:00:00Z.
DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50
# 2026-07-14T11:05:36+02:00
DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 60
DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 80 {AT}000
"""


def test_pages_one_after_the_other_are_of_the_moments_that_comments_say_before_them(read):
    first = datetime(2026, 7, 14, 9, 5, 6)
    expected = [(MOMENT, 0.8), (first, 0.5), (first + timedelta(seconds=30), 0.6)]
    assert [(row["sampled_at"], row["sm_ratio"]) for row in read("page-2026-01-01T00:00:00Z.prom", PAGES)] == expected
    with pytest.raises(DeliveryError, match="several scrapes"):
        read("page.prom", PAGES, scraped_at=TIME)


def test_the_folders_of_a_path_say_the_moment_too(workspace, ask):
    page = f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50\n"
    settings = "currency: USD\nsources: [{name: gpu, format: prometheus_gpu, path: 'landing/gpu/**/*.prom'}]"
    ws = workspace(settings, {"landing/gpu/dt=2026-07-14/hour=09/minute=35/n1.prom": page})
    (report,) = pipeline.load(ws, tell=lambda _: None)
    assert report.failures == []
    assert ask(ws, "select sampled_at, sm_ratio from raw.gpu_samples") == [(datetime(2026, 7, 14, 9, 35), 0.5)]


@pytest.mark.parametrize(
    ("name", "content", "options", "error", "said"),
    [
        ("page.prom", f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50\n", {}, DeliveryError, "scraped_at"),
        ("2026-07-14.prom", f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50\n", {}, DeliveryError, "scraped_at"),
        ("page.prom", f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50\n", {"scraped_at": "noon"}, ConfigError, "'noon'"),
        ("page.prom", f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} {{}}\n" * 2, {"scraped_at": TIME}, DeliveryError, "several scrapes"),
        ("page.prom", "up 1\nnode_load1 0.5\n", {}, DeliveryError, "no metric of a GPU"),
        ("page.prom", "DCGM_FI_DEV_GPU_UTIL 5 1752483626000\n", {}, DeliveryError, "label that names the GPU"),
        ("table.csv", "a,b\n1,2\n", {}, DeliveryError, "found neither"),
        ("broken.json", '{"status": "success", "data": {', {}, DeliveryError, "cut off"),
        ("page.xlsx", "x", {}, DeliveryError, "unknown kind"),
        ("page.prom", "x", {"scrapedat": 1}, ConfigError, "scrapedat"),
    ],
)
def test_what_cannot_be_read_says_why(read, name, content, options, error, said):
    content = content.replace("{}", "50", 1).replace("{}", "60", 1)
    with pytest.raises(error, match=said):
        read(name, content, **options)


def test_a_shared_gpu_keeps_the_devices_value_however_many_pods_repeat_it(read):
    pods = "".join(f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{GPU},namespace="d",pod="w{number}"}} 0.714 {AT}000\n' for number in (1, 2, 3))
    rows = read("a.prom", pods)
    assert [(row["holding_id"], row["sm_ratio"], row.get("process_sm_ratio")) for row in rows] == [
        (f"d/w{n}", 0.714, None) for n in (1, 2, 3)
    ]


VIRTUAL = "".join(
    f'DCGM_FI_DEV_GPU_UTIL{{{GPU},namespace="d",pod="w{number}",pod_uid="u{number}",vgpu="{number}"}} {number * 10} {AT}000\n'
    f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{GPU},namespace="d",pod="w{number}",pod_uid="u{number}",vgpu="{number}"}} 0.5 {AT}000\n'
    for number in (1, 2)
)


def test_pods_that_state_their_own_share_of_a_gpu_are_processes(read):
    rows = read("a.prom", VIRTUAL)
    assert [(row["holding_id"], row["process_sm_ratio"], row["sm_ratio"]) for row in rows] == [("u1", 0.1, 0.5), ("u2", 0.2, 0.5)]
    assert [row["sm_ratio"] for row in read("a.prom", VIRTUAL, pod_values="device")] == [0.1, 0.2]


def test_containers_of_hami_are_processes_of_their_pod(read):
    labels = 'ctrname="c",deviceuuid="GPU-aa",podname="p",podnamespace="ns",vdeviceid="0",instance="10.0.0.9:9394"'
    device, process = sorted(
        read(
            "a.prom",
            f"Device_utilization_desc_of_container{{{labels}}} 23 {AT}000\nvGPU_device_memory_usage_in_bytes{{{labels}}} 1073741824 {AT}000\n"
            f'HostCoreUtilization{{deviceidx="0",deviceuuid="GPU-aa",nodeid="n1"}} 50 {AT}000\n',
        ),
        key=lambda row: row["file_row"],
        reverse=True,
    )
    assert device == {"sampled_at": MOMENT, "node": "n1", "gpu_id": "GPU-aa", "sm_ratio": 0.5, "file_row": 3}
    assert (process["holding_id"], process["process"], process["process_sm_ratio"], process["node"]) == ("ns/p", "c", 0.23, "n1")
    assert (process["memory_used_gb"], process.get("sm_ratio")) == (1, None)


def test_the_pod_of_the_exporter_itself_holds_nothing(read):
    target = 'instance="10.0.0.1:9400",job="dcgm",namespace="monitoring",pod="exp-x1"'
    rows = read(
        "a.prom",
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="0",UUID="GPU-aa",{target},exported_pod="train",exported_namespace="ml"}} 50 {AT}000\n'
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="1",UUID="GPU-bb",{target}}} 0 {AT}000\n'
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="2",UUID="GPU-cc",instance="10.0.0.2:9400",pod="nvidia-dcgm-exporter-7x"}} 0 {AT}000\n',
    )
    assert [(row["gpu_id"], row.get("holding_id")) for row in rows] == [("GPU-aa", "ml/train"), ("GPU-bb", None), ("GPU-cc", None)]


def test_capacity_ends_after_the_last_sample_and_begins_again_after_a_gap(read):
    # every 30 s from 09:00:26, ten minutes silence after the fourth sample, twenty after the sixth
    seconds = [0, 30, 60, 90, 690, 720, 1920, 1950]
    page = "".join(f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50 {(AT + second) * 1000}\n" for second in seconds)
    page += f"DCGM_FI_DEV_FB_USED{{{GPU}}} 1024 {AT}000\nDCGM_FI_DEV_FB_FREE{{{GPU}}} 39936 {AT}000\n"

    def spans(**options):
        rows = read("a.prom", page, "_capacity", **options)
        assert {(row["node"], row["gpu_id"], row["gpu_model"], row["gpu_memory_gb"]) for row in rows} == {
            ("n1", "GPU-aa", "NVIDIA A100-SXM4-40GB", 40)
        }
        return [tuple((row[name] - MOMENT).total_seconds() for name in ("started_at", "ended_at")) for row in rows]

    assert spans() == [(0, 750), (1920, 1980)]
    assert spans(absent_after_seconds=300) == [(0, 120), (690, 750), (1920, 1980)]
    assert spans(interval_seconds=60) == [(0, 780), (1920, 2010)]
    with pytest.raises(ConfigError, match="above 0"):
        spans(absent_after_seconds=0)


def test_capacity_without_a_node_says_how_to_name_it(read):
    with pytest.raises(DeliveryError, match=r"GPU-zz.*node: name"):
        read("a.prom", f'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-zz"}} 50 {AT}000\n', "_capacity")


def test_mig_instances_have_a_life_and_samples_of_their_own(read):
    one, two = (f'{GPU},GPU_I_ID="{number}",GPU_I_PROFILE="{profile}"' for number, profile in ((1, "3g.20gb"), (2, "4g.20gb")))
    page = f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{one}}} 0.5 {AT}000\nDCGM_FI_PROF_GR_ENGINE_ACTIVE{{{one}}} 0.5 {AT + 30}000\n"
    page += f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{two}}} 0.25 {AT + 30}000\n"
    rows = read("a.prom", page, "_instances")
    assert [(row["instance_id"], row["profile"], row["gpu_id"]) for row in rows] == [
        ("MIG-GPU-aa/1/0", "3g.20gb", "GPU-aa"),
        ("MIG-GPU-aa/2/0", "4g.20gb", "GPU-aa"),
    ]
    assert [tuple((row[name] - MOMENT).total_seconds() for name in ("started_at", "ended_at")) for row in rows] == [(0, 60), (30, 60)]
    assert [row["sm_ratio"] for row in read("a.prom", page)] == [0.5, 0.5, 0.25]
    (gpu,) = read("a.prom", page, "_capacity")
    assert gpu["gpu_count"] == 1


def test_a_file_without_mig_has_no_instances_and_loads(workspace, ask):
    settings = "currency: USD\nsources: [{name: parts, format: prometheus_gpu_instances, path: 'landing/*.prom'}]"
    ws = workspace(settings, {"landing/a.prom": f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50 {AT}000\n"})
    (report,) = pipeline.load(ws, tell=lambda _: None)
    assert (report.failures, ask(ws, "select count(*) from raw.gpu_instances")) == ([], [(0,)])


def test_a_capture_of_nvidia_smi_gives_mig_instances_with_their_memory(read, shared_data):
    file = shared_data / "nvidia_gpu_metrics/capture_h100-mig__590.48.01.txt"
    rows = read(file, table="_instances", node="n1")
    assert [(row["gpu_id"], row["profile"], row["instance_id"][:12]) for row in rows] == [
        (MASKED, "3g.40gb", "MIG-00000000"),
        (MASKED, "2g.20gb", "MIG-00000001"),
        (MASKED, "1g.10gb", "MIG-00000002"),
        (MASKED, "1g.10gb", "MIG-00000003"),
    ]
    load = [row for row in read(file, node="n1") if row["sampled_at"] == datetime(2026, 7, 14, 9, 0, 43)]
    # MiB used of total as the table of the loaded GPU prints them, the whole GPU first
    printed = {None: (11125, 81559), "0": (11091, 40448), "1": (17, 20096), "2": (9, 9984), "3": (9, 9984)}
    found = {row.get("instance_id", "")[11:12] or None: (row["memory_used_gb"] * 1024, row["memory_ratio"]) for row in load}
    assert found == {key: (used, used / total) for key, (used, total) in printed.items()}
    assert [row["power_watts"] for row in load if "instance_id" not in row] == [432]
    # 60 SMs of an instance are how many it has; nvidia-smi has no utilisation of them
    assert not [row for row in load if "sm_ratio" in row]


def test_a_log_of_pmon_gives_each_process_its_share(read):
    log = """#Date       Time        gpu         pid   type     sm    mem    enc    dec    command
#YYYYMMDD   HH:MM:SS    Idx           #    C/G      %      %      %      %    name
 20260714   09:00:44      0      21180     C     45      3      -      -    python
 20260714   09:00:44      0      21181     C      -      3      -      -    idler
 20260714   09:00:45      0          -     -      -      -      -      -    -
"""
    assert read("pmon.log", log, node="n1") == [
        {
            "sampled_at": datetime(2026, 7, 14, 9, 0, 44),
            "node": "n1",
            "gpu_id": "0",
            "process": "python 21180",
            "process_sm_ratio": 0.45,
            "file_row": 3,
        }
    ]


def test_the_csv_of_query_gpu(read):
    rows = read(
        "smi.csv",
        "timestamp, name, uuid, index, utilization.gpu [%], memory.used [MiB], memory.total [MiB], power.draw [W]\n"
        "2025/07/14 09:00:26.500, NVIDIA H100, GPU-1, 0, 45 %, 1024 MiB, 2048 MiB, 300.10 W\n"
        "2025/07/14 09:00:27.500, NVIDIA H100, GPU-1, 0, [N/A], 1024 MiB, 2048 MiB, 300.10 W\n",
    )
    assert [(row["gpu_id"], row.get("sm_ratio"), row["memory_ratio"], row["power_watts"]) for row in rows] == [
        ("GPU-1", 0.45, 0.5, 300.1),
        ("GPU-1", None, 0.5, 300.1),
    ]


def test_utilisation_beyond_the_possible_is_put_in_quarantine(workspace, ask):
    settings = "currency: USD\nsources: [{name: gpu, format: prometheus_gpu, path: 'landing/*.prom'}]"
    page = f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 150 {AT}000\nDCGM_FI_DEV_GPU_UTIL{{{GPU}}} 50 {AT + 1}000\n"
    (report,) = pipeline.load(workspace(settings, {"landing/a.prom": page}), tell=lambda _: None)
    assert (report.failures, report.rows, report.quarantined) == ([], 1, 1)
