"""Internal prices that tell kinds of token apart, through build, audit and ledger: figures by hand."""

from decimal import Decimal

import pytest

from tests.workspaces import clean_night, quiet, settings_of, write_workspace
from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema

D = Decimal
PRICES = "model,token_kind,unit,price,currency,valid_from,valid_to\n"
LIST = (
    PRICES
    + "nova-*,,million_tokens,1.00,USD,,\n"
    + "nova-max,,million_tokens,0.50,USD,,\n"
    + "nova-max,input,million_tokens,2.00,USD,,\n"
    + "nova-max,output,million_tokens,{},USD,,\n"
    + "solo,input,million_tokens,2.00,USD,,\n"
)
FILES = {
    # nova-max: 1,000,000 input, 400,000 more from the cache, 200,000 output of which 50,000 reasoning, 100,000 written to the cache
    "landing/gateway/a.csv": "requested_at,request_id,team,provider,model,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,"
    "reasoning_tokens,status\n"
    "2026-09-01 00:10:00,r1,a,Lumen,nova-max,900000,400000,100000,150000,50000,success\n"
    "2026-09-01 00:20:00,r2,a,Lumen,nova-max,500000,0,0,50000,0,success\n"
    "2026-09-01 00:30:00,r3,a,Lumen,nova-mini,600000,100000,300000,400000,0,success\n"
    "2026-09-01 00:40:00,r4,b,Lumen,solo,500000,0,0,1,0,success\n",
    "config/prices.csv": "provider,model,token_kind,price_per_million,currency,valid_from,valid_to\n"
    + "".join(f"Lumen,*,{kind},1,USD,,\n" for kind in ("input", "cached_input", "cache_write_5m", "output")),
    "config/teams.csv": "team,cost_centre,valid_from,valid_to\na,CC-1,,\nb,CC-2,,\n",
    "config/policies.csv": "policy,value,valid_from,valid_to\nchargeback_basis,price_list,,\n",
    "config/internal_prices.csv": LIST.format("10.00"),
}


def asked(workspace, query):
    with workspace.connect(read_only=True) as db:
        return db.execute(query).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    made = write_workspace(tmp_path_factory.mktemp("token_prices"), settings_of("gateway"), FILES)
    clean_night(made)
    pipeline.check(made, tell=quiet)
    pipeline.post(made, tell=quiet)
    return made


def test_each_kind_has_its_price_and_the_rest_the_one_of_any_kind(built):
    charges = asked(
        built,
        "select model, token_kind, price, quantity, charged_cost, internal_cost, margin_cost, unpriced_reason from finance.fct_internal_charges"
        " where usage_date = date '2026-09-01' order by model, token_kind nulls last",
    )
    assert charges == [
        # cost of 1.7 million tokens at 1.00, shared 2.00 : 2.00 : 0.25; reasoning is output, cached and written tokens are the rest
        ("nova-max", "input", D("2"), 1.0, D("0.8"), D("2"), D("1.2"), None),
        ("nova-max", "output", D("10"), 0.2, D("0.8"), D("2"), D("1.2"), None),
        ("nova-max", None, D("0.5"), 0.5, D("0.1"), D("0.25"), D("0.15"), None),
        # no price of a kind: a million of input and output, as before there were kinds; what was written to the cache is neither
        ("nova-mini", None, D("1"), 1.0, D("1.3"), D("1"), D("-0.3"), None),
        # one output token without a price leaves the model at cost
        ("solo", None, None, 0.500001, D("0.500001"), None, None, "no internal price of output"),
    ]


def test_the_ledger_has_one_markup_a_model_whatever_its_kinds(built):
    assert asked(
        built, "select team, model, rule, posted_cost from ledger.postings where component = 'markup' and account = 'cost' order by all"
    ) == [
        ("a", "nova-max", "internal_prices/tokens_vendor", D("2.55")),
        ("a", "nova-mini", "internal_prices/tokens_vendor", D("-0.3")),
    ]
    assert asked(built, "select sum(posted_cost) from ledger.postings where account = 'margin'") == [(D("-2.25"),)]
    assert asked(built, "select sum(posted_cost) from ledger.postings") == [(D("0"),)]
    assert asked(
        built, "select team, sum(posted_cost) from ledger.postings where account = 'cost' and component <> 'markup' group by 1 order by 1"
    ) == [("a", D("3")), ("b", D("0.500001"))]


def test_another_price_of_one_kind_posts_its_difference_alone(built):
    (built.config / "internal_prices.csv").write_text(LIST.format("12.50"))
    pipeline.build(built, tell=quiet)
    pipeline.check(built, tell=quiet)
    # 200,000 output tokens at 2.50 more a million
    assert pipeline.post(built, tell=quiet).by_reason == {"markup": D("0.5")}
    assert asked(built, "select sum(charged_cost), sum(internal_cost) from finance.fct_internal_charges where model = 'nova-max'") == [
        (D("1.7"), D("4.75"))
    ]


@pytest.mark.parametrize(
    ("rows", "at", "said"),
    [
        ("m,prompt,million_tokens,2,USD,,\n", "row 1, column token_kind", "'prompt' is not one of 'input', 'cached_input'"),
        ("m,image,million_tokens,2,USD,,\n", "row 1, column token_kind", "is not one of"),
        (",output,gpu_hour,2,USD,,\n", "row 1, column token_kind", "only a price by million_tokens is of a kind of token; leave it empty"),
        ("m,,million_tokens,2,USD,,\nm,input,percent,2,,,\n", "row 2, column token_kind", "leave it empty"),
        (
            "m,output,million_tokens,2,USD,,\nM,output,million_tokens,3,USD,2026-09-01,\n",
            "row 2, column valid_from",
            "an earlier row of the same unit, component, gpu_model, model and token_kind",
        ),
        ("m,input,million_tokens,2,USD,,\nm,embedding,million_tokens,3,USD,,\n", "row 2, column valid_from", "an earlier row"),
    ],
)
def test_kinds_that_cannot_be_priced_are_refused(tmp_path, rows, at, said):
    made = write_workspace(tmp_path, settings_of("gateway"), {"config/internal_prices.csv": PRICES + rows})
    with made.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError, match=rf"internal_prices\.csv, {at}: ") as refused:
            config.load(made, db, tell=quiet)
    assert said in str(refused.value)


def test_kinds_of_one_model_hold_beside_each_other(tmp_path):
    rows = "m,,million_tokens,1,USD,,\nm,input,million_tokens,2,USD,,2026-10-01\nm,input,million_tokens,3,USD,2026-10-01,\n"
    made = write_workspace(tmp_path, settings_of("gateway"), {"config/internal_prices.csv": PRICES + rows})
    with made.connect() as db:
        schema.ensure(db)
        config.load(made, db, tell=quiet)
        assert db.execute("select token_kind, price from config.internal_prices order by rule_row").fetchall() == [
            (None, D("1")),
            ("input", D("2")),
            ("input", D("3")),
        ]
