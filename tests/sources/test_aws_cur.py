"""AWS Cost and Usage Reports: every kind of line in every header form, each cost beside what was delivered."""

import gzip
import json
from decimal import Decimal

import duckdb
import pytest

from tollbook import pipeline

SETTINGS = "currency: USD\nsources:\n  - {name: aws, path: landing/aws/*, format: aws_cur}\n"
PLAN = "arn:aws:savingsplans::111122223333:savingsplan/p1"
RESERVED = "arn:aws:ec2:us-east-1:111122223333:reserved-instances/r1"

LINE = {
    "identity/LineItemId": "l",
    "bill/PayerAccountId": "111122223333",
    "bill/BillingPeriodStartDate": "2025-03-01T00:00:00Z",
    "bill/BillingPeriodEndDate": "2025-04-01T00:00:00Z",
    "lineItem/UsageAccountId": "000055556666",
    "lineItem/LineItemType": "Usage",
    "lineItem/UsageStartDate": "2025-03-02T00:00:00Z",
    "lineItem/UsageEndDate": "2025-03-02T01:00:00Z",
    "lineItem/ProductCode": "AmazonEC2",
    "lineItem/UsageType": "BoxUsage:p5.48xlarge",
    "lineItem/ResourceId": "",
    "lineItem/UsageAmount": "1",
    "lineItem/CurrencyCode": "USD",
    "lineItem/UnblendedCost": "0",
    "pricing/publicOnDemandCost": "",
    "product/ProductName": "Amazon Elastic Compute Cloud",
    "product/instanceType": "",
    "reservation/ReservationARN": "",
    "reservation/EffectiveCost": "",
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": "",
    "reservation/UnusedRecurringFee": "",
    "savingsPlan/SavingsPlanARN": "",
    "savingsPlan/SavingsPlanEffectiveCost": "",
    "savingsPlan/TotalCommitmentToDate": "",
    "savingsPlan/UsedCommitment": "",
    "resourceTags/user:team": "",
    "resourceTags/aws:createdBy": "",
    "costCategory/Centre": "",
}


def line(kind="Usage", billed="0", **others):
    names = {
        "of_reservation": "reservation/EffectiveCost",
        "reserved": "reservation/ReservationARN",
        "unused_upfront": "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
        "unused_recurring": "reservation/UnusedRecurringFee",
        "plan": "savingsPlan/SavingsPlanARN",
        "of_plan": "savingsPlan/SavingsPlanEffectiveCost",
        "committed": "savingsPlan/TotalCommitmentToDate",
        "used": "savingsPlan/UsedCommitment",
        "on_demand": "pricing/publicOnDemandCost",
        "team": "resourceTags/user:team",
    }
    return LINE | {"lineItem/LineItemType": kind, "lineItem/UnblendedCost": billed} | {names.get(k, k): v for k, v in others.items()}


# billed 10 + 4 + 2.5 + 60 + 40 + 0.5 + 7 - 3 - 1 = 120; worth 10 + 4.2 + 1.5 + 1.7 + 1.1 + 0.5 + 7 - 3 - 1 = 22; list 10 + 6 + 2.4
MONTH = [
    line(billed="10", on_demand="10", team="ml"),
    line("DiscountedUsage", of_reservation="4.2", reserved=RESERVED, on_demand="6"),
    line("RIFee", billed="4", reserved=RESERVED, unused_recurring="1.2", unused_upfront="0.3"),
    line("SavingsPlanCoveredUsage", billed="2.4", of_plan="1.7", plan=PLAN, on_demand="2.4"),
    line("SavingsPlanNegation", billed="-2.4", plan=PLAN, on_demand="0"),
    line("SavingsPlanRecurringFee", billed="2.5", plan=PLAN, committed="2.8", used="1.7"),
    line("SavingsPlanUpfrontFee", billed="60", plan=PLAN),
    line("Fee", billed="40", reserved=RESERVED),
    line("Fee", billed="0.5"),
    line("Tax", billed="7"),
    line("Credit", billed="-3"),
    line("Refund", billed="-1"),
    line("EdpDiscount", billed="-1e-1"),
    line("BundledDiscount", billed="0.1"),
]


