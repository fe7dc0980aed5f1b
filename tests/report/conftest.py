"""A small published world, made by hand; the sums that follow from it are worked out beside the rows.

One month, 2025-01, in USD: a cloud bill, a vendor of models, an own fleet. One team is named by someone unfriendly.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tollbook.report.page import write_report

EVIL = "</script><script>alert(1)</script>"

SCHEMA = """
create schema finance; create schema engineering; create schema product; create schema quality;

create table finance.fct_charges (
    charge_date date, billing_period_start timestamp, charge_category varchar, service_provider_name varchar,
    resource_id varchar, tags varchar, billed_cost decimal(38, 20), effective_cost decimal(38, 20),
    billing_currency varchar, source_name varchar, delivery_id varchar, file_name varchar, file_row bigint,
    billed_by varchar, team varchar, cost_centre varchar, owner_rule_id varchar, exchange_rate decimal(38, 20),
    reporting_billed_cost decimal(38, 20), reporting_effective_cost decimal(38, 20), currency_code varchar
);
create table finance.fct_chargeback (
    usage_period date, billing_period date, billed_by varchar, source_name varchar, team varchar, cost_centre varchar,
    bucket varchar, component varchar, basis varchar, charged_cost decimal(38, 12), currency_code varchar
);
create table finance.fct_shared_costs (
    usage_date date, step integer, rule_id varchar, shared_cost_of varchar, method varchar, within varchar, entry varchar, team varchar,
    from_bucket varchar, moved_cost decimal(38, 12), kept_cost decimal(38, 12), kept_reason varchar, currency_code varchar
);
create table finance.fct_commitments (
    billed_by varchar, commitment_id varchar, commitment_type varchar, payment_model varchar, status varchar,
    purchased_cost decimal(38, 20), used_cost decimal(38, 20), unused_cost decimal(38, 20), open_cost decimal(38, 20),
    utilisation_ratio double, saving_cost decimal(38, 20), break_even_ratio double
);
create table finance.fct_invoice_tie_out (
    billing_period date, invoice_issuer_name varchar, invoice_id varchar, billing_currency varchar,
    invoiced_cost decimal(38, 20), lines_cost decimal(38, 20), rounding_cost decimal(38, 20), delta_cost decimal(38, 20),
    status varchar
);
create table engineering.fct_gpu_hours (
    hour_start_at timestamp, usage_date date, cluster varchar, pool varchar, node varchar, gpu_id varchar,
    gpu_model varchar, slot_level varchar, layer varchar, is_held boolean, holding_id varchar, job_id varchar, holder_kind varchar,
    name varchar, team varchar, cost_centre varchar, model varchar, source_name varchar, gpu_hours double,
    cpu_hours double, gpu_utilization_ratio double, allocated_cost decimal(38, 12), currency_code varchar,
    cost_reason varchar
);
create table engineering.fct_gpu_days (
    usage_date date, cluster varchar, pool varchar, node varchar, gpu_model varchar, layer varchar, is_held boolean, team varchar,
    gpu_hours double, allocated_cost decimal(38, 12), currency_code varchar, cost_per_gpu_hour double,
    gpu_utilization_ratio double
);
create table product.fct_token_costs (
    usage_date date, provider_name varchar, model varchar, team varchar, tenant varchar, feature varchar,
    request_count bigint, input_tokens bigint, cached_input_tokens bigint, output_tokens bigint,
    reasoning_tokens bigint, token_count bigint, vendor_cost decimal(38, 12), serving_cost decimal(38, 12),
    full_cost decimal(38, 12), currency_code varchar, cost_per_million_tokens double, basis varchar, cost_reason varchar
);
create table quality.fct_reconciliation (
    source_name varchar, billing_period date, rows_delivered bigint, rows_loaded bigint, rows_quarantined bigint,
    rows_delta bigint, billed_cost decimal(38, 20), effective_cost decimal(38, 20), allocated_cost decimal(38, 20),
    idle_cost decimal(38, 20), unowned_cost decimal(38, 20), other_bucket_cost decimal(38, 20),
    rounding_cost decimal(38, 20), cost_delta decimal(38, 20), currency_code varchar, rows_compared bigint
);
create table quality.fct_bridge (
    billing_period date, billed_by varchar, term_order integer, term varchar, cost decimal(38, 20),
    currency_code varchar, rows_compared bigint
);
create table quality.fct_tag_coverage (
    period date, source_name varchar, tag varchar, tagged_cost decimal(38, 20), total_cost decimal(38, 20),
    coverage_by_cost_ratio double, tagged_resources bigint, total_resources bigint, coverage_by_resource_ratio double,
    currency_code varchar
);
create table quality.fct_deliveries (
    source_name varchar, table_name varchar, partition_key varchar, delivery_id varchar, version varchar,
    file_names varchar, bytes bigint, delivered_at timestamp, loaded_at timestamp, is_current boolean,
    rows_delivered bigint, rows_loaded bigint, rows_quarantined bigint, status varchar, error varchar, notes varchar
);
create table quality.fct_quarantine (
    source_name varchar, delivery_id varchar, file_name varchar, file_row bigint, column_name varchar, value varchar,
    reason varchar, quarantined_at timestamp
);
create table quality.fct_checks (
    run_id varchar, check_id varchar, edge varchar, subject varchar, severity varchar, status varchar,
    rows_seen bigint, observed double, threshold varchar, message varchar, checked_at timestamp
);
create table quality.publication (
    published_at timestamp, run_id varchar, status varchar, warnings bigint, newest_usage_date date
);
"""

# billed 40,420.37 (and 3e-12); effective 40,630.37 (and 3e-12)
CHARGES = """
insert into finance.fct_charges by name
select
    '2025-01-02'::date as charge_date, '2025-01-01'::timestamp as billing_period_start, 'USD' as currency_code,
    source_name, billed_by, billed as reporting_billed_cost, effective as reporting_effective_cost
