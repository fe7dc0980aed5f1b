"""The price book through the loaders: known answers of tokens, which price of which book, late prices, nodes without a bill."""

from decimal import Decimal

import pytest

from tests.workspaces import FOCUS, quiet, settings_of
from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema

SETTINGS = settings_of("bill", "fleet", "gateway", "pods", "books")
BILL = f"{FOCUS},SkuPriceDetails,ProviderName\n"
CONFIG = "provider,model,token_kind,price_per_million,currency,valid_from,valid_to"
BOOKS = "book,provider,sku,model,region,service_tier,price_kind,quantity_from,price,per_quantity,currency,valid_from,valid_to,time_from,time_to\n"
REQUESTS = "requested_at,provider,model,region,tier,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,reasoning_tokens\n"
FLEET = "node,cluster,pool,gpu_model,gpu_count,sku,region,resource_id,started_at,ended_at\n"


def night(workspace, **options):
    for report in pipeline.load(workspace, tell=quiet):
        assert [said for said in report.failures if "does not exist" not in said] == []
    pipeline.build(workspace, tell=quiet, **options)


def book(*rows):
    """A price list of rows by column; what is not said is empty."""
    columns = BOOKS.strip().split(",")
    return BOOKS + "".join(",".join(str(row.get(column, "")) for column in columns) + "\n" for row in rows)


def request(moment, model, tokens, cached=0, written=0, output=0, reasoning="", region="", tier=""):
    return f"{moment},V,{model},{region},{tier},{tokens},{cached},{written},{output},{reasoning}\n"


def charge(cost, start, end, resource="", details="", category="Usage"):
    details = details.replace('"', '""')
    return f'{cost},{cost},USD,2026-09-01,2026-10-01,{start},{end},{category},Compute,{resource},"{details}",V\n'


def prices_of(model, **kinds):
    return [f"V,{model},{kind},{price},USD,," for kind, price in kinds.items()]


COSTS = "select model, sum(list_cost) from intermediate.int_token_days__priced group by 1 order by 1"


def test_known_answers_of_tokens(workspace, ask):
    ka_14 = prices_of("ka-14", input=3, cached_input="0.30", cache_write_5m="3.75", output=15)
    ka_15 = prices_of("ka-15", input=3, cache_write_5m="3.75", output=15)
    ka_16 = prices_of("ka-16", output=15)
    ka_19 = prices_of("ka-19", output=15)
    ka_20 = prices_of("no-cached-price", input=3, output=15)
    requests = [
        # 0.5 M input and 8 M read from the cache are 8.5 M input; 2 M written are none of it
        request("2026-09-01 05:00", "ka-14", 8_500_000, cached=8_000_000, written=2_000_000, output=1_500_000),
        request("2026-09-01 05:00", "ka-15", 3, written=12_304, output=550),
        request("2026-09-01 05:00", "ka-16", 0, output=1_578, reasoning=952),
        request("2026-09-01 05:00", "ka-19", 0, output=20),
        request("2026-09-01 05:00", "no-cached-price", 10, cached=4, output=1),
        request("2026-09-01 05:00", "unknown", 10),
    ]
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": REQUESTS + "".join(requests),
            "config/prices.csv": "\n".join([CONFIG, *ka_14, *ka_15, *ka_16, *ka_19, *ka_20]) + "\n",
        },
    )
    night(ws)
    assert ask(ws, COSTS) == [
        ("ka-14", Decimal("33.90")),  # 1.50 + 7.50 + 2.40 + 22.50
        ("ka-15", Decimal("0.054399")),
        ("ka-16", Decimal("0.02367")),  # 1,578 × 15 per million, the reasoning is part of it
        ("ka-19", Decimal("0.000300")),
        ("no-cached-price", None),  # not priced as input, not 0
        ("unknown", None),
    ]
    saved = dict(ask(ws, "select model, cache_saving_cost from intermediate.int_token_days__priced"))
    assert saved["ka-14"] == Decimal("20.10")  # 31.50 without the cache, 11.40 with it
    assert (saved["ka-19"], saved["unknown"], saved["no-cached-price"]) == (0, 0, None)
    assert ask(ws, "select count(*), sum(token_count) from product.fct_token_costs where basis = 'unpriced'") == [(2, 21)]
    assert ask(
        ws, "select sku, status, quantity, unpriced_quantity, estimated_cost from finance.fct_estimates where sku in ('ka-19', 'unknown')"
        " order by 1"
    ) == [("ka-19", "open", 20, 0, Decimal("0.0003")), ("unknown", "open", 10, 10, None)]  # fmt: skip


