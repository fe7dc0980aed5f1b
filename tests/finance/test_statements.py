"""What statements say and that they say it again: sums, versions, hash, adjustments, changes, and what is beside them."""

import json
from datetime import date, datetime
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from tests.statement_months import AUGUST, OCTOBER, SEPTEMBER, add, charge, close, month_of, post, reopen
from tollbook.cli import app
from tollbook.errors import ConfigError, TollbookError
from tollbook.finance import disputes, freeze, statements
from tollbook.finance.statements.issuing import file_name
from tollbook.finance.statements.layout import document_of
from tollbook.finance.statements.wording import Wording
from tollbook.warehouse import config


def issue(workspace, folder, **options):
    options = {"pdf": False, "tell": lambda _: None} | options
    return {one.recipient: one for one in statements.issue(workspace, SEPTEMBER, folder, workspace.root / "out", **options)}


def recorded(workspace, columns="statement_id, content_hash"):
    with workspace.connect() as db:
        return db.execute(f"select {columns} from ledger.statements order by all").fetchall()


@pytest.fixture
def month(tmp_path):
    """Two cost centres, idle cost and a tenant, at amounts that are no whole cents; of the last month, and of months before it."""
    return month_of(
        tmp_path,
        [
            charge("100.335", service_name="Compute", gpu_model="H100", component="gpu", project="train", rule="owners/tag@1"),
            charge("0.005", component="tokens_vendor", model="lumen", tenant="acme", billed_by="Lumen"),
            charge("7.125", component="shared: idle", bucket="allocated"),
            charge("50.111111111111", team="b", cost_centre=None, service_name="Compute"),
            charge("9.999", team="idle", cost_centre=None, bucket="idle", gpu_model="H100", component="gpu"),
            charge("-3.3333", date(2026, 8, 20), accounting_period=SEPTEMBER, reason="correction"),
            charge("2.001", date(2026, 7, 20), accounting_period=SEPTEMBER, reason="late_bill", project="train"),
            charge("-12.5", date(2026, 8, 3), accounting_period=SEPTEMBER, reason="rule_change", team="c", cost_centre="CC-C"),
            charge("80.104", AUGUST, service_name="Compute", gpu_model="H100", component="gpu", project="train"),
            charge("4.2", AUGUST, component="Storage"),
        ],
    )


def test_statements_are_everything_that_is_charged_and_add_up(month):
    found = issue(month, close(month))
    assert [one.recipient_kind for one in found.values()] == ["cost_centre"] * 3 + ["bucket", "tenant"]
    payers = [one for one in found.values() if one.recipient_kind != "tenant"]
    with month.connect() as db:
        (charged,) = db.execute(
            "select sum(posted_cost) from ledger.postings where bucket is not null and accounting_period = '2026-09-01'"
        ).fetchone()
        assert sum(one.charged_cost for one in payers) == charged == Decimal("153.742811111111")
        assert sum(one.stated_amount for one in payers) == Decimal("153.74")
        lines = db.execute(
            "select statement_id, sum(charged_cost), sum(stated_amount), count(*), max(line_number) from ledger.statement_lines group by 1"
        ).fetchall()
    assert {row[0]: row[1:3] for row in lines} == {one.statement_id: (one.charged_cost, one.stated_amount) for one in found.values()}
    assert all(count == last for *_, count, last in lines)
    for one in found.values():
        assert set(one.content["parts"]) == {"summary", "component", "service", "gpu_model", "model", "project"}
        for tables in (*one.content["parts"].values(), one.content["rules"], one.content["invoices"], one.content["lines"]):
            assert sum(Decimal(row["stated_amount"]) for row in tables) == one.stated_amount


def test_what_has_no_name_is_a_named_rest(month):
    parts = issue(month, close(month))["CC-A"].content["parts"]
    named = {(row.get("name"), row.get("rest")): row["charged_cost"] for row in parts["gpu_model"]}
    assert named == {("H100", None): "100.335000000000", (None, "shared"): "7.125000000000", (None, "none"): "-1.327300000000"}
    assert [(row["section"], row.get("reason"), row.get("month")) for row in parts["summary"]] == [
        ("charges", None, None), ("adjustments", "correction", "2026-08-01"), ("adjustments", "late_bill", "2026-07-01"),
    ]  # fmt: skip


