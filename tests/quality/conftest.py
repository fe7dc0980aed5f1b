"""A warehouse small enough to check by hand: one bill of two lines, one holding of one hour, one request."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pytest

from tollbook.warehouse import schema

MARTS = """
create schema intermediate; create table intermediate.int_asset_days (source_name varchar); create schema finance; create schema engineering; create schema product; create schema quality;
create table meta.horizon (horizon_at timestamp);
create table config.sources (source_name varchar, is_own boolean, is_vendor_log boolean);
create table config.required_tags (tag varchar, valid_from date, valid_to date, rule_row bigint);
create table finance.fct_charges (
    charge_date date, source_name varchar, billed_by varchar, team varchar, reporting_billed_cost decimal(38, 20),
    reporting_effective_cost decimal(38, 20), currency_code varchar
);
create table intermediate.int_chargeback (
    usage_period date, billing_period date, billed_by varchar, source_name varchar, team varchar, bucket varchar,
    component varchar, basis varchar, charged_cost decimal(38, 12), currency_code varchar
);
create table engineering.fct_gpu_hours (
    hour_start_at timestamp, usage_date date, cluster varchar, pool varchar, node varchar, layer varchar,
    is_held boolean, gpu_hours double, cpu_hours double, memory_gb_hours double, allocated_cost decimal(38, 12), cost_reason varchar
);
create table engineering.fct_jobs (
    job_id varchar, gpu_hours double, cost decimal(38, 12), cost_reason varchar
);
create table product.fct_token_costs (
    usage_date date, model varchar, token_count bigint, full_cost decimal(38, 12), cost_reason varchar
);
create table quality.fct_reconciliation (
    source_name varchar, billing_period date, rows_delivered bigint, rows_loaded bigint, rows_quarantined bigint,
    rows_delta bigint, effective_cost decimal(38, 20), cost_delta decimal(38, 20), currency_code varchar,
    rows_compared bigint
);
create table quality.fct_bridge (
    billing_period date, billed_by varchar, term_order integer, term varchar, cost decimal(38, 20),
    currency_code varchar, rows_compared bigint
);
create table finance.fct_invoice_tie_out (
    invoice_issuer_name varchar, invoice_id varchar, status varchar, issuer_invoice_count bigint, invoice_row_count bigint,
    line_count bigint, delta_cost decimal(38, 20), details_delta_cost decimal(38, 20), billing_currency varchar
);
create table finance.fct_commitments (
    billed_by varchar, commitment_id varchar, status varchar, open_cost decimal(38, 20), currency_code varchar
);
create table quality.fct_usage_tie_out (
    usage_date date, provider_name varchar, model varchar, state varchar, is_open boolean, log_list_cost decimal(38, 12),
    vendor_list_cost decimal(38, 12), billed_cost decimal(38, 20), unmatched_cost decimal(38, 20), currency_code varchar
);
create table quality.fct_tag_coverage (
    period date, source_name varchar, tag varchar, tagged_cost decimal(38, 20), total_cost decimal(38, 20),
    coverage_by_cost_ratio double, currency_code varchar
);
"""

# 7.00 for a node of which half was held, 3.00 for storage; the bill names both owners
ROWS = """
insert into raw.billing_lines by name
select 'bill' as source_name, 'd1' as delivery_id, 'AWS' as provider_name, 'USD' as billing_currency,
    'delivered' as currency_origin, timestamp '2026-11-04' as charge_period_start,
    timestamp '2026-11-05' as charge_period_end, effective_cost, effective_cost as billed_cost
from (values (7), (3)) as lines (effective_cost);

insert into raw.holdings by name
select 'slurm' as source_name, 'd2' as delivery_id, 'h1' as holding_id, timestamp '2026-11-04 01:00' as started_at,
    timestamp '2026-11-04 02:00' as ended_at;

insert into raw.requests by name
select 'gateway' as source_name, 'd3' as delivery_id, timestamp '2026-11-04 01:30' as requested_at, 'm' as model;

