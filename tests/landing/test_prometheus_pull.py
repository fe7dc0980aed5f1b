"""Pulling a Prometheus server: a real one where it is installed, and a small stand-in for what a real one cannot be made to do."""

import json
import os
import re
import subprocess
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.programs import Answering, Server, free_ports, need, stop, wait_until
from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError
from tollbook.landing.pull import pull_source

NOON = datetime(2026, 9, 6, 12, tzinfo=UTC)
LABELS = 'gpu="{gpu}",UUID="GPU-{gpu}",device="nvidia{gpu}",modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-1"'


def settings(url, **options):
    pull = {"base_url": url, "since": "2026-09-06"} | options
    closeness = {"absent_after_seconds": 2, "interval_seconds": 1}
    path = "landing/gpu/*.jsonl"
    return json.dumps(
        {
            "currency": "USD",
            "sources": [
                {"name": "gpu", "format": "prometheus_gpu", "path": path, "options": {"pull": pull}},
                {"name": "gpus", "format": "prometheus_gpu_capacity", "path": path, "options": closeness},
                {"name": "parts", "format": "prometheus_gpu_instances", "path": path, "options": closeness},
            ],
        }
    )


def load(ws):
    reports = pipeline.load(ws, tell=lambda _: None)
    assert [report.failures for report in reports] == [[]] * len(reports)
    return {report.source: report for report in reports}


class Exporter:
    """A dcgm-exporter page that counts its scrapes: GPU 0 as such, GPU 1 in two MIG instances; it can go away and come back."""

    def __init__(self):
        self.scrapes = 0
        exporter = self

        class Page(Answering):
            def do_GET(self):
                exporter.scrapes += 1
                self.say(200, exporter.page())

        self.handler = Page
        self.server = Server(Page)
        self.port = self.server.port

    def page(self):
        lines = ["# TYPE DCGM_FI_DEV_GPU_UTIL gauge", f"DCGM_FI_DEV_GPU_UTIL{{{LABELS.format(gpu=0)}}} {self.scrapes % 100}"]
        lines += [f"DCGM_FI_DEV_FB_{name}{{{LABELS.format(gpu=0)}}} {value}" for name, value in (("USED", 20480), ("FREE", 61440))]
        lines += [f"DCGM_FI_DEV_MEMORY_TEMP{{{LABELS.format(gpu=0)}}} 9223372036854775794"]
        for number, profile, busy in ((1, "3g.40gb", 0.5), (2, "4g.40gb", 0.25)):
            labels = f'{LABELS.format(gpu=1)},GPU_I_ID="{number}",GPU_I_PROFILE="{profile}"'
            lines.append(f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{labels}}} {busy}")
        return "\n".join(lines) + "\n"

    def stop(self):
        self.server.stop()

    def start(self):
        self.server = Server(self.handler, self.port)


@pytest.fixture
def exporter():
    one = Exporter()
    yield one
    one.stop()