def test_a_cost_centre_with_adjustments_only_is_stated_negative(month):
    found = issue(month, close(month))["CC-C"]
    assert (found.stated_amount, found.content["stated_before"]) == (Decimal("-12.50"), "0.00")
    assert [row["section"] for row in found.content["lines"]] == ["adjustments"]
    assert [row["now_amount"] for row in found.content["changes"]] == ["-12.50"]


def test_issuing_again_is_the_same_statement_whatever_was_posted_since(month):
    folder = close(month)
    first = issue(month, folder)
    rows = recorded(month)
    post(month, [charge("1000", date(2026, 10, 2)), charge("55", accounting_period=OCTOBER, reason="late_bill")])
    again = issue(month, folder, locale="de_DE")
    assert {name: one.content_hash for name, one in again.items()} == {name: one.content_hash for name, one in first.items()}
    assert {name: one.statement_id for name, one in again.items()} == {name: one.statement_id for name, one in first.items()}
    assert recorded(month) == rows and len(rows) == 5


def test_a_new_close_makes_the_next_version(month):
    first = issue(month, close(month))
    reopen(month)
    post(month, [charge("0.335", service_name="Compute", gpu_model="H100", component="gpu", project="train")])
    folder = close(month)
    second = issue(month, folder)
    assert (first["CC-A"].statement_id, second["CC-A"].statement_id) == ("2026-09/CC-A/1", "2026-09/CC-A/2")
    assert second["CC-A"].stated_amount - first["CC-A"].stated_amount == Decimal("0.34")
    assert second["idle"].statement_id == "2026-09/bucket:idle/2"
    issue(month, folder)
    assert recorded(month, "recipient, version, folder") == sorted(
        (recipient, version, folder.name if version == 2 else "2026-09") for recipient in first for version in (1, 2)
    )
    # the first can still be issued as it was
    assert issue(month, month.closed / "2026-09")["CC-A"].content_hash == first["CC-A"].content_hash


def test_a_statement_that_would_say_something_else_is_not_issued(month):
    folder = close(month)
    issue(month, folder)
    with month.connect() as db:
        db.execute("update ledger.statements set content_hash = 'other' where recipient = 'CC-A'")
    before = recorded(month)
    with pytest.raises(TollbookError, match="2026-09/CC-A/1 was issued from 2026-09 with content hash other"):
        issue(month, folder)
    assert recorded(month) == before


def test_a_folder_that_was_changed_is_refused(month):
    folder = close(month)
    (folder / "postings.parquet").write_bytes((folder / "postings_before.parquet").read_bytes())
    with pytest.raises(TollbookError, match=r"was changed since it was written: postings\.parquet"):
        issue(month, folder)


def test_only_a_closed_month_is_issued_and_a_draft_is_recorded_nowhere(month):
    with pytest.raises(TollbookError, match="2026-09 is not closed"):
        statements.issue_closed(month, SEPTEMBER)
    with pytest.raises(TollbookError, match="the ledger does not have the newest build"):
        statements.issue_draft(month, SEPTEMBER)
    with month.connect() as db:
        db.execute("insert into meta.build_state values ('2026-10-01', '2026-10-01', 'rules', 'models')")
        db.execute(
            "insert into ledger.runs by name select 'night' as run_id, timestamp '2026-10-01' as recorded_at, built_at from meta.build_state"
        )
    drafts = statements.issue_draft(month, SEPTEMBER, pdf=False)
    assert [one.statement_id for one in drafts][:1] == ["2026-09/CC-A/draft"]
    assert all(file.is_file() for one in drafts for file in one.files)
    assert recorded(month) == [] and not month.closed.exists()
    close(month)
    with pytest.raises(TollbookError, match="2026-09 is closed: its statements are issued, without --draft"):
        statements.issue_draft(month, SEPTEMBER)
    issued = statements.issue_closed(month, SEPTEMBER, pdf=False, recipients=["CC-A"])
    assert [one.files for one in issued] == [[month.statements / "2026-09" / "2026-09_CC-A_v1.xlsx"]]
    assert [row[0] for row in recorded(month)] == ["2026-09/CC-A/1"]
    reopen(month)
    with pytest.raises(TollbookError, match="2026-09 is not closed"):
        statements.issue_closed(month, SEPTEMBER)


def test_the_command_says_what_it_issued(month):
    close(month)
    done = CliRunner().invoke(app, ["statements", "2026-09", "-w", str(month.root), "--no-pdf", "--out", str(month.root / "here")])
    assert done.exit_code == 0, done.output
    assert "153.74 USD charged; 5 statements" in done.output and "2026-09/CC-A/1" in done.output
    assert sorted(file.suffix for file in (month.root / "here").iterdir()) == [".xlsx"] * 5
    assert [row[0] for row in recorded(month)] == sorted(
        f"2026-09/{name}/1" for name in ("CC-A", "CC-C", "b", "bucket:idle", "tenant:acme")
    )