MILLION = {"provider": "V", "price_kind": "input", "per_quantity": 1000000, "currency": "USD"}


def test_which_price_of_which_book(workspace, ask):
    """Each model shows one rule; a request is of a million tokens unless the rule is about their number."""

    def price(model, amount, **more):
        return MILLION | {"book": "list", "model": model, "price": amount} | more

    rows = [
        # KA-17: list 5 and 25, negotiated 20 % lower
        price("ka-17", 5), price("ka-17", 25, price_kind="output"),
        price("ka-17", 4, book="negotiated"), price("ka-17", 20, book="negotiated", price_kind="output"),
        # a book that holds only from a day on, and one that no file ranks
        price("dated-book", 5), price("dated-book", 4, book="campaign"), price("dated-book", 3, book="aaa"),
        price("region", 5), price("region", 6, region="EU-West"),
        price("tier", 5), price("tier", 2, service_tier="Batch"),
        price("context", 9), price("context", 6, quantity_from=200001), price("context", 10, price_kind="cache_write"),
        price("noon", 3, valid_to="2026-09-01 12:00"), price("noon", 6, valid_from="2026-09-01 12:00"),
        price("night", 4), price("night", 1, time_from="16:30", time_to="00:30"),
        price("newest", 5), price("newest", 7, valid_from="2026-08-01"), price("newest", 9, valid_from="2026-09-02"),
        price("Named-*", 5), price("named-long-*", 6), price("named-exact", 7),
        price("", 8, sku="by-sku"), price("other", 8, provider="W"),
        price("euro", 2, currency="EUR"), price("yen", 2, currency="JPY"),
        price("fee", 5), price("fee", 12, price_kind="request", per_quantity=1000),
        price("third", 1, per_quantity=3),
        price("no-hour", 5, time_from="late"),
    ]  # fmt: skip
    m = 1_000_000
    requests = [
        request("2026-09-01 05:00", "ka-17", 5 * m, output=1_500_000),
        request("2026-09-01 05:00", "dated-book", m), request("2026-09-02 05:00", "dated-book", m),
        request("2026-09-01 05:00", "region", m, region="eu-west"), request("2026-09-01 05:00", "region", m, region="us"),
        request("2026-09-01 05:00", "tier", m, tier="batch"), request("2026-09-01 05:00", "tier", m, tier="standard"),
        request("2026-09-01 05:00", "flex-tier-of-none", m, tier="flex"),
        request("2026-09-01 05:00", "context", 200_000), request("2026-09-01 05:00", "context", 150_000, written=50_000),
        request("2026-09-01 05:00", "context", 200_001),
        request("2026-09-01 11:59:59.999999", "noon", m), request("2026-09-01 12:00", "noon", m), request("2026-09-02 01:00", "noon", m),
        request("2026-09-01 00:29", "night", m), request("2026-09-01 00:30", "night", m), request("2026-09-01 16:30", "night", m),
        request("2026-09-01 05:00", "newest", m), request("2026-09-02 05:00", "newest", m),
        request("2026-09-01 05:00", "named-x", m), request("2026-09-01 05:00", "NAMED-long-x", m),
        request("2026-09-01 05:00", "named-exact", m),
        request("2026-09-01 05:00", "by-sku", m), request("2026-09-01 05:00", "other", m),
        request("2026-09-01 05:00", "euro", m), request("2026-09-01 05:00", "yen", m),
        request("2026-09-01 05:00", "fee", m), request("2026-09-01 06:00", "fee", m),
        request("2026-09-01 05:00", "third", 2),
        request("2026-09-01 05:00", "no-hour", m),
    ]  # fmt: skip
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": REQUESTS + "".join(requests),
            "landing/books/a.csv": book(*rows, price("flex-tier-of-none", 5)),
            "config/prices.csv": f"{CONFIG}\nV,context,input,3,USD,,\n",
            "config/price_books.csv": "book,priority,valid_from,valid_to\nConfig,30,,\nNegotiated,10,,\ncampaign,15,2026-09-02,\nlist,20,,\n",
            "config/exchange_rates.csv": "from_currency,to_currency,rate,valid_from,valid_to\nEUR,USD,1.1,2026-09-01,\n",
        },
    )
    night(ws)
    assert dict(ask(ws, COSTS)) == {
        "ka-17": 50,  # 20.00 + 30.00; list says 62.50
        "dated-book": 5 + 4,
        "region": 6 + 5,
        "tier": 2 + 5,
        "flex-tier-of-none": None,  # a standard price is not the price of flex
        # list comes before config here: 9 per million up to 200,000 tokens of the prompt, then 6 for the whole request
        "context": Decimal("1.8") + Decimal("1.35") + Decimal("0.5") + Decimal("1.200006"),
        "noon": 3 + 6 + 6,
        "night": 1 + 4 + 1,
        "newest": 7 + 9,
        "named-x": 5, "NAMED-long-x": 6, "named-exact": 7,
        "by-sku": 8, "other": None,
        "euro": Decimal("2.2"), "yen": None,
        "fee": 10 + 2 * Decimal("0.012"),
        "third": Decimal("0.666666666667"),
        "no-hour": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "columns, values, said",
    [
        ("region,time_from", "eu,late", "row 1, column time_from: 'late' is no hour of the day, HH:MM in UTC"),
        ("quantity_from", "many", "row 1, column quantity_from: 'many' is not a number"),
        ("hour", "1", "unknown column hour"),
    ],
)
def test_a_price_that_cannot_be_read_stops_the_build(workspace, columns, values, said):
    ws = workspace(SETTINGS, {"config/prices.csv": f"{CONFIG},{columns}\nV,m,input,1,USD,,,{values}\n"})
    with ws.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError, match=said):
            config.load(ws, db)


