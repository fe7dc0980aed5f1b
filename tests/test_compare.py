"""The cost regression gate: both figures by hand, how sure, and an exit status that never passes what cannot be told."""

import json

import duckdb
import pytest
from typer.testing import CliRunner

from tollbook.cli import app
from tollbook.decisions import compare
from tollbook.errors import TollbookError

# falcon-7b: version 1 costs 2.00 a request, version 2 costs 2.10; variant blue of lumen costs 1.00, green 1.20 and fails a tenth
TABLES = """
create schema product;
create table product.fct_token_costs as
select usage_date, provider_name, model, model_version, variant, null::varchar as team, tenant, 'chat' as feature, null::varchar as region,
    requests::bigint as request_count, requests::bigint as unique_request_count, (requests - errors)::bigint as unique_success_count,
    errors::bigint as error_count, (requests * 1000)::bigint as token_count, (requests * 200)::bigint as output_tokens,
    vendor_cost::decimal(38, 12) as vendor_cost, full_cost::decimal(38, 12) as full_cost, used_cost::decimal(38, 12) as used_full_cost,
    requests * 50.0 as latency_ms, requests::bigint as timed_count, basis
from (values
    (date '2026-09-01', null, 'falcon-7b', '1', null, 'acme', 100, 0, null, 200.00, null, 'billed'),
    (date '2026-09-02', null, 'falcon-7b', '1', null, 'acme', 100, 0, null, 198.00, 150.00, 'billed'),
    (date '2026-09-03', null, 'falcon-7b', '1', null, 'globex', 200, 0, null, 402.00, 300.00, 'billed'),
    (date '2026-09-04', null, 'falcon-7b', '2', null, 'acme', 100, 0, null, 211.00, 200.00, 'billed'),
    (date '2026-09-05', null, 'falcon-7b', '2', null, 'globex', 300, 0, null, 629.00, 600.00, 'billed'),
    (date '2026-09-04', 'Lumen', 'lumen', '1', 'blue', 'acme', 100, 0, 80.00, 100.00, 100.00, 'billed'),
    (date '2026-09-04', 'Lumen', 'lumen', '1', 'green', 'acme', 100, 10, 90.00, 108.00, 108.00, 'estimated'),
    (date '2026-09-04', 'Tern', 'nova', '1', null, 'acme', 10, 0, null, null, null, 'unpriced'),
    (date '2026-09-05', 'Tern', 'nova', '1', null, 'acme', 10, 0, null, 5.00, 5.00, 'partial')
) as rows (usage_date, provider_name, model, model_version, variant, tenant, requests, errors, vendor_cost, full_cost, used_cost, basis);
create table product.fct_request_stats as select *, 40.0 as latency_ms_p50, 99.0 as latency_ms_p99, null::double as time_to_first_token_ms_p95
from (values
    (date '2026-09-04', 'variant', 'lumen@blue', 100, 300.0), (date '2026-09-05', 'variant', 'lumen@blue', 100, 320.0),
    (date '2026-09-06', 'variant', 'lumen@blue', 100, 900.0), (date '2026-09-04', 'variant', 'lumen@green', 100, 400.0),
    (date '2026-09-04', 'model', 'lumen', 200, 350.0)
) as rows (usage_date, dimension, dimension_value, row_count, latency_ms_p95);
"""


@pytest.fixture
def db():
    with duckdb.connect() as db:
        db.execute(TABLES)
        yield db


def one(db, a, b, metric="full_cost_per_inference", threshold=None, **narrowed):
    return compare.compare(db, a, b, [metric], threshold, **narrowed)[0]


@pytest.mark.parametrize(
    ("metric", "a", "b"),
    [
        # 800 ÷ 400 and 840 ÷ 400
        ("full_cost_per_inference", 2.0, 2.1),
        ("full_cost_per_1k", 2000.0, 2100.0),
        # 800 ÷ 0.4 and 840 ÷ 0.4 million tokens
        ("full_cost_per_million_tokens", 2000.0, 2100.0),
        ("tokens_per_request", 1000.0, 1000.0),
        ("output_tokens_per_request", 200.0, 200.0),
        ("mean_latency_ms", 50.0, 50.0),
    ],
)
def test_both_figures_are_sums_over_sums(db, metric, a, b):
    found = one(db, "model_version:falcon-7b@1", "model_version:falcon-7b@2", metric)
    assert (found.a.value, found.b.value) == pytest.approx((a, b))
    assert found.ratio == pytest.approx(b / a - 1)


