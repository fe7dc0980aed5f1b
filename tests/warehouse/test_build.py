"""The build: incremental equals rebuild, known answers through the loaders, errors that leave what is published."""

import random
from decimal import Decimal

import pytest

from tests.workspaces import FOCUS, assert_same_marts, night, quiet, rows_of_marts, settings_of
from tollbook import pipeline
from tollbook.errors import ConfigError

SETTINGS = settings_of("bill", "fleet", "pods", "gateway")
BILL = f"{FOCUS},SkuPriceDetails,Tags,ProviderName\n"
FLEET = "node,cluster,pool,gpu_model,gpu_count,started_at,ended_at\n"
PODS = "holding_id,cluster,node,gpu_count,gpu_share,started_at,ended_at,labels,model\n"
REQUESTS = "requested_at,provider,model,team,input_tokens,output_tokens\n"


def charge(cost, start, end, resource="", details="", tags="", category="Usage", service="Compute", currency="USD"):
    tags = tags.replace('"', '""')
    details = details.replace('"', '""')
    return f'{cost},{cost},{currency},2026-09-01,2026-10-01,{start},{end},{category},{service},{resource},"{details}","{tags}",Nimbus\n'


def test_a_node_without_telemetry_stays_whole_under_its_tags(workspace, ask):
    ws = workspace(
        SETTINGS,
        {
            "landing/bill/a.csv": BILL
            + charge("24", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", "silent", tags='{"TEAM":"search"}')
            + charge("1", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", "nobody")
        },
    )
    night(ws)
    assert ask(ws, "select team, bucket, charged_cost::int from intermediate.int_chargeback order by 1") == [
        ("search", "allocated", 24),
        ("unowned", "unowned", 1),
    ]


def test_a_silent_cluster_is_unknown_and_under_its_owner_never_idle(workspace, ask):
    ws = workspace(
        SETTINGS,
        {
            "landing/fleet/a.csv": FLEET + "n1,k,p,A10,1,2026-09-01 00:00,2026-09-01 02:00\n",
            "landing/bill/a.csv": BILL + charge("2", "2026-09-01T00:00:00Z", "2026-09-01T02:00:00Z", "n1", tags='{"team":"search"}'),
        },
    )
    night(ws)
    assert ask(ws, "select distinct layer, is_held, evidence from engineering.fct_gpu_hours") == [("unknown", False, "none")]
    assert ask(ws, "select team, component, charged_cost::int from intermediate.int_chargeback") == [("search", "gpu_unknown", 2)]


def test_an_attempt_that_two_dumps_repeat_is_held_once(workspace, ask):
    fleet = FLEET + "n1,k,p,A10,1,2026-09-01 00:00,2026-09-04 00:00\n"
    running = PODS + 'job@1,k,n1,1,1,2026-09-01 00:00,,"",\n'
    ended = PODS + 'job@1,k,n1,1,1,2026-09-01 00:00,2026-09-01 05:00,"",\n'
    ws = workspace(SETTINGS, {"landing/fleet/a.csv": fleet, "landing/pods/day1.csv": running})
    night(ws)
    held = "select round(sum(gpu_hours), 6), max(outcome) from engineering.fct_jobs"
    assert ask(ws, held) == [(72.0, "running")]  # to the horizon
    (ws.root / "landing/pods/day2.csv").write_text(ended)
    night(ws)
    assert ask(ws, held) == [(5.0, None)]
    assert ask(ws, "select round(sum(gpu_hours), 6) from engineering.fct_gpu_hours where is_held") == [(5.0,)]


def test_a_vendor_bill_is_split_over_its_users_by_list_price(workspace, ask):
    ws = workspace(
        SETTINGS,
        {
            "landing/bill/a.csv": BILL
            + charge("9", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", details='{"ModelId":"m"}', service="AI"),
            "landing/gateway/a.csv": REQUESTS
            + "2026-09-01 05:00,nimbus,m,a,1000,0\n2026-09-01 06:00,nimbus,m,b,0,100\n2026-09-01 07:00,nimbus,other,b,10,10\n",
            "config/prices.csv": "provider,model,token_kind,price_per_million,currency,valid_from,valid_to\n"
            "Nimbus,m,input,1,USD,,\nNimbus,m,output,5,USD,,\n",
        },
    )
    night(ws)
    # 1000 × 1 : 100 × 5 = 2 : 1 of 9.00
    assert ask(ws, "select team, model, vendor_cost, basis from product.fct_token_costs order by 1, 2") == [
        ("a", "m", Decimal(6), "billed"),
        ("b", "m", Decimal(3), "billed"),
        ("b", "other", None, "unpriced"),
    ]
    assert ask(ws, "select team, component, charged_cost::int from intermediate.int_chargeback order by 1") == [
        ("a", "tokens_vendor", 6),
        ("b", "tokens_vendor", 3),
    ]


def test_a_currency_without_a_rate_stops_the_build_and_a_rate_mends_it(workspace, ask):
    ws = workspace(
        SETTINGS,
        {"landing/bill/a.csv": BILL + charge("10", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", currency="EUR")},
    )
    pipeline.load(ws, tell=quiet)
    with pytest.raises(ConfigError, match=r"no exchange rate to USD for EUR: 1 lines of bill, 10\.00 EUR billed"):
        pipeline.build(ws, tell=quiet)
    (ws.config).mkdir(exist_ok=True)
    (ws.config / "exchange_rates.csv").write_text("from_currency,to_currency,rate,valid_from,valid_to\nEUR,USD,1.1,2026-09-01,2026-10-01\n")
    pipeline.build(ws, tell=quiet)
    assert ask(ws, "select reporting_effective_cost, currency_code from finance.fct_charges") == [(Decimal(11), "USD")]


@pytest.mark.parametrize("seed", [1, 2])
def test_incremental_equals_rebuild(workspace, ask, seed):
    """Deliveries drawn at random, replaced at random, built night by night: the same marts as one build from nothing."""
    draw = random.Random(seed)
    ws = workspace(SETTINGS, {"config/required_tags.csv": "tag,valid_from,valid_to\nteam,,\n"})
    for folder in ("bill", "fleet", "pods", "gateway"):
        (ws.root / "landing" / folder).mkdir(parents=True)
    for _ in range(4):
        for _ in range(3):
            _deliver(ws, draw)
        night(ws)
    incremental = rows_of_marts(ws)
    pipeline.build(ws, full_refresh=True, tell=quiet)
    assert_same_marts(incremental, rows_of_marts(ws), seen=("finance.fct_charges", "engineering.fct_gpu_hours", "quality.fct_repairs"))


def _deliver(ws, draw):
    """One file of a random source, new or in place of an older one; some nodes and days never appear."""
    day = draw.randint(1, 4)
    node = f"n{draw.randint(1, 2)}"
    start, end = f"2026-09-0{day}T{draw.randint(0, 11):02}:30:00Z", f"2026-09-0{day + draw.randint(0, 2)}T{draw.randint(12, 23)}:10:00Z"
    kind = draw.choice(["bill", "fleet", "pods", "gateway"])
    content = {
        "bill": lambda: (
            BILL
            + charge(f"{draw.randint(1, 999999)}e-5", start, end, node, tags=draw.choice(["", '{"Team":"x"}']))
            + charge("0.333333333333333", start, end, "", details=draw.choice(["", '{"ModelId":"m"}']))
        ),
        "fleet": lambda: FLEET + f"{node},k,p,A10,{draw.randint(1, 3)},2026-09-01 00:00,{draw.choice(['', end])}\n",
        "pods": lambda: (
            PODS + f"pod{draw.randint(1, 3)},k,{draw.choice([node, ''])},1,0.3,{start},{draw.choice([end, end, ''])},"
            f'"{{""team"":""{draw.choice("xyz")}""}}",{draw.choice(["", "m"])}\n'
        ),
        "gateway": lambda: REQUESTS + f"{start},{draw.choice(['Nimbus', ''])},m,x,{draw.randint(1, 99)},3\n",
    }[kind]()
    (ws.root / "landing" / kind / f"{draw.randint(1, 3)}.csv").write_text(content)