def csv(lines):
    columns = list(dict.fromkeys(column for one in lines for column in one))
    return "\n".join(
        [
            ",".join(columns),
            *(",".join(f'"{str(one.get(column, "")).replace(chr(34), chr(34) * 2)}"' for column in columns) for one in lines),
        ]
    )


def athena(name):
    """The name as Athena and CUR 2.0 spell it: an underscore before capitals, signs as underscores."""
    name = name.replace("resourceTags/user:", "resource_tags_user_").replace("resourceTags/aws:", "resource_tags_aws_")
    signed = "".join(f"_{sign.lower()}" if sign.isupper() else sign if sign.isalnum() else "_" for sign in name)
    return "_".join(part for part in signed.split("_") if part)


@pytest.fixture
def loaded(workspace):
    def load(content, name="landing/aws/cur.csv", settings=SETTINGS):
        made = workspace(settings, {name: content})
        (report,) = pipeline.load(made, tell=lambda _: None)
        return made, report

    return load


COSTS = (
    "select charge_category, charge_class, billed_cost, effective_cost, commitment_discount_status from raw.billing_lines order by file_row"
)
EXPECTED = [
    ("Usage", None, 10, 10, None),
    ("Usage", None, 0, Decimal("4.2"), "Used"),
    ("Purchase", None, 4, Decimal("1.5"), "Unused"),
    ("Usage", None, 0, Decimal("1.7"), "Used"),
    ("Usage", None, 0, 0, None),
    ("Purchase", None, Decimal("2.5"), Decimal("1.1"), "Unused"),
    ("Purchase", None, 60, 0, None),
    ("Purchase", None, 40, 0, None),
    ("Purchase", None, Decimal("0.5"), Decimal("0.5"), None),
    ("Tax", None, 7, 7, None),
    ("Credit", None, -3, -3, None),
    ("Adjustment", "Correction", -1, -1, None),
    ("Credit", None, Decimal("-0.1"), Decimal("-0.1"), None),
    ("Credit", None, Decimal("0.1"), Decimal("0.1"), None),
]


def test_every_kind_of_line_is_billed_and_worth_what_aws_says(loaded, ask):
    made, report = loaded(csv(MONTH))
    assert (report.failures, report.rows, report.quarantined) == ([], 14, 0)
    assert ask(made, COSTS) == EXPECTED
    assert ask(made, "select sum(billed_cost), sum(effective_cost), sum(list_cost) from raw.billing_lines") == [
        (Decimal("120"), Decimal("22"), Decimal("18.4"))
    ]


@pytest.mark.parametrize("form", ["gzip", "athena", "athena_parquet", "byte_order_mark", "upper_case", "other_order"])
def test_the_header_form_changes_nothing(loaded, ask, form, tmp_path):
    lines = MONTH
    if form.startswith("athena"):
        lines = [{athena(name): value for name, value in one.items()} for one in MONTH]
        assert {"savings_plan_savings_plan_a_r_n", "line_item_unblended_cost"} <= set(lines[0])
    if form == "upper_case":
        lines = [{name if "Tags" in name else name.upper(): value for name, value in one.items()} for one in MONTH]
    if form == "other_order":
        lines = [dict(reversed(one.items())) for one in MONTH]
    content, name = csv(lines), "landing/aws/cur.csv"
    if form == "gzip":
        content, name = gzip.compress(content.encode()), "landing/aws/cur-00001.csv.gz"
    if form == "byte_order_mark":
        content = "\ufeff" + content
    if form == "athena_parquet":
        (tmp_path / "text.csv").write_text(content)
        with duckdb.connect() as db:
            db.execute(
                "copy (select * replace (line_item_unblended_cost::double as line_item_unblended_cost,"
                " savings_plan_savings_plan_effective_cost::double as savings_plan_savings_plan_effective_cost,"
                " line_item_usage_start_date::timestamp as line_item_usage_start_date)"
                f" from read_csv('{tmp_path}/text.csv', all_varchar = true)) to '{tmp_path}/cur.parquet' (format parquet)"
            )
        content, name = (tmp_path / "cur.parquet").read_bytes(), "landing/aws/cur.parquet"
    made, report = loaded(content, name)
    assert report.failures == []
    assert ask(made, COSTS) == EXPECTED
    assert ask(made, "select distinct json_extract_string(tags, '$.team') from raw.billing_lines where tags is not null") == [("ml",)]