def test_a_month_without_charges_and_a_name_that_nobody_has_are_errors(tmp_path, month):
    folder = close(month)
    with pytest.raises(TollbookError, match=r"nothing is charged to CC-Z in 2026-09\. Charged are: CC-A, CC-C, b, idle, acme"):
        issue(month, folder, recipients=["CC-Z"])
    with pytest.raises(TollbookError, match="keeps 2026-09, not 2026-08"):
        statements.issue(month, AUGUST, folder, tmp_path)
    empty = month_of(tmp_path / "empty", [charge("1", AUGUST)])
    with pytest.raises(TollbookError, match="nothing is charged in 2026-09"):
        issue(empty, close(empty))
    assert recorded(month) == []


def test_a_change_is_quantity_and_rate_to_the_cent(month):
    # August: 80.104 for 40 hours; September: 100.335 for 45 hours and 0.25
    for day, hours in ((AUGUST, 40.0), (SEPTEMBER, 45.0), (date(2026, 9, 30), 0.25)):
        add(month, "engineering.fct_gpu_hours", usage_date=day, team="a", cost_centre="CC-A", is_held=True, gpu_model="H100",
            held_gpu_hours=hours, gpu_hours=hours, allocated_cost=Decimal("33.445"))  # fmt: skip
    content = issue(month, close(month))["CC-A"].content
    changes = {(row["component"], row["reason"]): row for row in content["changes"]}
    gpu = changes["gpu", None]
    # five and a quarter hours at 2.0026; the rest is the hour that costs 2.2173 now
    assert (gpu["volume_amount"], gpu["now_rate"], gpu["before_rate"]) == ("10.51", "2.217348066", "2.002600000")
    assert Decimal(gpu["volume_amount"]) + Decimal(gpu["rate_amount"]) == Decimal(gpu["now_amount"]) - Decimal(gpu["before_amount"])
    assert changes["Storage", None]["volume_amount"] is None and changes["Storage", None]["now_amount"] == "0.00"
    assert {reason for _, reason in changes if reason} == {"correction", "late_bill"}
    assert sum(Decimal(row["now_amount"]) for row in content["changes"]) == Decimal(content["stated_amount"])
    assert sum(Decimal(row["before_amount"]) for row in content["changes"]) == Decimal(content["stated_before"]) == Decimal("84.30")
    assert [(row["cost_per_gpu_hour"], row["is_of_consumers"]) for row in content["gpu_hours"]] == [("1.478232", False)]


def test_unit_costs_leave_out_what_has_no_cost(month):
    usage = {"usage_date": SEPTEMBER, "team": "a", "cost_centre": "CC-A", "tenant": "acme"}
    add(month, "product.fct_token_costs", **usage, model="lumen", token_count=2_000_000, vendor_cost=Decimal(9))
    add(month, "product.fct_token_costs", **usage, model="lumen", token_count=500_000)
    add(month, "engineering.fct_jobs", last_ended_at=datetime(2026, 9, 4), team="a", cost_centre="CC-A", is_serving=False,
        gpu_hours=2.0, cost=Decimal(5))  # fmt: skip
    add(month, "engineering.fct_jobs", last_ended_at=datetime(2026, 9, 5), team="a", cost_centre="CC-A", is_serving=False, gpu_hours=1.0)
    found = issue(month, close(month))
    tokens = {"model": "lumen", "token_count": 2_500_000, "token_count_without_cost": 500_000, "cost": "9.000000000000",
              "cost_per_million_tokens": "4.500000"}  # fmt: skip
    assert found["CC-A"].content["tokens"] == found["acme"].content["tokens"] == [tokens]
    assert [(row["jobs"], row["jobs_without_cost"], row["cost_per_job"]) for row in found["CC-A"].content["jobs"]] == [(2, 1, "5.000000")]


