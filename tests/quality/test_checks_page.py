import re
import subprocess
import sys

import pytest

from tollbook.quality.arrivals import check_arrivals
from tollbook.quality.departures import check_departures
from tollbook.quality.gates import Gates
from tollbook.quality.page import write_checks_page

HOSTILE = """<script>alert('x')</script>${team} "a" `b` & ../../c"""


@pytest.fixture
def docs(tmp_path):
    return tmp_path / "published" / "data_docs"


def validation_pages(docs):
    return sorted(page.relative_to(docs).parts[0] for page in docs.glob("*/validations/**/*.html"))


def test_only_the_newest_run_of_each_edge_is_kept(warehouse, docs, now):
    for run_id in ("run1", "run2"):
        check_arrivals(warehouse, Gates(), ["bill"], run_id, docs, now)
        check_departures(warehouse, Gates(), run_id, docs)
    assert validation_pages(docs) == ["arrival", "departure"]
    assert not list(docs.glob("*/validations/*/run-run1"))
    assert sorted(folder.name for folder in docs.iterdir()) == ["arrival", "departure"]


def test_a_runs_name_is_not_read_as_a_time(warehouse, docs, now):
    # "-3328ad" is a time zone of 33 hours to those who look for one
    assert check_arrivals(warehouse, Gates(), ["bill"], "20261122T003030-3328ad", docs, now)
    assert validation_pages(docs) == ["arrival"]


def test_the_page_says_what_each_check_saw_and_needs_no_network(warehouse, docs, now):
    results = check_arrivals(warehouse, Gates(), ["bill"], "run1", docs, now)
    warehouse.execute("update quality.fct_reconciliation set cost_delta = 0.01")
    results += check_departures(warehouse, Gates(), "run1", docs)
    target = docs.parent / "checks.html"
    write_checks_page(results, target, docs)
    page = target.read_text()
    assert "1 stop the publish" in page and "1 warn" in page
    assert page.index("What did not pass") < page.index("reconciliation_delta") < page.index("What arrived")
    assert page.count("0.01 USD") == 2
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|<script|@import|url\(""", page)
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 2
    assert all((target.parent / link).is_file() for link in links)


def test_a_page_without_results_can_be_written(tmp_path):
    write_checks_page([], tmp_path / "checks.html", tmp_path / "data_docs")
    assert "No check has run" in (tmp_path / "checks.html").read_text()


def test_hostile_names_stay_text(warehouse, docs, deliver, find, now):
    deliver(HOSTILE, "d1", "2026-11-04", 2)
    deliver("bill", "d1", "2026-11-04", 2)
    # a limit of its own puts the name into the expectation, too
    gates = Gates(sources={HOSTILE: {"freshness_days": {"warn_above": 9}}})
    results = check_arrivals(warehouse, gates, ["bill", HOSTILE], "run1", docs, now)
    assert find(results, "freshness_days", HOSTILE).status == "error"
    assert find(results, "freshness_days", "bill").status == "pass"
    write_checks_page(results, docs.parent / "checks.html", docs)
    pages = [docs.parent / "checks.html", *docs.rglob("*.html")]
    assert any("&lt;script&gt;alert" in page.read_text() for page in pages)
    assert not [page for page in pages if "<script>alert" in page.read_text()]
    assert validation_pages(docs) == ["arrival"]


def test_great_expectations_is_imported_only_where_something_is_judged():
    modules = "arrivals, audit, departures, gates, page, results, validation"
    code = f"import sys; from tollbook.quality import {modules}; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
