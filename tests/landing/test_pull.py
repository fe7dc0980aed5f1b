"""Pulling from a vendor that fails, throttles, dawdles, repeats itself and is left in the middle; a real server on loopback."""

import json
import os
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from tests.programs import Answering, Server
from tollbook import pipeline
from tollbook.cli import app
from tollbook.errors import BusyError, ConfigError, DeliveryError
from tollbook.landing.pull import pull_source, pulled_sources

KEY = "sk-admin-made-up"
NOW = datetime(2026, 9, 6, 4, tzinfo=UTC)


class Vendor:
    """The costs API: days of costs in pages of two days, and what goes wrong on the way, by request."""

    def __init__(self):
        self.amounts = {day: f"0.{day:02d}00000000000000001" for day in range(1, 31)}  # dollars by day of September
        self.requests = []
        self.trouble = {}  # number of the request -> (status, headers, body) or a function that answers
        self.tamper = lambda page, number: page
        self.release = threading.Event()

    def answer(self, path, query, headers):
        number = len(self.requests)
        self.requests.append((path, query, headers))
        if number in self.trouble:
            trouble = self.trouble[number]
            return trouble() if callable(trouble) else trouble
        first = datetime.fromtimestamp(int(query["start_time"][0]), UTC)
        last = datetime.fromtimestamp(int(query["end_time"][0]), UTC)
        start = datetime.fromtimestamp(int(query["page"][0].split("@")[1]), UTC) if "page" in query else first
        days = [start + timedelta(days=place) for place in range(2) if start + timedelta(days=place) < last]
        following = start + timedelta(days=2)
        page = {
            "object": "page",
            "data": [self.bucket(day) for day in days],
            "has_more": following < last,
            "next_page": f"page@{following.timestamp():.0f}" if following < last else None,
        }
        # the digits are written as they are: no float on the way
        body = json.dumps(self.tamper(page, number)).replace('"<', "").replace('>"', "")
        return 200, {}, body

    def bucket(self, day):
        results = []
        if self.amounts.get(day.day):
            amount = {"value": f"<{self.amounts[day.day]}>", "currency": "usd"}
            results.append({"object": "organization.costs.result", "amount": amount, "line_item": "gpt-5, input", "project_id": "p1"})
        start = int(day.timestamp())
        return {"object": "bucket", "start_time": start, "end_time": start + 86400, "results": results}


@pytest.fixture
def vendor(monkeypatch):
    """A vendor that listens; its address is ``vendor.url``."""
    one = Vendor()

    class Handler(Answering):
        def do_GET(self):
            url = urlsplit(self.path)
            status, headers, body = one.answer(url.path, parse_qs(url.query), dict(self.headers))
            self.say(status, body, headers)

    server = Server(Handler)
    one.url = server.url
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    yield one
    one.release.set()
    server.stop()


@pytest.fixture
def pulled(workspace, vendor):
    """Make a workspace whose source ``openai`` pulls from the vendor since 1 September; options as given."""

    def make(**options):
        pull = {"api": "openai_costs", "base_url": vendor.url, "since": "2026-09-01"} | options
        source = {"name": "openai", "format": "openai_costs", "path": "landing/openai/*.jsonl", "options": {"pull": pull}}
        return workspace(json.dumps({"currency": "USD", "sources": [source]}))

    return make


@pytest.fixture
def waits():
    return []


@pytest.fixture
def pull(waits):
    """Pull the workspace's source at 04:00 on 6 September; the waits are noted, not waited."""

    def run(ws, start=None, end=None, now=NOW):
        return pull_source(ws, ws.source("openai"), start, end, now=now, sleep=waits.append)

    return run


def landed(ws):
    return sorted(file.name for file in (ws.root / "landing" / "openai").iterdir()) if (ws.root / "landing" / "openai").exists() else []


def total(ws, ask):
    (report,) = pipeline.load(ws, tell=lambda _: None)
    assert report.failures == []
    return ask(ws, "select count(*), sum(billed_cost) from raw.billing_lines")[0]


