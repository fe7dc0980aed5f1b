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


def own_case(name, usage, fee, commitments):
    """An export and its commitments: GiB hours and their cost by project, credits beside them; fee billed to the project `buyer`."""
    line = {
        "billing_account_id": f"account-{name}", "service": {"id": "1", "description": "Compute Engine"}, "currency": "USD",
        "usage_start_time": "2024-05-03 08:00:00 UTC", "usage_end_time": "2024-05-03 09:00:00 UTC", "cost_type": "regular",
        "location": {"region": "us-west1"}, "invoice": {"month": "202405"},
    }  # fmt: skip
    ram = {"id": "R", "description": "N2 Instance Ram running in Americas"}
    lines = [
        line | {"project": {"id": f"{name}-{project}"}, "sku": ram, "cost": amount, "usage": {"amount": amount, "unit": "gibibyte hour"},
                "credits": [{"name": "Committed Usage Discount: RAM", "amount": -credit, "type": "COMMITTED_USAGE_DISCOUNT"}]}
        for project, amount, credit in usage
    ]  # fmt: skip
    bought = {"id": "F", "description": "Commitment v1: N2 Ram in Americas for 1 Year"}
    lines.append(line | {"project": {"id": f"{name}-buyer"}, "sku": bought, "cost": fee, "usage": {"amount": 1, "unit": "gibibyte hour"}})
    rows = [
        {"id": f"{name}-{number}", "project_ids": ",".join(f"{name}-{project}" for project in projects), "commitments_unit_type": "RAM",
         "commitments_cud_type": "Regular Usage", "commitments_amount": amount, "commitments_region": "us-west1",
         "commit_start_date": "2024-01-01", "commit_end_date": last}
        for number, (projects, amount, last) in enumerate(commitments)
    ]  # fmt: skip
    return "\n".join(map(json.dumps, lines)), "\n".join(map(json.dumps, rows))


END = "2024-12-31"
OWN = {
    # two of one scope are one of 100: p1 is covered whole, the rest floats to p2; the fee is p1's
    "same": own_case("same", [("p1", 70, 100), ("p2", 70, 0)], 100, [(["p1"], 50, END), (["p1"], 50, END)]),
    # p1 is entitled to 35 + 70, but uses 70: so it is covered once
    "over": own_case("over", [("p1", 70, 105), ("p2", 70, 0)], 0, [(["p1", "p2"], 70, END), (["p1"], 70, END)]),
    # nobody in scope used it: the fee stays with the buyer, what was covered is shared by all that used
    "none": own_case("none", [("p1", 60, 30), ("p2", 30, 0)], 9, [(["p3"], 50, END)]),
    # a commitment holds through its last day, and not the day after
    "last": own_case("last", [("p1", 50, 50), ("p2", 50, 0)], 0, [(["p2"], 100, "2024-05-03")]),
    "late": own_case("late", [("p1", 50, 50), ("p2", 50, 0)], 0, [(["p2"], 100, "2024-05-02")]),
}


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
    for name, (export, commitments) in OWN.items():
        (root / "landing" / "gcp" / f"{name}.jsonl").write_text(export)
        (root / "landing" / "commitments" / f"{name}.jsonl").write_text(commitments)
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
    assert expected and got.keys() == expected.keys()
    # the tool computes in floats
    assert all(abs(got[key] - expected[key]) < Decimal("1e-9") for key in expected), (got, expected)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("same", {"p1 commitment_fee": 100, "p1 committed_use_credit": -70, "p2 committed_use_credit": -30}),
        ("over", {"p1 committed_use_credit": -70, "p2 committed_use_credit": -35}),
        ("none", {"buyer commitment_fee": 9, "p1 committed_use_credit": -20, "p2 committed_use_credit": -10}),
        ("last", {"p2 committed_use_credit": -50}),
        ("late", {"p1 committed_use_credit": -25, "p2 committed_use_credit": -25}),
    ],
)
def test_scopes(built, ask, name, expected):
    rows = ask(
        built,
        f"select substr(project_id, {len(name) + 2}) || ' ' || cost_kind, attributed_cost from intermediate.int_gcp_cud__attributed"
        f" where billing_account_id = 'account-{name}' and attributed_cost <> 0",
    )
    assert dict(rows) == expected


def test_nothing_is_lost_or_made(built, ask, shared_data):
    text = "".join((shared_data / "gcp_cud_attribution" / f"test_{case}__export.json").read_text() for case in CASES)
    records = objects(text)
    total = sum(Decimal(r["cost"]) + sum(Decimal(credit["amount"]) for credit in r.get("credits", [])) for r in records)
    assert ask(
        built,
        "select sum(effective_cost), sum(moved_cost), sum(attributed_effective_cost) from finance.fct_gcp_project_days"
        " where regexp_matches(billing_account_id, 'account-[0-9]')",
    ) == [(total, 0, total)]
    assert ask(
        built,
        "select sum(billed_cost - attributed_cost) from intermediate.int_gcp_cud__attributed group by billing_account_id, cost_kind"
        " having sum(billed_cost) <> sum(attributed_cost)",
    ) == []  # fmt: skip
