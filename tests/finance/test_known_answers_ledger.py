"""KA-12 and KA-13 through loaders, dbt and the ledger, with the months closed before they are corrected; what was published is as of then."""

from datetime import date

import duckdb
import pytest
from cost_bills import ALL_MAY, bill, line

from tests.scratch_ledgers import assert_balanced, unlike_computed
from tests.workspaces import quiet, write_workspace
from tollbook import pipeline
from tollbook.finance import close, freeze, ledger, statements

WAYS = ("delta", "ledger", "replaced")
SETTINGS = "currency: USD\nsources:\n" + "".join(
    f"  - {{name: {name}, format: focus, path: landing/{name}/*.csv}}\n" for name in (*WAYS, "notes")
)
JANUARY, MAY, JUNE = date(2026, 1, 1), date(2026, 5, 1), date(2026, 6, 1)
APPROVER = "A. Approver"
IN_JANUARY = ("2026-01-10T00:00:00", "2026-01-11T00:00:00")
OWNERS = (
    "rule_id,priority,field,pattern,team,valid_from,valid_to\nfirst,10,resource_id,R-111,alpha,,\nsecond,10,resource_id,R-222,beta,,\n"
    "notes,10,source_name,notes,gamma,,\n"
)


def may(way, cost, resource):
    """A line of May's bill."""
    return line(way, cost, cost, *ALL_MAY, ResourceId=resource, InvoiceId=f"{way}-MAY", ConsumedQuantity=cost / 1.5)


def corrections(way, *costs):
    """June's bill, which corrects usage of May."""
    return bill(
        *(
            line(way, cost, cost, *ALL_MAY, month="2026-06", ResourceId=resource, ChargeClass="Correction", InvoiceId=f"{way}-JUNE")
            for cost, resource in costs
        )
    )


FIRST = {
    **{f"landing/{way}/2026-05.csv": bill(may(way, 1500, "R-111")) for way in WAYS},
    "landing/notes/jan.csv": bill(line("notes", 150, 150, *IN_JANUARY, InvoiceId="INV-JAN")),
    "config/owners.csv": OWNERS,
}
THEN = {
    "landing/delta/2026-06.csv": corrections("delta", (-300, "R-111"), (300, "R-222")),
    "landing/ledger/2026-06.csv": corrections("ledger", (-1500, "R-111"), (1200, "R-111"), (300, "R-222")),
    "landing/replaced/2026-05.csv": bill(may("replaced", 1200, "R-111"), may("replaced", 300, "R-222")),
    "landing/notes/feb.csv": bill(
        line(
            *("notes", -50, -50, *IN_JANUARY), month="2026-02", InvoiceId="INV-FEB", ReferenceInvoiceId="INV-JAN", ChargeClass="Correction"
        )
    ),
}


class Books:
    """The workspace, and what was there when January and May were closed."""

    def __init__(self, root):
        self.workspace = write_workspace(root, SETTINGS, FIRST)
        self.night()
        self.known_at, self.published = self.publication()
        self.of_january, self.of_may = self.close(JANUARY), self.close(MAY)
        self.at_close = self.ask("select * from ledger.postings order by posting_id")
        self.issued = self.statements()
        write_workspace(root, SETTINGS, THEN)
        self.night()

    def night(self, **options):
        report = pipeline.run(self.workspace, tell=quiet, **options)
        assert [(one.failures, one.quarantined) for one in report.loads] == [([], 0)] * len(report.loads)

    def close(self, period):
        """Close a month, whatever is missing of bills of a few lines."""
        checks = close.close(self.workspace, period, APPROVER, dry_run=True, tell=quiet).checks
        items = [f"{check.check_id}:{item.name}" for check in checks if check.status == "fail" for item in check.items if item.blocks]
        return close.close(self.workspace, period, APPROVER, waive=[f"{item}=the bill has few lines" for item in items], tell=quiet)

    def statements(self):
        """What was issued, and the files of it."""
        files = {file.relative_to(self.workspace.root): file.read_bytes() for file in self.workspace.statements.rglob("*.*")}
        return (
            self.ask("select * from ledger.statements order by all"),
            self.ask("select * from ledger.statement_lines order by all"),
            files,
        )

    def ask(self, query, values=None):
        with self.workspace.connect(read_only=True) as db:
            return db.execute(query, values).fetchall()

    def publication(self):
        """When what is published was known, and chargeback as published."""
        with duckdb.connect(str(self.workspace.published_db), read_only=True) as db:
            (known_at,) = db.execute("select known_at from quality.publication").fetchone()
            return known_at, db.execute("select * from finance.fct_chargeback_days order by all").fetchall()


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    return Books(tmp_path_factory.mktemp("books"))