from (values
    ('bill', 'Big Cloud', 24000.00, 24000.00),
    ('bill', 'Big Cloud', 3000.50, 3000.50),
    ('bill', 'Big Cloud', 12000.00, 0),
    ('bill', 'Big Cloud', 0, 10000.00),
    ('bill', 'Big Cloud', 0, 1250.00),
    ('bill', 'Big Cloud', 777.77, 777.77),
    ('bill', 'Big Cloud', 0.000000000003, 0.000000000003),
    ('models', 'Acme AI', 642.10, 642.10),
    ('own_fleet', 'own_fleet', 0, 960.00)
) as lines (source_name, billed_by, billed, effective)
"""

# research 9,000 + 7,000.25 + 600 = 16,600.25; search 6,000 + 1,500 + 3,000.50 + 642.10 + 100 = 11,242.60; evil 1,000
# allocated 28,842.85; idle 5,000 + 2,999.75 + 360 = 8,359.75; all 40,730.37 = effective + 100.00 estimated
CHARGEBACK = f"""
insert into finance.fct_chargeback by name
select
    '2025-01-01'::date as usage_period, '2025-01-01'::date as billing_period, 'USD' as currency_code,
    source_name, billed_by, bucket, team, component, basis, charged_cost
from (values
    ('bill', 'Big Cloud', 'allocated', 'research', 'gpu', 'billed', 9000.00),
    ('bill', 'Big Cloud', 'allocated', 'search', 'gpu', 'billed', 6000.00),
    ('bill', 'Big Cloud', 'idle', 'idle', 'gpu', 'billed', 5000.00),
    ('bill', 'Big Cloud', 'down', 'down', 'gpu', 'billed', 900.00),
    ('bill', 'Big Cloud', 'stranded', 'stranded', 'gpu', 'billed', 100.00),
    ('bill', 'Big Cloud', 'unknown', 'unknown', 'gpu', 'billed', 500.00),
    ('bill', 'Big Cloud', 'allocated', 'search', 'tokens_self_hosted', 'billed', 1500.00),
    ('bill', 'Big Cloud', 'allocated', '{EVIL}', 'tokens_self_hosted', 'billed', 1000.00),
    ('bill', 'Big Cloud', 'allocated', 'research', 'gpu', 'billed', 7000.25),
    ('bill', 'Big Cloud', 'idle', 'idle', 'gpu', 'billed', 2999.75),
    ('bill', 'Big Cloud', 'allocated', 'search', 'Storage', 'billed', 3000.50),
    ('bill', 'Big Cloud', 'unused_commitment', 'unused_commitment', 'commitment', 'billed', 1250.00),
    ('bill', 'Big Cloud', 'unowned', 'unowned', 'Networking', 'billed', 777.77),
    ('bill', 'Big Cloud', 'rounding', 'rounding', 'rounding', 'billed', 0.000000000003),
    ('models', 'Acme AI', 'allocated', 'search', 'tokens_vendor', 'billed', 642.10),
    ('models', 'Acme AI', 'allocated', 'search', 'tokens_vendor', 'estimated', 100.00),
    ('own_fleet', 'own_fleet', 'allocated', 'research', 'gpu', 'billed', 600.00),
    ('own_fleet', 'own_fleet', 'idle', 'idle', 'gpu', 'billed', 360.00)
) as parts (source_name, billed_by, bucket, team, component, basis, charged_cost)
"""

# H100: 17,500 / 5,000 h = 3.5000; all-in 23,500 / 5,000 h = 4.7000; productive (900 + 1,500) of 4,500 h seen = 53.3 %
# A100: 7,600.25 / 3,400 h = 2.2354; all-in 10,960 / 3,400 h = 3.2235. L40S: no cost is known
GPU_DAYS = """
insert into engineering.fct_gpu_days by name
select
    usage_date::date as usage_date, gpu_model, replace(layer, 'unseen', 'unknown') as layer,
    layer in ('productive', 'quiet', 'unseen') as is_held, gpu_hours, allocated_cost,
    case when allocated_cost is not null then 'USD' end as currency_code
