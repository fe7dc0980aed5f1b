"""Statements in currencies whose coins are no hundredths: dinars have three decimals, yen none."""

import json
from decimal import Decimal

import openpyxl
import pypdf
import pytest
from typer.testing import CliRunner

from tests.statement_months import AUGUST, SEPTEMBER, add, charge, close, month_of
from tests.workspaces import quiet
from tollbook.cli import app
from tollbook.errors import TollbookError
from tollbook.explain import ledger as explain
from tollbook.finance import disputes, freeze, moments, statements

IDLE = {"team": "idle", "cost_centre": None, "bucket": "idle"}


def issue(workspace, folder, **options):
    options = {"pdf": False, "tell": quiet} | options
    return {one.recipient: one for one in statements.issue(workspace, SEPTEMBER, folder, workspace.root / "out", **options)}


def recorded(workspace):
    with workspace.connect() as db:
        stated = db.execute("select recipient, stated_amount from ledger.statements").fetchall()
        lines = db.execute(
            "select stated_amount from ledger.statement_lines where statement_id = '2026-09/CC-A/1' order by line_number"
        ).fetchall()
    return dict(stated), [amount for (amount,) in lines]


@pytest.fixture
def dinars(tmp_path):
    """160.4449 KWD: CC-A 100.3335 of 50 GPU-hours (80 of 40 in August) and 0.0004 beside, b 50.1111, idle 9.9999; and what is planned."""
    charges = [
        charge("100.3335", component="gpu", gpu_model="H100"),
        charge("0.0004", component="tokens_vendor", model="lumen"),
        charge("50.1111", team="b", cost_centre=None),
        charge("9.9999", **IDLE),
        charge("80", AUGUST, component="gpu", gpu_model="H100"),
    ]
    month = month_of(tmp_path, charges, currency="KWD")
    for day, hours in ((AUGUST, 40.0), (SEPTEMBER, 50.0)):
        add(month, "engineering.fct_gpu_hours", usage_date=day, team="a", cost_centre="CC-A", is_held=True, gpu_model="H100",
            held_gpu_hours=hours, gpu_hours=hours, allocated_cost=Decimal("100.3335"))  # fmt: skip
    add(month, "config.budgets", scope="cost_centre", scope_value="CC-A", amount_per_month=Decimal("120.5"), currency="KWD")
    return month


def test_dinars_are_stated_in_thousandths(dinars):
    found = issue(dinars, close(dinars))
    # 160.4449 is 160.445; 100.333, 50.111 and 9.999 are whole, and the two thousandths left go to those who lost 0.0009
    assert {name: one.content["stated_amount"] for name, one in found.items()} == {"CC-A": "100.334", "b": "50.111", "idle": "10.000"}
    content = found["CC-A"].content
    # its own thousandth goes to the line that lost 0.0005
    assert [row["stated_amount"] for row in content["lines"]] == ["100.334", "0.000"]
    assert (content["stated_before"], found["b"].content["stated_before"], content["digits"]) == ("80.000", "0.000", 3)
    # ten hours more at 2.000 each; the rest is the rate
    (gpu,) = [row for row in content["changes"] if row["component"] == "gpu"]
    assert (gpu["volume_amount"], gpu["rate_amount"]) == ("20.000", "0.334")
    assert recorded(dinars) == (
        {"CC-A": Decimal("100.334"), "b": Decimal("50.111"), "idle": Decimal(10)}, [Decimal("100.334"), Decimal(0)],
    )  # fmt: skip


def test_dinars_are_shown_with_three_decimals(dinars):
    (one,) = issue(dinars, close(dinars), pdf=True, recipients=["CC-A"]).values()
    book = openpyxl.load_workbook(one.files[0])
    seen = {(cell.value, cell.number_format) for sheet in book for row in sheet.iter_rows() for cell in row}
    money = "[$KWD-409]#,##0.000"
    assert {(100.334, money), (80, money), (20.334, money), (0.334, money), (120.5, "#,##0.000")} <= seen
    # hours have two, as they always had
    assert (50, "#,##0.00") in seen
    text = "".join(page.extract_text() for page in pypdf.PdfReader(one.files[1]).pages)
    assert "100.334" in text and "20.334" in text and "120.500" in text and "100.33 " not in text


def test_the_commands_say_thousandths(dinars):
    close(dinars)
    done = CliRunner().invoke(app, ["statements", "2026-09", "-w", str(dinars.root), "--no-pdf"])
    assert done.exit_code == 0, done.output
    assert "160.445 KWD charged; 3 statements" in done.output and " 100.334 " in done.output
    with dinars.connect() as db:
        assert "stated 100.334 KWD" in explain.statement(db, dinars.closed, "2026-09/CC-A/1").label


def test_thousandths_of_a_dinar_are_disputed(dinars):
    issue(dinars, close(dinars))
    told = []
    said = {"by": "a", "note": "not ours", "tell": told.append}
    with pytest.raises(TollbookError, match=r"`0\.1234` is no amount in line 1 of 2026-09/CC-A/1: write it as 12\.340"):
        disputes.raise_dispute(dinars, "2026-09/CC-A/1", 1, amount="0.1234", **said)
    disputes.raise_dispute(dinars, "2026-09/CC-A/1", 1, amount="0.123", **said)
    assert told == ["D-1: 0.123 of line 1 of 2026-09/CC-A/1 is disputed by a"]
    with dinars.connect() as db:
        listed = disputes.listed(db, moments.now(db).at)
    assert listed[0]["disputed_amount"] == Decimal("0.123")
    assert "0.123 KWD" in disputes.table(listed).rows[0].cells