def test_rules_invoices_budgets_and_shared_costs_stand_behind_it(month):
    rule = '{"rule_id":"tag","field":"tag:team","pattern":"*","team":"{value}"}'
    add(month, "meta.rule_versions", table_name="owners", rule_key="tag", content=rule, rule_version=1)
    add(month, "finance.fct_invoice_tie_out", billing_period=SEPTEMBER, invoice_issuer_name="Nimbus", invoice_id="NC-9")
    add(month, "config.budgets", scope="team", scope_value="A", cost="everything", amount_per_month=Decimal(150), currency="usd")
    add(month, "config.budgets", scope="cost_centre", scope_value="CC-C", amount_per_month=Decimal(1), currency="USD", valid_to=SEPTEMBER)
    shared = {"usage_date": SEPTEMBER, "step": 1, "rule_id": "idle", "rule_version": 1, "shared_cost_of": "bucket:idle", "method": "even"}
    for payer in ({"bucket": "allocated", "team": "a", "cost_centre": "CC-A"}, {"bucket": "idle", "team": "idle"}):
        add(month, "finance.fct_shared_costs", **shared, **payer, entry="moved", component="gpu",
            moved_cost=Decimal("7.125") * (1 if "cost_centre" in payer else -1))  # fmt: skip
    found = issue(month, close(month))
    content = found["CC-A"].content
    assert ("owners/tag@1", rule) in [(row["rule"], row["said"]) for row in content["rules"]]
    assert {(row["billed_by"], row["billing_period"]): row["invoice_ids"] for row in content["invoices"]} == {
        ("Nimbus", "2026-09-01"): "NC-9", ("Lumen", "2026-09-01"): None, ("Nimbus", "2026-08-01"): None, ("Nimbus", "2026-07-01"): None,
    }  # fmt: skip
    assert [(row["scope_value"], row["cost"]) for row in content["budgets"]] == [("A", "107.465000000000")]
    assert found["CC-C"].content["budgets"] == []
    assert [(row["rule"], row["stated_amount"]) for row in content["shared_costs"]] == [("idle@1", "7.13")]
    assert [row["stated_amount"] for row in found["idle"].content["shared_costs"]] == ["-7.13"]


@pytest.mark.parametrize(("valid_to", "mode"), [(None, "showback"), (date(2026, 9, 15), "chargeback")])
def test_the_policy_says_whether_it_is_showback(month, valid_to, mode):
    policy = '{"policy":"chargeback_mode","value":"showback"}'
    add(month, "meta.rule_versions", table_name="policies", rule_key="chargeback_mode", content=policy, valid_to=valid_to, rule_version=1)
    assert {one.mode for one in issue(month, close(month)).values()} == {mode}


def test_open_disputes_are_kept_beside_and_change_no_hash(month):
    folder = close(month)
    first = issue(month, folder)["CC-A"]
    said = {"by": "a", "tell": lambda _: None}
    disputes.raise_dispute(month, first.statement_id, 2, note="not ours", amount="0.01", **said)
    disputes.raise_dispute(month, first.statement_id, 3, note="settled", **said)
    disputes.follow(month, "D-2", "rejected", note="it is", **said)
    # an answer leaves it open, as it was raised
    disputes.follow(month, "D-1", "answered", note="we look into it", by="b", tell=lambda _: None)
    again = issue(month, folder)["CC-A"]
    assert again.content_hash == first.content_hash
    # after another close it stands on the new version, whose line 2 is another
    reopen(month)
    post(month, [charge("9", component="aaa")])
    second = issue(month, close(month))["CC-A"]
    assert second.version == 2 and [line["component"] for line in second.content["lines"]][:2] == ["aaa", "gpu"]
    for one in (again, second):
        (table,) = [table for table in document_of(one, Wording("en_US", "USD", 2), {}).tables if table.title == "Open disputes"]
        (row,) = table.rows
        assert [column.title for column in table.columns][:3] == ["Dispute", "Raised on", "#"]
        assert (*row[:3], *row[4:]) == ("D-1", "2026-09/CC-A/1", 2, "a", "not ours", Decimal("0.01"))
    assert issue(month, month.closed / "2026-09-2")["b"].disputes == []


def test_recipients_are_addressed_as_their_rules_say_and_no_day_is_built_again_for_it(month):
    file = month.config / "recipients.csv"
    file.parent.mkdir(exist_ok=True)
    with month.connect() as db:
        before = config.load(month, db)
        file.write_text("recipient_kind,recipient,locale,valid_from,valid_to\ncost_centre,CC-A,de_DE,,\ntenant,acme,fr_FR,2026-10-01,\n")
        assert config.load(month, db) == before
    folder = close(month)
    assert {name: one.locale for name, one in issue(month, folder).items() if one.locale != "en_US"} == {"CC-A": "de_DE"}
    assert {one.locale for one in issue(month, folder, locale="fr_FR").values()} == {"fr_FR"}
    file.write_text(file.read_text().replace("fr_FR", "french"))
    with pytest.raises(ConfigError, match=r"recipients\.csv.*locale"):
        issue(month, folder)


