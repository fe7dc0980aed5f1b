"""What a bill means: commitments, corrections, prepaid balances, currencies, rules. The bills are in cost_bills.py, one provider per case."""

from datetime import date

import pytest
from cost_bills import ALL_MAY, BILLS, CONFIG, SETTINGS, D, bill, day, line

from tests.workspaces import quiet, write_workspace
from tollbook import pipeline
from tollbook.errors import ConfigError


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """All bills above, loaded and built once; a function that asks it."""
    root = tmp_path_factory.mktemp("costs")
    files = {f"landing/bill/{name}.csv": bill(*lines) for name, lines in BILLS.items()} | CONFIG
    # KA-12 as a replacement of May's file
    files["landing/versioned/replaced-2026-05_v1.csv"] = bill(line("replaced", 1500, 1500, *ALL_MAY, ResourceId="R-111"))
    files["landing/versioned/replaced-2026-05_v2.csv"] = bill(
        line("replaced", 1200, 1200, *ALL_MAY, ResourceId="R-111"), line("replaced", 300, 300, *ALL_MAY, ResourceId="R-222")
    )
    workspace = write_workspace(root, SETTINGS, files)
    for report in pipeline.load(workspace, tell=quiet):
        assert (report.failures, report.quarantined) == ([], 0)
    pipeline.build(workspace, tell=quiet)
    with workspace.connect(read_only=True) as db:
        yield lambda query: db.execute(query).fetchall()


def commitments(warehouse, *providers):
    found = warehouse(
        "select billed_by, purchased_cost, used_cost, unused_cost, open_cost, status from finance.fct_commitments"
        f" where billed_by in {(*providers, '')} order by billed_by"
    )
    return {name: tuple(values) for name, *values in found}


def test_ka_10_a_commitment_of_one_dollar_an_hour(warehouse):
    assert commitments(warehouse, "all", "none", "most", "over") == {
        # instalments do not say how long the term is
        "all": (1, 1, 0, 0, "unknown_term"),
        "none": (1, 0, 1, 0, "unknown_term"),
        "most": (1, D("0.75"), D("0.25"), 0, "unknown_term"),
        "over": (1, 1, 0, 0, "unknown_term"),
    }
    charged = "select sum(charged_cost), sum(case when bucket = 'unused_commitment' then charged_cost else 0 end) from intermediate.int_chargeback"
    assert warehouse(f"{charged} where billed_by = 'over'") == [(D("1.50"), 0)]
    assert warehouse(f"{charged} where billed_by = 'most'") == [(1, D("0.25"))]
    assert warehouse("select sum(billed_cost) from finance.fct_charges where billed_by = 'over'") == [(D("1.50"),)]


def test_ka_11_a_year_paid_upfront_and_one_day_of_it(warehouse):
    assert commitments(warehouse, "plan") == {"plan": (459024, D("943.20"), D("314.40"), D("457766.40"), "running")}
    assert warehouse("select bought_cost, drawn_cost, balance_amount from finance.fct_prepaid_balances where billed_by = 'plan'") == [
        (459024, D("1257.60"), D("457766.40"))
    ]
    ((days,),) = warehouse("select count(*) from finance.fct_commitment_days where billed_by = 'plan'")
    assert days == 2  # the purchase's, the usage's


def test_over_its_term_the_effective_cost_of_usage_is_the_billed_cost_of_the_purchase(warehouse):
    names = ("all_upfront", "partial_upfront", "no_upfront", "not_settled")
    assert commitments(warehouse, *names) == {
        "all_upfront": (30, 24, 6, 0, "settled"),
        "partial_upfront": (30, 30, 0, 0, "unknown_term"),
        "no_upfront": (30, 20, 10, 0, "settled"),  # by its contract
        "not_settled": (31, 30, 0, 1, "unsettled"),
    }
    rows = warehouse(
        "select billed_by, payment_model, utilisation_ratio, saving_cost, break_even_ratio from finance.fct_commitments"
        " where billed_by in ('all_upfront', 'partial_upfront', 'no_upfront') order by 1"
    )
    assert rows == [
        ("all_upfront", "All Upfront", 0.8, 6, pytest.approx(2 / 3)),  # 24 × 1.50 − 30
        ("no_upfront", "No Upfront", pytest.approx(2 / 3), 0, pytest.approx(2 / 3)),  # 20 × 1.50 − 30: exactly the break-even
        ("partial_upfront", "Partial Upfront", 1, 15, pytest.approx(2 / 3)),
    ]