SEPTEMBER_1_TO_5 = ["2026-09-01.jsonl", "2026-09-02.jsonl", "2026-09-03.jsonl", "2026-09-04.jsonl", "2026-09-05.jsonl"]


def test_what_is_pulled_loads_to_the_last_digit(pulled, vendor, pull, ask):
    ws = pulled()
    report = pull(ws)
    assert (report.start, report.end, report.pages, report.unchanged) == (date(2026, 9, 1), date(2026, 9, 6), 3, 0)
    assert landed(ws) == SEPTEMBER_1_TO_5
    # 0.0100000000000000001 … 0.0500000000000000001: 19 decimals, more than a float has
    vendor_total = sum(Decimal(vendor.amounts[day]) for day in range(1, 6))
    assert total(ws, ask) == (5, vendor_total)
    assert not list((ws.root / ".pulls" / "openai").glob("*_*"))


def test_the_request_is_as_the_vendor_documents(pulled, vendor, pull):
    pull(pulled())
    path, query, headers = vendor.requests[0]
    assert path == "/v1/organization/costs"
    assert query == {
        "start_time": ["1788220800"], "end_time": ["1788652800"], "bucket_width": ["1d"], "limit": ["180"],
        "group_by": ["project_id", "line_item"],
    }  # fmt: skip
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert vendor.requests[1][1]["page"] == ["page@1788393600"]


def test_pulling_again_asks_for_the_days_that_may_change_and_rewrites_only_what_did(pulled, vendor, pull, ask):
    ws = pulled(again_days=2)
    pull(ws)
    total(ws, ask)
    vendor.amounts[5] = "0.5"  # the 5th is restated from 0.05
    report = pull(ws, now=NOW + timedelta(days=1))
    assert (report.start, report.end) == (date(2026, 9, 4), date(2026, 9, 7))
    assert ([file.name for file in report.written], report.unchanged) == (["2026-09-05.jsonl", "2026-09-06.jsonl"], 1)
    expected = sum(Decimal(vendor.amounts[day]) for day in (1, 2, 3, 4, 6)) + Decimal("0.5")
    assert total(ws, ask) == (6, expected)
    # nothing is left to ask for but what may change
    assert pull(ws, now=NOW + timedelta(days=1)).written == []


def test_a_month_is_replaced_as_a_whole(pulled, vendor, pull, ask):
    ws = pulled(period="month", since="2026-09-03", again_days=0)
    pull(ws)
    assert landed(ws) == ["2026-09.jsonl"]
    report = pull(ws, now=NOW + timedelta(days=1))
    assert (report.start, report.end) == (date(2026, 9, 1), date(2026, 9, 7))
    assert total(ws, ask) == (6, sum(Decimal(vendor.amounts[day]) for day in range(1, 7)))


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_what_may_pass_is_asked_again(pulled, vendor, pull, waits, ask, status):
    ws = pulled()
    vendor.trouble = {0: (status, {}, "no"), 2: (status, {}, "no"), 3: (status, {}, "no")}
    pull(ws)
    assert len(vendor.requests) == 3 + 3
    assert len(waits) == 3 and all(wait >= 1 for wait in waits)
    assert total(ws, ask)[0] == 5


def test_retry_after_is_honoured(pulled, vendor, pull, waits):
    ws = pulled()
    vendor.trouble = {0: (429, {"Retry-After": "240"}, "slow down"), 1: (429, {"Retry-After": "0"}, "slow down")}
    pull(ws)
    assert waits[0] == 240 and 0 < waits[1] < 60


def test_a_date_to_retry_after_in_the_past_is_no_wait(pulled, vendor, pull, waits):
    vendor.trouble = {0: (503, {"Retry-After": "Tue, 01 Sep 2026 00:00:00 GMT"}, "")}
    pull(pulled())
    assert len(waits) == 1 and waits[0] < 60


