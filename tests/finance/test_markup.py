"""Chargeback that is not at cost: a day by price list and a day at cost, through build, audit, ledger, journal and budgets."""

import csv
from datetime import date
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from tests.workspaces import FOCUS, clean_night, quiet, settings_of, write_workspace
from tollbook import pipeline
from tollbook.cli import app
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema

D = Decimal
FIRST, SECOND = date(2026, 9, 1), date(2026, 9, 2)
PRICES = "component,gpu_model,model,unit,price,currency,valid_from,valid_to\n"
LIST = PRICES + ",H100,,gpu_hour,{},USD,,\n,,nova*,million_tokens,1.50,USD,,\nStorage,,,percent,10,,,\n"
POLICIES = (
    "policy,value,valid_from,valid_to\nchargeback_basis,price_list,2026-09-01,2026-09-02\nchargeback_basis,cost,2026-09-02,\n"
    "showback_cost_centre,CC-900,,\n"
)


def billed(cost, day, start, end, category="Compute", resource="", team="", kind="Usage"):
    tags = f'"{{""team"": ""{team}""}}"' if team else ""
    return (
        f"{cost},{cost},USD,2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,2026-09-{day}T{start}:00:00Z,2026-09-{day}T{end}:00:00Z,{kind},"
        f"{category},{resource},{tags},Nimbus\n"
    )


FILES = {
    "landing/bill/a.csv": FOCUS
    + ",Tags,ProviderName\n"
    + billed(8, "01", "00", "02", resource="n")
    + billed(4, "02", "00", "01", resource="n")
    + billed(5, "01", "00", "02", "Storage", team="a")
    + billed(3, "01", "00", "02", "Networking", team="b")
    + billed(2, "01", "00", "02", "Other", team="b", kind="Tax"),
    # two GPUs on a billed node, and one on a node that nobody billed
    "landing/fleet/a.csv": "cluster,pool,node,gpu_model,gpu_count,state,started_at,ended_at\n"
    "k,p,n,H100,2,up,2026-09-01 00:00:00,2026-09-01 02:00:00\nk,p,n,H100,2,up,2026-09-02 00:00:00,2026-09-02 01:00:00\n"
    "k,p,n2,H100,1,up,2026-09-01 00:00:00,2026-09-01 02:00:00\n",
    "landing/pods/a.csv": "holding_id,cluster,node,gpu_count,started_at,ended_at,labels\n"
    'a1,k,n,1,2026-09-01 00:00:00,2026-09-01 02:00:00,"{""team"": ""a""}"\n'
    'a2,k,n2,1,2026-09-01 00:00:00,2026-09-01 02:00:00,"{""team"": ""a""}"\n'
    'b1,k,n,1,2026-09-01 00:00:00,2026-09-01 01:00:00,"{""team"": ""b""}"\n'
    'a3,k,n,2,2026-09-02 00:00:00,2026-09-02 01:00:00,"{""team"": ""a""}"\n',
    # a vendor whose bill is not in: 2 million tokens at 1.00
    "landing/gateway/a.csv": "requested_at,request_id,team,provider,model,input_tokens,output_tokens,status\n"
    "2026-09-01 00:10:00,r1,a,Lumen,nova-mini,1500000,500000,success\n",
    "config/prices.csv": "provider,model,token_kind,price_per_million,currency,valid_from,valid_to\n"
    "Lumen,nova-mini,input,1,USD,,\nLumen,nova-mini,output,1,USD,,\n",
    "config/teams.csv": "team,cost_centre,valid_from,valid_to\na,CC-1,,\nb,CC-2,,\n",
    "config/policies.csv": POLICIES,
    "config/internal_prices.csv": LIST.format("2.50"),
    "config/budgets.csv": "scope,scope_value,amount_per_month,currency,owner,valid_from,valid_to\n"
    "team,A,20,USD,lead of a,,\ncost_centre,CC-2,10,EUR,,,\nall,,100,USD,head of platform,2026-09-15,\nprovider,Nimbus,44,USD,,,\nteam,c,1,USD,,,\n",
}


