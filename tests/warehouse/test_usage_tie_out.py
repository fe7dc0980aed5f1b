"""What was logged here beside what vendors counted and billed, through the loaders: states, prices, missing requests, error bars."""

import json
from datetime import date
from decimal import Decimal

import pytest

from tollbook import pipeline

SETTINGS = """
currency: USD
sources:
  - {name: usage, format: openai_usage, path: landing/usage/*.json}
  - {name: costs, format: openai_costs, path: landing/costs/*.json}
  - {name: claude_usage, format: anthropic_usage, path: landing/claude_usage/*.json}
  - {name: gateway, table: requests, path: landing/gateway/*.csv}
  - {name: other_usage, table: vendor_usage, path: landing/other_usage/*.csv}
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: bedrock, table: requests, path: landing/bedrock/*.csv, vendor_log: true}
"""
DAY = 1788220800  # 1 September 2026, 00:00 UTC
LOG = "requested_at,request_id,provider,model,tier,input_tokens,cached_input_tokens,output_tokens,status,tokenizer_version,is_cached,other_columns\n"
BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceName,ServiceCategory,SkuPriceDetails,ProviderName,InvoiceId\n"
)
PRICES = """provider,model,token_kind,price_per_million,currency,valid_from,valid_to
OpenAI,gpt-4o,input,2.50,USD,,
OpenAI,gpt-4o,cached_input,1.25,USD,,
OpenAI,gpt-4o,output,10,USD,,
OpenAI,gpt-4.1,input,2,USD,,
OpenAI,gpt-4.1,cached_input,0.50,USD,,
OpenAI,gpt-4.1,output,8,USD,,
Euro AI,duo,input,4,USD,,
Euro AI,duo,output,4,USD,,
"""


def quiet(_):
    """Say nothing."""


def night(workspace):
    for report in pipeline.load(workspace, tell=quiet):
        assert [said for said in report.failures if "does not exist" not in said] == []
    pipeline.build(workspace, tell=quiet)


def call(
    number, model, tokens, output=10, cached=0, day=1, provider="OpenAI", status="ok", tier="", tokenizer="", answered="", more="", at=""
):
    moment = at or f"2026-09-{day:02d} 05:00"
    return f"{moment},r{number},{provider},{model},{tier},{tokens},{cached},{output},{status},{tokenizer},{answered},{more}\n"


def pages(*buckets):
    """A page of (day, result, …) with day 1 as the first of September."""
    listed = [
        {"object": "bucket", "start_time": DAY + (day - 1) * 86400, "end_time": DAY + day * 86400, "results": list(results)}
        for day, *results in buckets
    ]
    return json.dumps({"object": "page", "data": listed, "has_more": False})


def used(model, tokens, output, requests, cached=0, **more):
    counted = {
        "model": model,
        "input_tokens": tokens,
        "input_cached_tokens": cached,
        "output_tokens": output,
        "num_model_requests": requests,
    }
    return {"object": "organization.usage.completions.result", "project_id": "p", "api_key_id": "key-1"} | counted | more


def cost(item, value):
    return {"object": "organization.costs.result", "line_item": item, "project_id": "p", "amount": {"value": value, "currency": "usd"}}


