"""The own register through the loaders: hand-computed lives and running costs, exact sums, replaced registers, GPU-hours."""

from datetime import date
from decimal import Decimal

import pytest

from tests.workspaces import assert_same_marts, night, quiet, rows_of_marts, settings_of
from tollbook import pipeline
from tollbook.errors import ConfigError

SETTINGS = settings_of("register", "running", "fleet", "pods")
ASSETS = (
    "asset_id,name,asset_kind,resource_id,upgrade_of,units,purchase_cost,residual_value,in_service_at,life_months,"
    "depreciation_method,declining_rate,disposed_at,disposal_proceeds,model,tags\n"
)
COSTS = (
    "cost_id,cost_kind,asset_id,resource_id,started_at,ended_at,amount,energy_kwh,rated_kw,load_ratio,pue,uptime_ratio,quantity,"
    "unit_price,tags\n"
)
LIFE = "select sum(effective_cost) from finance.fct_charges where sku_id = '{}'"
BETWEEN = LIFE + " and charge_date >= '{}' and charge_date < '{}'"


def asset(name, cost, since, months, kind="hardware", node="", of="", units="", residual="", method="", rate="", until="", proceeds="",
          model="", team=""):  # fmt: skip
    tags = '"{""team"": ""' + team + '""}"' if team else ""
    fields = [name, "", kind, node, of, units, cost, residual, since, months, method, rate, until, proceeds, model, tags]
    return ",".join(map(str, fields)) + "\n"


def running(
    name, kind, start, end, asset="", node="", amount="", kwh="", kw="", load="", pue="", uptime="", quantity="", price="", team=""
):
    tags = '"{""team"": ""' + team + '""}"' if team else ""
    return ",".join([name, kind, asset, node, start, end, amount, kwh, kw, load, pue, uptime, quantity, price, tags]) + "\n"