def test_account_period_and_commitment_of_a_line(loaded, ask):
    made, _ = loaded(csv(MONTH))
    assert ask(
        made,
        "select billing_account_id, sub_account_id, billing_period_start::varchar, billing_period_end::varchar, charge_period_end::varchar,"
        " provider_name, service_category, invoice_id, commitment_discount_id, commitment_discount_type, commitment_discount_category,"
        " commitment_discount_quantity, commitment_discount_unit, pricing_category from raw.billing_lines where file_row = 4",
    ) == [
        (
            *("111122223333", "000055556666", "2025-03-01 00:00:00", "2025-04-01 00:00:00", "2025-03-02 01:00:00"),
            *("AWS", "Compute", None, PLAN, "Savings Plan", "Spend", Decimal("1.7"), "USD", "Committed"),
        )
    ]


def test_a_fee_that_ends_a_second_before_midnight_ends_at_midnight(loaded, ask):
    made, _ = loaded(csv([line("RIFee", billed="4", **{"lineItem/UsageEndDate": "2025-03-31T23:59:59Z"})]))
    assert ask(made, "select charge_period_end::varchar from raw.billing_lines") == [("2025-04-01 00:00:00",)]


def test_a_negation_that_does_not_cancel_stays_as_delivered(loaded, ask):
    made, _ = loaded(
        csv(
            [
                line("SavingsPlanCoveredUsage", billed="2.4", of_plan="1.7", plan=PLAN),
                line("SavingsPlanNegation", billed="-2.3999999999", plan=PLAN),
            ]
        )
    )
    assert ask(made, "select billed_cost, effective_cost, billed_cost_origin from raw.billing_lines order by file_row") == [
        (Decimal("2.4"), Decimal("1.7"), None),
        (Decimal("-2.3999999999"), 0, "negation of covered usage: as delivered, it does not cancel exactly"),
    ]


def test_a_plan_said_to_be_unused_beside_usage_it_covered_is_unused_by_the_rest(loaded, ask):
    made, _ = loaded(
        csv(
            [
                line(
                    "SavingsPlanRecurringFee",
                    billed="3.6",
                    plan=PLAN,
                    committed="3.6",
                    used="0.0",
                    **{"lineItem/UsageEndDate": "2025-03-03T00:00:00Z"},
                ),
                line("SavingsPlanCoveredUsage", billed="2", of_plan="1.5", plan=PLAN),
                line("SavingsPlanNegation", billed="-2", plan=PLAN),
            ]
        )
    )
    assert ask(made, "select effective_cost from raw.billing_lines order by file_row") == [(Decimal("2.1"),), (Decimal("1.5"),), (0,)]


def test_what_is_missing_is_said_not_filled_in_silently(loaded, ask):
    made, _ = loaded(csv([line("DiscountedUsage", billed="0.7", reserved=RESERVED, on_demand="convertible")]))
    assert ask(made, "select effective_cost, effective_cost_origin, list_cost, list_cost_origin from raw.billing_lines") == [
        (Decimal("0.7"), "no effective cost on the bill: as billed", None, "not a number on the bill")
    ]


def test_a_cost_that_is_no_number_goes_to_quarantine(loaded, ask):
    made, report = loaded(csv([*MONTH, line(billed="n/a")]))
    assert (report.rows, report.quarantined) == (14, 1)
    assert ask(made, "select file_row, column_name, value, reason from raw.quarantine") == [
        (15, "line_item_unblended_cost", "n/a", "is not a number")
    ]