@pytest.fixture
def prometheus(tmp_path, exporter):
    """A Prometheus server that scrapes the exporter each second: a function that asks it for a range selector's samples, and ``wait``."""
    need({"prometheus": "prometheus"})
    (port,) = free_ports(1)
    home = tmp_path / "prometheus"
    home.mkdir()
    (home / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: dcgm, static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]}}]\n"
    )
    arguments = [f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data", f"--web.listen-address=127.0.0.1:{port}"]
    log = home / "log"
    with log.open("w") as out:
        process = subprocess.Popen(["prometheus", *arguments, "--log.level=warn"], stdout=out, stderr=out, cwd=home)
    url = f"http://127.0.0.1:{port}"

    def samples(selector):
        try:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": selector}).json()
        except httpx.TransportError:
            return []
        return [(float(at), value) for series in answer.get("data", {}).get("result", []) for at, value in series["values"]]

    def wait(what, ask):
        def ask_while_it_runs():
            return (
                ask()
                if process.poll() is None
                else pytest.fail(f"prometheus ended while {what} was waited for:\n{log.read_text()[-2000:]}")
            )

        return wait_until(what, ask_while_it_runs, 20, logs=(log,))

    samples.url, samples.wait = url, wait
    try:
        wait("the first scrape", lambda: samples("up[1h]"))
        yield samples
    finally:
        stop(process)


def test_a_real_server_is_pulled_on_from_where_the_last_pull_ended_and_its_gap_stays_a_gap(prometheus, exporter, workspace, ask):
    ws = workspace(settings(prometheus.url, since=datetime.now(UTC).date().isoformat(), settle_seconds=0))
    busy = "DCGM_FI_DEV_GPU_UTIL[1h]"
    prometheus.wait("three samples", lambda: len(prometheus(busy)) >= 3)
    first = pull_source(ws, ws.source("gpu"))
    before = load(ws)
    prometheus.wait("a sample after the pull", lambda: prometheus(busy)[-1][0] >= first.end.timestamp())

    exporter.stop()
    # three scrapes found nobody: longer than absent_after_seconds
    prometheus.wait("four scrapes without an answer", lambda: [value for _, value in prometheus("up[1h]")[-4:]] == ["0"] * 4)
    gone = prometheus("up[1h]")[-1][0]
    exporter.start()
    prometheus.wait("three samples after the gap", lambda: len([at for at, _ in prometheus(busy) if at > gone]) >= 3)
    second = pull_source(ws, ws.source("gpu"))
    after = load(ws)

    assert second.start == first.end
    # the server's own samples are what was to come: each once, none made up, times and values exact
    expected = [(at, int(value) / 100) for at, value in prometheus(busy) if at < second.end.timestamp()]
    rows = ask(ws, "select epoch(sampled_at), sm_ratio, memory_ratio from raw.gpu_samples where gpu_id = 'GPU-0' order by 1")
    assert [(at, pytest.approx(busy)) for at, busy, _ in rows] == expected
    # 20480 / (20480 + 61440)
    assert {round(memory, 6) for _, _, memory in rows} == {0.25}
    assert after["gpu"].rows > before["gpu"].rows >= 3
    assert not [at for at, _ in expected if gone - 2 < at < gone]

    # the GPU was there before and after, not in between
    spans = ask(
        ws, "select epoch(started_at), epoch(ended_at), gpu_model, gpu_memory_gb from raw.capacity where gpu_id = 'GPU-0' order by 1"
    )
    assert len(spans) >= 2
    assert not [span for span in spans if span[0] < gone - 1 < span[1]]
    assert {span[2:] for span in spans} == {("NVIDIA H100 80GB HBM3", 80)}
    parts = ask(ws, "select distinct gpu_id, instance_id, profile from raw.gpu_instances order by 2")
    assert parts == [("GPU-1", "MIG-GPU-1/1/0", "3g.40gb"), ("GPU-1", "MIG-GPU-1/2/0", "4g.40gb")]
    ratios = ask(ws, "select distinct instance_id, sm_ratio from raw.gpu_samples where gpu_id = 'GPU-1' order by 1")
    assert ratios == [("MIG-GPU-1/1/0", 0.5), ("MIG-GPU-1/2/0", 0.25)]


class StandIn:
    """The answers of a server that has a sample each ten minutes of 6 September, its value the number of the sample."""

    def __init__(self):
        self.asked = []
        self.refuse = lambda number, path, query: None
        midnight = datetime(2026, 9, 6, tzinfo=UTC).timestamp()
        self.samples = [(midnight + 600 * number, number % 100) for number in range(144)]
        server = self

        class Api(Answering):
            def do_GET(self):
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                server.asked.append((url.path, query, dict(self.headers)))
                status, body = server.refuse(len(server.asked), url.path, query) or (200, server.answer(url.path, query))
                self.say(status, json.dumps(body))

        self.server = Server(Api)
        self.url = self.server.url

    def answer(self, path, query):
        if path.endswith("/values"):
            return {"status": "success", "data": ["DCGM_FI_DEV_GPU_UTIL", "up"]}
        if path.endswith("query_range"):
            low, high = float(query["start"]), float(query["end"])
        else:
            high = float(query["time"])
            # closed on both ends, as servers were before 3.0
            low = high - int(re.search(r"\[(\d+)ms\]", query["query"]).group(1)) / 1000
        values = [[at, str(value)] for at, value in self.samples if low <= at <= high]
        metric = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "gpu": "0", "UUID": "GPU-0", "Hostname": "n"}
        return {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": metric, "values": values}]}}


@pytest.fixture
def server():
    one = StandIn()
    yield one
    one.server.stop()


def pull(ws, now=NOON, start=None, end=None):
    return pull_source(ws, ws.source("gpu"), start, end, now=now, sleep=lambda _: None)


def test_pulls_follow_on_each_other_and_tell_no_sample_twice(server, workspace, ask):
    ws = workspace(settings(server.url, settle_seconds=0))
    assert [pull(ws, NOON).end, pull(ws, NOON + timedelta(hours=3)).end] == [NOON, NOON + timedelta(hours=3)]
    lines = (ws.root / "landing/gpu/2026-09-06.jsonl").read_text().splitlines()
    moments = [at for line in lines for at, _ in json.loads(line)["values"]]
    # 15 hours of six samples, the one at 15:00 is the next pull's
    assert len(moments) == len(set(moments)) == 90
    load(ws)
    assert ask(ws, "select count(*), max(sampled_at)::varchar from raw.gpu_samples") == [(90, "2026-09-06 14:50:00")]


def test_a_range_pulled_again_does_not_double(server, workspace, ask):
    ws = workspace(settings(server.url, settle_seconds=0))
    pull(ws)
    pull(ws, start=NOON.date(), end=(NOON + timedelta(days=1)).date())
    load(ws)
    assert ask(ws, "select count(*) from raw.gpu_samples") == [(72,)]


def test_a_pull_that_breaks_off_keeps_the_days_before_and_goes_on_there(server, workspace, ask):
    ws = workspace(settings(server.url, settle_seconds=0, since="2026-09-05", attempts=2))
    server.samples += [(at - 86400, value) for at, value in server.samples]
    server.refuse = lambda number, path, query: (500, {}) if float(query.get("time", 0)) > NOON.timestamp() - 7200 else None
    with pytest.raises(DeliveryError, match="status 500, 2 times"):
        pull(ws)
    assert [file.name for file in sorted((ws.root / "landing/gpu").glob("*.jsonl"))] == ["2026-09-05.jsonl"]
    server.refuse = lambda number, path, query: None
    assert pull(ws).start == datetime(2026, 9, 6, tzinfo=UTC)
    load(ws)
    assert ask(ws, "select count(*) from raw.gpu_samples") == [(144 + 72,)]


def test_what_is_too_much_at_once_is_asked_for_in_halves(server, workspace, ask):
    ws = workspace(settings(server.url, settle_seconds=0, chunk_minutes=720))
    too_much = {"status": "error", "errorType": "execution", "error": "query processing would load too many samples into memory"}
    server.refuse = lambda number, path, query: (422, too_much) if "[43200000ms]" in query.get("query", "") else None
    pull(ws)
    load(ws)
    assert ask(ws, "select count(*) from raw.gpu_samples") == [(72,)]


def test_a_query_that_the_server_does_not_understand_is_told_and_not_repeated(server, workspace):
    ws = workspace(settings(server.url, selector="cluster="))
    server.refuse = lambda number, path, query: (400, {"status": "error", "errorType": "bad_data", "error": "parse error"})
    with pytest.raises(DeliveryError, match=r"gpu: .*parse error"):
        pull(ws)
    assert len(server.asked) == 1


def test_steps_are_the_same_moments_in_any_pull(server, workspace):
    ws = workspace(settings(server.url, settle_seconds=0, step_seconds=1800, selector='job="dcgm"', tenant="ml"))
    pull(ws, NOON + timedelta(minutes=7))
    pull(ws, NOON + timedelta(hours=1))
    ranges = [(query["start"], query["step"], query["query"]) for path, query, _ in server.asked if path.endswith("query_range")]
    assert all(int(start) % 1800 == 0 and step == "1800" for start, step, _ in ranges)
    assert ranges[0][2] == '{__name__="DCGM_FI_DEV_GPU_UTIL", job="dcgm"}'
    assert server.asked[0][2]["X-Scope-OrgID"] == "ml"
    assert 'job="dcgm"' in server.asked[0][1]["match[]"]


@pytest.mark.parametrize(
    ("auth", "key", "header"),
    [("bearer", "t0ken", "Bearer t0ken"), ("basic", "ada:pass", f"Basic {b64encode(b'ada:pass').decode()}")],
)
def test_the_key_comes_from_the_environment(server, workspace, monkeypatch, auth, key, header):
    monkeypatch.setenv("PROMETHEUS_KEY", key)
    ws = workspace(settings(server.url, key_env="PROMETHEUS_KEY", auth=auth))
    pull(ws)
    assert {headers["Authorization"] for _, _, headers in server.asked} == {header}
    assert not [file for file in ws.root.rglob("*") if file.is_file() and key in file.read_text(errors="replace")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "prometheus:9090"}, "must be the server's address"),
        ({"base_url": "https://ada:pass@prometheus"}, "must not hold a key"),
        ({"base_url": "http://prometheus:9090", "key_env": "KEY"}, "must be https"),
        ({"metrics": "DCGM_("}, "no regular expression"),
        ({"steps": 3}, "steps"),
    ],
)
def test_options_that_make_no_sense_are_refused(workspace, options, said):
    ws = workspace(settings("http://127.0.0.1:9090", **options))
    with pytest.raises(ConfigError, match=said):
        pull(ws)


def test_a_key_that_is_not_there_is_named(workspace, server):
    assert "TOLLBOOK_NO_KEY" not in os.environ
    ws = workspace(settings(server.url, key_env="TOLLBOOK_NO_KEY"))
    with pytest.raises(ConfigError, match="TOLLBOOK_NO_KEY is not set"):
        pull(ws)
    assert server.asked == []