def test_whole_lives_and_running_costs_by_hand(workspace, ask):
    node = asset("node", 360000, "2025-03-16", 36, residual=36000, team="research")  # 324,000 over 1,096 days
    degressive = asset("degressive", 100000, "2025-01-01", 60, method="declining_balance", rate="0.4")
    kept = asset("kept", 100000, "2025-01-01", 30, method="Declining-Balance", rate="0.4", residual=20000)
    sold = asset("sold", 36600, "2025-01-01", 36, residual=600, until="2026-07-01", proceeds=20000)
    base = asset("base", 120000, "2025-01-01", 36, node="rack-1", team="search", until="2027-07-01", proceeds=1)
    upgrade = asset("upgrade", 24000, "2026-01-01", 60, of="base")
    upgrade_of_it = asset("more", 1000, "2026-06-01 10:30", 12, of="upgrade")
    licence = asset("licence", 1200, "2026-01-01", 12, kind="software")
    training = asset("run", 1000000, "2026-02-01", 10, kind="training_run", model="falcon-7b")
    devices = asset("edge", "50000.01", "2026-01-01", 48, kind="edge_device", units=200)
    days = ("2026-09-01", "2026-10-01")
    costs = [
        running("power", "power", *days, kw="10", load="0.7", pue="1.4", price="0.12"),
        running("metered", "power", *days, kwh="1234.5", pue="1.25", price="0.2"),
        running("links", "connectivity", *days, asset="edge", quantity="200", price="5", uptime="0.98"),
        running("staff", "staff", *days, amount="1000", team="platform"),
        running("off", "cooling", "2026-09-01 00:00", "2026-09-01 01:00", kw="1", uptime="0.5", price="1e-12"),
        running("end", "space", "2030-12-31", "2031-01-01", amount="1"),
    ]
    register = [node, degressive, kept, sold, base, upgrade, upgrade_of_it, licence, training, devices]
    ws = workspace(
        SETTINGS,
        {
            "landing/register/all.csv": ASSETS + "".join(register),
            "landing/running/all.csv": COSTS + "".join(costs),
            "landing/fleet/none.csv": "node,started_at,ended_at\n",
        },
    )
    night(ws)

    def money(query, *values):
        return ask(ws, query.format(*values))[0][0]

    # straight line by time: 16 of 1,096 days in March, then whole months; the whole life is price less residual, exactly
    assert money(LIFE, "node") == 324000
    assert money(BETWEEN, "node", "2025-03-01", "2025-04-01").quantize(Decimal("1e-9")) == Decimal("4729.927007299")  # 324,000 × 16 / 1,096
    assert money(BETWEEN, "node", "2025-04-01", "2025-05-01").quantize(Decimal("1e-9")) == Decimal("8868.613138686")  # × 30 / 1,096
    # 40 % of the book value each year until the straight line over the rest is more: 21,600 left, 8,640 < 10,800
    years = [money(BETWEEN, "degressive", f"{year}-01-01", f"{year + 1}-01-01") for year in range(2025, 2030)]
    assert years == [40000, 24000, 14400, 10800, 10800]
    # 30 months to a residual of 20,000: 40 % of 100,000; then 12 of 18 months of the 40,000 left is more than 40 % of 60,000
    years = [money(BETWEEN, "kept", f"{year}-01-01", f"{year + 1}-01-01") for year in range(2025, 2028)]
    assert years == [40000, Decimal("26666.666666666666"), Decimal("13333.333333333334")]
    assert money("select max(charge_date) from finance.fct_charges where sku_id = 'kept'") == date(2027, 6, 30)
    # sold after 18 months: 546 of 1,095 days have taken 36,000 × 546 / 1,095; the day of sale takes the rest less proceeds
    taken = money(BETWEEN, "sold", "2025-01-01", "2026-07-01")
    assert taken.quantize(Decimal("1e-9")) == Decimal("17950.684931507")
    disposal = "select charge_date, effective_cost from finance.fct_charges where sku_id = 'sold' and sku_meter = 'disposal'"
    assert ask(ws, disposal) == [(date(2026, 7, 1), 36600 - taken - 20000)]
    assert money(LIFE, "sold") == 16600
    disposals = (
        "select sum(charged_cost)::decimal(38, 9), team from intermediate.int_chargeback where component = 'disposal' group by 2 order by 2"
    )
    # base with 184 of 1,095 days to go, its upgrade with 184 of 730, the other's life over: 20,164.383… − 1 + 6,049.315…
    assert ask(ws, disposals) == [(Decimal("26212.698630137"), "search"), (Decimal("-1350.684931507"), "unowned")]
    # an upgrade ends with what it extends (24 months instead of 60) and is sold with it, for nothing: all of its price is cost
    months = "select min(used_from_at)::date, max(used_until_at)::date, sum(depreciation_cost) from intermediate.int_asset_months where asset_id = '{}'"
    assert ask(ws, months.format("upgrade")) == [(date(2026, 1, 1), date(2028, 1, 1), 24000)]
    assert money(BETWEEN, "upgrade", "2026-01-01", "2027-01-01").quantize(Decimal("1e-9")) == 12000  # 365 of 730 days
    assert [money(LIFE, name) for name in ("base", "upgrade", "more")] == [119999, 24000, 1000]
    assert ask(ws, "select distinct resource_id, team from finance.fct_charges where sku_id = 'more' and sku_meter = 'depreciation'") == [
        ("rack-1", "search")
    ]
    # 10 kW × 0.7 × 720 h × 1.4 × 0.12; 1,234.5 kWh × 1.25 × 0.2; 200 × 5 × 0.98; half of 10^-12 is rounded up
    expected = {"power": "846.72", "metered": "308.625", "links": "980", "staff": "1000", "off": "0.000000000001"}
    for name, cost in expected.items():
        assert money(LIFE, name) == Decimal(cost), name
    assert [money(LIFE, name) for name in ("licence", "run", "edge")] == [1200, 1000000, Decimal("50000.01")]
    assert ask(ws, "select distinct sku_price_details, service_category, billed_by from finance.fct_charges where sku_id = 'run'") == [
        ('{"model":"falcon-7b"}', "AI and Machine Learning", "register")
    ]
    # it all arrives: nothing is left on the bridge, and whoever owns it pays
    assert ask(ws, "select distinct cost from quality.fct_bridge where term = 'remainder'") == [(0,)]
    assert ask(ws, "select distinct cost_delta, rows_delta from quality.fct_reconciliation") == [(0, 0)]
    assert ask(ws, "select sum(charged_cost) from intermediate.int_chargeback where team = 'platform' and component = 'staff'") == [(1000,)]
    assert ask(ws, "select sum(charged_cost) from intermediate.int_chargeback where component = 'training_run'") == [(1000000,)]
    assert ask(ws, "select count(*) from finance.fct_charges where billed_cost <> 0 or list_cost is not null") == [(0,)]