def test_a_vendor_that_wants_rest_for_hours_is_left_alone(pulled, vendor, pull, waits):
    ws = pulled()
    vendor.trouble = {1: (429, {"Retry-After": "86400"}, "")}
    with pytest.raises(DeliveryError, match="not before 86400"):
        pull(ws)
    assert waits == [] and landed(ws) == []


def test_a_time_out_is_asked_again(pulled, vendor, pull, waits):
    ws = pulled(timeout_seconds=0.2)

    def dawdle():
        vendor.release.wait(30)
        return 200, {}, "{}"

    vendor.trouble = {1: dawdle}
    assert pull(ws).pages == 3
    assert len(waits) == 1 and landed(ws) == SEPTEMBER_1_TO_5


@pytest.mark.parametrize("body", ["<html>busy</html>", '{"data": [{"start_time": 17', '{"object": "page"}', "[]"])
def test_an_answer_that_is_no_page_is_asked_again_and_then_refused(pulled, vendor, pull, waits, body):
    ws = pulled(attempts=3)
    vendor.trouble = {number: (200, {}, body) for number in (1, 2, 3)}
    with pytest.raises(DeliveryError, match=r"openai: .*no page.* 3 times"):
        pull(ws)
    assert len(waits) == 2 and landed(ws) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_asked_again_and_never_shows_the_key(pulled, vendor, pull, waits, status):
    ws = pulled()
    vendor.trouble = {0: (status, {}, f"Incorrect API key provided: {KEY}.")}
    with pytest.raises(DeliveryError, match=f"status {status} .*provided: ") as refusal:
        pull(ws)
    assert KEY not in str(refusal.value)
    assert (len(vendor.requests), waits, landed(ws)) == (1, [], [])


def test_a_pull_left_in_the_middle_goes_on_with_the_next_page(pulled, vendor, pull, ask):
    ws = pulled(attempts=1)
    vendor.trouble = {2: (500, {}, "")}
    with pytest.raises(DeliveryError, match="go on"):
        pull(ws)
    assert landed(ws) == []
    assert pull(ws).pages == 1
    # pages 1 and 2, page 3 in vain, page 3
    assert [request[1].get("page") for request in vendor.requests] == [
        None, ["page@1788393600"], ["page@1788566400"], ["page@1788566400"],
    ]  # fmt: skip
    assert total(ws, ask) == (5, sum(Decimal(vendor.amounts[day]) for day in range(1, 6)))


class Killed(BaseException):
    """As a kill: nothing may handle it."""


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_a_pull_killed_at_any_write_leaves_whole_days_and_ends_the_same(pulled, vendor, pull, ask, monkeypatch, moment):
    """Killed at the moment-th file put in place (3 pages, 5 days, the mark): rerun, it ends as if nothing had been."""
    from pathlib import Path

    ws = pulled()
    pull_source_replace, count = Path.replace, iter(range(100))

    def replace(self, target):
        if next(count) == moment:
            raise Killed
        return pull_source_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Killed):
        pull(ws)
    monkeypatch.setattr(Path, "replace", pull_source_replace)
    whole = {name for name in landed(ws) if name.endswith(".jsonl") and not name.startswith(".")}
    assert len(whole) == max(0, moment - 3)
    pull(ws)
    assert len(vendor.requests) == max(3, 3 + (moment < 3))
    assert total(ws, ask) == (5, sum(Decimal(vendor.amounts[day]) for day in range(1, 6)))


def test_staged_pages_that_have_lain_too_long_are_read_anew(pulled, vendor, pull):
    ws = pulled(attempts=1)
    vendor.trouble = {1: (500, {}, "")}
    with pytest.raises(DeliveryError):
        pull(ws)
    for file in (ws.root / ".pulls").rglob("*.json"):
        os.utime(file, times=(NOW.timestamp() - 86400,) * 2)
    assert pull(ws).pages == 3