def test_the_daily_spread_says_how_sure(db):
    found = one(db, "model_version:falcon-7b@1", "model_version:falcon-7b@2")
    # days: 2.00, 1.98, 2.01, of mean 1.99667: squares 0.00001111 + 0.00027778 + 0.00017778 = 0.00046667, ÷ 2, root
    assert found.a.spread == pytest.approx((0.00046667 / 2) ** 0.5, rel=1e-4)
    # 2.11 and 2.09667: half the difference, times the root of 2
    assert found.b.spread == pytest.approx(0.0133333 / 2**0.5, rel=1e-4)
    error = (found.a.spread**2 / 3 + found.b.spread**2 / 2) ** 0.5
    assert found.sigmas == pytest.approx(0.1 / error)
    assert (found.a.days, found.b.days, found.a.requests, found.b.requests) == (3, 2, 400, 400)
    assert one(db, "variant:lumen@blue", "variant:lumen@green").sigmas is None


@pytest.mark.parametrize(("threshold", "outcome", "status"), [(0.05, "passed", 0), (0.0499, "failed", 1), (None, "compared", 0)])
def test_a_rise_of_just_the_threshold_passes_and_above_it_fails(db, threshold, outcome, status):
    found = one(db, "model_version:falcon-7b@1", "model_version:falcon-7b@2", threshold=threshold)
    assert (found.outcome, compare.status([found])) == (outcome, status)
    assert one(db, "model_version:falcon-7b@2", "model_version:falcon-7b@1", threshold=0.0).outcome == "passed"


def test_periods_months_and_filters_narrow_both_sides(db):
    assert one(db, "2026-09-01..2026-09-02", "2026-09-03", filters={"model": "falcon-7b"}).b.value == pytest.approx(2.01)
    assert one(db, "2026-09-01..2026-09-02", "2026-09-03", filters={"model": "falcon-7b"}).a.value == pytest.approx(1.99)
    acme = one(db, "model_version:falcon-7b@1", "model_version:falcon-7b@2", filters={"tenant": "acme"})
    assert (acme.a.value, acme.b.value) == pytest.approx((1.99, 2.11))
    assert compare.parse_side("month:2026-12") == compare.Side("month:2026-12", (), *(compare.date(2026, 12, day) for day in (1, 31)))
    assert one(db, "month:2026-09", "month:2026-08", filters={"model": "falcon-7b"}).outcome == "unknown"


def test_days_without_requests_are_said(db):
    found = one(db, "2026-09-01..2026-09-03", "2026-09-04..2026-09-30", filters={"model": "falcon-7b"}, threshold=0.1)
    assert [(side.days, side.days_asked) for side in (found.a, found.b)] == [(3, 3), (2, 27)]
    assert compare.table("a", "b", [found], "EUR").rows[0].cells[8] == "3 / 2 of 27"


@pytest.mark.parametrize(
    ("a", "b", "metric", "reason"),
    [
        ("model:falcon-7b", "model:absent", "full_cost_per_inference", "B: no requests of model:absent"),
        ("model:lumen", "model:nova", "full_cost_per_inference", "full_cost is not known whole on 2 of 2 days"),
        ("model:nova", "model:lumen", "vendor_cost_per_inference", "vendor_cost is not known whole on 2 of 2 days"),
        ("model:falcon-7b", "model:lumen", "vendor_cost_per_inference", "A: no requests that a vendor served of model:falcon-7b"),
        (
            "model_version:falcon-7b@1",
            "model_version:falcon-7b@2",
            "used_full_cost_per_inference",
            "used_full_cost is not known whole on 1 of 3 days",
        ),
        ("variant:lumen@blue", "variant:lumen@green", "error_rate", "A is 0: there is no relative difference"),
        ("variant:lumen@blue", "variant:lumen@green", "p95_time_to_first_token_ms", "no latency is known on 3 of 3 days"),
        ("model:lumen", "variant:lumen@green", "p95_latency_ms", None),
    ],
)
def test_what_is_missing_is_never_passed(db, a, b, metric, reason):
    found = one(db, a, b, metric, 10.0)
    if reason is None:
        assert found.outcome == "passed"
    else:
        assert (found.outcome, compare.status([found])) == ("unknown", 2)
        assert reason in found.reason