@pytest.mark.parametrize("way", WAYS)
def test_ka_12_by_month_of_usage_the_resources_have_what_is_theirs(books, way):
    charged = (
        "select usage_period::varchar, team, sum(charged_cost) from finance.fct_chargeback where source_name = ? group by all order by all"
    )
    assert books.ask(charged, [way]) == [("2026-05-01", "alpha", 1200), ("2026-05-01", "beta", 300)]


@pytest.mark.parametrize("way", WAYS)
def test_ka_12_by_month_of_the_bill_may_keeps_what_it_billed(books, way):
    charged = "select billing_period::varchar, team, sum(charged_cost) from finance.fct_chargeback where source_name = ? group by all order by all"
    assert books.ask(charged, [way]) == (
        [("2026-05-01", "alpha", 1200), ("2026-05-01", "beta", 300)]
        if way == "replaced"
        else [("2026-05-01", "alpha", 1500), ("2026-06-01", "alpha", -300), ("2026-06-01", "beta", 300)]
    )
    owed = "select invoice_id, sum(posted_cost) from ledger.postings where source_name = ? and account = 'clearing' group by 1 having sum(posted_cost) <> 0"
    # June's invoice nets to 0
    assert books.ask(owed, [way]) == [(f"{way}-MAY", -1500)]


@pytest.mark.parametrize("way", WAYS)
def test_ka_12_the_difference_is_posted_in_june_with_its_days_of_may(books, way):
    posted = (
        "select accounting_period::varchar, team, reason, count(*), min(usage_date)::varchar, max(usage_date)::varchar, sum(posted_cost)"
        " from ledger.postings where source_name = ? and bucket = 'allocated' group by all order by all"
    )
    assert books.ask(posted, [way]) == [
        ("2026-05-01", "alpha", "usage", 31, "2026-05-01", "2026-05-31", 1500),
        ("2026-06-01", "alpha", "correction", 31, "2026-05-01", "2026-05-31", -300),
        ("2026-06-01", "beta", "correction", 31, "2026-05-01", "2026-05-31", 300),
    ]


def test_ka_12_what_the_statements_of_may_are_made_of_never_changes(books, tmp_path):
    later = "select distinct accounting_period from ledger.postings where recorded_at > ? order by 1"
    assert books.ask(later, [books.of_may.closed_at]) == [(date(2026, 2, 1),), (date(2026, 6, 1),)]
    assert books.ask("select * from ledger.postings where recorded_at <= ? order by posting_id", [books.of_may.closed_at]) == books.at_close
    kept = freeze.manifest_of(books.of_may.folder)["files"]
    with books.workspace.connect() as db:
        anew = freeze.freeze(db, MAY, books.of_may.closed_at, "USD", tmp_path / "anew")["files"]
    # as of the close, whatever came since
    assert kept["postings.parquet"]["rows"] > 0
    assert (anew["postings.parquet"], anew["postings_before.parquet"]) == (kept["postings.parquet"], kept["postings_before.parquet"])
    # what the models say of May is another story, which is why it is kept
    assert anew["allocation.parquet"] != kept["allocation.parquet"]
    ((recorded,),) = books.ask("select content_hash from ledger.period_events where accounting_period = ?", [MAY])
    assert freeze.content_hash(books.of_may.folder) == recorded


