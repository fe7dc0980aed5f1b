"""What idle cost before it was shared out and what became of it; what each rule shared out and kept."""

from io import StringIO

import pytest
from rich.console import Console

from tollbook.report import figures, money, page, tables
from tollbook.report.summary import print_summary

# of 8,359.75 idle 5,359.75 goes to two teams; a second rule gives on 100 of what one of them got and keeps 40
SHARED = """
insert into finance.fct_chargeback by name
select date '2025-01-01' as usage_period, date '2025-01-01' as billing_period, 'USD' as currency_code, 'bill' as source_name,
    'Big Cloud' as billed_by, 'shared: idle' as component, 'billed' as basis, *
from (values ('idle', 'idle', -5359.75), ('allocated', 'research', 5000), ('allocated', 'search', 359.75)) as moved (bucket, team, charged_cost);
insert into finance.fct_shared_costs by name
select date '2025-01-03' as usage_date, 'USD' as currency_code, *
from (values
    (1, '<b>idle', 'bucket:idle', 'proportional', 'node', 'negating', 'idle', -5359.75, null, null),
    (1, '<b>idle', 'bucket:idle', 'proportional', 'node', 'received', 'research', 5000, null, null),
    (1, '<b>idle', 'bucket:idle', 'proportional', 'node', 'received', 'search', 359.75, null, null),
    (1, '<b>idle', 'bucket:idle', 'proportional', 'node', 'kept', 'idle', 0, 2900, 'nobody_charged'),
    (1, '<b>idle', 'bucket:idle', 'proportional', 'node', 'kept', 'idle', 0, 100, 'no_node'),
    (2, 'on', 'team:research', 'weights', 'everything', 'negating', 'research', -100, null, null),
    (2, 'on', 'team:research', 'weights', 'everything', 'received', 'search', 100, null, null),
    (2, 'on', 'team:research', 'weights', 'everything', 'kept', 'research', 0, 40, 'own_share')
) as moved (step, rule_id, shared_cost_of, method, within, entry, team, moved_cost, kept_cost, kept_reason)
"""
ROWS = [
    ["<b>idle", "bucket:idle", "1", "proportional within node", "5,359.75", "2", "3,000.00", "no node, nobody charged"],
    ["on", "team:research", "2", "weights", "100.00", "1", "40.00", "own share"],
]


@pytest.fixture
def idle(published_db):
    """The tile, and the table of shared money."""

    def read():
        with figures.published(published_db) as db:
            spent = money.read(db)
            shared = tables.shared(db, spent.currency)
            headline = page._headline(spent, tables.Table("proof", "", [], [], ""))
        return next(tile for tile in headline if tile["name"] == "Idle"), shared, spent

    return read


def test_idle_is_what_it_cost_before_it_was_shared_out(idle, change):
    before, nothing, _ = idle()
    # 5,000 + 2,999.75 + 360 of 40,730.37
    assert (before["value"], before["also"]) == ("8,359.75", "20.5 % of the charge")
    assert nothing.rows == [] and "Nothing is shared out" in nothing.empty
    change(SHARED)
    after, shared, spent = idle()
    assert (after["value"], after["also"]) == ("8,359.75", "20.5 % of the charge; 5,359.75 of it shared out, 3,000.00 left")
    assert [list(row.cells) for row in shared.rows] == ROWS
    assert spent.whole("idle") == 3000 and spent.adds_up


def test_page_and_summary_show_shared_and_kept_money(published_db, change):
    change(SHARED)
    made = page.render(published_db)
    assert "Shared and kept money (USD)" in made
    assert "&lt;b&gt;idle" in made and "<b>idle" not in made
    console = Console(file=StringIO(), width=160)
    print_summary(published_db, console)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert " ".join(ROWS[1]) in lines
    assert any(line.startswith("Teams and buckets are after shared costs moved") for line in lines)


def test_without_shared_money_the_summary_has_no_table_of_it(published_db):
    console = Console(file=StringIO(), width=160)
    print_summary(published_db, console)
    said = console.file.getvalue()
    assert "Shared and kept" not in said and "after shared costs" not in said


def test_nothing_published_has_no_idle(empty_db):
    with figures.published(empty_db) as db:
        tile = page._idle(money.read(db))
    assert (tile["value"], tile["also"]) == ("–", "no charge yet")
