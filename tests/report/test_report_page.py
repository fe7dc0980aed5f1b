"""The page needs nothing but itself, says what the marts say, and a name from a bill stays a name."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from tollbook.report import page
from tollbook.report.page import write_report

EVIL = "</script><script>alert(1)</script>"
EMPTY_ELEMENTS = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The page's elements, its scripts and styles, and its tables by caption: one list of cells a row."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.styles: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text: list[str] = []
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY_ELEMENTS:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        elif tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        elif inside == "style":
            self.styles.append(data)
        else:
            self.text.append(" ".join(data.split()))
            if inside in ("td", "th"):
                self._rows[-1][-1] += data
            elif "caption" in self._open:
                self._caption += data

    def script(self, name: str) -> str:
        return next(text for attributes, text in self.scripts if attributes.get("id") == name)

    @property
    def figures(self) -> dict:
        return json.loads(self.script("figures"))


@pytest.fixture(scope="module")
def made(page_file: Path) -> Page:
    """The page of the unchanged world."""
    return Page(page_file.read_text(encoding="utf-8"))


@pytest.fixture
def report(published_db: Path):
    """The page of the changed world."""
    return lambda: Page(write_report(published_db, published_db.parent / "report.html").read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_anywhere(made):
    assert {tag for tag, _ in made.elements} & {"link", "img", "iframe", "object", "embed", "base", "form"} == set()
    for tag, attributes in made.elements:
        assert "src" not in attributes, tag
        assert "srcset" not in attributes, tag
        target = attributes.get("href", "#")
        # beside the page lies the page of the checks; nothing else is linked
        assert target.startswith("#") or target == "checks.html"
        assert "url(" not in attributes.get("style", "")
    assert all("url(" not in style and "@import" not in style for style in made.styles)


def test_the_browser_may_run_these_two_scripts_and_fetch_nothing(made):
    policy = next(a["content"] for _, a in made.elements if a.get("http-equiv") == "Content-Security-Policy")
    library = gzip.decompress(base64.b64decode(made.script("library"))).decode()
    own = [text for attributes, text in made.scripts if "type" not in attributes]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (*own, library)]
    assert len(own) == 1
    assert library == get_plotlyjs()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src {' '.join(hashes)}"


def test_plotly_is_there_once_and_packed(page_file):
    assert page_file.stat().st_size < 2_500_000


def test_an_injected_script_stays_a_name(made, page_file):
    assert EVIL not in page_file.read_text(encoding="utf-8")
    assert all("alert(1)" not in script for attributes, script in made.scripts if attributes.get("type") != "application/json")
    assert "<" not in made.script("figures")
    assert [EVIL, "", "", "1,000.00", "", "", "", "1,000.00"] in made.tables["Chargeback by team, 2025-01 (USD)"]
    # plotly reads tags in what it draws, so it gets entities
    assert escape(EVIL) in made.figures["flow"]["data"][0]["node"]["customdata"]
    assert EVIL not in json.dumps(made.figures)


def test_no_text_of_any_mart_reaches_the_page_as_markup(report, change):
    poison = '"><img src=x onerror=alert(1)></title></style>'
    for mart, columns in {
        "finance.fct_chargeback": ("source_name", "billed_by", "component", "team", "bucket", "basis"),
        "engineering.fct_gpu_days": ("gpu_model", "layer"),
        "engineering.fct_gpu_hours": ("gpu_model", "layer", "cost_reason"),
        "product.fct_token_costs": ("provider_name", "model", "basis", "cost_reason"),
        "finance.fct_commitments": ("billed_by", "commitment_id", "payment_model"),
        "finance.fct_invoice_tie_out": ("invoice_issuer_name", "invoice_id", "billing_currency"),
        "quality.fct_tag_coverage": ("tag",),
        "quality.fct_deliveries": ("source_name", "table_name", "error"),
        "quality.fct_quarantine": ("source_name", "column_name", "value", "reason", "file_name"),
        "quality.fct_checks": ("check_id", "subject", "threshold", "message"),
        "quality.fct_reconciliation": ("source_name",),
        "quality.fct_bridge": ("billed_by", "term"),
        "quality.publication": ("run_id",),
    }.items():
        # some rows keep their names, so that each table and picture has both
        poisoned = ", ".join(f"{column} = {column} || '{poison}'" for column in columns)
        change(f"update {mart} set {poisoned} where hash(rowid) % 3 > 0 or '{mart}' = 'quality.publication'")
    made = report()
    assert "img" not in {tag for tag, _ in made.elements}
    assert "<img" not in json.dumps(made.figures)
    assert sum(poison in text for text in made.text) > 20


def test_the_page_has_the_sums_of_the_summary(made):
    tables = made.tables
    money = {row[0]: row[1:] for row in tables["Where the money went (USD)"]}
    assert money["Billed (cash)"] == ["40,420.37", ""]
    assert money["= to charge"] == ["40,730.37", ""]
    assert money["= sum of the parts"] == ["40,730.37", "100.0 %"]
    assert money["to charge − sum of the parts"] == ["0.00", "adds up"]
    assert tables["Chargeback by team, 2025-01 (USD)"][-1][-1] == "40,730.37"
    assert tables["Cost per GPU-hour by GPU model (USD)"][1][:4] == ["H100", "3.5000", "4.7000", "53.3 %"]
    assert tables["Cost per million tokens by model (USD)"][1][:4] == ["chat-7b", "own fleet", "10.0000", "billed"]


def test_an_unknown_cost_is_never_zero(made):
    gpus = {row[0]: row for row in made.tables["Cost per GPU-hour by GPU model (USD)"]}
    assert gpus["L40S"] == ["L40S", "–", "–", "–", "120.50", "120.50", "", "", "", ""]
    tokens = {row[0]: row for row in made.tables["Cost per million tokens by model (USD)"]}
    assert tokens["mystery"] == ["mystery", "Nimbus", "–", "unpriced", "–", "1,000,000", "10"]
    assert "L40S: 120.50 GPU-hours without a cost (no bill for the nodes of lab)." in made.text
    assert "Not drawn, because no cost is known: L40S." in made.text
    assert "Not drawn, because no cost is known: mystery." in made.text
    assert [trace["name"] for trace in made.figures["gpu-rates"]["data"]] == ["H100", "A100"]


def test_a_day_without_a_cost_is_a_gap(made):
    h100 = made.figures["gpu-rates"]["data"][0]
    assert h100["x"] == ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"]
    assert h100["y"] == [3.4, 3.5, None, 3.6]
    assert h100["connectgaps"] is False


def test_the_flow_conserves_money(made):
    trace = made.figures["flow"]["data"][0]
    names = trace["node"]["customdata"]
    into, out_of = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for source, target, value in zip(*(trace["link"][key] for key in ("source", "target", "value")), strict=True):
        out_of[names[source]] += value
        into[names[target]] += value
    assert sum(out_of[bill] for bill in ("bill · Big Cloud", "models · Acme AI", "own_fleet")) == pytest.approx(40730.37)
    assert into["research"] == pytest.approx(16600.25)
    assert into["idle"] == pytest.approx(8359.75)
    assert into["gpu"] == pytest.approx(32460.00)
    assert out_of["gpu"] == pytest.approx(32460.00)


def test_a_credit_is_named_where_it_cannot_be_drawn(report, change):
    change("""
        insert into finance.fct_chargeback by name select '2025-01-01'::date as billing_period, 'USD' as currency_code,
            'bill' as source_name, 'Big Cloud' as billed_by, 'allocated' as bucket, 'search' as team,
            'credits' as component, 'billed' as basis, -12.50 as charged_cost
    """)
    made = report()
    assert (
        "Not drawn, because a flow cannot be below zero: credits and corrections of together -12.50 USD. The tables have them." in made.text
    )
    assert min(made.figures["flow"]["data"][0]["link"]["value"]) > 0


def test_gpu_hours_are_stacked_by_day_and_told_apart_without_colour(made):
    traces = {trace["name"]: trace for trace in made.figures["gpu-hours"]["data"]}
    assert [name.split(" (")[0] for name in traces] == ["productive", "quiet", "unseen", "idle", "stranded", "down", "unknown"]
    # 1,400 of the A100 and 120.5 of the L40S; 500 of the H100 and 1,000 of the A100; 1,000 of the A100
    unseen = traces["unseen (held, nobody looked)"]
    assert unseen["x"] == ["2025-01-01", "2025-01-02", "2025-01-04"]
    assert unseen["y"] == [1520.5, 1500.0, 1000.0]
    assert traces["unknown (no evidence of use)"]["y"] == [200.0]
    for told_by in ("pattern", "color"):
        assert len({json.dumps(trace["marker"][told_by]) for trace in traces.values()}) == 7


def test_what_is_stale_or_failed_is_shown(made):
    tables = made.tables
    sources = {row[0]: row for row in tables["What arrived, by source"]}
    assert sources["bill"][2:] == [
        "2025-01-05 06:00 UTC",
        "0.0 d",
        "1",
        "7",
        "1",
        "the newest day is 2025-01-04, 1 day ago",
    ]
    assert sources["slurm"][2:4] == ["2025-01-01 06:30 UTC", "4.0 d"]
    assert sources["slurm"][-1] == "the newest day is 2025-01-01, 4 days ago"
    assert tables["Checks that warn"][1:] == [
        ["warn", "freshness_days", "slurm", "4", "warn above 3", "1", "the newest day is 2025-01-01, 4 days ago"]
    ]
    # a delivery that loaded since is mended
    assert tables["Deliveries that failed"][1:] == [["bill", "b.csv", "2025-01-05 06:11 UTC", "b.csv: required column missing: BilledCost"]]
    assert tables["Rows in quarantine"][1:] == [["bill", "BilledCost", "is no number", "1", "a.csv, row 5", "12,oo"]]


def test_the_bridge_is_shown_term_by_term(made):
    bridge = made.tables["Bridge from billed to charged (USD)"]
    assert bridge[0][2:] == [
        "billed", "prepaid bought", "prepaid drawn", "on prem", "estimated accrual", "charged", "remainder"
    ]  # fmt: skip
    assert bridge[2] == ["2025-01", "Big Cloud", "39,778.27", "-12,000.00", "11,250.00", "", "", "39,028.27", "0.00"]


def test_an_old_period_that_does_not_tie_stays_in_sight(report, change):
    change("""
        insert into quality.fct_reconciliation (source_name, billing_period, rows_delta, cost_delta)
        values ('bill', '2023-05-01', 0, 0.00000000000000000001), ('bill', '2023-06-01', 0, 0)
    """)
    shown = report().tables["Reconciliation by source and billing period (USD)"]
    assert [row[0] for row in shown[1:]] == ["2025-01"] * 3 + ["2023-05"]
    assert shown[-1][13] == "0.00000000000000000001"


def test_the_age_of_the_numbers_is_at_the_top(made):
    moments = [attributes["datetime"] for tag, attributes in made.elements if tag == "time"]
    assert moments == ["2025-01-05T06:30:00Z"]
    assert "2025-01-05 06:30 UTC" in made.text
    assert "Published with 1 warning" in made.text


def test_pictures_tables_and_headings_can_be_read_aloud(made):
    pictures = [attributes for _, attributes in made.elements if attributes.get("role") == "img"]
    assert [picture["data-figure"] for picture in pictures] == ["flow", "gpu-hours", "gpu-rates", "token-rates"]
    assert all(len(picture["aria-label"]) > 20 for picture in pictures)
    assert "Flow of 40,730.37 USD from 3 bills over 6 components to who pays." in pictures[0]["aria-label"]
    tags = [tag for tag, _ in made.elements]
    assert tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption")
    assert ("html", {"lang": "en"}) in made.elements
    scopes = [attributes.get("scope") for tag, attributes in made.elements if tag == "th"]
    assert set(scopes) == {"col", "row"}


def test_empty_marts_give_sentences_and_no_library(empty_db):
    made = Page(write_report(empty_db, empty_db.parent / "report.html").read_text(encoding="utf-8"))
    assert made.tables == {}
    assert [attributes for attributes, _ in made.scripts] == [{}]
    for sentence in (
        "There is no cost to follow from a bill to a team yet.",
        "No GPU hours are published: no capacity or holdings are loaded.",
        "No GPU hour has a cost yet.",
        "No tokens are published: no model requests are loaded.",
        "Nothing has arrived yet.",
        "There is no bridge: no bill is published.",
        "The published file does not say when it was published",
    ):
        assert sentence in made.text


def test_a_failed_write_leaves_the_old_page_and_nothing_else(published_db, monkeypatch):
    target = published_db.parent / "report.html"
    target.write_text("yesterday")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(page.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(published_db, target)
    assert target.read_text() == "yesterday"
    assert sorted(path.name for path in target.parent.iterdir()) == ["report.html", "tollbook.duckdb"]


def test_the_same_marts_give_the_same_page(page_file, published_db, tmp_path):
    assert write_report(published_db, tmp_path / "new" / "report.html").read_bytes() == page_file.read_bytes()


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium to look at the page with")
def test_a_browser_draws_the_page_and_asks_the_network_for_nothing(page_file, tmp_path):
    log = tmp_path / "net.json"
    switches = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        " disable-component-update disable-sync virtual-time-budget=8000 enable-logging=stderr dump-dom"
        f" user-data-dir={tmp_path / 'profile'} log-net-log={log}"
    ).split()
    browser = subprocess.run(
        ["chromium", *(f"--{switch}" for switch in switches), page_file.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert browser.stdout.count('class="chart drawn') == 4
    assert 'class="sankey-link"' in browser.stdout
    assert "CONSOLE" not in browser.stderr
    # what the browser asks of its maker is not the page's
    asked = set(re.findall(r'"url":"(https?://[^/"]+)', log.read_text()))
    assert {url for url in asked if not url.endswith((".google.com", ".googleapis.com"))} == set()