def test_yen_are_whole(tmp_path):
    month = month_of(
        tmp_path,
        [charge("1000.4"), charge("0.4", component="b"), charge("0.4", component="c"), charge("2.6", team="b", cost_centre=None),
         charge("0.5", **IDLE), charge("7.5", AUGUST)],
        currency="JPY",
    )  # fmt: skip
    add(month, "config.budgets", scope="cost_centre", scope_value="CC-A", amount_per_month=Decimal(900), currency="JPY")
    found = issue(month, close(month), recipients=["CC-A", "b", "idle"])
    # 1004.3 is 1004; 1001, 2 and 0 are whole, and the yen left goes to 2.6
    assert {name: one.content["stated_amount"] for name, one in found.items()} == {"CC-A": "1001", "b": "3", "idle": "0"}
    # of three equal remainders the smallest amounts go first, of those the first line
    assert [row["stated_amount"] for row in found["CC-A"].content["lines"]] == ["1000", "1", "0"]
    assert (found["CC-A"].content["stated_before"], found["b"].content["stated_before"]) == ("8", "0")
    assert recorded(month) == ({"CC-A": Decimal(1001), "b": Decimal(3), "idle": Decimal(0)}, [Decimal(1000), Decimal(1), Decimal(0)])
    book = openpyxl.load_workbook(found["CC-A"].files[0])
    seen = {(cell.value, cell.number_format) for sheet in book for row in sheet.iter_rows() for cell in row}
    assert {(1001, "[$¥-409]#,##0"), (900, "#,##0")} <= seen
    with pytest.raises(TollbookError, match=r"`0\.5` is no amount in line 1 of 2026-09/CC-A/1: write it as 12\."):
        disputes.raise_dispute(month, "2026-09/CC-A/1", 1, by="a", note="not ours", amount="0.5", tell=quiet)


def test_a_budget_keeps_the_decimals_of_its_own_currency(tmp_path):
    month = month_of(tmp_path, [charge("1000")], currency="JPY")
    for amount, currency in ((Decimal(900), "JPY"), (Decimal("12.5"), "USD")):
        add(month, "config.budgets", scope="cost_centre", scope_value="CC-A", amount_per_month=amount, currency=currency)
    book = openpyxl.load_workbook(issue(month, close(month))["CC-A"].files[0])
    assert (12.5, "#,##0.00") in {(cell.value, cell.number_format) for row in book.worksheets[0].iter_rows() for cell in row}


@pytest.mark.parametrize(
    ("currency", "stated", "lines"),
    [
        # 160.4449 is 160.44; the cent left goes to 9.9999
        ("KWD", {"CC-A": "100.33", "b": "50.11", "idle": "10.00"}, ["100.33", "0.00"]),
        # 100 and 50 and 9 are whole, and the yen left goes to 9.9999
        ("JPY", {"CC-A": "100.00", "b": "50.00", "idle": "10.00"}, ["100.00", "0.00"]),
    ],
)
def test_a_month_that_an_earlier_version_froze_is_stated_as_it_was(tmp_path, currency, stated, lines):
    charges = [charge("100.3335"), charge("0.0004", component="x"), charge("50.1111", team="b", cost_centre=None), charge("9.9999", **IDLE)]
    month = month_of(tmp_path, charges, currency=currency)
    folder = close(month)
    manifest = json.loads((folder / freeze.MANIFEST).read_text())
    del manifest["minor_units"]
    (folder / freeze.MANIFEST).write_text(json.dumps(manifest))
    with month.connect() as db:
        db.execute("update ledger.period_events set content_hash = ?", [freeze.content_hash(folder)])
    found = issue(month, folder)
    assert {name: one.content["stated_amount"] for name, one in found.items()} == stated
    assert [row["stated_amount"] for row in found["CC-A"].content["lines"]] == lines
    assert {one.digits for one in found.values()} == {2 if currency == "KWD" else 0}


def test_a_ledger_of_cents_takes_finer_coins_and_keeps_what_it_has(dinars):
    with dinars.connect() as db:
        db.execute("insert into ledger.statements by name select '2026-08/CC-A/1' as statement_id, 80 as stated_amount")
        for table, column in (("statements", "stated_amount"), ("statement_lines", "stated_amount"), ("disputes", "disputed_amount")):
            db.execute(f"alter table ledger.{table} alter column {column} set data type decimal(38, 2)")
        db.execute("update ledger.statements set stated_amount = 12345678901234567890.12")
        db.execute("create view finance.fct_statements as select statement_id, stated_amount from ledger.statements")
        # readers of what was made before have it as it is
        assert db.execute("from finance.fct_statements").fetchall() == [("2026-08/CC-A/1", Decimal("12345678901234567890.12"))]
    issue(dinars, close(dinars))
    with dinars.connect() as db:
        assert dict(db.execute("from finance.fct_statements").fetchall()) == {
            "2026-08/CC-A/1": Decimal("12345678901234567890.12"),
            "2026-09/CC-A/1": Decimal("100.334"),
            "2026-09/b/1": Decimal("50.111"),
            "2026-09/bucket:idle/1": Decimal(10),
        }
        kinds = db.execute(
            "select distinct data_type from duckdb_columns() where schema_name = 'ledger' and column_name in ('stated_amount', 'disputed_amount')"
        ).fetchall()
    assert kinds == [("DECIMAL(38,4)",)]
