"""Shared costs: each case has its own day of one month, and its rules are in force on that day alone. Days from the 15th on are drawn."""

import importlib.util
import json
import random
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workspaces import FOCUS, assert_same_marts, charged_on, quiet, rows_of_marts, settings_of
from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.warehouse import build, config, schema
from tollbook.workspace import Workspace

SETTINGS = settings_of("bill", "fleet", "pods", "drivers", "gateway")
BILL = f"{FOCUS},Tags,ProviderName\n"
FLEET = "node,cluster,pool,gpu_model,gpu_count,started_at,ended_at\n"
PODS = "holding_id,job_id,cluster,node,gpu_count,gpu_share,started_at,ended_at,labels,model\n"
REQUESTS = "requested_at,provider,model,team,input_tokens,output_tokens\n"
DRIVERS = "started_at,ended_at,driver,quantity,team,job_id,resource_id\n"
RULES = "rule_id,step,cost,within,method,driver,receivers,valid_from,valid_to\n"
D = Decimal


def day(number, hour=0):
    return f"2026-09-{number + hour // 24:02}T{hour % 24:02}:00:00Z"


def charge(number, cost, team="", service="Compute", resource=""):
    tags = f'"{{""team"":""{team}""}}"' if team else ""
    return f"{cost},{cost},USD,2026-09-01,2026-10-01,{day(number)},{day(number, 24)},Usage,{service},{resource},{tags},Nimbus\n"


def node(number, name, cluster, gpus, pool="p"):
    return f"{name},{cluster},{pool},A10,{gpus},{day(number)},{day(number, 24)}\n"


def pod(number, name, on, cluster, gpus, hours, team, job="", model=""):
    return f'{name},{job},{cluster},{on},{gpus},1,{day(number)},{day(number, hours)},"{{""team"":""{team}""}}",{model}\n'


def rule(number, name, step, cost, method, within="", driver="", receivers=""):
    return f"{name},{step},{cost},{within},{method},{driver},{receivers},2026-09-{number:02},2026-09-{number + 1:02}\n"


# KA-9: 100 of nobody, one team has 25, the other 75
CASES = {
    1: [charge(1, 100), charge(1, 25, "Alpha"), charge(1, 75, "beta"), rule(1, "ka-9", 1, "bucket:unowned", "proportional")],
    # KA-7: seven slices for a day of 1,000/30; held 8, 6 and 2 x 2 slice-hours
    2: [
        charge(2, "33.33333333333333333333", resource="n7"),
        node(2, "n7", "k7", 7),
        *(pod(2, *held) for held in (("x", "n7", "k7", 1, 8, "a"), ("y", "n7", "k7", 1, 6, "b"), ("z", "n7", "k7", 2, 2, "c"))),
        rule(2, "ka-7", 1, "bucket:idle", "proportional", "node"),
    ],
    3: [charge(3, 90), *(charge(3, n, team) for n, team in enumerate("abc", 1)), rule(3, "alike", 1, "bucket:unowned", "even")],
    4: [charge(4, 40, "platform"), charge(4, 1, "a"), rule(4, "given", 1, "team:Platform", "weights", receivers="a=3; b=1")],
    # 10 calls of a, 20 of b's job, 30 of nobody known: half of 60 stays
    5: [
        charge(5, 60, service="Support"),
        pod(5, "w", "", "k5", 1, 2, "b", "job-b"),
        f"{day(5)},{day(5, 1)},API_calls,10,a,,\n{day(5)},{day(5, 24)},api_calls,20,,job-b,\n{day(5, 1)},{day(5, 1)},api_calls,30,,nobodys,\n",
        rule(5, "calls", 1, "component:Support", "driver", driver="api_calls"),
    ],
    6: [charge(6, 60, service="Support"), rule(6, "silent", 1, "component: support", "driver", driver="api_calls")],
    # 100 to platform and a alike; then platform's 10 + 50 by 30 : 10
    7: [
        charge(7, 100), charge(7, 10, "platform"), charge(7, 30, "a"), charge(7, 10, "b"),
        rule(7, "second", 2, "team:platform", "proportional"),
        rule(7, "first", 1, "bucket:unowned", "even", receivers="platform;a"),
    ],
    8: [
        charge(8, 100, "platform"), charge(8, 50, service="Storage"),
        rule(8, "of-platform", 3, "team:platform", "weights", receivers="component:Storage=20;a=50;b=30"),
        rule(8, "of-storage", 3, "component:Storage", "weights", receivers="platform=10;a=40;b=50"),
    ],
    9: [
        charge(9, 6, "platform"), charge(9, 4, "network"),
        rule(9, "there", 1, "team:platform", "weights", receivers="network=1"),
        rule(9, "back", 1, "team:network", "weights", receivers="platform=1"),
    ],
    # n1 is held by nobody, n2 by half; n3 is another cluster's
    10: [
        charge(10, 24, resource="n1"), charge(10, 48, resource="n2"), charge(10, 24, resource="n3"),
        node(10, "n1", "k", 1), node(10, "n2", "k", 2), node(10, "n3", "other", 1),
        pod(10, "u", "n2", "k", 1, 24, "a"), pod(10, "v", "n3", "other", 1, 24, "b"),
        rule(10, "by-node", 1, "bucket:idle", "proportional", "node"), rule(10, "by-cluster", 2, "bucket:idle", "proportional", "cluster"),
    ],
    11: [charge(11, 7), charge(11, 1, "a"), rule(11, "stays", 1, "bucket:unowned", "kept")],
    12: [charge(12, 7), charge(12, 1, "a"), rule(12, "nowhere", 1, "bucket:unowned", "proportional", "node")],
    13: [charge(13, -12, "platform"), rule(13, "credit", 1, "team:platform", "weights", receivers="a=1;b=2;platform=1")],
    14: [charge(14, 5), charge(14, 5, "a")],
    # nobody reported anything of a cluster: its cost is unknown, and not what other unowned cost is
    29: [
        charge(29, 24, resource="s1"), node(29, "s1", "silent", 1), charge(29, 7),
        rule(29, "silence", 1, "bucket:unknown", "weights", receivers="a=1"),
        # a model of `serving` holds half of m1; b's requests pay for it
        charge(29, 48, resource="m1"), node(29, "m1", "km", 2), pod(29, "s", "m1", "km", 1, 24, "serving", model="m"),
        f"{day(29, 5)},,m,b,10,10\n",
        rule(29, "of-serving", 1, "bucket:idle", "proportional", "node"),
    ],
}  # fmt: skip
DRAWN = range(15, 29)
TEAMS = ["a", "b", "c", "platform", "network"]
POOLS = ["bucket:idle", "bucket:unowned", "bucket:down", "team:platform", "team:network", "component:Support", "component:Storage"]


