"""Commitments shared over projects: the vendor tool's cases, loaded together and built once, and each case's own outcome."""

import json
import re
from collections import defaultdict
from decimal import Decimal

import pytest

from tollbook import pipeline
from tollbook.workspace import Workspace

SETTINGS = """
currency: USD
sources:
  - {name: gcp, path: 'landing/gcp/*', format: gcp_billing}
  - name: gcp_commitments
    path: 'landing/commitments/*'
    table: contract_commitments
    select: >-
      select id as commitment_id, 'Google Cloud' as provider, commitments_cud_type as commitment_type,
      commitments_unit_type as commitment_unit, commitments_amount as commitment_quantity, commit_start_date as commitment_started_at,
      cast(commit_end_date as date) + interval 1 day as commitment_ended_at, to_json(delivery) as applicability from delivery
"""
CASES = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "4_1", "5_1", "6_1", "6_2", "6_3", "6_4", "6_5", "6_6")
# how the vendor's tool names what it moves, and the kind of amount here
KINDS = {"COST": "commitment_fee", "CUD": "committed_use_credit", "SUD": "sustained_use_credit"}


def objects(text):
    """JSON objects one behind the other, or a list of them."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while rest := text[place:].lstrip():
        place = len(text) - len(rest)
        value, length = decoder.raw_decode(rest)
        found += value if isinstance(value, list) else [value]
        place += length
    return found


def apart(text, case):
    """The case's text with accounts, projects, folders and commitments of its own, so that all cases can lie in one workspace."""
    mark = case.replace("_", "")
    text = text.replace("00F3D8-28D652-3F036F", f"account-{case}").replace("3965216124", f"{mark}5216124")
    text = re.sub(r"\bproject-(\d)", rf"project-{case}-\1", text)
    return re.sub(r'"id": "(\d)"', rf'"id": "{case}-\1"', text)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from conftest import find_shared_data

    data = find_shared_data() / "gcp_cud_attribution"
    root = tmp_path_factory.mktemp("cud")
    (root / "tollbook.yml").write_text(SETTINGS)
    for case in CASES:
        for name, kind in (("gcp", "export"), ("commitments", "commitments")):
            place = root / "landing" / name / f"{case}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(apart((data / f"test_{case}__{kind}.json").read_text(), case))
    workspace = Workspace.open(root)
    for report in pipeline.load(workspace, tell=lambda _: None):
        assert (report.failures, report.quarantined) == ([], 0)
    pipeline.build(workspace, tell=lambda _: None)
    return workspace


def expected_of(data, case):
    """What the vendor's tool adds, by day, project and kind, and what the export has in all."""
    added = defaultdict(Decimal)
    for row in objects(apart((data / f"test_{case}__expected_billingexport_output.json").read_text(), case)):
        named = re.match(r"Reattribution_Addition_(CUD_.*_COST|CUD|SUD)", row["sku_id"])
        if named:
            kind = KINDS["COST" if named[1].endswith("COST") else named[1]]
            amount = Decimal(row["cost"]) + sum(Decimal(credit["amount"]) for credit in row["credits"])
            added[row["usage_start_time"][:10], row["project_id"], kind] += amount
    return {key: amount for key, amount in added.items() if abs(amount) > Decimal("1e-9")}


@pytest.mark.parametrize("case", CASES)
def test_projects_get_what_the_case_expects(built, ask, shared_data, case):
    rows = ask(
        built,
        "select usage_date::varchar, project_id, cost_kind, attributed_cost from intermediate.int_gcp_cud__attributed"
        f" where billing_account_id = 'account-{case}' and attributed_cost <> 0",
    )
    got = {tuple(key): amount for *key, amount in rows}
    expected = expected_of(shared_data / "gcp_cud_attribution", case)
    assert got.keys() == expected.keys()
    # the tool computes in floats
    assert all(abs(got[key] - expected[key]) < Decimal("1e-9") for key in expected), (got, expected)


def test_nothing_is_lost_or_made(built, ask, shared_data):
    text = "".join((shared_data / "gcp_cud_attribution" / f"test_{case}__export.json").read_text() for case in CASES)
    records = objects(text)
    total = sum(Decimal(r["cost"]) + sum(Decimal(credit["amount"]) for credit in r.get("credits", [])) for r in records)
    assert ask(built, "select sum(effective_cost), sum(moved_cost), sum(attributed_effective_cost) from finance.fct_gcp_project_days") == [
        (total, 0, total)
    ]
    assert ask(
        built,
        "select sum(billed_cost - attributed_cost) from intermediate.int_gcp_cud__attributed group by billing_account_id, cost_kind"
        " having sum(billed_cost) <> sum(attributed_cost)",
    ) == []  # fmt: skip