def test_a_size_flexible_commitment_counts_in_its_own_unit(warehouse):
    assert commitments(warehouse, "flexible") == {"flexible": (4, 3, 1, 0, "unknown_term")}
    assert warehouse("select used_quantity, unused_quantity from finance.fct_commitment_days where billed_by = 'flexible'") == [(3, 1)]


def test_a_capacity_reservation_nobody_used_is_nobodys_usage(warehouse):
    rows = warehouse("select team, bucket, charged_cost from intermediate.int_chargeback where billed_by = 'room' order by 1")
    assert rows == [("red", "allocated", 8), ("unused_commitment", "unused_commitment", 4)]
    assert commitments(warehouse, "room")["room"][1:4] == (8, 4, 0)


def test_coverage_is_unknown_where_a_list_cost_is_missing(warehouse):
    rows = warehouse(
        "select coverage_ratio, lines_without_list_cost from finance.fct_commitment_coverage"
        " where billed_by in ('over', 'all_upfront') order by billed_by"
    )
    assert rows == [(1.0, 0), (None, 2)]


@pytest.mark.parametrize("way", ["delta", "ledger", "replaced"])
def test_ka_12_a_correction_of_may_ends_the_same_however_it_is_delivered(warehouse, way):
    by_resource = warehouse(
        "select resource_id, sum(effective_cost) from finance.fct_charges"
        f" where billed_by = '{way}' and charge_period_start < '2026-06-01' group by 1 order by 1"
    )
    assert by_resource == [("R-111", 1200), ("R-222", 300)]
    by_usage = warehouse(
        f"select usage_period::varchar, sum(charged_cost) from intermediate.int_chargeback where billed_by = '{way}' group by 1"
    )
    assert by_usage == [("2026-05-01", 1500)]
    by_bill = warehouse(
        f"select billing_period::varchar, sum(charged_cost) from intermediate.int_chargeback where billed_by = '{way}' group by 1 order by 1"
    )
    assert by_bill == ([("2026-05-01", 1500)] if way == "replaced" else [("2026-05-01", 1500), ("2026-06-01", 0)])


def test_ka_17_tokens_paid_ahead(warehouse):
    assert warehouse(
        "select sum(billed_cost), sum(effective_cost), sum(list_cost) filter (where charge_category = 'Usage') from finance.fct_charges"
        " where billed_by = 'prepaid'"
    ) == [(500000, 50, D("62.50"))]
    assert warehouse("select balance_amount from finance.fct_prepaid_balances where billed_by = 'prepaid'") == [(499950,)]
    assert warehouse("select term, cost from quality.fct_bridge where billed_by = 'prepaid' and cost <> 0 order by term_order") == [
        ("billed", 500000),
        ("prepaid_bought", -500000),
        ("prepaid_drawn", 50),
        ("charged", 50),
    ]


def test_a_price_list_in_credits(warehouse):
    costs = "pricing_list_cost, pricing_contracted_cost, pricing_effective_cost, pricing_billed_cost"
    assert warehouse(f"select {costs} from finance.fct_charges where billed_by = 'credits' order by billed_cost") == [
        (1230, 615, 615, 0),
        (None, None, D("7.5"), D("7.5")),  # the list cost is missing, and stays so
    ]


def test_a_billing_period_has_one_exchange_rate(warehouse):
    assert warehouse(
        "select billing_period::varchar, charge_class, exchange_rate, reporting_billed_cost, reporting_effective_cost, reporting_list_cost"
        " from finance.fct_charges where billed_by = 'euro' order by 1, 2 nulls first"
    ) == [
        ("2026-05-01", None, D("1.1"), 110, 110, 220),
        ("2026-06-01", None, D("1.2"), 120, 120, None),
        ("2026-06-01", "Correction", D("1.2"), -12, -12, None),
    ]
    by_usage = (
        "select usage_period::varchar, sum(charged_cost) from intermediate.int_chargeback where billed_by = 'euro' group by 1 order by 1"
    )
    assert warehouse(by_usage) == [("2026-05-01", 98), ("2026-06-01", 120)]