def drawn_day(number, draw):
    """Charges, two nodes and who held them, drivers, and rules of up to three steps."""

    def cost():
        return draw.randint(1, 10**9) / 10**6

    for _ in range(6):
        yield charge(number, cost(), draw.choice([*TEAMS, ""]), draw.choice(["Compute", "Support", "Storage"]))
    for name in ("r1", "r2"):
        yield node(number, name, "kr", draw.randint(1, 8), draw.choice("pq"))
        yield charge(number, cost(), draw.choice(["", "a"]), resource=name)
        for held in range(draw.randint(0, 3)):
            yield pod(number, f"{name}-{number}-{held}", name, "kr", 1, draw.randint(1, 24), draw.choice(TEAMS))
    for _ in range(3):
        yield f"{day(number)},{day(number, draw.choice([1, 24, 30]))},bytes,{draw.random() * 1e6},{draw.choice([*TEAMS, ''])},,\n"
    for name in draw.sample([f"{step} {pool}" for step in (1, 2, 3) for pool in POOLS], draw.randint(1, 8)):
        step, pool = name.split(" ")
        listed = draw.sample(TEAMS, draw.randint(1, 3))
        method = draw.choice(["proportional", "by_resource", "listed", "even", "weights", "driver"])
        if pool.startswith("component:") and method == "by_resource":
            method = "proportional"
        if method == "weights":
            also = "component:Support=2;" if pool == "team:platform" else ""
            yield rule(number, name, step, pool, method, receivers=also + ";".join(f"{team}={draw.randint(1, 9)}" for team in listed))
        elif method == "driver":
            yield rule(number, name, step, pool, method, driver="bytes")
        elif method == "listed":
            yield rule(number, name, step, pool, "proportional", receivers=";".join(listed))
        else:
            yield rule(number, name, step, pool, method, draw.choice(["", "node", "pool", "cluster"]))


def folder_of(row):
    """Which file a row belongs to, by what its cells look like."""
    cells = row.split(",")
    if "Nimbus" in row:
        return "bill"
    if cells[0].startswith("2026-09-"):
        return "gateway" if cells[2] == "m" else "drivers"
    if "team" in row and '"{' in row:
        return "pods"
    return "fleet" if "A10" in cells else "config"