def asked(workspace, query):
    with workspace.connect(read_only=True) as db:
        return db.execute(query).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    made = write_workspace(tmp_path_factory.mktemp("markup"), settings_of("bill", "fleet", "pods", "gateway"), FILES)
    clean_night(made)
    # the audit passes: cost is what was billed, whatever is charged beyond it
    pipeline.check(made, tell=quiet)
    pipeline.post(made, tell=quiet)
    return made


def test_what_is_charged_beyond_cost_is_a_component_of_its_own(built):
    charged = asked(
        built,
        "select usage_date, team, cost_centre, component, sum(charged_cost) from finance.fct_chargeback_days where bucket = 'allocated'"
        " group by all order by all",
    )
    assert charged == [
        (FIRST, "a", "CC-1", "Storage", D("5")),
        (FIRST, "a", "CC-1", "gpu", D("4")),
        # 2 GPU-hours of a billed node at 2.50, 2 million tokens at 1.50, a tenth of the storage
        (FIRST, "a", "CC-1", "markup", D("1") + D("1") + D("0.5")),
        (FIRST, "a", "CC-1", "tokens_vendor", D("2")),
        (FIRST, "b", "CC-2", "Networking", D("3")),
        (FIRST, "b", "CC-2", "Tax", D("2")),
        (FIRST, "b", "CC-2", "gpu", D("2")),
        (FIRST, "b", "CC-2", "markup", D("0.5")),
        (SECOND, "a", "CC-1", "gpu", D("4")),
    ]


def test_the_margin_is_its_account_and_everything_balances(built):
    accounts = dict(asked(built, "select account, sum(posted_cost) from ledger.postings group by 1"))
    assert accounts["margin"] == D("-3") and sum(accounts.values()) == 0
    assert asked(built, "select distinct reason from ledger.postings where component = 'markup' or account = 'margin'") == [("markup",)]
    assert asked(built, "select team, rule, basis, posted_cost from ledger.postings where component = 'markup' order by all") == [
        ("a", "internal_prices/Storage", "billed", D("0.5")),
        ("a", "internal_prices/gpu", "billed", D("1")),
        ("a", "internal_prices/tokens_vendor", "estimated", D("1")),
        ("b", "internal_prices/gpu", "billed", D("0.5")),
    ]
    # what the models compute is cost; the bridge to the bill knows no markup
    assert asked(built, "select sum(charged_cost) from intermediate.int_chargeback") == [(D("24"),)]


def test_what_has_no_internal_price_is_listed(built):
    assert asked(
        built,
        "select usage_date, team, component, quantity, charged_cost, internal_cost, unpriced_reason from finance.fct_internal_charges order by 2, 3",
    ) == [
        (FIRST, "a", "Storage", None, D("5"), D("5.5"), None),
        (FIRST, "a", "gpu", 2.0, D("4"), D("5"), None),
        (FIRST, "a", "tokens_vendor", 2.0, D("2"), D("3"), None),
        (FIRST, "b", "Networking", None, D("3"), None, "no internal price"),
        (FIRST, "b", "gpu", 1.0, D("2"), D("2.5"), None),
    ]


def test_budgets_are_held_to_what_is_charged(built):
    found = asked(
        built,
        "select scope, scope_value, owner, budget_amount, charged_cost, estimated_cost, remaining_amount, used_ratio from finance.fct_budgets"
        " order by all",
    )
    assert found == [
        # cost without markup, whole though in force for half the month
        ("all", None, "head of platform", D("100"), D("24"), D("2"), D("76"), 0.24),
        # no rate from its currency: the amount is not known, the charge is
        ("cost_centre", "CC-2", None, None, D("7.5"), D("0"), None, None),
        ("provider", "Nimbus", None, D("44"), D("22"), D("0"), D("22"), 0.5),
        # with markup, the part whose bill is not in among it
        ("team", "A", "lead of a", D("20"), D("17.5"), D("3"), D("2.5"), 0.875),
        ("team", "c", None, D("1"), D("0"), D("0"), D("1"), 0.0),
    ]


