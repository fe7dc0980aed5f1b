"""From statement lines and postings down to bill rows and telemetry, and from invoices and bill rows up to who pays, on the sample month."""

import os
import shutil
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from tests.finance.statements import state
from tests.finance.trees import amount, labels, levels_that_add_up, printed
from tollbook import cli
from tollbook.errors import TollbookError
from tollbook.explain import bills
from tollbook.explain import ledger as explaining
from tollbook.finance import freeze, ledger, opening, periods, tables
from tollbook.workspace import Workspace

REPO = Path(__file__).resolve().parents[2]
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
CLOUD, VENDOR, OWN = (f"landing/{name}/2026-09.csv" for name in ("cloud_bill", "vendor_bill", "onprem_ledger"))


def tollbook(*arguments, workspace):
    return subprocess.run(
        [sys.executable, "-m", "tollbook.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=REPO,
        env=os.environ | {"TOLLBOOK_WORKSPACE": str(workspace), "COLUMNS": "300"},
        check=False,
    )


def built(root):
    assert tollbook("init", root, "--sample", workspace=root).returncode == 0
    done = tollbook("run", workspace=root)
    assert done.returncode == 0, done.stdout + done.stderr


def close(workspace, period):
    """Freeze a month, record the close, and state it as it was known then."""
    with workspace.connect() as db:
        tables.ensure(db)
        moment = ledger.next_moment(db)
        folder = workspace.closed / f"{period:%Y-%m}"
        freeze.freeze(db, period, moment, "USD", folder)
        periods.record(db, period, "closed", moment, "A. Person", "month end", freeze.content_hash(folder), folder.name)
        state(db, period, moment)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """The sample month, posted, closed and stated; what is published names the statements."""
    root = tmp_path_factory.mktemp("closed") / "workspace"
    built(root)
    workspace = Workspace.open(root)
    close(workspace, SEPTEMBER)
    with duckdb.connect(str(workspace.published_db)) as db:
        db.execute(f"attach '{workspace.warehouse}' as warehouse (read_only)")
        db.execute("create or replace table finance.fct_statements as from warehouse.ledger.statements")
    return workspace


@pytest.fixture(scope="module")
def changed(closed, tmp_path_factory):
    """After the close: a newer bill gives research's storage to search, a rule gives assistant's network to search, idle hours are shared out."""
    root = tmp_path_factory.mktemp("changed") / "workspace"
    shutil.copytree(closed.root, root)
    workspace = Workspace.open(root)
    with workspace.connect() as db:
        db.execute(CORRECTED)
        ledger.post(db, "second-run")
        db.execute(RULED)
        ledger.post(db, "third-run")
        db.execute(SHARED_OUT)
        ledger.post(db, "fourth-run")
        db.begin()
        ledger.append(db, "by-hand", ledger.next_moment(db), ACCRUED)
        db.commit()
        state(db, OCTOBER, ledger.next_moment(db))
    return workspace


# 1.00 a day for ten days, as if the models had read a newer delivery of the bill
CORRECTED = """
update intermediate.int_ledger__charges set charged_cost = charged_cost + if(team = 'search', 1, -1)
where component = 'Storage' and team in ('search', 'research') and usage_date <= date '2026-09-10';
update intermediate.int_costs__detailed set charged_cost = charged_cost + if(team = 'search', 1, -1)
where component = 'Storage' and team in ('search', 'research') and usage_date <= date '2026-09-10';
insert into meta.deliveries select * replace ('feedbeef00000001' as delivery_id, now()::timestamp as loaded_at)
from meta.deliveries where source_name = 'cloud_bill' and is_current;
update meta.deliveries set is_current = false where source_name = 'cloud_bill' and delivery_id <> 'feedbeef00000001';
insert into meta.delivery_days select 'cloud_bill', 'feedbeef00000001', unnest(generate_series(date '2026-09-01', date '2026-09-10', interval 1 day))::date;
update finance.fct_charges set delivery_id = 'feedbeef00000001', reporting_effective_cost = reporting_effective_cost + if(file_row = 124, 10, -10)
where source_name = 'cloud_bill' and file_row in (123, 124);
insert into meta.unposted_days select distinct usage_date from meta.delivery_days where delivery_id = 'feedbeef00000001';
"""
RULED = """
update intermediate.int_ledger__charges set team = 'search', cost_centre = 'CC-200', rule = 'owners/tag-team@2'
where component = 'Networking' and usage_date = date '2026-09-20';
update intermediate.int_costs__detailed set team = 'search', cost_centre = 'CC-200', rule = 'owners/tag-team@2'
where component = 'Networking' and usage_date = date '2026-09-20';
insert into meta.rule_versions select * replace (2 as rule_version, '{"team":"search"}' as content, date '2026-09-20' as in_force_from)
from meta.rule_versions where table_name = 'owners' and rule_key = 'tag-team';
update meta.build_state set config_hash = 'other-rules';
insert into meta.unposted_days values (date '2026-09-20');
"""
# idle hours of a day on gpu-node-1: three quarters to search, a quarter to research
SHARED_OUT = """
create temp table entries as
select given.*, entry, team, cost_centre, bucket, part from (
    select usage_date, usage_period, billing_period, source_name, billed_by, basis, cluster, pool, node, currency_code, sum(charged_cost) as pool_cost
    from intermediate.int_costs__detailed where bucket = 'idle' and node = 'gpu-node-1' and usage_date = date '2026-09-11' group by all
) as given, (values ('received', 'search', 'CC-200', 'allocated', 3), ('received', 'research', 'CC-100', 'allocated', 1), ('negating', 'idle', null, 'idle', -4))
    as parts (entry, team, cost_centre, bucket, part);
insert into finance.fct_shared_costs by name select * exclude (part), 1 as step, 'idle-node' as rule_id, 1 as rule_version, 'idle' as shared_cost_of, 'node' as within,
    'by_use' as method, 'by_use_within_node' as allocated_method_id, 'idle' as from_bucket, 'idle' as from_team, 'shared: idle' as component, part / 4 as share_ratio,
    (pool_cost * part * 0.25)::decimal(38, 12) as moved_cost from entries;
insert into intermediate.int_ledger__charges by name select usage_date, usage_period, billing_period, source_name, billed_by, basis, currency_code, team,
    cost_centre, bucket, 'shared: idle' as component, 'cost_sharing/idle-node@1' as rule, (pool_cost * part * 0.25)::decimal(38, 12) as charged_cost
from entries;
insert into meta.unposted_days values (date '2026-09-11');
"""
KEYS = ", ".join(f"{name}::{kind} as {name}" for name, kind in tables.KEYS.items())
SAID = ("account", "usage_date", "bucket", "team", "cost_centre", "currency_code")
# what is expected and not billed yet, by hand
ACCRUED = f"""
select date '2026-10-01' as accounting_period, 'accrual' as reason, {KEYS}, posted_cost
from (
    select {", ".join(f"null as {name}" for name in tables.KEYS if name not in SAID)}, date '2026-10-01' as usage_date, 'USD' as currency_code, *
    from (values ('cost', 'allocated', 'search', 'CC-200', 5.5::decimal(38, 12)), ('accrual', null, null, null, -5.5))
        as sides (account, bucket, team, cost_centre, posted_cost)
)
"""


def explained(workspace, statement, line=None):
    with workspace.connect(read_only=True) as db:
        return explaining.statement(db, workspace.closed, statement, line)


def line_of(workspace, statement, where):
    with workspace.connect(read_only=True) as db:
        rows = db.execute(f"select line_number from ledger.statement_lines where statement_id = '{statement}' and {where}").fetchall()
    assert len(rows) == 1, rows
    return rows[0][0]


def test_every_line_of_every_statement_is_explained_to_its_last_digit(closed):
    with closed.connect(read_only=True) as db:
        lines = db.execute(
            "select statement_id, line_number, lines.charged_cost, recipient_kind from ledger.statement_lines as lines"
            " inner join ledger.statements using (statement_id)"
        ).fetchall()
        trees = [(cost, explaining.statement(db, closed.closed, name, number)) for name, number, cost, _ in lines]
    assert sum(cost for _, _, cost, kind in lines if kind != "tenant") == Decimal(30516)
    assert sum(cost for _, _, cost, kind in lines if kind == "tenant") == Decimal(4320 + 756)
    for cost, tree in trees:
        assert amount(str(tree.children[0].label)) == cost
        assert levels_that_add_up(tree) >= 5
        said = printed(tree)
        assert "as kept in closed/2026-09" in said and " row " in said and "content " in said
        assert not [word for word in ("not in what is kept", "no bill row that says so", "not told apart", "not among") if word in said]


def test_a_statement_lists_its_lines(closed):
    tree = explained(closed, "2026-09/CC-200/1")
    assert str(tree.label).startswith("[bold]statement 2026-09/CC-200/1: 6,159.30 USD[/]")
    assert sum(amount(str(line.label)) for line in tree.children) == Decimal("6159.3")


def test_a_line_reaches_the_pod_and_the_rows_of_its_node(closed):
    line = line_of(closed, "2026-09/CC-200/1", "gpu_model = 'H100'")
    said = labels(explained(closed, "2026-09/CC-200/1", line))
    assert "embed · 480 GPU-h · 2026-09-01 00:00 to 2026-09-21 00:00 · telemetry: landing/k8s/2026-09.csv row 5: 1,440.00 USD" in said
    assert "bill rows: 11,520.00 USD = this 1,440.00 USD + other payers, days or digits 10,080.00 USD" in said
    assert f"{CLOUD} row 20 · 8 x H100 node, per hour · 2026-09-20 00:00 to 2026-09-21 00:00: 576.00 USD" in said


def test_what_was_kept_does_not_follow_the_models(changed):
    line = line_of(changed, "2026-09/CC-200/1", "component = 'Storage'")
    said = labels(explained(changed, "2026-09/CC-200/1", line))
    assert "allocated, as kept in closed/2026-09: 90.00 USD" in said and "bill rows: 90.00 USD" in said


def test_a_correction_shows_what_was_posted_before_and_the_delivery(changed):
    line = line_of(changed, "2026-10/CC-200/1", "component = 'Storage'")
    tree = explained(changed, "2026-10/CC-200/1", line)
    said = labels(tree)
    assert levels_that_add_up(tree) >= 5
    assert (
        f"line {line} · adjustments · 2026-09 · Nimbus Cloud · Storage · Nimbus Object Storage · production · correction: 10.00 USD" in said
    )
    assert "allocated, as the models say now: 40.00 USD" in said and "less what was posted of it otherwise: -30.00 USD" in said
    assert "bill rows: 100.00 USD = this 40.00 USD + other payers, days or digits 60.00 USD" in said
    assert "why (correction), run second-run: 10.00 USD" in said
    arrived = next(label for label in said if label.startswith("delivered: cloud_bill"))
    assert "content feedbeef00000001" in arrived and "in place of content 8f3c77053e8d1d8b" in arrived


def test_a_rule_change_shows_the_version_and_what_it_says(changed):
    line = line_of(changed, "2026-10/CC-200/1", "component = 'Networking'")
    said = labels(explained(changed, "2026-10/CC-200/1", line))
    assert 'decided by owners/tag-team@2 ({"team":"search"}, in force from 2026-09-20): 2.00 USD' in said
    assert any(label.startswith("rules changed between the runs:") for label in said)
    assert any(label.startswith("no delivery for these days was loaded") for label in said)
    gone = explained(changed, "2026-10/CC-300/1", line_of(changed, "2026-10/CC-300/1", "component = 'Networking'"))
    assert levels_that_add_up(gone) >= 3
    assert "less what was posted of it otherwise: -2.00 USD" in labels(gone)


def test_a_shared_cost_shows_rule_ratio_and_the_givers_bills(changed):
    tree = explained(changed, "2026-10/CC-200/1", line_of(changed, "2026-10/CC-200/1", "component = 'shared: idle'"))
    said = labels(tree)
    assert levels_that_add_up(tree) >= 6
    (moved,) = [label for label in said if "cost_sharing/idle-node@1 (step 1)" in label and "received" in label]
    assert moved.startswith("75.000000% received of 48.00 USD of idle in gpu-node-1") and moved.endswith(": 36.00 USD")
    assert (
        "what idle had there: 48.00 USD" in said
        and "bill rows: 576.00 USD = this 48.00 USD + other payers, days or digits 528.00 USD" in said
    )


def test_a_correction_of_a_month_closed_since_is_explained_by_what_was_kept(changed, tmp_path):
    shutil.copytree(changed.root, tmp_path / "workspace")
    workspace = Workspace.open(tmp_path / "workspace")
    with workspace.connect() as db:
        db.execute("delete from ledger.statements where accounting_period = date '2026-10-01'")
        db.execute("delete from ledger.statement_lines where starts_with(statement_id, '2026-10')")
    close(workspace, OCTOBER)
    with workspace.connect() as db:
        db.execute("update intermediate.int_costs__detailed set charged_cost = 0 where component = 'Storage'")
    tree = explained(workspace, "2026-10/CC-200/1", line_of(workspace, "2026-10/CC-200/1", "component = 'Storage'"))
    assert "allocated, as kept in closed/2026-10: 40.00 USD" in labels(tree) and levels_that_add_up(tree) >= 5


def test_an_accrual_by_hand_is_named_as_such(changed):
    tree = explained(changed, "2026-10/CC-200/1", line_of(changed, "2026-10/CC-200/1", "component is null and section = 'adjustments'"))
    assert "accrual, on no bill: 5.50 USD" in labels(tree) and levels_that_add_up(tree) == 4
    assert not [label for label in labels(tree) if label.startswith("allocated")]


def test_postings_say_what_the_models_said_and_the_ledger_held(changed):
    with changed.connect(read_only=True) as db:
        numbers = [
            row[0]
            for row in db.execute("select min(posting_id) from ledger.postings group by run_id, account, reason, component").fetchall()
        ]
        trees = [explaining.posting(db, changed.closed, number) for number in numbers]
        (storage,) = db.execute(
            "select posting_id from ledger.postings where run_id = 'second-run' and team = 'search' and usage_date = date '2026-09-03'"
        ).fetchone()
        tree = explaining.posting(db, changed.closed, storage)
    assert "the models said 4.00 USD, the ledger held 3.00 USD" in labels(tree)
    assert {str(tree.label).split(" · ")[1].split()[1] for tree in trees} >= {"cost", "tax", "clearing", "bridge", "prepaid", "own_ledger"}
    assert sum(levels_that_add_up(tree) for tree in trees) > 2 * len(trees)


def test_bills_and_postings_join_without_loss(closed):
    bill = "source_name, billed_by, billing_period"
    with closed.connect(read_only=True) as db:
        charged = db.execute(
            f"select {bill}, charges.cost, postings.cost from (select {bill}, sum(reporting_effective_cost) as cost from finance.fct_charges group by all)"
            f" as charges full join (select {bill}, sum(posted_cost) as cost from finance.fct_postings where bucket is not null group by all)"
            f" as postings using ({bill}) order by 1"
        ).fetchall()
        days = db.execute(
            f"select count(*), count(*) filter (charges.cost is distinct from postings.cost) from (select {bill}, charge_date as usage_date,"
            " sum(reporting_billed_cost) as cost from finance.fct_charges where source_name <> 'onprem_ledger' group by all"
            f" having cost <> 0) as charges full join (select {bill}, usage_date, -sum(posted_cost) as cost from finance.fct_postings"
            f" where account = 'clearing' group by all) as postings using ({bill}, usage_date)"
        ).fetchone()
        uncovered = db.execute(
            f"select count(*), count(*) filter (not exists (select 1 from finance.fct_charges as charges where ({bill.replace('s', 'charges.s', 1)}) = "
            f"(postings.source_name, postings.billed_by, postings.billing_period) and charge_period_start < usage_date + interval 1 day"
            " and charge_period_end > usage_date)) from finance.fct_postings as postings where bucket is not null"
        ).fetchone()
    assert [(row[0], row[3], row[4]) for row in charged] == [
        ("cloud_bill", Decimal(22560), Decimal(22560)),
        ("onprem_ledger", Decimal(7200), Decimal(7200)),
        ("vendor_bill", Decimal(756), Decimal(756)),
    ]
    assert days == (60, 0)
    assert uncovered[0] > 700 and uncovered[1] == 0


def test_an_invoice_is_followed_to_who_pays_and_on_which_statement(closed):
    with duckdb.connect(str(closed.published_db), read_only=True) as db:
        tree = bills.invoice(db, "NC-2026-09", "Nimbus Cloud")
        vendor = bills.invoice(db, "LA-2026-09")
    said = labels(tree)
    assert levels_that_add_up(tree) >= 12 and levels_that_add_up(vendor) >= 8
    assert [str(child.label) for child in tree.children] == [
        "2026-09 · tied: 24,360.00 USD",
        "charged: 22,560.00 USD",
        "owed for it in the ledger (account clearing): 24,360.00 USD",
        "accrues: 22,560.00 USD",
        "who pays, all 141 rows of bill cloud_bill, Nimbus Cloud, 2026-09: 22,560.00 USD",
    ]
    assert "CC-200 · search, 20.8245%: 4,698.00 USD" in said and "statement 2026-09/CC-200/1 · gpu · usage: 2,448.00 USD" in said
    assert not [label for label in said if "not stated" in label or "not posted" in label]


def test_a_month_settled_before_the_ledger_began_is_explained_as_such(closed, tmp_path):
    workspace = Workspace.open(shutil.copytree(closed.root, tmp_path / "workspace"))
    with workspace.connect() as db:
        db.execute("delete from ledger.period_events; delete from ledger.statements")
    opening.settle(workspace, SEPTEMBER, "A. Person", tell=lambda _: None)
    with workspace.connect() as db:
        (number,) = db.execute(
            "select max(posting_id) from ledger.postings where bucket = 'allocated' and source_name = 'cloud_bill'"
        ).fetchone()
        told = printed(explaining.posting(db, workspace.closed, number))
        with pytest.raises(TollbookError, match="no statement `2026-09/CC-200/1` was issued; 2026-09 was settled before the ledger began"):
            explaining.statement(db, workspace.closed, "2026-09/CC-200/1")
        with pytest.raises(TollbookError, match="lists them"):
            explaining.statement(db, workspace.closed, "2026-10/CC-200/1")
    assert "2026-09 was settled before the ledger began: nothing was kept of it" in told and "allocated, as the models say now" in told
    with duckdb.connect(str(workspace.published_db)) as db:
        db.execute(f"attach '{workspace.warehouse}' as warehouse (read_only)")
        for name in ("fct_statements", "dim_accounting_periods"):
            db.execute(
                f"create or replace table finance.{name} as from warehouse.{'ledger.statements' if name == 'fct_statements' else 'finance.' + name}"
            )
        told = printed(bills.invoice(db, "LA-2026-09"))
    assert "in 2026-09, settled before the ledger began" in told and "not stated yet" not in told


def test_an_invoice_that_is_part_of_a_bill_says_how_far_keys_lead(closed, tmp_path):
    shutil.copy(closed.published_db, tmp_path / "marts.duckdb")
    with duckdb.connect(str(tmp_path / "marts.duckdb")) as db:
        # storage of two teams, one with more digits than the ledger has, and ten days of the big node
        db.execute(
            "update finance.fct_charges set reporting_effective_cost = reporting_effective_cost + 0.0000000000000001 where source_name = 'cloud_bill'"
            " and file_row = 124"
        )
        db.execute(
            "update finance.fct_charges set invoice_id = 'NC-B' where source_name = 'cloud_bill' and (file_row <= 10 or file_row in (123, 124))"
        )
        db.execute(
            "insert into finance.fct_invoice_tie_out by name select * replace ('NC-B' as invoice_id, 6060 as invoiced_cost, 6060 as lines_cost)"
            " from finance.fct_invoice_tie_out where invoice_id = 'NC-2026-09'"
        )
        tree = bills.invoice(db, "NC-B")
    said = labels(tree)
    assert levels_that_add_up(tree) >= 10
    assert "who pays, 12 of 141 rows of bill cloud_bill, Nimbus Cloud, 2026-09: 6,060.0000000000000001 USD" in said
    assert "charged as they are: 300.00 USD" in said and "search · Storage: 90.00 USD" in said and "research · Storage: 210.00 USD" in said
    assert "shared before it is charged: 5,760.0000000000000001 USD" in said
    assert any(
        label.startswith("keys lead from here to the bill only") and label.endswith("who pays that: 20,736.0000000000000001 USD")
        for label in said
    )


@pytest.mark.parametrize(
    ("source", "file", "row", "wanted"),
    [
        ("cloud_bill", CLOUD, 1, ["idle · idle: 336.00 USD", "search · embed: 72.00 USD", "CC-300 · assistant, 33.3333%: 48.00 USD"]),
        ("cloud_bill", CLOUD, 124, ["CC-200 · search, 100.0000%: 90.00 USD", "statement 2026-09/CC-200/1 · Storage · usage: 90.00 USD"]),
        ("vendor_bill", VENDOR, 3, ["CC-300 · assistant, 57.1429%: 14.40 USD"]),
        ("onprem_ledger", OWN, 2, ["search · reindex: 432.00 USD"]),
        ("cloud_bill", CLOUD, 122, ["unused_commitment (nobody pays), 100.0000%: 60.00 USD"]),
    ],
)
def test_a_bill_row_is_followed_to_who_pays(closed, source, file, row, wanted):
    with duckdb.connect(str(closed.published_db), read_only=True) as db:
        tree = bills.bill_line(db, file, row, source)
    assert levels_that_add_up(tree) >= 1
    assert [label for label in wanted if label not in labels(tree)] == []
    assert any(label.startswith("delivered: landing/") for label in labels(tree))


def test_every_kind_of_bill_row_is_paid_for_by_somebody(closed):
    with duckdb.connect(str(closed.published_db), read_only=True) as db:
        rows = db.execute(
            "select any_value(source_name), min(file_name), min(file_row) from finance.fct_charges"
            " group by source_name, resource_id, model, charge_category, service_name, team, commitment_discount_status order by all"
        ).fetchall()
        trees = [bills.bill_line(db, file, row, source) for source, file, row in rows]
    assert len(trees) == 19
    assert sum(levels_that_add_up(tree) for tree in trees) >= len(trees)
    assert [label for tree in trees for label in labels(tree) if "not posted yet" in label or "without a listed node" in label] == []


def test_the_commands_print_and_refuse(closed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TOLLBOOK_WORKSPACE", str(closed.root))
    said = CliRunner().invoke(cli.app, ["explain", "statement", "2026-09/CC-200/1", "1"])
    assert said.exit_code == 0 and "made of: 184.50 USD" in said.stdout and f"{VENDOR} row 3" in said.stdout
    said = CliRunner().invoke(cli.app, ["explain", "invoice", "LA-2026-09", "--line", f"{VENDOR}:3"])
    assert said.exit_code == 0 and "this row is 59.523810% of it: 25.20 USD" in said.stdout
    for arguments, wrong in (
        (["statement", "2026-09/CC-1/1"], "no statement `2026-09/CC-1/1` was issued"),
        (["statement", "2026-09/CC-200/1", "99"], "has no line 99"),
        (["posting", "0"], "no posting 0 was made"),
        (["invoice", "gone"], "no invoice `gone` is published"),
        (["invoice", "LA-2026-09", "--line", "row"], "give FILE:ROW"),
        (["bill-line", "cloud_bill", "gone.csv", "1"], "no bill row 1 of `gone.csv` is published"),
    ):
        refused = CliRunner().invoke(cli.app, ["explain", *arguments])
        assert isinstance(refused.exception, TollbookError) and wrong in str(refused.exception)


def test_a_month_that_was_changed_since_its_close_is_refused(closed, tmp_path):
    shutil.copytree(closed.closed, tmp_path / "closed")
    (tmp_path / "closed" / "2026-09" / "charges.parquet").write_bytes(b"")
    with closed.connect(read_only=True) as db, pytest.raises(TollbookError, match="changed since it was written"):
        explaining.statement(db, tmp_path / "closed", "2026-09/CC-200/1", 1)