def test_file_names_are_safe_and_of_one_statement_only(tmp_path):
    names = ["../../etc/x", "..-..-etc-x", "a/b", "a_b", "A_B", "CON.", "x" * 300, "東京", "大阪", ".hidden", "a\x00b", "-rf"]
    month = month_of(tmp_path, [charge("1", team=name, cost_centre=name) for name in names])
    found = issue(month, close(month))
    files = [file for one in found.values() for file in one.files]
    assert set(found) == set(names) and len({file.name.lower() for file in files}) == len(names)
    assert all(file.parent == month.root / "out" and file.is_file() and len(file.name) < 120 for file in files)
    assert not {character for file in files for character in file.stem} - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    )
    one = found["a_b"]
    taken = {file_name(one, set()).lower()}
    assert file_name(one, taken).lower() not in taken


def test_what_was_accrued_is_told_apart_from_usage_and_is_on_no_invoice(tmp_path):
    by_hand = {"component": "accrual", "source_name": "(close)", "basis": "estimated"}
    month = month_of(
        tmp_path,
        [
            charge("100"),
            charge("120.5", date(2026, 9, 30), reason="accrual", rule="accrual/deliveries:gateway", **by_hand),
            charge(
                "-7",
                date(2026, 8, 31),
                accounting_period=SEPTEMBER,
                reason="accrual_reversal",
                rule="accrual/deliveries:gateway",
                **by_hand,
            ),
            charge("7", date(2026, 8, 31), reason="accrual", rule="accrual/deliveries:gateway", **by_hand),
        ],
    )
    add(month, "finance.fct_invoice_tie_out", billing_period=SEPTEMBER, invoice_issuer_name="Nimbus", invoice_id="NC-9")
    add(month, "config.budgets", scope="team", scope_value="a", amount_per_month=Decimal(500), currency="USD")
    waiver = {"check_id": "deliveries", "item": "gateway", "approved_by": "Ada"}
    for of, reason in ((AUGUST, "outage in August"), (SEPTEMBER, "outage in September"), (OCTOBER, "not known yet")):
        add(month, "ledger.waivers", **waiver, accounting_period=of, reason=reason, recorded_at=datetime(2026, 10, 1))
    (one,) = issue(month, close(month)).values()
    told = {(row["section"], row.get("reason"), row.get("month")): row["stated_amount"] for row in one.content["parts"]["summary"]}
    assert told == {
        ("charges", None, None): "100.00",
        ("adjustments", "accrual", "2026-09-01"): "120.50",
        ("adjustments", "accrual_reversal", "2026-08-01"): "-7.00",
    }
    assert [(row["section"], row["reason"], row["stated_amount"]) for row in one.content["lines"]] == [
        ("charges", None, "100.00"), ("adjustments", "accrual", "120.50"), ("adjustments", "accrual_reversal", "-7.00"),
    ]  # fmt: skip
    assert recorded_lines(month) == [("charges", None), ("adjustments", "accrual"), ("adjustments", "accrual_reversal")]
    assert [(row["billing_period"], row["reason"], row["invoice_ids"], row["stated_amount"]) for row in one.content["invoices"]] == [
        ("2026-09-01", None, "NC-9", "100.00"),
        ("2026-09-01", "accrual", None, "120.50"),
        ("2026-08-01", "accrual_reversal", None, "-7.00"),
    ]
    assert {(row["month"], json.loads(row["said"])["reason"]) for row in one.content["rules"] if row["said"]} == {
        ("2026-09-01", "outage in September"), ("2026-08-01", "outage in August"),
    }  # fmt: skip
    # what is accrued for the month is spent in it, and taken back of no other
    assert [row["cost"] for row in one.content["budgets"]] == ["220.500000000000"]
    shown = {table.title: table.rows for table in document_of(one, Wording("en_US", "USD", 2), {}).tables}
    assert [said for said, _ in shown["Summary"]] == [
        "Usage of the month", "Accrued, September 2026", "Accrual of an earlier month taken back, August 2026",
    ]  # fmt: skip
    assert [row[2] for row in shown["Bills behind this statement"]] == [
        "NC-9", "accrued, on no invoice", "accrual taken back, on no invoice",
    ]  # fmt: skip
    assert [(row[1], row[4]) for row in shown["Lines"]][1:] == [("accrual", "Accrual"), ("reversal of an accrual", "Accrual")]
    assert ("accrual/deliveries:gateway, September 2026", "reason outage in September, approved_by Ada", Decimal("120.50")) in shown[
        "Rules that decided who pays"
    ]