def test_a_cursor_that_is_gone_starts_the_range_again(pulled, vendor, pull):
    ws = pulled(attempts=1)
    vendor.trouble = {1: (500, {}, ""), 2: (400, {}, "invalid page")}
    with pytest.raises(DeliveryError):
        pull(ws)
    assert pull(ws).pages == 3
    assert landed(ws) == SEPTEMBER_1_TO_5


def leads_back(page, number):
    return page | {"has_more": True, "next_page": page["next_page"] if number < 2 else "page@1788393600"}


def same_page_under_new_cursors(page, number):
    first = {"start_time": 1788220800, "end_time": 1788307200, "results": [{"line_item": "x"}]}
    return {"data": [first], "has_more": True, "next_page": f"page-{number}@1788220800"}


def nothing_under_new_cursors(page, number):
    return {"data": [], "has_more": True, "next_page": f"page-{number}@1788220800"}


def more_without_a_cursor(page, number):
    return page | {"has_more": True, "next_page": None}


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (leads_back, "leads back"),
        (same_page_under_new_cursors, "page 2 repeats page 1"),
        (nothing_under_new_cursors, "20 pages without a bucket"),
        (more_without_a_cursor, "but not where"),
    ],
)
def test_a_pull_that_leads_nowhere_ends_and_starts_afresh(pulled, vendor, pull, tamper, said):
    ws = pulled()
    honest, vendor.tamper = vendor.tamper, tamper
    with pytest.raises(DeliveryError, match=said):
        pull(ws)
    assert landed(ws) == []
    vendor.tamper = honest
    assert pull(ws).pages == 3


def test_buckets_that_were_not_asked_for_are_no_answer(pulled, vendor, pull):
    ws = pulled()
    early = {"start_time": 1, "end_time": 2, "results": [{"line_item": "x"}]}
    vendor.tamper = lambda page, number: {"data": [early], "has_more": False}
    with pytest.raises(DeliveryError, match="answered 1970-01-01"):
        pull(ws)
    assert landed(ws) == []


def test_a_day_that_has_nothing_any_more_keeps_its_delivery_and_is_named(pulled, vendor, pull):
    ws = pulled()
    pull(ws)
    vendor.amounts[3] = None
    report = pull(ws)
    assert report.vanished == ["2026-09-03"] and "2026-09-03" in str(report)
    assert landed(ws) == SEPTEMBER_1_TO_5


def test_days_without_cost_have_no_file(pulled, vendor, pull):
    ws = pulled()
    vendor.amounts = {2: "1"}
    assert [file.name for file in pull(ws).written] == ["2026-09-02.jsonl"]


def test_a_range_apart_leaves_no_gap_behind(pulled, vendor, pull):
    ws = pulled(since="2026-09-01")
    pull(ws, date(2026, 9, 4), date(2026, 9, 5))
    assert landed(ws) == ["2026-09-04.jsonl"]
    assert pull(ws).start == date(2026, 9, 1)
    assert landed(ws) == SEPTEMBER_1_TO_5


def test_one_pull_of_a_source_at_a_time(pulled, vendor, pull):
    ws = pulled()

    def meanwhile():
        with pytest.raises(BusyError):
            pull(ws)
        return 500, {}, ""

    vendor.trouble = {0: meanwhile}
    assert pull(ws).pages == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": None}, "since"),
        ({"api": "anthropic_cost"}, "api is anthropic_cost, but the format is openai_costs"),
        ({"base_url": "http://example.org"}, "must be https"),
        ({"base_url": "https://me:secret@example.org"}, "must not hold a key"),
        ({"again_days": -1}, "again_days"),
        ({"bucket_width": "1h"}, "openai_costs has 1d"),
        ({"kinds": ["embeddings"]}, "openai_costs has costs"),
        ({"key": "sk"}, "key: Extra inputs"),
    ],
)
def test_a_pull_section_that_cannot_be_used_says_what_and_why(pulled, pull, options, said):
    with pytest.raises(ConfigError, match=f"openai: options.pull.*{said}") as refusal:
        pull(pulled(**options))
    assert "secret" not in str(refusal.value)


