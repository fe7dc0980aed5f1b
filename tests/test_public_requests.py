"""Public request logs of an own GPU, by the documented tollbook.yml: every total that the files themselves add up to."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tollbook import pipeline
from tollbook.workspace import Workspace


@pytest.fixture(scope="module")
def data():
    from conftest import find_shared_data

    return find_shared_data("vllm_gpu_logs") / "vllm_gpu_logs"


@pytest.fixture(scope="module")
def loaded(data, tmp_path_factory):
    from conftest import REPO

    root = tmp_path_factory.mktemp("requests")
    shutil.copy(REPO / "docs" / "examples" / "public-requests" / "tollbook.yml", root)
    (root / "landing").symlink_to(data.parent)
    workspace = Workspace.open(root)
    for report in pipeline.load(workspace, tell=lambda _: None):
        assert (report.failures, report.quarantined) == ([], 0)
    return workspace


def files(data: Path, pattern: str) -> dict[str, list[dict]]:
    """The records of each file, by its load."""
    return {
        file.name.split("scale")[1].split("_")[0]: list(json.loads(gzip.decompress(file.read_bytes())).values())
        for file in sorted(data.glob(pattern))
    }


def test_every_request_of_every_load(loaded, data):
    told = files(data, "detail_log__*")
    assert {scale: (len(records), sum(one["in_len"] for one in records)) for scale, records in told.items()} == dict.fromkeys(
        ("100", "200", "300", "400", "500"), (500, 214280)
    )
    with loaded.connect(read_only=True) as db:
        found = db.execute(
            "select variant, count(*), count(distinct request_id), sum(input_tokens), sum(latency_ms) / 1000, sum(time_to_first_token_ms) / 1000,"
            " sum((other_columns->>'$.out_len')::bigint), count(output_tokens), count(provider)"
            " from raw.requests where source_name = 'vllm_requests' group by 1 order by 1"
        ).fetchall()
    wanted = [
        (
            scale, len(records), len(records), sum(one["in_len"] for one in records),
            pytest.approx(sum(one["total_chunk_time"] for one in records), abs=1e-6),
            pytest.approx(sum(one["first_chunk_time"] for one in records), abs=1e-6), sum(one["out_len"] for one in records), 0, 0,
        )
        for scale, records in told.items()
    ]  # fmt: skip
    assert found == wanted


def test_every_sample_of_the_gpu(loaded, data):
    told = [one for records in files(data, "gpu_log__*").values() for one in records]
    with loaded.connect(read_only=True) as db:
        found = db.execute(
            "select count(*), round(sum(sm_ratio::double) * 100, 3) from raw.gpu_samples where source_name = 'vllm_samples'"
        ).fetchall()
    assert found == [(len(told), sum(one["GPU_utilization"] for one in told))]