def test_a_node_of_the_register_is_paid_by_who_held_it_and_a_replaced_register_equals_a_rebuild(workspace, ask):
    fleet = "node,cluster,pool,gpu_model,gpu_count,resource_id,started_at,ended_at\nn1,k,p,H100,4,rack-1,2026-09-01,\n"
    pods = (
        "holding_id,cluster,node,gpu_count,started_at,ended_at,labels\n"
        'a,k,n1,2,2026-09-02 00:00,2026-09-03 00:00,"{""team"": ""search""}"\n'
    )
    register = asset("node", 7300, "2026-09-01", 12, node="rack-1", team="research")  # 365 days at 20.00
    power = running("power", "power", "2026-09-02", "2026-09-03", asset="node", kw="10", price="0.1")  # 24.00, the node's by its asset
    contract = running("support", "support", "2026-09-01", "2026-09-11", amount="100", team="platform")
    ws = workspace(
        SETTINGS,
        {
            "landing/register/a.csv": ASSETS + register,
            "landing/running/a.csv": COSTS + power + contract,
            "landing/fleet/a.csv": fleet,
            "landing/pods/a.csv": pods,
        },
    )
    night(ws)
    # telemetry reaches to 3 September: the contract's other days have not come yet
    assert ask(ws, "select sku_id, sum(effective_cost) from finance.fct_charges group by 1 order by 1") == [
        ("node", 40),
        ("power", 24),
        ("support", 20),
    ]
    held = "select is_held, sum(allocated_cost)::decimal(38, 6) from engineering.fct_gpu_hours where usage_date = '2026-09-02' group by 1 order by 1"
    assert ask(ws, held) == [(False, 22), (True, 22)]  # two of four GPUs of 20 + 24
    day = (
        "select team, component, sum(charged_cost)::decimal(38, 6) from intermediate.int_chargeback_days"
        " where usage_date = '2026-09-02' group by 1, 2 order by 1"
    )
    assert ask(ws, day) == [("idle", "gpu", 22), ("platform", "support", 10), ("search", "gpu", 22)]

    # the register is corrected in the middle, another asset comes, and the night brings half a day more
    (ws.root / "landing/register/a.csv").write_text(
        ASSETS + asset("spare", 365, "2026-08-30 12:00", 12) + register.replace("7300", "14600")
    )
    (ws.root / "landing/pods/b.csv").write_text(pods.splitlines()[0] + "\n" + "b,k,n1,1,2026-09-03 00:00,2026-09-04 12:00,\n")
    night(ws)
    assert ask(ws, "select sku_id, sum(effective_cost) from finance.fct_charges group by 1 order by 1") == [
        ("node", 140),
        ("power", 24),
        ("spare", 5),
        ("support", 35),
    ]
    incremental = rows_of_marts(ws)
    pipeline.build(ws, full_refresh=True, tell=quiet)
    seen = ("finance.fct_charges", "intermediate.int_chargeback_days", "intermediate.int_chargeback", "engineering.fct_gpu_hours")
    assert_same_marts(incremental, rows_of_marts(ws), seen=(*seen, "quality.fct_reconciliation", "quality.fct_bridge"))


def test_a_register_row_that_cannot_cost_anything_is_quarantined_with_the_reason(workspace, ask):
    ws = workspace(
        "currency: USD\nsources:\n  - {name: register, table: assets, path: landing/register/*.csv, currency: EUR}\n"
        "  - {name: running, table: asset_costs, path: landing/running/*.csv}\n",
        {
            "landing/register/a.csv": "asset_id,asset_kind,purchase_cost,in_service_at,life_months,depreciation_method,upgrade_of\n"
            "good,hardware,10,2026-09-01,1,,\nbad,hardware,10,2026-09-01,1,declining_balance,\nodd,hardware,10,2026-09-01,1,linear,\n"
            "self,hardware,10,2026-09-01,1,,self\n",
            "landing/running/a.csv": "cost_kind,started_at,ended_at,amount,unit_price,rated_kw\n"
            "power,2026-09-01,2026-09-02,,0.1,\npower,2026-09-01,2026-09-02,,,5\nstaff,2026-09-01,2026-09-02,7,,\n",
        },
    )
    pipeline.load(ws, tell=quiet)
    lacks = "is missing, and nothing else says what it costs: give an amount, or unit_price with energy_kwh, rated_kw or quantity"
    assert ask(ws, "select source_name, file_row, column_name, reason from raw.quarantine order by 1, 2") == [
        ("register", 2, "declining_rate", "is missing: declining_balance needs a rate per year"),
        ("register", 3, "depreciation_method", "is not straight_line or declining_balance"),
        ("register", 4, "upgrade_of", "is the asset itself"),
        ("running", 1, "amount", lacks),
        ("running", 2, "amount", lacks),
    ]
    assert ask(ws, "select asset_id, currency from raw.assets") == [("good", "EUR")]
    with pytest.raises(ConfigError, match=r"no exchange rate to USD for EUR: 1 lines of register.*billed in 2026-09"):
        pipeline.build(ws, tell=quiet)


def test_a_running_cost_listed_again_in_a_later_file_costs_once(workspace, ask):
    ws = workspace(
        SETTINGS,
        {
            "landing/running/2026-09-a.csv": COSTS + running("c1", "space", "2026-09-01", "2026-10-01", amount="30"),
            "landing/running/2026-09-b.csv": COSTS
            + running("c1", "space", "2026-09-01", "2026-10-01", amount="60")
            + running("c2", "staff", "2026-09-01", "2026-10-01", amount="90"),
        },
    )
    pipeline.load(ws, ["running"], tell=quiet)
    pipeline.build(ws, tell=quiet)
    assert ask(ws, "select sku_id, sum(effective_cost) from finance.fct_charges group by 1 order by 1") == [("c1", 60), ("c2", 90)]
    assert ask(ws, "select sum(cost_delta), sum(abs(rows_delta)) from quality.fct_reconciliation") == [(0, 0)]