from (values
    ('2025-01-01', 'H100', 'productive', 900, 3060.00),
    ('2025-01-01', 'H100', 'quiet', 600, 2040.00),
    ('2025-01-02', 'H100', 'productive', 1500, 5250.00),
    ('2025-01-02', 'H100', 'unseen', 500, 1750.00),
    ('2025-01-04', 'H100', 'quiet', 1500, 5400.00),
    ('2025-01-01', 'H100', 'idle', 1000, 2500.00),
    ('2025-01-02', 'H100', 'idle', 400, 1000.00),
    ('2025-01-04', 'H100', 'idle', 500, 1250.00),
    ('2025-01-04', 'H100', 'stranded', 100, 250.00),
    ('2025-01-02', 'H100', 'down', 400, 1000.00),
    ('2025-01-01', 'H100', 'unknown', 200, 500.00),
    ('2025-01-01', 'A100', 'unseen', 1400, 3000.25),
    ('2025-01-02', 'A100', 'unseen', 1000, 2300.00),
    ('2025-01-04', 'A100', 'unseen', 1000, 2300.00),
    ('2025-01-01', 'A100', 'idle', 900, 1679.75),
    ('2025-01-04', 'A100', 'idle', 900, 1680.00),
    ('2025-01-01', 'L40S', 'unseen', 120.5, null),
    ('2025-01-02', null, 'quiet', 0, 17.00)
) as days (usage_date, gpu_model, layer, gpu_hours, allocated_cost)
"""

GPU_HOURS = """
insert into engineering.fct_gpu_hours by name
select
    '2025-01-01'::date as usage_date, 'L40S' as gpu_model, 'unknown' as layer, true as is_held, 120.5 as gpu_hours,
    null::decimal(38, 12) as allocated_cost, 'no bill for the nodes of lab' as cost_reason
"""

# chat-7b 2,500 / 250 M = 10.0000; acme-large (642.10 + 100.00) / 120 M = 6.1842; mystery has no price
TOKENS = """
insert into product.fct_token_costs by name
select
    '2025-01-02'::date as usage_date, provider_name, model, requests as request_count, tokens as token_count,
    cost as full_cost, case when cost is not null then 'USD' end as currency_code, basis, reason as cost_reason
from (values
    (null, 'chat-7b', 4000, 150000000, 1500.00, 'billed', null),
    (null, 'chat-7b', 3000, 100000000, 1000.00, 'billed', null),
    ('Acme AI', 'acme-large', 2000, 100000000, 642.10, 'billed', null),
    ('Acme AI', 'acme-large', 500, 20000000, 100.00, 'estimated', null),
    ('Nimbus', 'mystery', 10, 1000000, null, 'unpriced', 'no bill and no price for Nimbus mystery')
) as days (provider_name, model, requests, tokens, cost, basis, reason)
"""

QUALITY = """
insert into quality.fct_reconciliation values
    ('bill', '2025-01-01', 8, 7, 1, 0, 39778.270000000003, 39028.270000000003, 28500.75, 7999.75, 777.77, 2750.00,
     0.000000000003, 0, 'USD', 14),
    ('models', '2025-01-01', 1, 1, 0, 0, 642.10, 642.10, 642.10, 0, 0, 0, 0, 0, 'USD', 2),
    ('own_fleet', '2025-01-01', 1, 1, 0, 0, 0, 960, 600, 360, 0, 0, 0, 0, 'USD', 2);
insert into quality.fct_bridge values
    ('2025-01-01', 'Big Cloud', 1, 'billed', 39778.270000000003, 'USD', 7),
    ('2025-01-01', 'Big Cloud', 2, 'prepaid_bought', -12000, 'USD', 1),
    ('2025-01-01', 'Big Cloud', 3, 'prepaid_drawn', 11250, 'USD', 2),
    ('2025-01-01', 'Big Cloud', 8, 'charged', 39028.270000000003, 'USD', 14),
    ('2025-01-01', 'Big Cloud', 9, 'remainder', 0, 'USD', 21),
    ('2025-01-01', 'Acme AI', 1, 'billed', 642.10, 'USD', 1),
    ('2025-01-01', 'Acme AI', 6, 'estimated_accrual', 100, 'USD', 1),
    ('2025-01-01', 'Acme AI', 8, 'charged', 742.10, 'USD', 2),
    ('2025-01-01', 'Acme AI', 9, 'remainder', 0, 'USD', 3),
    ('2025-01-01', 'own_fleet', 1, 'billed', 0, 'USD', 1),
    ('2025-01-01', 'own_fleet', 5, 'on_prem', 960, 'USD', 1),
    ('2025-01-01', 'own_fleet', 8, 'charged', 960, 'USD', 2),
    ('2025-01-01', 'own_fleet', 9, 'remainder', 0, 'USD', 3);
