"""Rules that were renamed, replaced, taken out or moved: what decided a day that is built goes on deciding it."""

from datetime import date, datetime

import pytest

from tollbook import pipeline
from tollbook.warehouse import config, schema

SETTINGS = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/bill/*.csv}\n"
SHARING = "rule_id,step,cost,within,method,driver,receivers,valid_from,valid_to\n"
OWNERS = "rule_id,priority,field,pattern,team,valid_from,valid_to\n"
TAGS = "rule_id,priority,field,pattern,tag,value,valid_from,valid_to\n"
POLICIES = "policy,value,cluster,pool,valid_from,valid_to\n"
TEAMS = "team,cost_centre,valid_from,valid_to\n"
BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceCategory,ResourceId,Tags,ProviderName\n"
)


def quiet(_):
    """Say nothing."""


def at(number):
    return date(2026, 9, number)


@pytest.fixture
def nights(workspace):
    """Give a rule file its rows after days up to a given one were built; what is in force then, by the columns asked."""
    ws = workspace(SETTINGS)

    def load(table, head, rows, built, columns, restate_from=None):
        (ws.config / f"{table}.csv").parent.mkdir(exist_ok=True)
        (ws.config / f"{table}.csv").write_text(head + "".join(f"{row}\n" for row in rows))
        with ws.connect() as db:
            schema.ensure(db)
            db.execute("delete from meta.build_state")
            if built:
                db.execute("insert into meta.build_state values (now()::timestamp, ?, '', '')", [datetime(2026, 9, built + 1)])
            config.load(ws, db, restate_from, quiet)
            return db.execute(
                f"select {columns}, valid_from, valid_to from config.{table} order by valid_from nulls first, {columns}"
            ).fetchall()

    return load


# table, head, the old row, the row that takes its place, columns that tell them apart and what these are
REPLACED = [
    ("cost_sharing", SHARING, "z,1,bucket:idle,,even,,a", "a,1,Bucket : idle,,even,,b", "rule_id, receivers", ("z", "a"), ("a", "b")),
    ("cost_sharing", SHARING, "z,1,team:Ops,,even,,a", "z,1,team:ops,,kept,,", "rule_id, method", ("z", "even"), ("z", "kept")),
    ("owners", OWNERS, "z,10,tag:team,x,red", "a,10,Tag:Team,x,blue", "rule_id, team", ("z", "red"), ("a", "blue")),
    ("virtual_tags", TAGS, "z,10,resource_id,x,team,red", "a,10,resource_id,x,Team,blue", "rule_id, value", ("z", "red"), ("a", "blue")),
    ("teams", TEAMS, "Alpha,cc-1", "alpha,cc-2", "team, cost_centre", ("Alpha", "cc-1"), ("alpha", "cc-2")),
    ("policies", POLICIES, "mig_share,compute,K1,", "mig_share,memory,k1,", "value, cluster", ("compute", "K1"), ("memory", "k1")),
]
NAMES = ["renamed rule", "changed rule", "owner", "virtual tag", "team", "policy"]


@pytest.mark.parametrize(("table", "head", "old", "new", "columns", "was", "is_"), REPLACED, ids=NAMES)
def test_what_takes_the_place_of_a_rule_decides_days_to_come(nights, table, head, old, new, columns, was, is_):
    assert nights(table, head, [f"{old},2026-09-01,"], 0, columns) == [(*was, at(1), None)]
    replaced = [f"{new},2026-09-01,"]
    assert nights(table, head, replaced, 10, columns) == [(*was, at(1), at(11)), (*is_, at(11), None)]
    # the same file on later nights, and what was taken out put back beside nothing
    assert nights(table, head, replaced, 12, columns) == [(*was, at(1), at(11)), (*is_, at(11), None)]
    assert nights(table, head, replaced, 12, columns, at(5)) == [(*was, at(1), at(5)), (*is_, at(5), None)]
    assert nights(table, head, replaced, 12, columns, at(1)) == [(*is_, at(1), None)]


@pytest.mark.parametrize(("table", "head", "old", "new", "columns", "was", "is_"), REPLACED, ids=NAMES)
def test_a_rule_that_follows_one_that_ended_holds_from_its_day(nights, table, head, old, new, columns, was, is_):
    nights(table, head, [f"{old},2026-09-01,2026-09-08"], 0, columns)
    both = [f"{old},2026-09-01,2026-09-08", f"{new},2026-09-08,"]
    assert nights(table, head, both, 10, columns) == [(*was, at(1), at(8)), (*is_, at(8), None)]


@pytest.mark.parametrize(("table", "head", "old", "new", "columns", "was", "is_"), REPLACED, ids=NAMES)
def test_what_comes_nights_after_a_rule_was_taken_out_leaves_its_days_alone(nights, table, head, old, new, columns, was, is_):
    nights(table, head, [f"{old},2026-09-01,"], 0, columns)
    default = [("default", "{value}", at(11), None)] if table == "owners" else []
    assert nights(table, head, [], 10, columns) == [(*was, at(1), at(11)), *default]
    until = [(*row[:3], at(16)) for row in default]
    assert nights(table, head, [f"{new},2026-09-01,"], 15, columns) == [(*was, at(1), at(11)), *until, (*is_, at(16), None)]


def test_what_owners_csv_says_first_and_last_leaves_the_days_of_the_default_alone(nights):
    columns = "rule_id, team"
    assert nights("owners", OWNERS, [], 0, columns) == [("default", "{value}", None, None)]
    own = ["x,1,tag:owner,*,{value},,"]
    assert nights("owners", OWNERS, own, 10, columns) == [("default", "{value}", None, at(11)), ("x", "{value}", at(11), None)]
    back = [("default", "{value}", None, at(11)), ("x", "{value}", at(11), at(13)), ("default", "{value}", at(13), None)]
    assert nights("owners", OWNERS, [], 12, columns) == back


def test_moving_the_dates_of_a_rule_does_not_reach_into_days_of_another_version(nights):
    def months(rows, built):
        return nights("cost_sharing", SHARING, rows, built, "rule_id")

    months(["v,1,bucket:idle,,even,,a,2026-09-05,2026-09-09"], 0)
    assert months(["w,1,bucket:idle,,even,,b,2026-09-12,"], 14) == [("v", at(5), at(9)), ("w", at(12), None)]
    moved = [("w", at(2), at(5)), ("v", at(5), at(9)), ("w", at(9), None)]
    assert months(["w,1,bucket:idle,,even,,b,2026-09-02,"], 14) == moved
    # owners: several may fit one line, and the priority decides; nothing is taken from their days
    nights("owners", OWNERS, ["v,1,pool,x,a,2026-09-05,2026-09-09", "w,2,pool,x,b,2026-09-12,"], 0, "rule_id")
    beside = nights("owners", OWNERS, ["w,2,pool,x,b,2026-09-02,"], 14, "rule_id")
    assert beside == [("w", at(2), None), ("v", at(5), at(9))]


def test_the_first_rules_of_a_file_that_had_none_decide_days_to_come(nights):
    assert nights("cost_sharing", SHARING, [], 0, "rule_id") == []
    new = ["x,1,bucket:idle,,even,,a,,", "y,2,bucket:idle,,even,,a,2026-09-03,"]
    assert nights("cost_sharing", SHARING, new, 10, "rule_id") == [("y", at(3), None), ("x", at(11), None)]


def test_a_renamed_rule_leaves_the_published_month_as_it_was(workspace, ask):
    def line(cost, tags=""):
        return f"{cost},{cost},USD,2026-09-01,2026-10-01,2026-09-01,2026-09-02,Usage,Compute,,{tags},Nimbus\n"

    team = '"{""team"":""%s""}"'
    rules = SHARING + "z,1,bucket:unowned,,weights,,a=1,2026-09-01,\n"
    ws = workspace(SETTINGS, {"landing/bill/a.csv": BILL + line(10) + line(1, team % "a"), "config/cost_sharing.csv": rules})
    charged = "select team, sum(charged_cost)::integer from intermediate.int_chargeback group by team order by team"
    pipeline.load(ws, tell=quiet)
    pipeline.build(ws, tell=quiet)
    assert ask(ws, charged) == [("a", 11), ("unowned", 0)]
    (ws.config / "cost_sharing.csv").write_text(SHARING + "a,1,bucket:unowned,,weights,,b=1,2026-09-01,\n")
    pipeline.build(ws, tell=quiet)
    assert ask(ws, charged) == [("a", 11), ("unowned", 0)]
    assert ask(ws, "select distinct rule_id from finance.fct_shared_costs") == [("z",)]
    pipeline.build(ws, tell=quiet, restate_from=at(1))
    assert ask(ws, charged) == [("a", 1), ("b", 10), ("unowned", 0)]