def recorded_lines(workspace):
    with workspace.connect() as db:
        return db.execute("select section, reason from ledger.statement_lines order by line_number").fetchall()


def test_of_what_nobody_owns_no_rule_matched(month):
    post(month, [charge("3", team="unowned", cost_centre=None, bucket="unowned", tenant="acme")])
    found = issue(month, close(month))
    rests = {name: {row["rest"] for row in one.content["rules"] if not row["rule"]} for name, one in found.items()}
    assert (rests["unowned"], rests["idle"], rests["acme"]) == ({"unmatched"}, {"none"}, {"none", "unmatched"})
    assert Wording("en_US", "USD", 2)("rest", "rule", "unmatched") == "no rule matched"


def test_what_was_issued_stays_in_its_language(month):
    close(month)
    first = statements.issue_closed(month, SEPTEMBER, pdf=False)
    sent = {file: file.read_bytes() for one in first for file in one.files}
    for out in (None, month.statements / "2026-09"):
        with pytest.raises(TollbookError, match=r"nothing was written: .*2026-09 keeps the statements .* --out for those in de_DE"):
            statements.issue_closed(month, SEPTEMBER, out, pdf=False, locale="de_DE")
    german = statements.issue_closed(month, SEPTEMBER, month.root / "german", pdf=False, locale="de_DE")
    assert {one.content_hash for one in german} == {one.content_hash for one in first}
    # nor does a rule that came since change it
    month.config.mkdir(exist_ok=True)
    (month.config / "recipients.csv").write_text("recipient_kind,recipient,locale,valid_from,valid_to\ncost_centre,CC-A,de_DE,,\n")
    statements.issue_closed(month, SEPTEMBER, pdf=False)
    assert {file: file.read_bytes() for file in sent} == sent
    assert {one.files[0].read_bytes() for one in german}.isdisjoint(sent.values())


def test_a_month_frozen_without_what_statements_need_is_refused(month):
    folder = close(month)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["waivers.parquet"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with month.connect() as db:
        db.execute("update ledger.period_events set content_hash = ?", [freeze.content_hash(folder)])
    with pytest.raises(TollbookError, match=r"2026-09 was frozen by Tollbook .* without waivers: use that version for it"):
        issue(month, folder)


def test_only_who_pays_is_charged_by_a_statement(month):
    def purpose(one):
        return dict(document_of(one, Wording("en_US", "USD", 2), {}).facts)["Purpose"]

    found = issue(month, close(month))
    assert {name: purpose(found[name]) for name in ("CC-A", "idle", "acme")} == {
        "CC-A": "Chargeback",
        "idle": "For information (nobody pays for this)",
        "acme": "For information (not charged again)",
    }


def test_what_served_models_stands_apart_where_their_consumers_are_charged(tmp_path):
    gpu, served = {"component": "gpu", "gpu_model": "H100"}, {"component": "tokens_self_hosted", "gpu_model": "H100", "model": "falcon"}
    # on the second day nobody asked the model anything: its cost stays with who held it
    month = month_of(tmp_path, [charge("30", **gpu), charge("20", date(2026, 9, 2), **served), charge("50", team="b", cost_centre="CC-B")])
    held = {"team": "a", "cost_centre": "CC-A", "is_held": True, "gpu_model": "H100"}
    for day, model, hours, cost in ((1, None, 10.0, "30"), (1, "falcon", 25.0, "50"), (2, "falcon", 10.0, "20"), (3, "falcon", 1.0, None)):
        add(month, "engineering.fct_gpu_hours", **held, usage_date=date(2026, 9, day), model=model, held_gpu_hours=hours, gpu_hours=hours,
            allocated_cost=cost and Decimal(cost))  # fmt: skip
    one = issue(month, close(month))["CC-A"]
    rows = [(row["is_of_consumers"], Decimal(row["gpu_hours"]), Decimal(row["cost"])) for row in one.content["gpu_hours"]]
    assert rows == [(False, 21, 50), (True, 25, 50)] and one.stated_amount == 50
    (table,) = [table for table in document_of(one, Wording("en_US", "USD", 2), {}).tables if table.title == "Cost per GPU-hour held"]
    assert [row[0] for row in table.rows] == ["H100", "H100, charged to those who used the models it served"]