insert into meta.horizon values ('2026-11-05');
insert into config.required_tags values ('team', null, null, 1);

insert into finance.fct_charges values
    ('2026-11-04', 'bill', 'AWS', 'search', 7, 7, 'USD'), ('2026-11-04', 'bill', 'AWS', 'search', 3, 3, 'USD');
insert into intermediate.int_chargeback values
    ('2026-11-01', '2026-11-01', 'AWS', 'bill', 'search', 'allocated', 'gpu', 'billed', 3.5, 'USD'),
    ('2026-11-01', '2026-11-01', 'AWS', 'bill', 'idle', 'idle', 'gpu', 'billed', 3.5, 'USD'),
    ('2026-11-01', '2026-11-01', 'AWS', 'bill', 'search', 'allocated', 'Storage', 'billed', 3, 'USD');
insert into engineering.fct_gpu_hours values
    ('2026-11-04 01:00', '2026-11-04', 'c', 'p', 'n1', 'quiet', true, 0.5, 1, null, 3.5, null),
    ('2026-11-04 01:00', '2026-11-04', 'c', 'p', 'n1', 'idle', false, 0.5, 1, null, 3.5, null);
insert into engineering.fct_jobs values ('h1', 0.5, 3.5, null);
insert into product.fct_token_costs values ('2026-11-04', 'm', 1000, 0.25, null);
insert into quality.fct_reconciliation values ('bill', '2026-11-01', 2, 2, 0, 0, 10, 0, 'USD', 5);
insert into quality.fct_bridge values
    ('2026-11-01', 'AWS', 1, 'billed', 10, 'USD', 5), ('2026-11-01', 'AWS', 9, 'remainder', 0, 'USD', 5);
insert into finance.fct_invoice_tie_out values ('AWS', 'INV-1', 'tied', 1, 1, 2, 0, null, 'USD');
insert into finance.fct_commitments values ('AWS', 'ri-1', 'settled', 0, 'USD'), ('AWS', 'sp-1', 'running', 900, 'USD');
insert into quality.fct_usage_tie_out values ('2026-11-04', 'Lumen', 'm', 'matched', false, 4, 4, 4, 0, 'USD');
insert into quality.fct_tag_coverage values ('2026-11-01', 'bill', 'team', 10, 10, 1, 'USD');
"""


@pytest.fixture
def now():
    return datetime(2026, 11, 5, 6)


@pytest.fixture
def empty_warehouse():
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        schema.ensure(db)
        db.execute(MARTS)
        yield db


@pytest.fixture
def warehouse(empty_warehouse):
    empty_warehouse.execute(ROWS)
    return empty_warehouse


@pytest.fixture
def deliver(warehouse):
    """Note a delivery as loading does: its rows are in raw already, or the test puts them there."""

    def note(source, delivery_id, day, rows, table="billing_lines", quarantined=0, columns=("a", "b"), **changes):
        delivery = {
            "source_name": source, "table_name": table, "partition_key": f"{source}/{day}.csv",
            "delivery_id": delivery_id, "file_names": [f"landing/{source}/{day}.csv"],
            "delivered_at": f"{day} 23:00:00", "loaded_at": f"{day} 23:30:00", "is_current": True,
            "rows_delivered": rows, "rows_loaded": rows and rows - quarantined, "rows_quarantined": quarantined,
            "status": "loaded", "error": None, "columns": list(columns),
        } | changes  # fmt: skip
        names = ", ".join(delivery)
        warehouse.execute(f"insert into meta.deliveries ({names}) values ({', '.join('?' * len(delivery))})", list(delivery.values()))
        if delivery["is_current"]:
            warehouse.execute("insert into meta.delivery_days values (?, ?, ?)", [source, delivery_id, day])

    return note


@pytest.fixture
def find():
    """The one result of a check and subject."""

    def one(results, check_id, subject):
        (result,) = [one for one in results if (one.check_id, one.subject) == (check_id, subject)]
        return result

    return one
