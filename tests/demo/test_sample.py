"""The sample month: what its README derives by hand is what its files say."""

import json
import re

import pytest
from sample_truth import EXPECTED, SAMPLE, totals


@pytest.fixture(scope="module")
def expected():
    return json.loads(EXPECTED.read_text())


def test_what_is_expected_is_what_the_files_say(expected):
    assert totals() == expected


@pytest.mark.parametrize(
    "path",
    [
        ("billed_total",),
        ("effective_total",),
        ("cost_by_bucket", "allocated"),
        ("cost_by_bucket", "idle"),
        ("cost_by_bucket", "down"),
        ("cost_by_bucket", "unowned"),
        ("chargeback_by_team", "research"),
        ("chargeback_by_team", "search"),
        ("chargeback_by_team", "assistant"),
        ("chargeback_by_team", "platform"),
        ("cost_by_pool_layer", "h100", "idle"),
        ("cost_by_pool_layer", "h100", "productive"),
        ("cost_by_pool_layer", "h100", "quiet"),
        ("cost_by_pool_layer", "h100", "unseen"),
        ("gpu_hours_by_pool_layer", "h100", "productive"),
        ("gpu_hours_by_pool_layer", "h100", "quiet"),
        ("gpu_hours_by_pool_layer", "h100", "unseen"),
        ("gpu_hours_by_pool_layer", "l40s", "unseen"),
        ("cost_per_million_tokens_by_model", "lumen-large"),
        ("cost_per_million_tokens_by_model", "falcon-7b"),
    ],
)
def test_the_readme_says_the_same_in_bold(expected, path):
    value = expected
    for key in path:
        value = value[key]
    bold = re.findall(r"\*\*([\d,.]+)", (SAMPLE / "README.md").read_text())
    assert value in [number.replace(",", "") for number in bold]


def test_the_sample_is_small_enough_to_read():
    assert sum(file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file()) < 400_000