def test_the_workspaces_own_prices_come_first_and_may_name_a_tier_an_hour_and_a_length(workspace, ask):
    rows = ["V,m,input,5,USD,,,,,,,", "V,m,input,2,USD,,,,batch,,,", "V,m,input,4,USD,,,,,100001,,", "V,m,input,1,USD,,,,,,22:00,06:00"]
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": REQUESTS
            + request("2026-09-01 12:00", "m", 100_000)
            + request("2026-09-01 12:00", "m", 100_000, tier="Batch")
            + request("2026-09-01 12:00", "m", 200_000)
            + request("2026-09-01 05:59:59", "m", 100_000),
            "landing/books/a.csv": book(MILLION | {"model": "m", "price": 100, "valid_from": "2026-08-01"}),
            "config/prices.csv": "\n".join([f"{CONFIG},region,service_tier,quantity_from,time_from,time_to", *rows]) + "\n",
        },
    )
    night(ws)
    assert ask(ws, COSTS) == [("m", Decimal("0.5") + Decimal("0.2") + Decimal("0.8") + Decimal("0.1"))]
    # a price list is of no day: its freshness is not known, and no gate minds
    assert [result for result in pipeline.check(ws, tell=quiet) if result.subject == "books" and result.status != "pass"] == []


def test_a_late_price_prices_the_days_it_touches_and_no_others(workspace, ask):
    requests = "".join(request(f"2026-09-0{day} 05:00", "m", 1_000_000) for day in (1, 2, 3))
    ws = workspace(SETTINGS, {"landing/gateway/a.csv": REQUESTS + requests})
    night(ws)
    costs = "select usage_date::varchar, vendor_cost, basis from product.fct_token_costs order by 1"
    assert {row[2] for row in ask(ws, costs)} == {"unpriced"}

    price = MILLION | {"model": "m", "price": 2, "valid_from": "2026-09-02"}
    books = ws.root / "landing" / "books"
    books.mkdir(parents=True)
    (books / "late.csv").write_text(book(price))
    pipeline.load(ws, tell=quiet)
    assert pipeline.build(ws, tell=quiet) == 2  # the 1st is as it was
    assert ask(ws, costs) == [("2026-09-01", None, "unpriced"), ("2026-09-02", 2, "estimated"), ("2026-09-03", 2, "estimated")]

    # in its place a list that holds only on the 3rd, and of nodes, which these days have none of
    (books / "late.csv").write_text(book(price | {"valid_from": "2026-09-03", "price": 4}, price | {"price_kind": "node_hour"}))
    pipeline.load(ws, tell=quiet)
    assert pipeline.build(ws, tell=quiet) == 2
    late = ask(ws, costs)
    assert late == [("2026-09-01", None, "unpriced"), ("2026-09-02", None, "unpriced"), ("2026-09-03", 4, "estimated")]
    pipeline.build(ws, full_refresh=True, tell=quiet)
    assert ask(ws, costs) == late


def node_price(amount, sku, kind="node_hour", **more):
    return {"provider": "V", "sku": sku, "price_kind": kind, "price": amount, "currency": "USD"} | more


