"""Rules that name what is nowhere: refused, told by the audit, and told by a simulation."""

from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest

from tollbook import pipeline
from tollbook.decisions import simulate
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema
from tollbook.workspace import Workspace

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: fleet, table: capacity, path: landing/fleet/*.csv}
  - {name: drivers, table: usage_drivers, path: landing/drivers/*.csv}
"""
BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceCategory,ResourceId,Tags,ProviderName\n"
)
SHARING = "rule_id,step,cost,within,method,driver,receivers,valid_from,valid_to\n"
OWNERS = "rule_id,priority,field,pattern,team,valid_from,valid_to\n"


def quiet(_):
    """Say nothing."""


def line(cost, team="", service="Compute"):
    tags = f'"{{""team"":""{team}""}}"' if team else ""
    return f"{cost},{cost},USD,2026-09-01,2026-10-01,2026-09-01,2026-09-02,Usage,{service},,{tags},Nimbus\n"


FILES = {
    # Red 20, blue 10 and 5 of storage; 30 of nobody
    "landing/bill/a.csv": BILL + line(20, "Red") + line(10, "blue") + line(5, "blue", "Storage") + line(30),
    "landing/fleet/a.csv": "node,cluster,pool,gpu_model,gpu_count,started_at,ended_at\nn,k1,p,A10,1,2026-09-01T00:00:00Z,2026-09-02T00:00:00Z\n",
    "landing/drivers/a.csv": "started_at,ended_at,driver,quantity,team,job_id,resource_id\n2026-09-01T00:00:00Z,2026-09-01T01:00:00Z,Tickets,1,red,,\n",
    "config/teams.csv": "team,cost_centre,valid_from,valid_to\nPlanned,cc-1,,\n",
    "config/policies.csv": "policy,value,cluster,pool,valid_from,valid_to\nmig_share,memory,k2,p,,\nmig_share,memory,k1,p,,\n"
    "mig_share,memory,k1,q,,\n",
    "config/owners.csv": OWNERS + "by-tag,1,tag:team,*,{value},,\npools,2,pool,gone,red,,\nall-pools,3,pool,g*,red,,\n",
    "config/cost_sharing.csv": SHARING
    + "known,1,component: Storage,,driver,tickets,RED;planned,,\n"
    + "who,2,team:gren,,weights,,read=3;team:blue=1,,\n"
    + "what,3,component:Storag,,driver,calls,,,\n",
}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    root = tmp_path_factory.mktemp("names")
    (root / "tollbook.yml").write_text(SETTINGS)
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    ws, told = Workspace.open(root), []
    assert [report.failures for report in pipeline.load(ws, tell=quiet)] == [[], [], []]
    pipeline.build(ws, tell=quiet)
    pipeline.check(ws, tell=told.append)
    return SimpleNamespace(workspace=ws, told=told)


def test_names_that_are_nowhere_are_warned_of_with_the_rule(audited, ask):
    rows = ask(
        audited.workspace,
        "select subject, status, severity, observed, message from quality.fct_checks where check_id = 'unknown_names' order by subject",
    )
    named = "rule '{}' names what is nowhere: {}"
    expected = [
        ("cost_sharing.csv: what", 2, named.format("what", "cost component 'storag', driver 'calls'")),
        ("cost_sharing.csv: who", 2, named.format("who", "cost team 'gren', receiver team 'read'")),
        ("owners.csv: pools", 1, named.format("pools", "pool 'gone'")),
        ("policies.csv: mig_share", 3, named.format("mig_share", "cluster 'k2', pool 'k1 / q', pool 'k2 / p'")),
    ]
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [(subject, "warn", "warn", count) for subject, count, _ in expected]
    for row, (_, _, said) in zip(rows, expected, strict=True):
        assert said in row[4] and "Spell it as it is in the bills" in row[4]
    assert any("unknown_names (cost_sharing.csv: who)" in message for message in audited.told)


def test_a_simulation_says_what_each_rule_did(audited, tmp_path):
    rules = tmp_path / "what-if.csv"
    rules.write_text(
        SHARING
        + "gives,1,bucket:unowned,,weights,,red=1;blue=2,,\n"
        + "typo,2,team:gren,,even,,red,,\n"
        + "stays,3,component:Storage,,kept,,,,\n"
        + "late,4,team:red,,even,,blue,2026-09-05,\n"
    )
    outcome = simulate.simulate(audited.workspace, [rules], tell=quiet)
    assert outcome.days == [date(2026, 9, 1)]
    assert outcome.notes[1:] == [
        "Rule gives (step 1, bucket:unowned) moved 30.00 USD, kept nothing.",
        "Rule typo (step 2, team:gren) matched nothing: there is no such cost on these days.",
        "Rule stays (step 3, component:Storage) moved 0.00 USD, kept 5.00 (by_rule).",
    ]
    told = simulate.document(outcome)["sharing"]
    assert [(rule["rule_id"], rule["is_matched"], Decimal(rule["moved_cost"]), Decimal(rule["kept_cost"])) for rule in told] == [
        ("gives", True, 30, 0), ("typo", False, 0, 0), ("stays", True, 0, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "teams.csv",
            "team,cost_centre,valid_from,valid_to\nops,cc,,\nIdle,cc,,\n",
            "row 2, column team: 'Idle' is what a bucket is called",
        ),
        ("owners.csv", f"{OWNERS}x,1,pool,p,unowned,,\n", "row 1, column team: 'unowned' is what a bucket is called"),
        ("owners.csv", f"{OWNERS}x,1,pool,p,rounding,,\n", "row 1, column team: 'rounding' is what a bucket is called"),
        ("cost_sharing.csv", f"{SHARING}x,1,team: idle,,even,,,,\n", "column cost: 'team: idle' is the name of a bucket, not of a team"),
        ("cost_sharing.csv", f"{SHARING}x,1,bucket:idle,,weights,,red=1; Unowned =2,,\n", "names a bucket, which pays nothing"),
        ("cost_sharing.csv", f"{SHARING}x,1,bucket:idle,,even,,red;team:down,,\n", "names a bucket, which pays nothing"),
    ],
)
def test_no_team_is_called_like_a_bucket(workspace, file, content, said):
    ws = workspace(SETTINGS, {f"config/{file}": content})
    with ws.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError) as raised:
            config.load(ws, db)
    assert said in str(raised.value) and file in str(raised.value)


def test_names_that_only_begin_like_a_bucket_are_teams(workspace):
    ws = workspace(
        SETTINGS,
        {
            "config/teams.csv": "team,cost_centre,valid_from,valid_to\nunknowns,cc,,\n",
            "config/cost_sharing.csv": f"{SHARING}x,1,bucket:idle,,even,,idle hands;downtown,,\n",
        },
    )
    with ws.connect() as db:
        schema.ensure(db)
        config.load(ws, db)
        assert db.execute("select team from config.teams").fetchall() == [("unknowns",)]