GATEWAY = [
    # 1st: agrees, under a name without its date; a try that failed and an answer from our own cache never reached the vendor
    call(1, "gpt-4o", 600_000, 60_000), call(2, "gpt-4o", 400_000, 40_000, cached=100_000),
    call(3, "gpt-4o", 0, 0, status="429"), call(4, "gpt-4o", 999, 9, answered="true"),
    # 2nd: one request of 250,000 tokens is not in the log
    call(5, "gpt-4o", 750_000, 100_000, day=2),
    # 3rd: the cached 100,000 stand in the log's input twice
    call(6, "gpt-4o", 1_100_000, 100_000, cached=100_000, day=3),
    # 4th: a timeout that the gateway counted and the vendor never billed
    call(7, "gpt-4o", 1_000_000, 100_000, day=4), call(8, "gpt-4o", 50_000, 0, day=4, status="timeout"),
    # an alias by rule, with a price that differs from the list
    call(9, "our-41", 1_000_000, 0),
    # the vendor has nothing of it; and its usage does not reach the 9th
    call(10, "gpt-4o", 1_000_000, 0, day=5), call(11, "gpt-4o", 1_000_000, 0, day=9),
    # batch and standard, told by both
    call(12, "gpt-4.1", 1_000, 0, day=6, tier="batch"), call(13, "gpt-4.1", 3_000, 0, day=6, tier="default"),
    # nobody but the log knows this vendor
    call(14, "solo", 5, 5, provider="Silent"),
    call(15, "duo", 500_000, 500_000, provider="euro ai"),
]  # fmt: skip
USAGE = pages(
    (1, used("gpt-4o-2024-08-06", 1_000_000, 100_000, 2, cached=100_000), used("gpt-4.1-2025-04-14", 1_000_000, 0, 1)),
    (2, used("gpt-4o-2024-08-06", 1_000_000, 100_000, 2)),
    (3, used("gpt-4o-2024-08-06", 1_000_000, 100_000, 1, cached=100_000)),
    (4, used("gpt-4o-2024-08-06", 1_000_000, 100_000, 1)),
    (5, used("o9-2026-01-01", 10, 0, 1)),
    (6, used("gpt-4.1", 1_000, 0, 1, batch=True), used("gpt-4.1", 3_000, 0, 1, batch=False, service_tier="default")),
)
COSTS = pages(
    (1, cost("gpt-4o-2024-08-06, input", 2.25), cost("gpt-4o-2024-08-06, cached input", 0.125), cost("gpt-4o-2024-08-06, output", 1),
     cost("gpt-4.1-2025-04-14, input", 1.6), cost("web search tool calls", 0.03)),
    (2, cost("gpt-4o-2024-08-06, input", 2.5), cost("gpt-4o-2024-08-06, output", 1)),
    (5, cost("o9-2026-01-01, input", "0.00012345678901234567")),
    (6, cost("gpt-4.1, input", 0.006), cost("batch | gpt-4.1, input", 0.001)),
)  # fmt: skip
# a month's bill in euro, three days long: 3 x 1.00 EUR at 1.20 USD, and a credit that names no model
EURO = '{""ModelId"": ""duo"", ""TokenType"": ""input""}'
EURO_BILL = [
    f'3.000000000001,3.000000000001,EUR,2026-09-01,2026-10-01,2026-09-01,2026-09-04,Usage,Duo API,AI and Machine Learning,"{EURO}",Euro AI,E-1\n',
    "-0.5,-0.5,EUR,2026-09-01,2026-10-01,2026-09-02,2026-09-03,Credit,Duo API,AI and Machine Learning,,Euro AI,E-1\n",
    "70,70,EUR,2026-09-01,2026-10-01,2026-09-02,2026-09-03,Usage,Storage,Storage,,Euro AI,E-1\n",
]


@pytest.fixture
def tied(workspace):
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": LOG + "".join(GATEWAY),
            "landing/usage/a.json": USAGE,
            "landing/costs/a.json": COSTS,
            "landing/bill/a.csv": BILL + "".join(EURO_BILL),
            "config/prices.csv": PRICES,
            "config/exchange_rates.csv": "from_currency,to_currency,rate,valid_from,valid_to\nEUR,USD,1.2,,\n",
            "config/model_aliases.csv": "provider,alias,model,valid_from,valid_to\n,our-41,gpt-4.1,,\n",
        },
    )
    night(ws)
    return ws