def test_credits_refunds_taxes_and_digits_past_the_twelfth(warehouse):
    rows = warehouse(
        "select component, bucket, sum(charged_cost) from intermediate.int_chargeback where billed_by = 'odds' group by all order by 1"
    )
    assert rows == [
        ("Adjustment", "unowned", -5),
        ("Credit", "unowned", -20),
        ("Other", "allocated", 31),
        ("Other", "unowned", D("0.333333333333")),
        ("Tax", "unowned", 19),
    ]
    digits = warehouse(
        "select cost from quality.fct_bridge where billed_by = 'odds' and term in ('rounding', 'remainder') order by term_order"
    )
    assert digits == [(D("-0.000000000000333333"),), (0,)]


def test_what_a_law_causes_is_a_component_of_its_own(warehouse):
    rows = warehouse(
        "select team, component, sum(charged_cost) from intermediate.int_chargeback where billed_by = 'law' group by all order by 1, 2"
    )
    assert rows == [("green", "Other", 10), ("red", "Other", 60), ("red", "compliance: encryption", 40)]
    assert warehouse("select tag_value, tagged_cost from finance.fct_virtual_tag_costs where tag = 'component'") == [
        ("compliance: encryption", 40)
    ]


def test_virtual_tags_unify_spelling_and_fill_gaps_and_name_their_rule(warehouse):
    assert warehouse(
        "select tag_value, tagged_cost from finance.fct_virtual_tag_costs where tag = 'environment' order by 1"
    ) == [("production", 100), ("sandbox", 10)]  # fmt: skip
    assert warehouse("select virtual_tag_rules from finance.fct_charges where billed_by = 'law' and billed_cost = 40") == [
        ('{"component":"keys","environment":"env-prod"}',)
    ]
    ((tagged, virtual),) = warehouse(
        "select sum(tagged_cost), sum(virtually_tagged_cost) from quality.fct_tag_coverage where tag = 'environment'"
    )
    assert (tagged, virtual) == (110, 10)


def test_a_resource_that_changes_hands_is_paid_by_each_for_its_days(warehouse):
    rows = warehouse("select team, sum(charged_cost) from intermediate.int_chargeback where billed_by = 'hands' group by 1 order by 1")
    assert rows == [("blue", 16), ("red", 15)]


def test_a_contract_is_fulfilled_by_what_the_bills_say(warehouse):
    rows = warehouse(
        "select commitment_id, committed_amount, applied_amount, remaining_amount, applied_quantity, applied_basis"
        " from finance.fct_contract_commitments where contract_id = 'K' order by 1"
    )
    assert rows == [
        ("named", 60, 30, 30, 3, "contract_applied"),
        ("silent", 60, None, None, None, None),  # nothing says what counts: unknown, not 0
        ("total", 1000, 150, 850, None, "billed_in_term"),  # taxes fulfil nothing
    ]


def test_a_contract_counts_its_own_provider_alone(warehouse):
    rows = warehouse("select billed_by, applied_amount from finance.fct_contract_commitments where contract_id in ('M', 'N') order by 1")
    assert rows == [("another", None), ("first", 100), ("roaming", 70), ("second", 200)]
    # another provider's contract of the same id does not lengthen this one's term
    assert commitments(warehouse, "terse") == {"terse": (100, 60, 40, 0, "settled")}


def test_words_of_other_versions_mean_the_same(warehouse):
    assert warehouse(
        "select team, charged_cost from intermediate.int_chargeback where billed_by = 'terse' and bucket = 'unused_commitment'"
    ) == [("unused_commitment", 40)]
    assert warehouse("select coverage_ratio, coverable_list_cost from finance.fct_commitment_coverage where billed_by = 'terse'") == [
        (0.5, 180)
    ]


def test_a_moving_rate_leaves_no_prepaid_behind(warehouse):
    assert warehouse(
        "select status, open_amount, billing_currency, open_cost, exchange_difference_cost from finance.fct_commitments"
        " where billed_by = 'moving'"
    ) == [("settled", 0, "EUR", -10, -10)]
    balances = "select billing_period::varchar, bought_amount, drawn_amount, balance_amount, drawn_cost from finance.fct_prepaid_balances"
    assert warehouse(f"{balances} where billed_by = 'moving' order by 1") == [
        ("2026-05-01", 200, 100, 100, 110),
        ("2026-06-01", 0, 100, 0, 120),
    ]
    # billed 60 of 100: the other 40 were paid before; billed 0.6 and worth 1 is the vendor's rounding
    assert warehouse(f"{balances} where billed_by = 'partly'") == [("2026-05-01", 100, 40, 60, 40)]
    assert warehouse("select cost from quality.fct_bridge where billed_by = 'partly' and term = 'provider_rounding'") == [(D("0.4"),)]


