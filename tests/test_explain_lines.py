"""A team's day by bill lines: only those that were charged as what the branch says."""

from datetime import date

import duckdb
import pytest

from tollbook.explain import usage

# r1 is a node all day, r2 from noon on, r3 never; r4 is of no capacity at all; a commitment that nobody used is nobody's
ROWS = """
create schema finance; create schema engineering;
create table finance.fct_chargeback_days as select date '2026-09-02' as usage_date, 'USD' as currency_code, 'billed' as basis, 'Compute' as component, *
from (values ('red', 9.0), ('unused_commitment', 3.0)) as charged (team, charged_cost);
create table finance.fct_charges as select 'Compute' as service_category, 'USD' as currency_code, 'bill.csv' as file_name, null::varchar as team, null::varchar as
    capacity_reservation_status, * from (values
    (timestamp '2026-09-01', timestamp '2026-10-01', 'Usage', 'r1', 'Used', 1, 'node', 300.0),
    (timestamp '2026-09-02', timestamp '2026-09-03', 'Usage', 'r2', null, 2, 'half a node', 24.0),
    (timestamp '2026-09-02 10:30', timestamp '2026-09-02 11:30', 'Usage', 'r2', null, 3, 'before it was one', 1.0),
    (timestamp '2026-09-02 12:00', timestamp '2026-09-02 13:00', 'Usage', 'r2', null, 4, 'an hour of a node', 2.0),
    (timestamp '2026-09-02', timestamp '2026-09-02', 'Purchase', 'r4', null, 5, 'bought at midnight', 5.0),
    (timestamp '2026-09-02', timestamp '2026-09-03', 'Usage', null, 'Unused', 6, 'not used', 3.0),
    (timestamp '2026-09-02', timestamp '2026-09-03', 'Tax', 'r3', null, 7, 'tax', 3.0)
) as lines (charge_period_start, charge_period_end, charge_category, resource_id, commitment_discount_status, file_row, charge_description,
    reporting_effective_cost);
update finance.fct_charges set team = 'red';
create table engineering.fct_gpu_hours as
select usage_date, resource_id as allocated_resource_id, usage_date + to_hours(hour::bigint) as hour_start_at
from (values (date '2026-09-01'), (date '2026-09-02')) as days (usage_date)
cross join (values ('r1', 0), ('r2', 12)) as nodes (resource_id, first_hour)
cross join range(24) as hours (hour)
where hour >= first_hour
"""


@pytest.mark.parametrize(
    ("team", "lines"),
    [
        (
            "red",
            [
                "row 2 · half a node · 2026-09-02 00:00:00 to 2026-09-03 00:00:00 · 24.000000 USD · 12 of 24 hours of the day are charged as parts of the node",
                "row 5 · bought at midnight · 2026-09-02 00:00:00 to 2026-09-02 00:00:00 · 5.000000 USD",
                "row 3 · before it was one · 2026-09-02 10:30:00 to 2026-09-02 11:30:00 · 1.000000 USD",
            ],
        ),
        ("unused_commitment", ["row 6 · not used · 2026-09-02 00:00:00 to 2026-09-03 00:00:00 · 3.000000 USD"]),
    ],
)
def test_what_went_into_the_hours_of_a_node_is_not_listed_as_compute(team, lines):
    with duckdb.connect() as db:
        db.execute(ROWS)
        (branch,) = usage.team_day(db, team, date(2026, 9, 2)).children
    assert [str(line.label) for line in branch.children] == [f"bill: bill.csv {line}" for line in lines]