def test_ka_12_statements_of_may_as_of_the_close_are_those_that_were_issued(books, tmp_path):
    issued, _, files = books.issued
    assert (len(files) > 0, len(issued) > 0) == (True, True)
    again = statements.issue(books.workspace, MAY, books.of_may.folder, tmp_path / "again", tell=quiet)
    of_may = books.ask(
        "select statement_id, content_hash, stated_amount from ledger.statements where accounting_period = ? order by 1", [MAY]
    )
    assert sorted((one.statement_id, one.content_hash, one.stated_amount) for one in again) == of_may
    assert [one[0::2] for one in of_may] == [("2026-05/alpha/1", 4500)]
    # nothing was issued in between, and no file was written anew
    assert books.statements() == books.issued


def test_ka_12_junes_statements_have_the_difference_as_adjustments_of_may(books, tmp_path):
    drafts = statements.issue_draft(books.workspace, JUNE, tmp_path / "june", tell=quiet)
    found = {one.recipient: {(line["section"], line["usage_period"], line["reason"]) for line in one.content["lines"]} for one in drafts}
    assert found == {name: {("adjustments", "2026-05-01", "correction")} for name in ("alpha", "beta")}
    assert {one.recipient: one.stated_amount for one in drafts} == {"alpha": -900, "beta": 900}


def test_ka_13_both_invoices_are_owed_as_they_are_and_january_nets_to_100(books):
    owed = "select invoice_id, sum(posted_cost) from ledger.postings where source_name = 'notes' and account = 'clearing' group by 1 order by 1"
    assert books.ask(owed) == [("INV-FEB", 50), ("INV-JAN", -150)]
    charged = "select usage_period::varchar, team, sum(charged_cost) from finance.fct_chargeback where source_name = 'notes' group by all"
    assert books.ask(charged) == [("2026-01-01", "gamma", 100)]
    posted = (
        "select accounting_period::varchar, usage_date::varchar, reason, posted_cost from ledger.postings"
        " where source_name = 'notes' and bucket is not null order by all"
    )
    assert books.ask(posted) == [("2026-01-01", "2026-01-10", "usage", 150), ("2026-02-01", "2026-01-10", "correction", -50)]


def test_the_bridge_of_each_bill_is_empty(books):
    bridge = "select billed_by || strftime(billing_period, ' %Y-%m'), sum(posted_cost) from ledger.postings where account = 'bridge' group by all"
    rows = dict(books.ask(bridge))
    assert {*(f"{way} 2026-05" for way in WAYS), "notes 2026-01", "notes 2026-02"} <= rows.keys()
    assert set(rows.values()) == {0}


def test_as_of_each_publication_is_what_was_published(books):
    known_at, published = books.publication()
    assert (books.known_at < known_at, books.published != published, len(books.published) > 0) == (True, True, True)
    as_of = (
        "select usage_date, usage_period, billing_period, billed_by, source_name, team, cost_centre, bucket, component, basis,"
        " sum(posted_cost)::decimal(38, 12) as charged_cost, currency_code from finance.fct_postings"
        " where bucket is not null and recorded_at <= ? group by all having sum(posted_cost) <> 0 order by all"
    )
    with duckdb.connect(str(books.workspace.published_db), read_only=True) as db:
        assert db.execute(as_of, [books.known_at]).fetchall() == books.published
        assert db.execute(as_of, [known_at]).fetchall() == published


def test_a_build_from_nothing_leaves_the_ledger_as_it_is(books):
    before = books.ask("select * from ledger.postings order by posting_id")
    books.night(full_refresh=True)
    assert books.ask("select * from ledger.postings order by posting_id") == before
    with books.workspace.connect(read_only=True) as db:
        assert_balanced(db)
        assert unlike_computed(db) == []


def test_what_is_posted_by_hand_is_in_what_is_published_next_as_of_then(books):
    side = "from ledger.postings where account in ('cost', 'bridge') and basis = 'billed' and source_name = 'notes' and reason = 'usage'"
    with books.workspace.connect() as db:
        moment = ledger.next_moment(db)
        rows = f"select * exclude (posting_id, run_id, recorded_at) replace (date '2026-07-01' as accounting_period, 'accrual' as reason) {side}"
        assert ledger.append(db, "by hand", moment, rows) == 2
    pipeline.publish(books.workspace, quiet)
    known_at, published = books.publication()
    assert (known_at, sum(row[-2] for row in published if row[4] == "notes")) == (moment, 250)
