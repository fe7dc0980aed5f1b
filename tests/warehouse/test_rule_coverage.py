"""Rules that speak of what there is not: splits without rates, teams named like buckets."""

from datetime import date, datetime

import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema

SETTINGS = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/bill/*.csv}\n"
POLICIES = "policy,value,cluster,pool,valid_from,valid_to\nmig_share,compute,,,,\n"
RATES = "split,resource,rate_kind,rate,valid_from,valid_to\n"


def quiet(_):
    """Say nothing."""


def load(workspace, files, first_day=None, built=None):
    ws = workspace(SETTINGS, {f"config/{name}": content for name, content in files.items()})
    with ws.connect() as db:
        schema.ensure(db)
        db.execute("delete from meta.delivery_days")
        if first_day:
            db.execute("insert into meta.delivery_days values ('bill', 'x', ?)", [first_day])
        if built:
            db.execute("insert into meta.build_state values (now()::timestamp, ?, '', '')", [built])
        config.load(ws, db, tell=quiet)


@pytest.mark.parametrize(
    ("policy", "rates", "said"),
    [
        ("2026-09-01,", [], None),
        ("2026-09-01,", ["2026-09-15,"], "from 2026-09-01 to 2026-09-14"),
        ("2026-09-01,2026-09-02", ["2026-09-02,"], "on 2026-09-01"),
        (",", ["2026-09-15,"], "up to 2026-09-14"),
        ("2026-09-01,", [",2026-10-01"], "from 2026-10-01 on"),
        ("2026-09-01,2026-10-01", ["2026-09-02,2026-09-10", "2026-09-12,"], "on 2026-09-01 and from 2026-09-10 to 2026-09-11"),
    ],
)
def test_a_split_whose_rates_are_not_in_force_on_a_day_of_the_policy_is_refused(workspace, policy, rates, said):
    rows = [f"own,{resource},weight,{number},{days}\n" for number, days in enumerate(rates, 1) for resource in ("gpu", "cpu")]
    files = {"policies.csv": f"{POLICIES}node_cost_split,own,k1,,{policy}\n", "resource_rates.csv": RATES + "".join(rows)}
    with pytest.raises(ConfigError) as raised:
        load(workspace, files)
    if said is None:
        assert "policies.csv, row 2, column value: 'own' is no value of node_cost_split" in str(raised.value)
    else:
        assert f"resource_rates.csv: no rate of split 'own' is in force {said}, where row 2 of policies.csv splits nodes by it." in str(
            raised.value
        )
        assert "Give rates for these days" in str(raised.value)


@pytest.mark.parametrize(
    ("policy", "rates", "first_day"),
    [
        ("2026-09-01,2026-10-01", ["2026-08-01,2026-09-10", "2026-09-10,2026-10-01"], None),
        (",", [","], None),
        # nothing was there to split before the first day with data
        (",", ["2026-09-15,"], date(2026, 9, 15)),
        ("2026-09-01,2026-09-15", ["2026-10-15,"], date(2026, 9, 15)),
    ],
)
def test_a_split_with_rates_on_every_day_is_fine(workspace, policy, rates, first_day):
    rows = "".join(f"own,gpu,weight,{number},{days}\n" for number, days in enumerate(rates, 1))
    load(workspace, {"policies.csv": f"{POLICIES}node_cost_split,own,,p,{policy}\n", "resource_rates.csv": RATES + rows}, first_day)


def test_rates_that_a_former_policy_still_needs_may_not_go(workspace):
    named = {"policies.csv": f"{POLICIES}node_cost_split,own,,,2026-09-01,\n", "resource_rates.csv": f"{RATES}own,gpu,weight,1,,\n"}
    load(workspace, named)
    load(workspace, {"policies.csv": POLICIES}, built=datetime(2026, 9, 11))
    with pytest.raises(ConfigError, match=r"from 2026-09-01 to 2026-09-10, where a row that policies\.csv does not hold any more"):
        load(workspace, {"resource_rates.csv": RATES})


def test_a_night_stops_with_the_message_before_anything_is_computed(workspace):
    ws = workspace(
        SETTINGS + "  - {name: fleet, table: capacity, path: landing/fleet/*.csv}\n",
        {
            "landing/fleet/a.csv": "node,cluster,pool,gpu_model,gpu_count,started_at,ended_at\n"
            "n,k,p,A10,1,2026-09-01T00:00:00Z,2026-09-03T00:00:00Z\n",
            "config/policies.csv": f"{POLICIES}node_cost_split,own,,,2026-08-01,2026-09-03\n",
            "config/resource_rates.csv": f"{RATES}own,gpu,weight,1,2026-09-02,\n",
        },
    )
    assert [report.failures for report in pipeline.load(ws, ["fleet"], tell=quiet)] == [[]]
    with pytest.raises(ConfigError, match=r"resource_rates\.csv: no rate of split 'own' is in force on 2026-09-01, where row 2"):
        pipeline.build(ws, tell=quiet)