def test_the_journal_has_the_margin(built, tmp_path):
    out = tmp_path / "journal.csv"
    done = CliRunner().invoke(app, ["export", "journal", "--period", "2026-09", "--out", str(out), "--workspace", str(built.root)])
    assert done.exit_code == 0, done.output
    assert "2026-09 is not closed" in done.output and "the built-in ones" in done.output
    with out.open(newline="") as content:
        lines = list(csv.DictReader(content))
    side = [(one["account_code"], one["cost_centre"], one["debit_amount"], one["credit_amount"]) for one in lines]
    assert {("6900", "CC-1", "1.50", ""), ("6900", "CC-2", "0.50", ""), ("7000", "", "", "2.00")} <= set(side)
    assert sum(D(one["debit_amount"] or 0) - D(one["credit_amount"] or 0) for one in lines) == 0
    balance = CliRunner().invoke(app, ["trial-balance", "--period", "2026-09", "--format", "csv", "--workspace", str(built.root)])
    assert balance.exit_code == 0, balance.output
    rows = list(csv.DictReader(balance.output.splitlines()))
    published = asked(built, "select account, sum(balance_cost) from finance.fct_trial_balance group by 1")
    assert {account: sum(D(row["balance_cost"]) for row in rows if row["account"] == account) for account, _ in published} == dict(
        published
    )


def test_another_price_posts_the_difference_alone(built):
    (built.config / "internal_prices.csv").write_text(LIST.format("3.00"))
    pipeline.build(built, tell=quiet)
    pipeline.check(built, tell=quiet)
    assert pipeline.post(built, tell=quiet).by_reason == {"markup": D("1.5")}
    assert pipeline.post(built, tell=quiet).postings == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("gpu,,,hour,2,USD,,", "is not one of 'gpu_hour'"),
        ("gpu,,,gpu_hour,-2,USD,,", "is negative"),
        ("gpu,,,gpu_hour,2.1234567,USD,,", "more than 6 decimals"),
        ("gpu,,,gpu_hour,1000000,USD,,", "not below a million"),
        ("Storage,,,gpu_hour,2,USD,,", "has no GPU-hours"),
        ("gpu,,,million_tokens,2,USD,,", "has no tokens"),
        ("gpu,,nova,gpu_hour,2,USD,,", "is of no model"),
        ("tokens_vendor,H100,,million_tokens,2,USD,,", "tokens are of no GPU"),
        ("gpu,,,percent,-101,,,", "more than the cost"),
        ("gpu,,,gpu_hour,2,,,", "currency code"),
        ("gpu,,,gpu_hour,2,EUR,,", "'EUR' is not USD, in which teams are charged"),
    ],
)
def test_prices_that_cannot_be_used_are_refused(tmp_path, row, said):
    made = write_workspace(tmp_path, settings_of("bill"), {"config/internal_prices.csv": f"{PRICES}{row}\n"})
    with made.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError, match=r"internal_prices\.csv, row 1, column") as refused:
            config.load(made, db, tell=quiet)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("chargeback_basis,markdown,,", "is one of cost, markup, price_list"),
        ("chargeback_mode,none,,", "is one of chargeback, showback"),
        ("showback_cost_centre,,,", "is missing"),
    ],
)
def test_policies_that_cannot_be_used_are_refused(tmp_path, row, said):
    made = write_workspace(tmp_path, settings_of("bill"), {"config/policies.csv": f"policy,value,valid_from,valid_to\n{row}\n"})
    with made.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError, match=r"policies\.csv, row 1, column value") as refused:
            config.load(made, db, tell=quiet)
    assert said in str(refused.value)


def test_another_mapping_of_accounts_computes_nothing_again(tmp_path):
    header = "account,account_code,account_name,valid_from,valid_to\n"
    made = write_workspace(tmp_path, settings_of("bill"), {"config/accounts.csv": f"{header}cost,6000,Cost,,\n"})
    with made.connect() as db:
        schema.ensure(db)
        before = config.load(made, db, tell=quiet)
        (made.config / "accounts.csv").write_text(f"{header}cost,6001,Cost,,\n")
        assert config.load(made, db, tell=quiet) == before
        (made.config / "internal_prices.csv").write_text(f"{PRICES}gpu,,,percent,5,,,\n")
        assert config.load(made, db, tell=quiet) != before
