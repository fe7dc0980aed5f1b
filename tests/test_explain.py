"""Where a day's cost comes from, for what nobody held or nobody reported on."""

from datetime import date

import duckdb
import pytest
from rich.console import Console

from tollbook.explain import usage

# n1: one of two GPUs is held by research, the other blocked by a full node; n2: a cluster without telemetry; n3: memory bears cost
ROWS = """
create schema finance; create schema engineering;
create table finance.fct_chargeback_days as select date '2026-09-01' as usage_date, 'USD' as currency_code, 'billed' as basis, * from (values
    ('research', 'gpu', 4.0), ('stranded', 'gpu', 3.0), ('platform', 'gpu_unknown', 2.0), ('unowned', 'memory', 1.0),
    ('search', 'shared: idle', 2.5), ('idle', 'shared: idle', -10.0)
) as charged (team, component, charged_cost);
create table finance.fct_charges as select timestamp '2026-09-01' as charge_period_start, timestamp '2026-09-02' as charge_period_end, 'Usage' as charge_category,
    'Compute' as service_category, 'USD' as currency_code, 'bill.csv' as file_name, * from (values
    ('r1', 'platform', 1, 'node one', 7.0), ('r2', 'platform', 2, 'node two', 2.0), ('r3', 'platform', 3, 'node three', 1.0)
) as lines (resource_id, team, file_row, charge_description, reporting_effective_cost);
create table engineering.dim_capacity as select * from (values ('n1', 'r1'), ('n2', 'r2'), ('n3', 'r3')) as nodes (node, resource_id);
create table engineering.fct_gpu_hours as select timestamp '2026-09-01 05:00' as hour_start_at, date '2026-09-01' as usage_date, 1::double as cpu_hours, * replace (gpu_hours::double as gpu_hours, memory_gb_hours::double as memory_gb_hours) from (values
    ('n1', 'r1', 'gpu', 'quiet', null, true, 'sft', 'research', null, 1.0, null, 4.0),
    ('n1', 'r1', 'gpu', 'productive', null, true, 'server', 'research', 'falcon', 1.0, null, 5.0),
    ('n1', 'r1', 'gpu', 'stranded', 'no cpu left on the node', false, null, null, null, 0.75, null, 3.0),
    ('n2', 'r2', 'gpu', 'unknown', null, false, null, null, null, 1.0, null, 2.0),
    ('n3', 'r3', 'memory', 'unknown', null, true, 'shell', null, null, 0.0, 64.0, 1.0)
) as hours (node, allocated_resource_id, resource, layer, layer_reason, is_held, job_id, team, model, gpu_hours, memory_gb_hours, allocated_cost);
create table finance.fct_shared_costs as select date '2026-09-01' as usage_date, 'shared: idle' as component, 'billed' as basis, 'idle-node' as rule_id,
    2 as rule_version, 1 as step, 'by_resource' as method, 'node' as within, 'k' as cluster, 'p' as pool, 'n1' as node, 'gpu' as resource,
    'idle' as from_team, 12.0 as pool_cost, case when entry = 'kept' then 'own_share' end as kept_reason, 'USD' as currency_code,
    'Nimbus' as billed_by, *
    from (values ('search', 'received', 0.208333, 2.5, null), ('research', 'received', 0.625, 7.5, null), ('idle', 'negating', null, -10.0, null),
        ('idle', 'kept', 0.166667, 0.0, 2.0)) as moved (team, entry, share_ratio, moved_cost, kept_cost);
"""


@pytest.mark.parametrize(
    ("team", "holder", "bill"),
    [
        ("research", "sft on n1: 1 GPU-h · 4.000000 USD", "bill.csv row 1 · node one"),
        ("stranded", "stranded on n1: 0.75 GPU-h · no cpu left on the node · 3.000000 USD", "bill.csv row 1 · node one"),
        # nobody reported on the cluster: the owner of the node's bill bears it
        ("platform", "unknown on n2: 1 GPU-h · 2.000000 USD", "bill.csv row 2 · node two"),
        ("unowned", "shell on n3: 64 GB-h · 1.000000 USD", "bill.csv row 3 · node three"),
    ],
)
def test_a_day_is_explained_by_its_holders_or_by_what_nobody_held(team, holder, bill):
    with duckdb.connect() as db:
        db.execute(ROWS)
        tree = usage.team_day(db, team, date(2026, 9, 1))
    console = Console(width=200)
    with console.capture() as said:
        console.print(tree)
    assert holder in said.get() and bill in said.get()
    assert said.get().count(" on n") == 1


@pytest.mark.parametrize(
    ("team", "lines"),
    [
        (
            "search",
            [
                "20.833300% of 12.000000 USD of idle (gpu), billed by Nimbus · by rule idle-node (version 2, step 1): by_resource within n1 · 2.500000 USD"
            ],
        ),
        (
            "idle",
            [
                "given away of 12.000000 USD of idle (gpu), billed by Nimbus · by rule idle-node (version 2, step 1): by_resource within n1 · -10.000000 USD",
                "kept of 12.000000 USD of idle (gpu), billed by Nimbus · by rule idle-node (version 2, step 1): by_resource within n1 · 2.000000 USD: own_share",
            ],
        ),
    ],
)
def test_a_shared_cost_is_explained_by_rule_ratio_and_giver(team, lines):
    with duckdb.connect() as db:
        db.execute(ROWS)
        tree = usage.team_day(db, team, date(2026, 9, 1))
    assert [(str(branch.label).split(" (")[0], [str(line.label) for line in branch.children]) for branch in tree.children] == [
        ("shared: idle", lines)
    ]
