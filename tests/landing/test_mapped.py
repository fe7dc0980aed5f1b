"""Mapped sources: a projection in tollbook.yml makes any file a canonical table; bad values go to quarantine."""

from datetime import datetime

import pytest

from tests.workspaces import quiet
from tollbook import pipeline

SELECT = """
currency: USD
sources:
  - name: gateway
    table: requests
    path: landing/gateway/*
    select: >-
      select "TIMESTAMP"::timestamp as requested_at, ContextTokens * 1 as input_tokens, GeneratedTokens as output_tokens,
      latency::double as latency_ms from delivery
"""


def test_bad_values_are_quarantined_wherever_they_fail(workspace, ask):
    rows = (
        "TIMESTAMP,ContextTokens,GeneratedTokens,latency\n"
        "2023-01-01 00:00:00,5,6,1.0\n"
        "2023-01-01 00:00:01,x,6,1.0\n"  # used in arithmetic
        "nope,5,6,1.0\n"  # fails in the projection's own cast
        "2023-01-01 00:00:02,5,-6,1.0\n"  # fails a check of the table
        "2023-01-01 00:00:03,5,6,-1\n"
        "2023-01-01 00:00:04,7,6,\n"
    )
    ws = workspace(SELECT, {"landing/gateway/a.csv": rows})
    pipeline.load(ws, tell=quiet)
    assert ask(ws, "select requested_at, input_tokens, latency_ms, file_row from raw.requests order by file_row") == [
        (datetime(2023, 1, 1), 5, 1.0, 1),
        (datetime(2023, 1, 1, 0, 0, 4), 7, None, 6),
    ]
    assert ask(ws, "select file_row, column_name, value, reason from raw.quarantine order by 1") == [
        (2, "ContextTokens", "x", "is not a number"),
        (3, "TIMESTAMP", "nope", "is not timestamp"),
        (4, "output_tokens", "-6", "is negative"),
        (5, "latency_ms", "-1.0", "is negative"),
    ]


def test_json_lines_and_columns_by_name(workspace, ask):
    settings = "currency: USD\nsources:\n  - {name: pods, table: holdings, path: landing/pods/*.jsonl}\n"
    text = '{"holding_id": "p1", "started_at": "2026-09-01T02:00:00+02:00", "gpu_share": 0.25, "labels": {"team": "a"}, "more": 1}\n'
    ws = workspace(settings, {"landing/pods/a.jsonl": text})
    (report,) = pipeline.load(ws, tell=quiet)
    assert report.failures == []
    assert ask(ws, "select holding_id, started_at, gpu_share::double, labels from raw.holdings") == [
        ("p1", datetime(2026, 9, 1), 0.25, '{"team":"a"}')
    ]


@pytest.mark.parametrize(
    "select, said",
    [
        ("select nope as requested_at from delivery", "nope"),
        ("delete from delivery", "must be one SELECT"),
        ("select 1 as requested_at", "must read from delivery"),
        ("select a as requested_at, a as wrong from delivery", "requests has no column wrong"),
        ("select a as model from delivery", "required column missing: requested_at"),
    ],
)
def test_a_projection_that_does_not_fit_is_named(workspace, select, said):
    settings = f"currency: USD\nsources:\n  - {{name: g, table: requests, path: landing/g/*.csv, select: '{select}'}}\n"
    ws = workspace(settings, {"landing/g/a.csv": "a\n2026-01-01\n"})
    (report,) = pipeline.load(ws, tell=quiet)
    assert len(report.failures) == 1 and said in report.failures[0]


def test_end_before_start_is_quarantined(workspace, ask):
    settings = "currency: USD\nsources:\n  - {name: pods, table: holdings, path: landing/pods/*.csv}\n"
    rows = "holding_id,started_at,ended_at\na,2026-09-01 02:00,2026-09-01 01:00\nb,2026-09-01 02:00,2026-09-01 03:00\n"
    ws = workspace(settings, {"landing/pods/a.csv": rows})
    pipeline.load(ws, tell=quiet)
    assert ask(ws, "select file_row, column_name, reason from raw.quarantine") == [(1, "ended_at", "ends before it starts")]
    assert ask(ws, "select holding_id from raw.holdings") == [("b",)]