def test_a_key_that_is_not_there_is_named_not_shown(pulled, pull, vendor, monkeypatch):
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "two words")
    with pytest.raises(ConfigError, match="OPENAI_ADMIN_KEY holds is no key") as refusal:
        pull(pulled())
    assert "two words" not in str(refusal.value)
    monkeypatch.delenv("OPENAI_ADMIN_KEY")
    with pytest.raises(ConfigError, match="OPENAI_ADMIN_KEY is not set"):
        pull(pulled())


def test_what_would_not_be_loaded_is_not_pulled(workspace, pull, vendor):
    source = {"name": "openai", "format": "openai_costs", "path": "landing/*.csv", "options": {"pull": {"since": "2026-09-01"}}}
    ws = workspace(json.dumps({"currency": "USD", "sources": [source]}))
    assert [one.name for one in pulled_sources(ws)] == ["openai"]
    with pytest.raises(ConfigError, match=r"landing/openai/\*.jsonl"):
        pull(ws)


def test_the_other_reports_are_asked_as_documented(workspace, vendor, monkeypatch):
    monkeypatch.setenv("CLAUDE_KEY", "sk-ant-admin-made-up")
    bucket = {"starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-09-02T00:00:00Z", "results": [{"amount": "1", "model": "m"}]}
    sources = [
        {"name": "claude", "format": "anthropic_cost", "path": "landing/claude/*.jsonl",
         "options": {"pull": {"since": "2026-09-01", "base_url": vendor.url + "/v1", "key_env": "CLAUDE_KEY"}}},
        {"name": "tokens", "format": "anthropic_usage", "path": "landing/tokens/*.jsonl",
         "options": {"pull": {"since": "2026-09-01", "base_url": vendor.url, "key_env": "CLAUDE_KEY", "bucket_width": "1h", "group_by": ["model"]}}},
        {"name": "used", "format": "openai_usage", "path": "landing/used/*.jsonl",
         "options": {"pull": {"since": "2026-09-01", "base_url": vendor.url, "kinds": ["completions", "embeddings"]}}},
    ]  # fmt: skip
    ws = workspace(json.dumps({"currency": "USD", "sources": sources}))
    answer = json.dumps({"data": [bucket], "has_more": False, "next_page": None})
    vendor.trouble = {number: (200, {}, answer) for number in range(4)}
    for source in ws.sources:
        pull_source(ws, source, end=date(2026, 9, 2), now=NOW)
    assert [request[0] for request in vendor.requests] == [
        "/v1/organizations/cost_report", "/v1/organizations/usage_report/messages",
        "/v1/organization/usage/completions", "/v1/organization/usage/embeddings",
    ]  # fmt: skip
    claude, tokens, *_ = vendor.requests
    assert claude[1] == {
        "starting_at": ["2026-09-01T00:00:00Z"], "ending_at": ["2026-09-02T00:00:00Z"], "bucket_width": ["1d"], "limit": ["31"],
        "group_by[]": ["workspace_id", "description"],
    }  # fmt: skip
    assert claude[2]["x-api-key"] == "sk-ant-admin-made-up" and claude[2]["anthropic-version"] == "2023-06-01"
    assert (tokens[1]["group_by[]"], tokens[1]["limit"]) == (["model"], ["168"])
    assert json.loads((ws.root / "landing/claude/2026-09-01.jsonl").read_text()) == bucket


def test_the_command_line_pulls_what_has_a_pull_section(pulled, vendor):
    ws = pulled()
    told = CliRunner().invoke(app, ["pull", "--from", "2026-09-01", "--until", "2026-09-03", "--workspace", str(ws.root)])
    assert told.output == "openai: 2026-09-01 to 2026-09-03: 2 files written, 0 unchanged\n"
    assert landed(ws) == ["2026-09-01.jsonl", "2026-09-02.jsonl"]