def test_rates_and_amounts_of_many_digits(warehouse):
    assert warehouse(
        "select billed_by, billed_cost, reporting_billed_cost from finance.fct_charges where billed_by in ('dong', 'franc') order by 2"
    ) == [
        ("franc", 100, 130),
        ("dong", 1000000000, D("39412.345678")),
        ("dong", 12000000000, D("472948.148136")),
    ]
    berlin = "select billing_period::varchar, reporting_billed_cost from finance.fct_charges where billed_by = 'berlin'"
    assert warehouse(berlin) == [("2026-06-01", 12)]
    assert warehouse("select pricing_list_cost, pricing_effective_cost from finance.fct_charges where billed_by = 'tokens'") == [(10, 8)]


def test_a_period_is_final_when_its_issuer_or_its_invoices_say_so(warehouse):
    rows = warehouse(
        "select billed_by, billing_period::varchar, state, lines_without_invoice, cost_without_invoice from finance.fct_billing_periods"
        " where billed_by in ('invoiced', 'stated') order by 1, 2"
    )
    assert rows == [
        ("invoiced", "2026-05-01", "final", 0, 0),
        ("invoiced", "2026-06-01", "open", 1, 7),
        ("stated", "2026-05-01", "final", 1, 8),
    ]


def test_every_bridge_closes(warehouse):
    assert warehouse("select count(*), count(*) filter (where cost <> 0) from quality.fct_bridge where term = 'remainder'") == [(38, 0)]


CHARGED_BY_VERSION = """
select usage_period::varchar, charged.team, owner_rule_version
from intermediate.int_chargeback as charged inner join finance.fct_charges as charges on usage_period = date_trunc('month', charge_date)
order by 1
"""


def test_a_changed_rule_decides_days_to_come_unless_asked(workspace, ask):
    may, june = (line("x", 31, 31, *day(1, month), ResourceId="r") for month in ("2026-05", "2026-06"))
    rules = "rule_id,priority,field,pattern,team,valid_from,valid_to\n"
    ws = workspace(
        SETTINGS.replace("versioned", "unused"),
        {"landing/bill/may.csv": bill(may), "config/owners.csv": rules + "r,1,resource_id,r,red,,\n"},
    )
    told = []

    def night(**options):
        pipeline.load(ws, ["bill"], tell=quiet)
        pipeline.build(ws, tell=told.append, **options)
        return ask(ws, CHARGED_BY_VERSION)

    assert night() == [("2026-05-01", "red", 1)]
    (ws.config / "owners.csv").write_text(rules + "r,1,resource_id,r,blue,,\n")
    (ws.root / "landing/bill/june.csv").write_text(bill(june))
    assert night() == [("2026-05-01", "red", 1), ("2026-06-01", "blue", 2)]
    assert "owners.csv: 1 rule changed or new: in force for days not built yet." in "\n".join(told)
    # the same from nothing: what decided May goes on deciding it
    assert night(full_refresh=True) == [("2026-05-01", "red", 1), ("2026-06-01", "blue", 2)]
    assert night(restate_from=date(2026, 5, 1)) == [("2026-05-01", "blue", 2), ("2026-06-01", "blue", 2)]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "exchange_rates.csv",
            "from_currency,to_currency,rate,valid_from,valid_to\nEUR,USD,1.1,2026-05-01,\nEUR,USD,1.2,2026-06-01,\n",
            r"exchange_rates\.csv, row 2, column valid_from: '2026-06-01' lies inside the validity of an earlier row",
        ),
        (
            "owners.csv",
            "rule_id,priority,field,pattern,team,valid_from,valid_to\na,1,resorce_id,*,red,,\n",
            r"owners\.csv, row 1, column field: 'resorce_id' is not tag:<key> or one of",
        ),
    ],
)
def test_rules_that_cannot_be_meant(workspace, file, content, message):
    ws = workspace(SETTINGS, {"landing/bill/a.csv": bill(line("x", 1, 1, *day(1))), f"config/{file}": content})
    pipeline.load(ws, ["bill"], tell=quiet)
    with pytest.raises(ConfigError, match=message):
        pipeline.build(ws, tell=quiet)
