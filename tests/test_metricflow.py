"""MetricFlow over the published sample month says what product.metric_values says."""

import csv
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from tollbook import pipeline
from tollbook.commands.workspaces import SAMPLE
from tollbook.workspace import Workspace

REPO = Path(__file__).resolve().parents[1]
PYTHON = REPO / ".metricflow" / "bin" / "python"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    if not PYTHON.is_file():
        pytest.skip("MetricFlow is not installed: `make metricflow`")
    root = tmp_path_factory.mktemp("metricflow") / "sample"
    shutil.copytree(SAMPLE, root)
    made = Workspace.open(root)
    assert not pipeline.run(made, False, lambda _: None).failures
    return made


@pytest.fixture
def query(workspace, tmp_path):
    def ask(metric: str, dimension: str) -> dict[str | None, float]:
        """What MetricFlow says of September, by value of the dimension; without network, as proxies that nobody answers make sure."""
        out = tmp_path / "out.csv"
        arguments = ["query", "--metrics", metric, "--group-by", dimension, "--start-time", "2026-09-01", "--end-time", "2026-09-30"]
        done = subprocess.run(
            [PYTHON, REPO / "scripts" / "query_metrics.py", workspace.root, *arguments, "--csv", out],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with out.open() as file:
            return {row[0] or None: float(row[1]) for row in list(csv.reader(file))[1:] if row[1]}

    return ask


@pytest.mark.parametrize(
    ("metric", "dimension", "metric_id", "measure", "named"),
    [
        ("full_cost_per_million_tokens", "tenant", "tok.full_cost_per_million", "value", "tenant"),
        ("vendor_cost_per_million_tokens", "provider", "tok.vendor_cost_per_million", "value", "provider"),
        ("cost_per_inference", "feature", "inf.cost_per_inference", "value", "feature"),
        ("model_error_rate", "model", "ai.error_rate", "ratio", "model"),
        ("job_retry_ratio", "cluster", "job.retry_ratio", "ratio", "cluster"),
        ("retry_inflation", "model", "inf.retry_inflation", "ratio", "model"),
        ("cost_per_gpu_hour", "pool", "gpu.cost_per_gpu_hour", "allocated", "pool"),
        ("gpu_utilization", "pool", "gpu.utilization", "allocated", "pool"),
        ("orphan_rate", "provider", "gpu.orphan_rate", "ratio", "provider"),
        ("cost_per_successful_job", "team", "job.cost_per_success", "all_attempts", "team"),
    ],
)
def test_metricflow_says_the_same(workspace, query, metric, dimension, metric_id, measure, named):
    with duckdb.connect(str(workspace.published_db), read_only=True) as db:
        expected = dict(
            db.execute(
                "select dimension_value, value from product.metric_values where metric_id = ? and measure = ? and dimension = ?"
                " and grain = 'month' and period_start_at = '2026-09-01' and value is not null",
                [metric_id, measure, named],
            ).fetchall()
        )
    said = query(metric, dimension)
    assert expected
    assert said == pytest.approx(expected, rel=1e-9)