insert into finance.fct_commitments values
    ('Nimbus', 'plan-1', 'Savings Plan', 'All Upfront', 'running', 2700, 840, 60, 1800, 0.93333, 180, 0.77777),
    ('Nimbus', 'ri-9', 'Reservation', null, 'unsettled', 100, 40, 50, 10, 0.44444, null, null),
    ('Acme AI', 'tokens', null, 'All Upfront', 'running', 500, 20, 0, 480, 1, 5, 0.8);
insert into finance.fct_invoice_tie_out values
    ('2025-01-01', 'Nimbus', 'INV-1', 'USD', 100.01, 100.006, 0.004, 0, 'tied'),
    ('2025-01-01', 'Nimbus', 'INV-2', 'EUR', 50, 40, 0, 10, 'differs'),
    ('2025-01-01', 'Acme AI', null, 'USD', null, 7, null, null, 'open');
insert into quality.fct_tag_coverage values
    ('2025-01-01', 'bill', 'team', 38250.50, 39028.27, null, 19, 20, null, 'USD'),
    ('2025-01-01', 'own_fleet', 'team', 960, 960, null, 1, 1, null, 'USD'),
    ('2025-01-01', 'models', 'project', 0, 0, null, 0, 0, null, 'USD');
insert into quality.fct_deliveries by name
select * replace (delivered_at::timestamp as delivered_at, loaded_at::timestamp as loaded_at)
from (values
    ('bill', 'billing_lines', 'landing/bill/a.csv', 'a.csv', '2025-01-05 06:00', '2025-01-05 06:10', true, 7, 1,
     'loaded', null),
    ('bill', 'billing_lines', 'landing/bill/b.csv', 'b.csv', '2025-01-05 06:00', '2025-01-05 06:11', false, null,
     null, 'failed', 'b.csv: required column missing: BilledCost'),
    ('bill', 'billing_lines', 'landing/bill/a.csv', 'a.csv', '2025-01-04 06:00', '2025-01-04 06:10', false, null,
     null, 'failed', 'mended since'),
    ('slurm', 'holdings', 'landing/slurm/s.txt', 's.txt', '2025-01-01 06:30', '2025-01-01 06:40', true, 900, 0,
     'loaded', null)
) as rows (source_name, table_name, partition_key, file_names, delivered_at, loaded_at, is_current, rows_loaded,
    rows_quarantined, status, error);
insert into quality.fct_quarantine values
    ('bill', 'd1', 'a.csv', 5, 'BilledCost', '12,oo', 'is no number', '2025-01-05 06:10');
insert into quality.fct_checks by name
select *
from (values
    ('freshness_days', 'bill', 'warn', 'pass', 1, 1.0, 'warn above 3', 'the newest day is 2025-01-04, 1 day ago'),
    ('freshness_days', 'slurm', 'warn', 'warn', 1, 4.0, 'warn above 3', 'the newest day is 2025-01-01, 4 days ago'),
    ('reconciliation_delta', 'finance.fct_chargeback', 'error', 'pass', 18, 0.0, '0', ''),
    ('bridge_remainder', 'quality.fct_bridge', 'error', 'pass', 27, 0.0, '0', '')
) as checks (check_id, subject, severity, status, rows_seen, observed, threshold, message);
insert into quality.publication values ('2025-01-05 06:30', 'r1', 'warned', 1, '2025-01-04');
"""


def publish(path: Path, *statements: str) -> Path:
    """Write a published file at ``path``: every mart of the contract, and what the statements put into them."""
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as db:
        for statement in (SCHEMA, *statements):
            db.execute(statement)
    return path


WORLD = (CHARGES, CHARGEBACK, GPU_DAYS, GPU_HOURS, TOKENS, QUALITY)


@pytest.fixture
def empty_db(tmp_path: Path) -> Path:
    return publish(tmp_path / "published" / "tollbook.duckdb")


@pytest.fixture
def published_db(tmp_path: Path) -> Path:
    return publish(tmp_path / "published" / "tollbook.duckdb", *WORLD)


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the unchanged world, made once."""
    path = publish(tmp_path_factory.mktemp("report") / "published" / "tollbook.duckdb", *WORLD)
    return write_report(path, path.parent / "report.html")


@pytest.fixture
def change(published_db: Path):
    """Change the published world before it is read: ``change("insert …")``."""

    def run(statements: str) -> None:
        with duckdb.connect(str(published_db)) as db:
            db.execute(statements)

    return run