@pytest.fixture(scope="module")
def workspace_of_cases(tmp_path_factory):
    """All cases, in two nights: the first brings the bills of odd days and no drivers."""
    root = tmp_path_factory.mktemp("sharing")
    (root / "tollbook.yml").write_text(SETTINGS)
    (root / "config").mkdir()
    rows = CASES | {number: list(drawn_day(number, random.Random(number))) for number in DRAWN}
    rules = "".join(row for number in rows for row in rows[number] if folder_of(row) == "config")
    (root / "config/cost_sharing.csv").write_text(RULES + rules)
    (root / "config/teams.csv").write_text("team,cost_centre,valid_from,valid_to\nAlpha,cc-1,,\nPlatform,cc-9,2026-09-04,2026-09-05\n")
    workspace = Workspace.open(root)
    heads = {"bill": BILL, "fleet": FLEET, "pods": PODS, "drivers": DRIVERS, "gateway": REQUESTS}
    for night in (1, 2):
        for folder, head in heads.items():
            for number in rows:
                told = "".join(row for row in rows[number] if folder_of(row) == folder)
                late = number % 2 == 0 or folder == "drivers"
                if told and (night == 2) == late:
                    place = root / "landing" / folder / f"{number}.csv"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(head + told)
        assert [report.quarantined for report in pipeline.load(workspace, tell=quiet) if report.quarantined] == []
        pipeline.build(workspace, tell=quiet)
    return workspace


@pytest.fixture
def shared(workspace_of_cases, ask):
    """Moved rows of a day as {(rule, team): moved}, and those of kept costs as {(rule, team): (kept, reason)}."""

    def rows(number):
        found = ask(
            workspace_of_cases,
            "select rule_id, team, sum(moved_cost), sum(kept_cost), max(kept_reason) from finance.fct_shared_costs"
            f" where usage_date = date '2026-09-{number:02}' group by rule_id, team, entry",
        )
        moved = {(name, team): cost for name, team, cost, kept, _ in found if kept is None}
        return moved, {(name, team): (kept, reason) for name, team, _, kept, reason in found if kept is not None}

    return rows


@pytest.fixture
def charged(workspace_of_cases):
    def rows(number, only="true"):
        return charged_on(workspace_of_cases, f"2026-09-{number:02}", only)

    return rows


def test_ka_9_a_pool_of_100_by_25_and_75_and_one_negating_row(shared, charged, workspace_of_cases, ask):
    assert shared(1) == ({("ka-9", "Alpha"): 25, ("ka-9", "beta"): 75, ("ka-9", "unowned"): -100}, {})
    assert charged(1) == {"Alpha": 50, "beta": 150, "unowned": 0}
    assert charged(1, "component = 'shared: unowned'") == {"Alpha": 25, "beta": 75, "unowned": -100}
    ((method, details, resource, tags, version, centre),) = ask(
        workspace_of_cases,
        "select allocated_method_id, allocated_method_details, allocated_resource_id, allocated_tags, rule_version, cost_centre"
        " from finance.fct_shared_costs where rule_id = 'ka-9' and team = 'Alpha'",
    )
    assert (method, resource, version, centre) == ("proportional_within_everything", "Alpha", 1, "cc-1")
    assert json.loads(tags) == {"team": "Alpha", "cost_centre": "cc-1"}
    assert json.loads(details) == {
        "Elements": [{"AllocatedRatio": 0.25, "UsageUnit": "USD", "UsageQuantity": 25}],
        "x_RuleId": "ka-9",
        "x_RuleVersion": 1,
        "x_Step": 1,
    }


def test_ka_7_what_no_slice_was_held_for_goes_to_the_holders_of_the_node(shared, charged):
    moved, kept = shared(2)
    day_cost = Fraction(1000, 30)
    idle = day_cost * 150 / 168
    assert kept == {}
    for team, slice_hours in (("a", 8), ("b", 6), ("c", 4)):
        # 13.228, 9.921, 6.614 on 1.587, 1.190, 0.794
        assert float(moved["ka-7", team]) == pytest.approx(float(idle * slice_hours / 18), abs=1e-10)
        assert float(charged(2)[team]) == pytest.approx(float(day_cost * slice_hours / 18), abs=1e-10)
    assert float(moved["ka-7", "idle"]) == pytest.approx(-29.7619047619, abs=1e-9)
    assert sum(moved.values()) == 0
    assert charged(2)["idle"] == 0