def test_states_quantities_prices_and_every_cent(tied, ask):
    def of(model, day, columns):
        where = f"model {'is null' if model is None else f'= {model!r}'} and usage_date = date '2026-09-{day:02d}'"
        return ask(tied, f"select {columns} from quality.fct_usage_tie_out where {where} order by service_tier, service_name")

    figures = "state, request_delta, input_delta, quantity_cost, price_cost, reason"
    assert of("gpt-4o", 1, figures) == [("matched", 0, 0, 0, 0, None)]
    assert of(
        "gpt-4o", 1, "log_names, vendor_names, failed_request_count, cached_answer_count, log_list_cost, billed_cost, vendor_basis"
    ) == [
        # 900,000 x 2.50 + 100,000 x 1.25 + 100,000 x 10 per million
        ("gpt-4o", "gpt-4o-2024-08-06", 1, 1, Decimal("3.375"), Decimal("3.375"), "usage")
    ]
    assert of("gpt-4o", 2, figures) == [("differs", -1, -250_000, Decimal("0.625"), 0, "requests that are not in the log: 1")]
    ((state, requests, tokens, quantity, price, reason),) = of("gpt-4o", 3, figures)
    assert (state, requests, tokens, quantity, price) == ("differs", 0, 100_000, Decimal("-0.25"), None)
    assert reason.split("; ") == ["input is more by what came from the cache: the log counts it twice", "no bill names the model that day"]
    ((state, requests, tokens, *_, reason),) = of("gpt-4o", 4, figures)
    assert (state, requests, tokens) == ("differs", 1, 50_000)
    assert "tries that failed here were not counted there" in reason
    # both names are of one family: called by it, and 1.60 was billed for what lists at 2.00
    assert of("gpt-4.1", 1, "state, log_names, log_list_cost, vendor_list_cost, billed_cost, price_cost, unmatched_cost") == [
        ("matched", "our-41", 2, 2, Decimal("1.6"), Decimal("-0.4"), 0)
    ]
    assert of("gpt-4o", 5, "state, is_open, log_list_cost, unmatched_cost") == [("only_here", False, Decimal("2.5"), Decimal("2.5"))]
    assert of("gpt-4o", 9, "state, is_open, reason") == [
        ("only_here", True, "the vendor's usage reaches to 2026-09-06 only; no bill names the model that day")
    ]
    assert of("o9", 5, "state, vendor_names, vendor_list_cost, billed_cost, unmatched_cost") == [
        ("only_there", "o9-2026-01-01", None, Decimal("0.00012345678901234567"), Decimal("0.00012345678901234567"))
    ]
    assert of("gpt-4.1", 6, "service_tier, state, log_input_tokens, billed_cost") == [
        ("batch", "matched", 1_000, Decimal("0.001")),
        ("standard", "matched", 3_000, Decimal("0.006")),
    ]
    assert of(None, 1, "state, service_name, billed_cost") == [("no_model", "OpenAI API", Decimal("0.03"))]
    ((state, is_open, reason),) = of("solo", 1, "state, is_open, reason")
    assert (state, is_open, reason.split("; ")[0]) == ("only_here", True, "this vendor delivers no usage")
    # another currency, a third of the line each day, what is past twelve digits on the first; storage is no model's service
    assert [row for day in (1, 2, 3) for row in of("duo", day, "billed_cost, billing_currency, log_list_cost, invoice_id")] == [
        (Decimal("1.2000000000012"), "EUR", 4, "E-1"),
        (Decimal("1.2"), "EUR", None, "E-1"),
        (Decimal("1.2"), "EUR", None, "E-1"),
    ]
    assert of(None, 2, "billed_cost, service_name") == [(Decimal("-0.6"), "Duo API")]
    assert ask(tied, "select sum(billed_cost) from quality.fct_usage_tie_out where provider_name = 'OpenAI'") == [
        (Decimal("8.51212345678901234567"),)
    ]


def test_incremental_nights_end_as_one_build(workspace, ask):
    """The bill and the usage come later than the log; the mart is as if all had come at once."""
    files = {"landing/gateway/a.csv": LOG + "".join(GATEWAY), "config/prices.csv": PRICES}
    ws = workspace(SETTINGS, files)
    night(ws)
    assert ask(ws, "select distinct is_open from quality.fct_usage_tie_out") == [(True,)]
    ws = workspace(SETTINGS, {"landing/usage/a.json": USAGE})
    night(ws)
    ws = workspace(SETTINGS, {"landing/costs/a.json": COSTS})
    night(ws)
    everything = "select * from quality.fct_usage_tie_out order by all"
    in_steps = ask(ws, everything)
    pipeline.build(ws, full_refresh=True, tell=quiet)
    assert in_steps == ask(ws, everything)
    assert len(in_steps) == 14


BEDROCK = "requested_at,request_id,provider,model,input_tokens,output_tokens\n"