def test_a_failure_outweighs_what_cannot_be_told(db):
    found = compare.compare(db, "variant:lumen@blue", "variant:lumen@green", ["full_cost_per_inference", "error_rate"], 0.05)
    assert [one.outcome for one in found] == ["failed", "unknown"]
    assert compare.status(found) == 1


def test_of_percentiles_of_days_the_middle_one_is_taken(db):
    found = one(db, "variant:lumen@blue", "variant:lumen@green", "p95_latency_ms", 0.2)
    # 300, 320 and 900: not their mean
    assert (found.a.value, found.b.value, found.outcome) == (320.0, 400.0, "failed")
    assert one(db, "variant:lumen@blue", "variant:lumen@green", "p95_latency_ms", filters={"tenant": "acme"}).outcome == "unknown"


@pytest.mark.parametrize(
    "said", ["model_version:falcon-7b", "variant:@blue", "2026-09-31", "2026-09-05..2026-09-01", "month:2026-13", "falcon-7b", "model:"]
)
def test_what_is_no_side_is_refused(said):
    with pytest.raises(TollbookError, match=said.partition("..")[0]):
        compare.parse_side(said)


@pytest.mark.parametrize(("said", "share"), [("5%", 0.05), ("0.05", 0.05), (" 12.5 % ".replace(" %", "%"), 0.125), ("0", 0.0)])
def test_thresholds_are_percentages_or_shares(said, share):
    assert compare.parse_threshold(said) == pytest.approx(share)


@pytest.mark.parametrize("said", ["-1%", "five", "nan", ""])
def test_what_is_no_threshold_is_refused(said):
    with pytest.raises(TollbookError):
        compare.parse_threshold(said)


@pytest.fixture
def published(tmp_path):
    (tmp_path / "tollbook.yml").write_text("currency: EUR\nsources:\n  - {name: bill, format: focus, path: landing/*.csv}\n")
    (tmp_path / "published").mkdir()
    with duckdb.connect(str(tmp_path / "published" / "tollbook.duckdb")) as db:
        db.execute(TABLES)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["model_version:falcon-7b@1", "model_version:falcon-7b@2", "--fail-above", "5%"], 0),
        (["model_version:falcon-7b@1", "model_version:falcon-7b@2", "--fail-above", "4%"], 1),
        (["model:lumen", "model:nova", "--fail-above", "500%"], 2),
        (["model:lumen", "model:nova"], 2),
        (["model:lumen", "nonsense"], 2),
        (["model:lumen", "model:lumen", "--metric", "cost"], 2),
        (["model:lumen", "model:lumen", "--fail-above", "much"], 2),
    ],
)
def test_the_command_ends_with_the_status(published, arguments, status):
    assert CliRunner().invoke(app, ["compare", *arguments, "--workspace", str(published)]).exit_code == status


def test_without_anything_published_it_cannot_be_told(tmp_path):
    (tmp_path / "tollbook.yml").write_text("currency: EUR\nsources:\n  - {name: bill, format: focus, path: landing/*.csv}\n")
    assert CliRunner().invoke(app, ["compare", "model:a", "model:b", "--workspace", str(tmp_path)]).exit_code == 2


def test_the_command_prints_both_values_and_json(published):
    shared = [
        "compare",
        "variant:lumen@blue",
        "variant:lumen@green",
        "-m",
        "full_cost_per_inference",
        "-m",
        "error_rate",
        "-w",
        str(published),
    ]
    said = CliRunner().invoke(app, [*shared, "--fail-above", "5%"], env={"COLUMNS": "200"}).output
    # 108 ÷ 90 requests that succeeded
    assert all(piece in said for piece in ("EUR/request", "1.2", "+0.2", "+20.00 %", "FAILED", "CANNOT BE TOLD", "estimated"))
    document = json.loads(CliRunner().invoke(app, [*shared, "--fail-above", "0.05", "--format", "json"]).output)
    assert document["exit_status"] == 1
    assert document["metrics"][0]["b"]["value"] == pytest.approx(1.2)
    assert document["metrics"][0]["relative_difference"] == pytest.approx(0.2)
    assert document["metrics"][0]["a"]["days_asked"] is None
    assert (document["metrics"][1]["outcome"], document["metrics"][1]["a"]["value"]) == ("unknown", 0.0)