def test_split_cost_rows_bill_nothing_again(loaded, ask):
    pod = line(
        billed="",
        **{
            "lineItem/ResourceId": "arn:aws:eks:us-east-1:111122223333:pod/c1/ns/train-1/u1",
            "splitLineItem/ParentResourceId": "i-0abc",
            "splitLineItem/SplitUsage": "0.5",
            "splitLineItem/SplitCost": "1.25",
            "splitLineItem/UnusedCost": "0.25",
        },
        team="ml",
    )
    made, report = loaded(csv([line(billed="3", **{"lineItem/ResourceId": "i-0abc"}), pod]))
    assert report.quarantined == 0
    (whole, part) = ask(
        made,
        "select billed_cost, effective_cost, resource_id, allocated_resource_id, allocated_resource_name, allocated_method_id,"
        " allocated_method_details, allocated_tags, tags from raw.billing_lines order by file_row",
    )
    assert whole == (3, 3, "i-0abc", None, None, None, None, None, None)
    assert part[:6] == (0, 0, "i-0abc", pod["lineItem/ResourceId"], "u1", "AWS split cost allocation")
    assert json.loads(part[6]) == {"split_usage": "0.5", "split_cost": "1.25", "unused_cost": "0.25"}
    assert (part[7], part[8]) == ('{"team":"ml"}', None)


@pytest.mark.parametrize(
    "usage_type, product, model, token",
    [
        ("USE1-NovaLite-input-tokens", "Amazon Bedrock", "NovaLite", "input"),
        ("EUC1-Llama3-3-70B-output-tokens-batch", "Amazon Bedrock", "Llama3-3-70B", "output"),
        ("APN1-NovaPro-cache-read-input-token-count", "Amazon Bedrock", "NovaPro", "cached_input"),
        ("USE1-NovaPro-cache-write-input-token-count", "Amazon Bedrock", "NovaPro", "cache_write"),
        ("USE1-claude-x-mantle-output-tokens-standard", "Amazon Bedrock", "claude-x", "output"),
        ("USE1-MP:USE1_InputTokenCount-Units", "Claude X (Amazon Bedrock Edition)", "Claude X", "input"),
        ("USE1-MP:USE1_CacheReadInputTokenCount_Global-Units", "Claude X (Amazon Bedrock Edition)", "Claude X", "cached_input"),
    ],
)
def test_bedrock_says_model_and_kind_of_token(loaded, ask, usage_type, product, model, token):
    made, _ = loaded(
        csv(
            [
                line(
                    billed="1",
                    **{"lineItem/ProductCode": "AmazonBedrock", "lineItem/UsageType": usage_type, "product/ProductName": product},
                )
            ]
        )
    )
    ((details, category),) = ask(made, "select sku_price_details, service_category from raw.billing_lines")
    assert json.loads(details) == {"ModelId": model, "TokenType": token}
    assert category == "AI and Machine Learning"


@pytest.mark.parametrize("nested", ["text", "map"])
def test_nested_columns_of_cur_2(loaded, ask, nested, tmp_path):
    tags, product = {"user_team": 'a,"user_b"', "aws_createdBy": "x"}, {"product_name": "Amazon Bedrock", "region": "eu-west-1"}
    flat = {athena(name): value for name, value in line(billed="1.5").items() if not name.startswith(("product/", "resourceTags", "costC"))}
    content = csv([flat | {"resource_tags": json.dumps(tags), "product": json.dumps(product), "cost_category": '{"Centre": "c1"}'}])
    name = "landing/aws/cur.csv"
    if nested == "map":
        (tmp_path / "text.csv").write_text(content)
        with duckdb.connect() as db:
            maps = ", ".join(f"json({c})::map(varchar, varchar) as {c}" for c in ("resource_tags", "product", "cost_category"))
            db.execute(
                f"copy (select * replace ({maps}) from read_csv('{tmp_path}/text.csv', all_varchar = true))"
                f" to '{tmp_path}/cur.parquet' (format parquet)"
            )
        content, name = (tmp_path / "cur.parquet").read_bytes(), "landing/aws/cur.parquet"
    made, report = loaded(content, name)
    assert report.failures == []
    ((found, service, region),) = ask(made, "select tags, service_name, region_id from raw.billing_lines")
    assert json.loads(found) == {"team": 'a,"user_b"', "aws:createdBy": "x", "cost_category:Centre": "c1"}
    assert (service, region) == ("Amazon Bedrock", "eu-west-1")