CHARGED = "select usage_date::varchar, bucket, component, basis, charged_cost from intermediate.int_chargeback_days order by all"


def test_a_node_without_a_bill_is_estimated_until_the_bill_is_in(workspace, ask):
    fleet = (
        "n1,k,p,H100,8,p5,eu,,2026-09-01 00:00,2026-09-03 00:00\n"
        "n2,k,p,H100,2,,,vm-2,2026-09-01 00:00,2026-09-01 00:30\n"  # no SKU: by its GPUs
        "n3,k,p,A10,1,g5,,,2026-09-01 00:00,2026-09-02 00:00\n"  # no price
    )
    ws = workspace(
        SETTINGS,
        {
            "landing/fleet/a.csv": FLEET + fleet,
            "landing/pods/a.csv": "holding_id,cluster,node,gpu_count,gpu_share,started_at,ended_at,labels\n"
            'a,k,n1,2,1,2026-09-01 00:00,2026-09-01 12:00,"{""team"":""x""}"\n',
            "landing/books/a.csv": book(
                node_price(24, "P5"),
                node_price(32, "p5", region="EU"),
                node_price(16, "p5", region="EU", service_tier="spot"),
                node_price(3, "h100", "gpu_hour"),
                node_price(30, "p5", region="eu", valid_from="2026-09-02 06:00"),
            ),
        },
    )
    night(ws)
    # n1, 1st: 24 h × 32, of it 2 of 8 GPUs for 12 h held; n2: half an hour × 2 × 3; 2nd: 6 h × 32 + 18 h × 30, nothing held
    estimates = [
        ("2026-09-01", "allocated", "gpu", "estimated", 96),
        ("2026-09-01", "idle", "gpu", "estimated", 768 - 96 + 3),
        ("2026-09-02", "unowned", "gpu_unknown", "estimated", 192 + 540),
    ]
    assert ask(ws, CHARGED) == estimates
    assert ask(ws, "select cost::int from quality.fct_bridge where term in ('estimated_accrual', 'charged', 'remainder') order by term_order") == [
        (1503,), (1503,), (0,)
    ]  # fmt: skip

    (ws.root / "landing/bill").mkdir()
    (ws.root / "landing/bill/a.csv").write_text(
        BILL
        + charge("720", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", "n1")  # 30 an hour
        + charge("1", "2026-09-01T00:00:00Z", "2026-09-01T01:00:00Z", "vm-2", category="Tax")  # says nothing of the node's cost
    )
    night(ws)
    billed = [
        ("2026-09-01", "allocated", "gpu", "billed", 90),
        ("2026-09-01", "idle", "gpu", "billed", 720 - 90 + 1),
        ("2026-09-01", "idle", "gpu", "estimated", 3),
        ("2026-09-02", "unowned", "gpu_unknown", "estimated", 732),
    ]
    assert ask(ws, CHARGED) == billed
    assert ask(
        ws,
        "select usage_date::varchar, usage_kind, sku, status, quantity, estimated_cost, billed_cost, error_cost, round(error_ratio, 6)"
        " from finance.fct_estimates order by all",
    ) == [
        ("2026-09-01", "gpu_hours", "H100", "open", 1.0, 3, None, None, None),
        ("2026-09-01", "node_hours", "p5", "billed", 24.0, 768, 720, 48, 0.066667),
        ("2026-09-02", "node_hours", "p5", "open", 24.0, 732, None, None, None),
    ]
    pipeline.build(ws, full_refresh=True, tell=quiet)
    assert ask(ws, CHARGED) == billed


def test_a_vendors_estimate_is_replaced_by_its_bill_and_the_error_stays_known(workspace, ask):
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": REQUESTS + request("2026-09-01 05:00", "m", 1_000_000) + request("2026-09-02 05:00", "m", 500_000),
            "landing/bill/a.csv": BILL + charge("3", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", details='{"ModelId":"m"}'),
            "config/prices.csv": f"{CONFIG}\nV,m,input,4,USD,,\n",
        },
    )
    night(ws)
    assert ask(
        ws, "select sku, status, estimated_cost, billed_cost, error_cost, error_ratio from finance.fct_estimates order by usage_date"
    ) == [
        ("m", "billed", 4, 3, 1, pytest.approx(1 / 3)),
        ("m", "open", 2, None, None, None),
    ]
    assert ask(ws, "select basis, charged_cost from intermediate.int_chargeback order by 1") == [("billed", 3), ("estimated", 2)]
