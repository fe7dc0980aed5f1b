"""Requests through the loaders: rows sent twice, tries of one request, sampled logs, and all that their full cost is made of."""

from decimal import Decimal

from tollbook import pipeline

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: fleet, table: capacity, path: landing/fleet/*.csv}
  - {name: pods, table: holdings, path: landing/pods/*.csv}
  - {name: dcgm, table: gpu_samples, path: landing/dcgm/*.csv}
  - {name: gateway, table: requests, path: landing/gateway/*.csv}
"""
BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceCategory,ServiceName,ResourceId,SkuPriceDetails,ProviderName\n"
)
FLEET = "node,cluster,pool,gpu_model,gpu_count,resource_id,started_at,ended_at\n"
PODS = "holding_id,job_id,cluster,node,gpu_count,started_at,ended_at,outcome,name,model\n"


def quiet(_):
    """Say nothing."""


def night(workspace):
    for report in pipeline.load(workspace, tell=quiet):
        assert [said for said in report.failures if "does not exist" not in said] == []
    pipeline.build(workspace, tell=quiet)


def charge(cost, start, end, resource="", service="", details="", billed_by="Nimbus"):
    details = details.replace('"', '""')
    return f'{cost},{cost},USD,2026-09-01,2026-10-01,{start},{end},Usage,Compute,{service},{resource},"{details}",{billed_by}\n'


def log(*rows):
    """A gateway's log of rows by column."""
    columns = sorted({name for row in rows for name in row})
    return ",".join(columns) + "\n" + "".join(",".join(str(row.get(name, "")) for name in columns) + "\n" for row in rows)


def call(number, **more):
    return {
        "requested_at": f"2026-09-01 05:00:{number:02d}",
        "request_id": f"r{number}",
        "model": "m",
        "input_tokens": 10,
        "output_tokens": 5,
    } | more


def test_rows_sent_twice_and_tries_of_one_request(workspace, ask):
    rows = [
        call(1), call(1),
        # a key says that three are one: the second try worked, and so did a third nobody needed
        call(2, idempotency_key="k", status="500"), call(3, idempotency_key="k", status="200"), call(4, idempotency_key="k", status="ok"),
        # a chain of `retry_of`, the last of which failed too
        call(5, status="error"), call(6, retry_of="r5", status="timeout"), call(7, retry_of="r6", status="error"),
        # nothing says which request it is: each row counts
        call(8, request_id=""), call(8, request_id=""),
        # the key is the id itself
        call(9, idempotency_key="r9"),
    ]  # fmt: skip
    # the same file again under another name, with one more row: what was sent twice counts once
    ws = workspace(SETTINGS, {"landing/gateway/a.csv": log(*rows), "landing/gateway/b.csv": log(call(1), call(10))})
    night(ws)
    counts = "request_count, unique_request_count, success_count, unique_success_count, error_count, retry_count, input_tokens"
    assert ask(ws, f"select {counts} from product.fct_feature_costs") == [(11, 7, 7, 6, 4, 4, 110)]
    assert ask(
        ws, "select request_id, request_key, try_number, is_retry, is_unique_success from intermediate.int_requests__repeated order by requested_at"
    ) == [
        ("r1", "r1", 1, False, True),
        ("r2", "k", 1, False, False), ("r3", "k", 2, True, True), ("r4", "k", 3, True, False),
        ("r5", "r5", 1, False, False), ("r6", "r5", 2, True, False), ("r7", "r5", 3, True, False),
    ]  # fmt: skip


def test_a_sampled_log_stands_for_all_requests_and_is_an_estimate(workspace, ask):
    rows = [call(1, sample_weight="10"), call(2, sample_weight="2.5", input_tokens=11, status="500"), call(3, tenant="acme")]
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": log(*rows),
            "landing/bill/a.csv": BILL + charge("27.00", "2026-09-01 00:00", "2026-09-02 00:00", details='{"model": "m"}'),
        },
    )
    night(ws)
    # 10 + 2.5 rows, rounded to whole ones by weight: 10 and 3; tokens 150, 2.5 × 16 = 40, and 15
    assert ask(
        ws, "select tenant, request_count, success_count, input_tokens, token_count, vendor_cost, is_sampled, basis from product.fct_tenant_costs order by 1"
    ) == [("acme", 1, 1, 10, 15, Decimal("1.975609756097"), False, "billed"),
          (None, 13, 10, 128, 190, Decimal("25.024390243903"), True, "estimated")]  # fmt: skip
    assert ask(ws, "select sum(cost) from product.fct_request_components") == [(Decimal(27),)]


def test_a_server_known_answer_by_measured_time(workspace, ask):
    """KA-18: 3.20 an hour, prefill 600 s and decode 600 s, 11.2 of 12 M prompt tokens worked on, 3 M generated; busy 1,200 of 3,600 s."""
    rows = [
        call(
            1,
            input_tokens=9_000_000,
            cached_input_tokens=800_000,
            output_tokens=1_000_000,
            prefill_ms=400_000,
            decode_ms=200_000,
            tenant="a",
        ),
        call(2, input_tokens=3_000_000, output_tokens=2_000_000, prefill_ms=200_000, decode_ms=400_000, tenant="b"),
    ]
    samples = "".join(f"2026-09-01 05:{minute:02d}:00,n1,g0,{1 if minute < 20 else 0}\n" for minute in range(60))
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": log(*rows),
            "landing/fleet/a.csv": FLEET + "n1,c,p,L4,1,n1,2026-09-01 05:00,2026-09-01 06:00\n",
            "landing/pods/a.csv": PODS + "p1,p1,c,n1,1,2026-09-01 05:00,2026-09-01 06:00,running,server,m\n",
            "landing/dcgm/a.csv": "sampled_at,node,gpu_id,sm_ratio\n" + samples,
            "landing/bill/a.csv": BILL + charge("3.20", "2026-09-01 05:00", "2026-09-01 06:00", resource="n1"),
        },
    )
    night(ws)
    used = Decimal("3.20") / 3
    parts = ask(
        ws, "select component, split_method, sum(cost), sum(used_cost) from product.fct_request_components group by 1, 2 order by 1"
    )
    assert [part[:3] for part in parts] == [
        ("serving_decode", "decode_measured", Decimal("1.60")), ("serving_prefill", "prefill_measured", Decimal("1.60")),
    ]  # fmt: skip
    assert all(abs(part[3] - used / 2) < Decimal("1e-11") for part in parts)
    # a: 8.2 of 11.2 M of the prefill and 1 of 3 M of the decode
    a = Decimal("1.60") * 82 / 112 + Decimal("1.60") / 3
    found = ask(ws, "select tenant, full_cost, used_full_cost, cost_per_million_tokens from product.fct_tenant_costs order by 1")
    assert [row[0] for row in found] == ["a", "b"]
    assert abs(found[0][1] - a) < Decimal("1e-11") and found[0][1] + found[1][1] == Decimal("3.20")
    assert abs(found[0][2] - a / 3) < Decimal("1e-11") and abs(found[0][2] + found[1][2] - used) < Decimal("1e-11")
    # blended: 3.20 on 15 M tokens
    assert ask(ws, "select sum(full_cost)::double * 1e6 / sum(token_count) from product.fct_token_costs")[0][0] == 3.2 / 15


def test_the_full_cost_of_a_day(workspace, ask):
    """A vendor's model, a gateway, a vector store and a training run: every part on the requests that rest on it."""
    day = ("2026-09-01 00:00", "2026-09-02 00:00")
    next_day = ("2026-09-02 00:00", "2026-09-03 00:00")
    rows = [
        call(1, feature="rag", provider="Lumen", model="v", input_tokens=30, output_tokens=10, retrieval_count=3, model_version="1"),
        call(2, feature="chat", provider="Lumen", model="v", input_tokens=50, output_tokens=10, retrieval_count=0, model_version="1"),
        call(
            3, feature="chat", provider="Lumen", model="v", input_tokens=0, output_tokens=0, status="500", retry_of="r2", model_version="1"
        ),
        call(4, feature="rag", model="own", input_tokens=7, output_tokens=1, retrieval_count=1),
        call(
            5,
            requested_at="2026-09-02 01:00",
            feature="chat",
            provider="Lumen",
            model="v",
            input_tokens=1,
            output_tokens=1,
            model_version="1",
        ),
    ]
    ws = workspace(
        SETTINGS,
        {
            "landing/gateway/a.csv": log(*rows),
            "landing/fleet/a.csv": FLEET + "n1,c,p,H100,1,n1,2026-09-01,2026-09-02\n",
            "landing/pods/a.csv": PODS
            + "t1,train-v,c,n1,1,2026-09-01 00:00,2026-09-01 10:00,succeeded,train-v-1,\n"
            + "g1,gw,c,n1,1,2026-09-01 10:00,2026-09-01 20:00,running,gateway-0,\n",
            "landing/bill/a.csv": BILL
            + charge("24.00", *day, resource="n1")
            + charge("10.00", *day, details='{"model": "v"}', billed_by="Lumen")
            + charge("4.00", *day, service="Vectors") + charge("6.00", *next_day, service="Vectors"),
            "config/supporting_costs.csv": "rule_id,priority,field,pattern,component,share_by,among,valid_from,valid_to\n"
            "gateway,1,name,gateway-*,gateway,requests,,,\nvectors,1,service_name,Vectors,vector_store,retrievals,feature:rag,,\n",
            "config/training_runs.csv": "rule_id,model,model_version,job,amortise_by,life,in_service_on,valid_from,valid_to\n"
            "v1,v,1,train-v*,inferences,4,2026-09-01,,\n",
        },
    )  # fmt: skip
    night(ws)
    # vendor 10.00 by tokens 40 and 60; the gateway's 10 hours of a 1.00 GPU-hour by 4 requests; vectors by 3 and 1 retrievals; training:
    # 10.00 over 4 successes is 2.50 each, two of them on the first day
    assert ask(
        ws, "select feature, model, component, sum(cost) from product.fct_request_components where usage_date = '2026-09-01' group by all order by all"
    ) == [
        ("chat", "v", "gateway", Decimal("5.00")), ("chat", "v", "training", Decimal("2.50")), ("chat", "v", "vendor", Decimal("6.00")),
        ("rag", "own", "gateway", Decimal("2.50")), ("rag", "own", "vector_store", Decimal("1.00")),
        ("rag", "v", "gateway", Decimal("2.50")), ("rag", "v", "training", Decimal("2.50")), ("rag", "v", "vector_store", Decimal("3.00")),
        ("rag", "v", "vendor", Decimal("4.00")),
    ]  # fmt: skip
    costs = "vendor_cost, serving_cost, supporting_cost, training_cost, full_cost, retry_cost, basis"
    assert ask(ws, f"select usage_date::varchar, feature, {costs} from product.fct_feature_costs order by 1, 2") == [
        ("2026-09-01", "chat", Decimal(6), None, Decimal(5), Decimal("2.5"), Decimal("13.5"), Decimal("2.5"), "billed"),
        # the own model has no server and no price: what it rests on is known, its own cost is not
        ("2026-09-01", "rag", Decimal(4), None, Decimal("8.5") + Decimal("0.5"), Decimal("2.5"), Decimal("15.5"), None, "partial"),
        ("2026-09-02", "chat", None, None, None, Decimal("2.5"), Decimal("2.5"), None, "partial"),
    ]
    assert ask(
        ws, "select capitalised_cost, amortised_cost, borne_cost, book_value_cost, inference_count from product.fct_model_assets"
    ) == [(Decimal(10), Decimal("7.5"), Decimal("7.5"), Decimal("2.5"), 3)]
    # on the second day nobody retrieved: what the store cost stays visible as a cost of nobody's requests
    assert ask(
        ws, "select usage_date::varchar, rule_id, cost, shared_cost, rest_cost from product.fct_supporting_costs order by 1, 2"
    ) == [("2026-09-01", "gateway", 10, 10, 0), ("2026-09-01", "vectors", 4, 4, 0), ("2026-09-02", "vectors", 6, 0, 6)]  # fmt: skip
    # the requests' view moves nothing between those who pay
    assert ask(ws, "select sum(charged_cost) from intermediate.int_chargeback_days") == [(Decimal("44.00"),)]