def test_legacy_tags_and_columns_without_a_place(loaded, ask):
    one = line(billed="1", **{"resourceTags/user:team": 'say "hi"', "resourceTags/aws:createdBy": "me", "costCategory/Centre": "c1"}) | {
        "product/clockSpeed": "3 GHz",
        "product/comments": "",
    }
    made, _ = loaded(csv([one]))
    ((tags, others),) = ask(made, "select tags, other_columns from raw.billing_lines")
    assert json.loads(tags) == {"team": 'say "hi"', "aws:createdBy": "me", "cost_category:Centre": "c1"}
    assert json.loads(others) == {"identity/LineItemId": "l", "product/clockSpeed": "3 GHz"}


def test_other_columns_can_stay_in_the_file(loaded, ask):
    made, report = loaded(csv(MONTH), settings=SETTINGS.replace("aws_cur}", "aws_cur, options: {other_columns: none}}"))
    assert report.failures == []
    assert ask(made, "select count(*), count(other_columns) from raw.billing_lines") == [(14, 0)]


@pytest.mark.parametrize(
    "content, says",
    [
        ("BilledCost,ChargeCategory\n1,Usage\n", "format: focus"),
        (csv([{k: v for k, v in LINE.items() if k != "lineItem/UnblendedCost"}]), "line_item_unblended_cost"),
    ],
)
def test_another_file_is_refused_with_what_to_do(loaded, content, says):
    _, report = loaded(content)
    assert report.rows == 0
    assert "cur.csv: required column missing" in report.failures[0]
    assert says in report.failures[0]


def test_koku_bill_to_the_last_digit(loaded, ask, shared_data):
    made, report = loaded((shared_data / "aws_cur_koku" / "koku-local-1.parquet").read_bytes(), "landing/aws/koku.parquet")
    assert (report.rows, report.quarantined) == (13380, 0)
    assert ask(made, "select sum(billed_cost), sum(effective_cost) from raw.billing_lines") == [
        (Decimal("143227.76367818761501799106"), Decimal("143227.76367818761501799106"))
    ]
    assert ask(
        made,
        "select strftime(billing_period_start, '%Y-%m'), strftime(charge_period_start, '%Y-%m'), count(*), round(sum(billed_cost), 6)"
        " from raw.billing_lines group by all order by all",
    ) == [
        ("2018-06", "2018-06", 3300, Decimal("34649.973273")),
        ("2018-07", "2018-07", 9304, Decimal("100267.738650")),
        ("2018-08", "2018-08", 776, Decimal("8310.051756")),
    ]


def test_anonymised_bill_lines_delivered_as_json(loaded, ask, shared_data):
    with duckdb.connect() as db:
        details = db.execute(
            f"select detail from '{shared_data}/optscale_demo/raw_expenses.parquet' where account = 'AWS HQ' and detail is not null"
        ).fetchall()
    delivered = sum(Decimal(json.loads(detail)["lineItem/UnblendedCost"]) for (detail,) in details)
    made, report = loaded("\n".join(detail for (detail,) in details), "landing/aws/lines.jsonl")
    assert (report.rows, report.quarantined) == (880, 0)
    assert ask(made, "select sum(billed_cost) from raw.billing_lines") == [(delivered,)]
    # the plan's eleven days of 3.6 are what usage drew plus what is unused
    assert ask(
        made,
        "select sum(effective_cost) from raw.billing_lines where commitment_discount_category = 'Spend'",
    ) == [(Decimal("39.6"),)]