def test_even_weights_and_credits(shared, charged):
    assert shared(3)[0] == {("alike", "a"): 30, ("alike", "b"): 30, ("alike", "c"): 30, ("alike", "unowned"): -90}
    # b has no cost of its own that day, and still gets its share
    assert shared(4)[0] == {("given", "a"): 30, ("given", "b"): 10, ("given", "Platform"): -40}
    assert charged(4) == {"a": 31, "b": 10, "Platform": 0}
    assert shared(13) == (
        {("credit", "a"): -3, ("credit", "b"): -6, ("credit", "Platform"): 9},
        {("credit", "Platform"): (-3, "own_share")},
    )


def test_a_driver_shares_by_who_caused_it_and_keeps_what_nobody_known_caused(shared, charged):
    assert shared(5) == (
        {("calls", "a"): 10, ("calls", "b"): 20, ("calls", "unowned"): -30},
        {("calls", "unowned"): (30, "driver_without_team")},
    )
    assert charged(5) == {"a": 10, "b": 20, "unowned": 30}
    assert shared(6) == ({}, {("silent", "unowned"): (60, "no_driver")})
    assert charged(6) == {"unowned": 60}


def test_a_later_step_shares_what_an_earlier_one_gave(shared, charged):
    assert shared(7)[0] == {
        ("first", "a"): 50, ("first", "Platform"): 50, ("first", "unowned"): -100,
        ("second", "a"): 45, ("second", "b"): 15, ("second", "Platform"): -60,
    }  # fmt: skip
    assert charged(7) == {"a": 125, "b": 25, "Platform": 0, "unowned": 0}


def test_costs_that_use_each_other_are_solved(shared, charged, workspace_of_cases, ask):
    """P = 100 + 0.1 S and S = 50 + 0.2 P: P = 105/0.98, S = 70/0.98; a bears 0.5 P + 0.4 S, b 0.3 P + 0.5 S."""
    moved, kept = shared(8)
    assert kept == {}
    # platform's own 100: a (0.5 + 0.2 x 0.4)/0.98, b (0.3 + 0.2 x 0.5)/0.98
    assert moved["of-platform", "a"] == D("59.183673469388")
    assert moved["of-platform", "b"] == D("40.816326530612")
    assert moved["of-platform", "Platform"] == -100
    assert moved["of-storage", "a"] == D("22.959183673469")  # 50 x (0.4 + 0.1 x 0.5)/0.98
    assert moved["of-storage", "b"] == D("27.040816326531")
    assert charged(8) == {"a": D("82.142857142857"), "b": D("67.857142857143"), "Platform": 0, "unowned": 0}
    told = ask(
        workspace_of_cases,
        "select rule_id, team, allocated_method_details->'$.Elements[0]' from finance.fct_shared_costs"
        " where usage_date = date '2026-09-08' and entry = 'received' and allocated_method_details->>'$.x_IsReciprocal' = 'true'",
    )
    elements = {(rule, team): json.loads(element) for rule, team, element in told}
    # 0.58 : 0.40 and 0.45 : 0.53 of 0.98
    parts = {("of-platform", "a"): (29, 49), ("of-platform", "b"): (20, 49), ("of-storage", "a"): (45, 98), ("of-storage", "b"): (53, 98)}
    assert elements.keys() == parts.keys()
    for key, (part, whole) in parts.items():
        ratio = pytest.approx(part / whole, abs=1e-15)
        assert elements[key] == {"AllocatedRatio": ratio, "UsageUnit": "part", "UsageQuantity": part}


def test_costs_with_no_way_out_stay_with_the_reason(shared, charged):
    assert shared(9) == ({}, {("there", "Platform"): (6, "no_way_out"), ("back", "network"): (4, "no_way_out")})
    assert charged(9) == {"Platform": 6, "network": 4}


def test_what_a_node_cannot_share_its_cluster_does(shared, charged):
    assert shared(10) == (
        {("by-node", "a"): 24, ("by-node", "idle"): -24, ("by-cluster", "a"): 24, ("by-cluster", "idle"): -24},
        {("by-node", "idle"): (24, "nobody_charged")},
    )
    assert charged(10) == {"a": 72, "b": 24, "idle": 0}


def test_what_is_kept_says_why_and_without_a_rule_nothing_moves(shared, charged):
    assert shared(11) == ({}, {("stays", "unowned"): (7, "by_rule")})
    assert shared(12) == ({}, {("nowhere", "unowned"): (7, "no_node")})
    assert shared(14) == ({}, {})
    assert charged(14) == {"a": 5, "unowned": 5}