def test_missing_requests_by_id_and_by_count(workspace, ask):
    ours = [
        call(1, "nova", 10, provider="AWS"), call(2, "nova", 10, provider="AWS"), call(3, "nova", 0, 0, provider="AWS", status="500"),
        # found by the id of the answer; and logged on the other side of midnight
        call(4, "nova", 10, provider="AWS", more='"{""response_id"": ""v4""}"'),
        call(5, "nova", 10, provider="AWS", at="2026-09-01 23:59:59"), call(6, "nova", 10, provider="AWS", day=2),
        call(7, "gpt-4o", 10), call(8, "gpt-4o", 10, more='"{""api_key_id"": ""key-1""}"', day=2),
    ]  # fmt: skip
    theirs = ["r1", "v4", "only-theirs"]
    log = "".join(f"2026-09-01 05:00,{name},AWS,nova,10,10\n" for name in theirs)
    log += "2026-09-02 00:00:01,r5,AWS,nova,10,10\n2026-09-02 05:00,r6,AWS,nova,10,10\n"
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": LOG + "".join(ours),
            "landing/bedrock/a.csv": BEDROCK + log,
            "landing/usage/a.json": pages(
                (1, used("gpt-4o", 30, 30, 3), used("gpt-4o", 20, 20, 2, api_key_id="key-2")),
                (2, used("gpt-4o", 10, 10, 1), used("gpt-4o", 20, 20, 2, api_key_id="key-2")),
            ),
        },
    )
    night(ws)
    rows = "select request_id, found_in, reason from quality.fct_missing_requests where evidence = 'request' order by 1"
    assert ask(ws, rows) == [
        ("only-theirs", "there", "the vendor's log has it, ours does not"),
        ("r2", "here", "our log has it, the vendor's does not"),
        ("r3", "here", "it failed here: the vendor may never have seen it"),
    ]
    # the second day's log tells the key, so only the other key's are missing
    counts = "usage_date, model, api_key, vendor_keys, found_in, missing_count"
    assert ask(ws, f"select {counts} from quality.fct_missing_requests where evidence = 'count' order by all") == [
        (date(2026, 9, 1), "gpt-4o", None, "key-1,key-2", "there", 4),
        (date(2026, 9, 2), "gpt-4o", "key-2", "key-2", "there", 2),
    ]
    # the vendor's own log is nobody's usage
    assert ask(ws, "select sum(request_count) from product.fct_token_costs where model = 'nova'") == [(6,)]


def test_token_gaps_and_the_error_of_the_cost_of_a_token(workspace, ask):
    # ratios 1.00, 1.10 and 1.20 by one tokenizer, 1.50 on a single day by the next; a day of both says nothing of either
    log = [(1, 100, "t1"), (2, 100, "t1"), (3, 100, "t1"), (4, 100, "t2"), (5, 50, "t1"), (5, 50, "t2")]
    theirs = {1: 100, 2: 110, 3: 120, 4: 150, 5: 130}
    rows = [call(place, "duo", tokens, 0, day=day, provider="Euro AI", tokenizer=name) for place, (day, tokens, name) in enumerate(log)]
    counted = "".join(f"2026-09-{day:02d},2026-09-{day + 1:02d},Euro AI,duo,{tokens},0,\n" for day, tokens in theirs.items())
    # a bucket over midnight: whole counts on two days, none lost
    counted += "2026-09-10 12:00,2026-09-11 12:00,Euro AI,solo,7,0,1\n"
    bill = "".join(
        f'0.00033,0.00033,USD,2026-09-01,2026-10-01,2026-09-{day:02d},2026-09-{day + 1:02d},Usage,Duo API,AI and Machine Learning,"{EURO}",Euro AI,\n'
        for day in (1, 2, 3)
    )
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": LOG + "".join(rows),
            "landing/other_usage/a.csv": "started_at,ended_at,provider,model,input_tokens,output_tokens,request_count\n" + counted,
            "landing/bill/a.csv": BILL + bill,
        },
    )
    night(ws)
    one, two = ask(ws, "select * from quality.fct_token_count_gaps order by tokenizer_version")
    with ws.connect(read_only=True) as db:
        names = [row[0] for row in db.execute("describe quality.fct_token_count_gaps").fetchall()]
    one, two = (dict(zip(names, row, strict=True)) for row in (one, two))
    assert (one["day_count"], one["mixed_day_count"], one["log_tokens"], one["vendor_tokens"]) == (3, 1, 300, 330)
    assert one["mean_daily_ratio"] == pytest.approx(1.1)
    assert one["stddev_daily_ratio"] == pytest.approx(0.1)
    # Student's t of 2 degrees of freedom, 4.303, times 0.1 over the root of 3
    assert one["ratio_error"] == pytest.approx(0.248434, abs=1e-6)
    # 0.00099 for 330 tokens: 3.00 a million; from 3.30 / 1.348434 to 3.30 / 0.851566
    assert one["cost_per_million_tokens"] == pytest.approx(3.0)
    assert (one["cost_per_million_tokens_low"], one["cost_per_million_tokens_high"]) == pytest.approx((2.447284, 3.875213), abs=1e-6)
    assert (two["day_count"], two["ratio"], two["stddev_daily_ratio"], two["ratio_error"], two["error_reason"]) == (
        1, 1.5, None, None, "one day has no spread",
    )  # fmt: skip
    split = "select usage_date, input_tokens, request_count from staging.stg_telemetry__vendor_usage where vendor_model = 'solo' order by 1"
    assert ask(ws, split) == [(date(2026, 9, 10), 3, 0), (date(2026, 9, 11), 4, 1)]
