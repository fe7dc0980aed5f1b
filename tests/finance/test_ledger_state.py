"""The ledger through backup, restore and a change of version: when what was recorded, and every balance, stay."""

import pytest

from tests import ledger_world
from tests import scratch_ledgers as ledgers
from tests.scratch_ledgers import assert_balanced, build, charge, charged, close, posted, unlike_computed
from tests.workspaces import quiet, write_workspace
from tollbook import pipeline
from tollbook.errors import GateError
from tollbook.finance import ledger
from tollbook.finance.tables import TABLES
from tollbook.warehouse import schema, state

SETTINGS = "currency: USD\nsources: []\n"
LIVED = 14
KEPT = {"closed/2026-01/postings.parquet": "what was frozen", "statements/2026-01/CC-red.pdf": "what was sent"}


@pytest.fixture
def lived(tmp_path):
    """A workspace some months old: a month closed, and what is kept of it."""
    workspace = write_workspace(tmp_path / "here", SETTINGS, KEPT)
    with ledger_world.write(workspace.warehouse, with_threshold=False) as db:
        while db.execute("select step from world").fetchone()[0] < LIVED:
            ledger_world.step(db, 4)
        if not ledger.closed_periods(db):
            close(db, db.execute("select min(accounting_period) from ledger.postings").fetchone()[0])
    return workspace


def rows_of_ledger(db) -> dict[str, list[tuple]]:
    """Every row of every table of the ledger."""
    tables = db.execute("select table_name from information_schema.tables where table_schema = 'ledger' order by 1").fetchall()
    return {table: db.execute(f"select * from ledger.{table} order by all").fetchall() for (table,) in tables}


def read(workspace):
    """The ledger of a workspace, and the files that are kept with it."""
    with ledgers.connect(workspace.warehouse) as db:
        rows = rows_of_ledger(db)
    files = {
        str(file.relative_to(workspace.root)): file.read_text()
        for part in (workspace.closed, workspace.statements)
        for file in part.rglob("*.*")
    }
    return rows, files


def test_a_backup_brings_back_every_row_as_it_was_recorded_and_what_is_kept_of_closed_months(lived, tmp_path):
    before, files = read(lived)
    assert (len(before["postings"]) > 20, len(before["period_events"]) > 0, files) == (True, True, KEPT)
    state.backup(lived, tmp_path / "kept.tar")
    elsewhere = write_workspace(tmp_path / "elsewhere", SETTINGS)
    state.restore(elsewhere.root, tmp_path / "kept.tar")
    assert read(elsewhere) == (before, files)
    with ledgers.connect(elsewhere.warehouse) as db:
        ledger_world.assert_sound(db)
        # it goes on as the first would have
        build(db, config="rules 0")
        assert ledger.post(db, "again").postings == 0
        ledger_world.step(db, 4)
        ledger_world.assert_sound(db)
        ledger_world.assert_current(db)


def test_a_restore_takes_back_what_came_since(lived, tmp_path):
    before, files = read(lived)
    state.backup(lived, tmp_path / "kept.tar")
    write_workspace(lived.root, SETTINGS, {"closed/2026-02/postings.parquet": "later"})
    with ledgers.connect(lived.warehouse) as db:
        charge(db, "2026-03-01", "red", 7)
        build(db)
        ledger.post(db, "later")
    assert read(lived) != (before, files)
    state.restore(lived.root, tmp_path / "kept.tar")
    assert read(lived) == (before, files)


NEWER = ("tenant", "project", "gpu_model")


def test_an_older_ledger_gains_columns_and_keeps_its_rows_their_moments_and_their_balances():
    with ledgers.write() as db:
        charge(db, "2026-05-03", "red", 100, cost_centre="CC-1")
        charge(db, "2026-05-03", "blue", 50)
        charge(db, "2026-06-03", "red", 10)
        build(db)
        ledger.post(db, "older")
        closed = close(db, "2026-05")
        for column in NEWER:
            db.execute(f"alter table ledger.postings drop column {column}")
        db.execute("alter table ledger.runs drop column models_hash")
        before, balances = rows_of_ledger(db), charged(db)

        schema.ensure(db)
        columns = [row[0] for row in db.execute("describe ledger.postings").fetchall()]
        assert set(columns) == set(TABLES["postings"])
        kept = ", ".join(column for column in columns if column not in NEWER)
        assert db.execute(f"select {kept} from ledger.postings order by posting_id").fetchall() == sorted(before["postings"])
        assert db.execute("select * exclude (models_hash) from ledger.runs").fetchall() == before["runs"]
        assert rows_of_ledger(db)["period_events"] == before["period_events"]
        assert charged(db) == balances
        schema.ensure(db)

        # this version tells red's charges further apart
        db.execute(
            "create table newer as select * replace (case when team = 'red' then 'acme' end as tenant,"
            " case when team = 'red' then 'H100' end as gpu_model) from intermediate.int_ledger_lines"
        )
        db.execute("create or replace view intermediate.int_ledger_lines as from newer")
        build(db, models="models 2")
        ledger.post(db, "newer")
        assert_balanced(db)
        assert unlike_computed(db) == []
        assert {row[:3]: row[3:] for row in net(db, "newer")} == {
            ("2026-06", "2026-05-03", "red"): (0, 2),
            ("2026-06", "2026-06-03", "red"): (0, 2),
        }
        assert (charged(db), charged(db, until=closed)) == (balances, balances)
        assert charged(db, "tenant") == {"acme": 110, None: 50}


def net(db, run_id):
    """What a run posted by month, day and team, summed, and in how many postings."""
    rows = {}
    for month, day, team, _, cost in posted(db, run_id):
        total, count = rows.get((month, day, team), (0, 0))
        rows[month, day, team] = total + cost, count + 1
    return [(*key, *value) for key, value in rows.items()]


def test_a_build_that_did_not_finish_is_not_posted(tmp_path):
    workspace = write_workspace(tmp_path, SETTINGS)

    def ran(status):
        with ledgers.connect(workspace.warehouse) as db:
            db.execute("insert into meta.runs values (gen_random_uuid()::varchar, 'build', now()::timestamp, null, ?, null)", [status])

    with ledgers.write(workspace.warehouse) as db:
        charge(db, "2026-05-03", "red", 100)
    ran("succeeded")
    with ledgers.connect(workspace.warehouse) as db:
        build(db)
        db.execute(
            "insert into meta.check_results by name select 'r' as run_id, 'all' as check_id, 'pass' as status, now()::timestamp as checked_at"
        )
    # it was killed, or a model failed, with the audit before it passed
    for status in ("running", "failed"):
        ran(status)
        with pytest.raises(GateError, match="the newest build did not finish"):
            pipeline.post(workspace, quiet)
    ran("succeeded")
    assert pipeline.post(workspace, quiet).postings == 4