def test_unknown_cost_and_the_idle_of_a_node_that_serves_a_model(shared, charged):
    assert shared(29)[0] == {
        ("silence", "a"): 24, ("silence", "unowned"): -24, ("of-serving", "serving"): 24, ("of-serving", "idle"): -24,
    }  # fmt: skip
    assert charged(29) == {"a": 24, "unowned": 7, "idle": 0, "serving": 24, "b": 24}


def test_whatever_the_rules_every_bill_is_conserved_and_nobody_pays_less_than_nothing(workspace_of_cases, ask):
    moved = ask(
        workspace_of_cases,
        "select usage_date, source_name, billing_period, step, rule_id, sum(moved_cost), count(*) from finance.fct_shared_costs"
        " where entry <> 'kept' group by all",
    )
    assert len({row[0] for row in moved if row[0] >= date(2026, 9, 15)}) >= 10
    assert [row for row in moved if row[5] != 0 or row[6] < 2] == []
    differing = ask(
        workspace_of_cases,
        "select before.usage_date, before.cost, after.cost from"
        " (select usage_date, source_name, billed_by, sum(charged_cost) as cost from intermediate.int_costs__charged group by all) as before"
        " full join (select usage_date, source_name, billed_by, sum(charged_cost) as cost from intermediate.int_chargeback_days group by all)"
        " as after using (usage_date, source_name, billed_by) where before.cost is distinct from after.cost",
    )
    assert differing == []
    negative = (
        "select usage_date, team, sum(charged_cost) as cost from intermediate.int_chargeback_days where usage_date <> '2026-09-13'"
        " group by all having cost < 0"
    )
    assert ask(workspace_of_cases, negative) == []
    assert ask(workspace_of_cases, "select count(*) from quality.fct_bridge where term = 'remainder' and cost = 0") == [(1,)]
    assert ask(workspace_of_cases, "select count(*) from quality.fct_reconciliation where cost_delta = 0") == [(1,)]


def test_shares_add_up_to_one_and_are_what_was_moved(workspace_of_cases, ask):
    rows = ask(
        workspace_of_cases,
        "select sum(share_ratio), max(abs(coalesce(kept_cost, moved_cost)::double - share_ratio * pool_cost::double)), count(*)"
        " from finance.fct_shared_costs where entry <> 'negating'"
        " group by usage_date, step, rule_id, source_name, billed_by, billing_period, basis, cluster, pool, node, resource, from_bucket, from_team,"
        " pool_cost",
    )
    assert len(rows) > 50
    for ratios, furthest, _ in rows:
        assert ratios == pytest.approx(1, abs=1e-9)
        assert furthest < 1e-9


def test_incremental_equals_rebuild(workspace_of_cases, ask):
    incremental = rows_of_marts(workspace_of_cases)
    pipeline.build(workspace_of_cases, full_refresh=True, tell=quiet)
    assert len(incremental["finance.fct_shared_costs"]) > 100
    assert_same_marts(incremental, rows_of_marts(workspace_of_cases))


@pytest.mark.parametrize(
    "row, said",
    [
        ("x,0,bucket:idle,,even,,,,", "row 1, column step: '0' is no step from 1 to 9"),
        ("x,1,idle,,even,,,,", "row 1, column cost: 'idle' is not team:<team>, component:<component> or bucket: and one of idle, down"),
        ("x,1,bucket:rounding,,even,,,,", "column cost: 'bucket:rounding' is not team"),
        ("x,1,bucket:idle,rack,even,,,,", "column within: 'rack' is not one of 'node'"),
        ("x,1,bucket:idle,,fair,,,,", "column method: 'fair' is not one of 'proportional'"),
        ("x,1,bucket:idle,,driver,,,,", "column driver: None is missing"),
        ("x,1,bucket:idle,,even,bytes,,,", "column driver: 'bytes' is named, which only method driver uses"),
        ("x,1,bucket:idle,,weights,,,,", "column receivers: None is missing"),
        ("x,1,bucket:idle,,weights,,a=1;b,,", "column receivers: 'a=1;b' is not team=weight"),
        ("x,1,bucket:idle,,weights,,a=0;b=0.0,,", "is not team=weight;team=weight with weights"),
        ("x,1,component:Support,,by_resource,,,,", "shares each component of a cost by itself; use proportional"),
        ("x,1,bucket:idle,,even,,a=1,,", "gives weights, which only method weights uses"),
        ("x,1,bucket:idle,,kept,,a,,", "method kept gives to nobody"),
        ("x,1,bucket:idle,,even,,bucket:down,,", "names a bucket, which pays nothing"),
        ("x,1,bucket:idle,,driver,bytes,component:Storage,,", "only the methods weights and even can give to"),
        ("x,1,bucket:idle,,even,,a;component:Storage,,", "names a component that no rule of the same step shares"),
        ("x,1,bucket:idle,node,weights,,a=1,,", "column within: 'node' chooses nobody here"),
        (
            "x,1,bucket:idle,,even,,,,\ny,1,bucket:idle,,kept,,,,",
            "row 2, column valid_from: None lies inside the validity of an earlier row",
        ),
    ],
)
def test_a_rule_with_a_mistake_names_row_and_column(workspace, row, said):
    ws = workspace(SETTINGS, {"config/cost_sharing.csv": f"{RULES}{row}\n"})
    with ws.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError) as raised:
            config.load(ws, db)
    assert said in str(raised.value)
    assert "cost_sharing.csv" in str(raised.value)


