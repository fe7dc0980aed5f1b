"""Provisioned throughput of a model: paid by the requests that it served, and what nobody used of it is a rest with a name."""

from decimal import Decimal

import pytest

from tests.workspaces import clean_night, write_workspace

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: gateway, table: requests, path: landing/gateway/*.csv}
"""
BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceCategory,SkuPriceDetails,ChargeDescription,ProviderName\n"
)
DAY = ("2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z")


def line(cost, model, period=DAY, tier="", description=""):
    details = f'{{""ModelId"":""{model}"",""ServiceTier"":""{tier}""}}'
    return f'{cost},{cost},USD,2026-09-01,2026-10-01,{period[0]},{period[1]},Usage,AI and Machine Learning,"{details}",{description},V\n'


def request(moment, model, team, tokens, tier="provisioned", provider="V"):
    return f"2026-09-01 {moment},{provider},{model},{team},{tier},{tokens},0\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("provisioned")
    hours = [("2026-09-01T10:00:00Z", "2026-09-01T11:00:00Z"), ("2026-09-01T11:00:00Z", "2026-09-01T12:00:00Z")]
    files = {
        "landing/bill/a.csv": BILL
        + line(48, "m", tier="Provisioned")  # 2.00 an hour
        + line(5, "m")
        + "".join(line(6, "n", hour, description="Provisioned Throughput Units") for hour in hours)
        + line(24, "nobodys", description="hosting: 100 PTU"),
        "landing/gateway/a.csv": "requested_at,provider,model,team,tier,input_tokens,output_tokens\n"
        + request("05:00", "m", "a", 300)
        + request("05:59:59", "m", "b", 100)
        + request("07:00", "m", "a", 100, provider="")
        + request("06:00", "m", "b", 200, tier="standard")
        + request("10:30", "n", "a", 1)
        + request("13:00", "n", "b", 0)  # no capacity was paid for at that hour; it belongs to the day's
        + request("11:30", "n", "b", 7, tier="standard"),
    }
    return clean_night(write_workspace(root, SETTINGS, files))


@pytest.fixture(scope="module")
def ask(built):
    with built.connect(read_only=True) as db:
        yield lambda query: db.execute(query).fetchall()


def test_requests_of_the_tier_share_the_hours_in_which_they_ran(ask):
    # two of m's 24 hours served 500 tokens: 4.00, of it 400 tokens of a and 100 of b; the standard request pays the other line alone
    assert ask(
        "select model, service_tier, team, sum(vendor_cost), min(basis) from product.fct_token_costs where vendor_cost is not null"
        " group by all order by all"
    ) == [
        ("m", "provisioned", "a", Decimal("3.2"), "billed"),
        ("m", "provisioned", "b", Decimal("0.8"), "billed"),
        ("m", None, "b", 5, "billed"),
        ("n", "provisioned", "a", 6, "billed"),
        ("n", "provisioned", "b", 0, "billed"),
    ]
    # who has no part in it is not paid by it: no other line bills n's standard requests, and no price book knows them
    assert ask("select team, token_count, cost_reason is not null from product.fct_token_costs where basis = 'unpriced'") == [
        ("b", 7, True)
    ]


def test_what_nobody_used_is_an_unused_commitment(ask):
    assert ask(
        "select bucket, component, team, sum(charged_cost) from intermediate.int_chargeback_days group by all order by all"
    ) == [
        ("allocated", "tokens_provisioned", "a", Decimal("9.2")),
        ("allocated", "tokens_provisioned", "b", Decimal("0.8")),
        ("allocated", "tokens_vendor", "b", 5),
        ("unused_commitment", "provisioned_unused", "unused_commitment", 44 + 6 + 24),
    ]  # fmt: skip


def test_every_hour_of_it_is_there_once(ask):
    assert ask(
        "select model, count(*), sum(cost), count(*) filter (where is_used) from intermediate.int_provisioned_hours group by 1 order by 1"
    ) == [("m", 24, 48, 2), ("n", 2, 12, 1), ("nobodys", 24, 24, 0)]
    assert ask("select sum(charged_cost) from intermediate.int_chargeback_days") == [(89,)]