def test_a_changed_rule_decides_the_days_to_come(workspace):
    file = "config/cost_sharing.csv"
    ws = workspace(SETTINGS, {file: RULES + "x,1,team:ops,,weights,,a=1,,\n"})
    with ws.connect() as db:
        schema.ensure(db)
        config.load(ws, db, tell=quiet)
        db.execute("insert into meta.build_state values (now()::timestamp, ?, '', '')", [datetime(2026, 9, 11)])
        (ws.root / file).write_text(RULES + "x,1,team:ops,,weights,,b=1,,\n")
        config.load(ws, db, tell=quiet)
        rows = db.execute("select receivers, valid_from, valid_to, rule_version from config.cost_sharing order by rule_version").fetchall()
    assert rows == [("a=1", None, date(2026, 9, 11), 1), ("b=1", date(2026, 9, 11), None, 2)]


@pytest.fixture(scope="module")
def reciprocal():
    file = build.PROJECT / "models/intermediate/allocation/int_costs__shared_reciprocal.py"
    spec = importlib.util.spec_from_file_location("reciprocal", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@settings(max_examples=100, deadline=None)
@given(
    weights=st.lists(st.lists(st.integers(0, 10**6), min_size=6, max_size=6), min_size=3, max_size=3),
    order=st.permutations(range(3)),
)
def test_the_solution_is_that_of_the_linear_system(reciprocal, weights, order):
    """Three pools that give to each other and to three teams: (1 - A)^-1 B, whatever the order they come in."""
    pools = [("team:p0",), ("team:p1",), ("component:p2",)]
    names = [*pools, "team:a", "team:b", "team:c"]
    # everybody gives something to those who pay, so there is a way out
    rows = {pool: {name: row[at] + (at > 2) for at, name in enumerate(names)} for pool, row in zip(pools, weights, strict=True)}
    solved = reciprocal.solve({pools[at]: dict(rows[pools[at]]) for at in order})
    assert solved == reciprocal.solve(rows)
    matrix = numpy.array([[float(Fraction(rows[pool][name], sum(rows[pool].values()))) for name in names] for pool in pools])
    expected = numpy.linalg.solve(numpy.eye(3) - matrix[:, :3], matrix[:, 3:])
    for at, pool in enumerate(pools):
        assert sum(solved[pool].values()) == 1
        assert [float(solved[pool][name]) for name in names[3:]] == pytest.approx(list(expected[at]), rel=1e-6)
        whole = reciprocal.whole_weights(solved[pool])
        for name, share in solved[pool].items():
            assert abs(Fraction(whole[name], sum(whole.values())) - share) < Fraction(1, 10**17)


def test_what_flows_into_a_cycle_with_no_way_out_rests_there_and_the_cycle_keeps_its_own(reciprocal):
    idle, ops, net, disk = ("bucket:idle",), ("team:ops",), ("team:net",), ("component:disk",)
    solved = reciprocal.solve({idle: {ops: 1, "team:a": 1, disk: 2}, ops: {net: 1}, net: {ops: 1}, disk: {disk: 1}})
    assert solved == {
        idle: {"team:a": Fraction(1, 4), "team:ops": Fraction(1, 4), "kept:no_way_out": Fraction(1, 2)},
        ops: {"kept:no_way_out": 1},
        net: {"kept:no_way_out": 1},
        disk: {"kept:no_way_out": 1},
    }
