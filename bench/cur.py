"""Load a large CUR 2.0 Parquet delivery, beside a plain copy of the same files.

    python bench/cur.py [rows]          # 20,000,000 by default

Makes ``rows`` line items of some hundred columns in several files, then measures, each in a process of its own and into a
database file: DuckDB's ``create table as select * from read_parquet(...)``, and ``pipeline.load`` into ``raw.billing_lines``.
Prints the seconds and the peak memory of both, and their ratio.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from tollbook import pipeline
from tollbook.workspace import Workspace

_FILES = 8

# what repeats with the product, as CUR 2.0 has it: text columns that are mostly short lists of values
_PRODUCT = [
    "from_location",
    "from_location_type",
    "from_region_code",
    "instance_family",
    "instance_type",
    "location",
    "location_type",
    "operation",
    "product_family",
    "region_code",
    "servicecode",
    "sku",
    "to_location",
    "to_location_type",
    "to_region_code",
    "usagetype",
]
_EMPTY = [
    "reservation_availability_zone",
    "reservation_end_time",
    "reservation_modification_status",
    "reservation_normalized_units_per_reservation",
    "reservation_number_of_reservations",
    "reservation_start_time",
    "reservation_subscription_id",
    "reservation_total_reserved_normalized_units",
    "reservation_total_reserved_units",
    "reservation_units_per_reservation",
    "savings_plan_end_time",
    "savings_plan_instance_type_family",
    "savings_plan_region",
    "savings_plan_start_time",
    "line_item_tax_type",
    "bill_invoice_id",
    "pricing_lease_contract_length",
    "pricing_offering_class",
    "pricing_purchase_option",
    "capacity_reservation_capacity_reservation_arn",
    "capacity_reservation_capacity_reservation_status",
    "capacity_reservation_capacity_reservation_type",
    "product_comment",
    "product_fee_code",
    "product_fee_description",
    "reservation_reservation_a_r_n",
]
_AMOUNTS = [
    "reservation_amortized_upfront_cost_for_usage",
    "reservation_amortized_upfront_fee_for_billing_period",
    "reservation_effective_cost",
    "reservation_recurring_fee_for_usage",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_normalized_unit_quantity",
    "reservation_unused_quantity",
    "reservation_unused_recurring_fee",
    "reservation_upfront_value",
    "savings_plan_amortized_upfront_commitment_for_billing_period",
    "savings_plan_recurring_commitment_for_billing_period",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
    "line_item_normalization_factor",
    "line_item_normalized_usage_amount",
]


def _lines(first: int, last: int) -> str:
    """The SELECT of the line items numbered from ``first`` up to, not with, ``last``."""
    product = ", ".join(f"'{name} ' || sku_number % {7 + number} as product_{name}" for number, name in enumerate(_PRODUCT))
    empty = ", ".join(f"''::varchar as {name}" for name in _EMPTY)
    amounts = ", ".join(f"0.0::double as {name}" for name in _AMOUNTS)
    return f"""
        select
            md5(line::varchar) || md5((line + 1)::varchar) as identity_line_item_id,
            strftime(starts_at, '%Y-%m-%dT%H:%M:%SZ') || '/' || strftime(ends_at, '%Y-%m-%dT%H:%M:%SZ') as identity_time_interval,
            'Anniversary' as bill_bill_type, 'AWS' as bill_billing_entity,
            timestamp '2025-03-01' as bill_billing_period_start_date, timestamp '2025-04-01' as bill_billing_period_end_date,
            'Amazon Web Services, Inc.' as bill_invoicing_entity, '111122223333' as bill_payer_account_id,
            'payer' as bill_payer_account_name,
            lpad((444455550000 + line % 50)::varchar, 12, '0') as line_item_usage_account_id,
            'account ' || line % 50 as line_item_usage_account_name,
            'us-east-1' || chr((97 + line % 4)::int) as line_item_availability_zone,
            cost as line_item_blended_cost, rate::varchar as line_item_blended_rate, 'USD' as line_item_currency_code,
            'Amazon Web Services, Inc.' as line_item_legal_entity,
            '$' || rate || ' per On Demand Linux type' || sku_number || ' Instance Hour' as line_item_line_item_description,
            case when covered then 'SavingsPlanCoveredUsage' else 'Usage' end as line_item_line_item_type,
            'RunInstances' as line_item_operation,
            (['AmazonEC2', 'AmazonS3', 'AmazonRDS', 'AWSLambda', 'AmazonBedrock'])[1 + sku_number % 5] as line_item_product_code,
            'arn:aws:ec2:us-east-1:444455550000:instance/i-' || lpad(hex(line % 40000), 17, '0') as line_item_resource_id,
            cost as line_item_unblended_cost, rate::varchar as line_item_unblended_rate, amount as line_item_usage_amount,
            starts_at as line_item_usage_start_date, ends_at as line_item_usage_end_date,
            'USE1-BoxUsage:type' || sku_number as line_item_usage_type,
            'USD' as pricing_currency, cost as pricing_public_on_demand_cost, rate::varchar as pricing_public_on_demand_rate,
            'SKU' || sku_number || '.JRTCKXETXF.6YS6EN2CT7' as pricing_rate_code, (70000000 + sku_number)::varchar as pricing_rate_id,
            'OnDemand' as pricing_term, 'Hrs' as pricing_unit,
            map {{'product_name': 'Amazon Elastic Compute Cloud', 'vcpu': (2 + sku_number % 8)::varchar, 'memory': '8 GiB',
                'operating_system': 'Linux', 'tenancy': 'Shared', 'storage': 'EBS only', 'region': 'us-east-1'}} as product,
            map {{'user_team': 'team ' || line % 30, 'user_env': (['prod', 'dev'])[1 + line % 2], 'aws_created_by': 'x'}} as resource_tags,
            map {{'centre': 'c' || line % 12}} as cost_category,
            map([]::varchar[], []::double[]) as discount,
            case when covered then 'arn:aws:savingsplans::111122223333:savingsplan/p' || line % 3 else '' end
                as savings_plan_savings_plan_a_r_n,
            case when covered then cost * 0.7 else 0 end as savings_plan_savings_plan_effective_cost,
            case when covered then 'ComputeSavingsPlans' else '' end as savings_plan_offering_type,
            case when covered then 'No Upfront' else '' end as savings_plan_payment_option,
            case when covered then '1yr' else '' end as savings_plan_purchase_term,
            case when covered then (rate * 0.7)::varchar else '' end as savings_plan_savings_plan_rate,
            {product}, {empty}, {amounts}
        from (
            select
                line, (hash(line) % 300)::int as sku_number, hash(line + 7) % 5 = 0 as covered,
                timestamp '2025-03-01' + to_hours((line % 744)::int) as starts_at, starts_at + interval 1 hour as ends_at,
                (1 + hash(line) % 9999)::double / 10000 as amount,
                (1 + (hash(line) % 300) * 7)::double / 10000 as rate, amount * rate as cost
            from range({first}, {last}) as numbers(line)
        )
    """


def make(rows: int, folder: Path) -> None:
    """Write ``rows`` line items as Parquet files into ``folder``."""
    folder.mkdir(parents=True)
    with duckdb.connect() as db:
        db.execute("set preserve_insertion_order = false")
        for number in range(_FILES):
            first, last = rows * number // _FILES, rows * (number + 1) // _FILES
            db.execute(f"copy ({_lines(first, last)}) to '{folder}/cur-{number:05d}.snappy.parquet' (format parquet)")


def copy(folder: Path, target: Path) -> None:
    """The measure: the same files as they are, as one table."""
    with duckdb.connect(str(target)) as db:
        db.execute(f"create table lines as select * from read_parquet('{folder}/*.parquet')")


def load(folder: Path, root: Path) -> None:
    """Load the files as one delivery of a fresh workspace."""
    root.mkdir()
    (root / "tollbook.yml").write_text(f"currency: USD\nsources:\n  - {{name: aws, path: '{folder}', format: aws_cur}}\n")
    (report,) = pipeline.load(Workspace.open(root), tell=lambda _: None)
    if report.failures or report.quarantined:
        raise SystemExit(f"{report.failures} {report.quarantined} rows in quarantine")


def _measured(step: str, *arguments: Path) -> tuple[float, float, float]:
    """Seconds, seconds of all cores, and peak resident gigabytes of a step in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, f"--{step}", *map(str, arguments)], env={**os.environ, "PYTHONPATH": os.getcwd()})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{step} failed")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main() -> None:
    if len(sys.argv) > 2:
        {"--copy": copy, "--load": load}[sys.argv[1]](*map(Path, sys.argv[2:]))
        return
    rows = int(sys.argv[1].replace("_", "").replace(",", "")) if len(sys.argv) > 1 else 20_000_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "cur"
        make(rows, folder)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e9
        with duckdb.connect() as db:
            columns = len(db.execute(f"describe select * from read_parquet('{folder}/*.parquet')").fetchall())
        print(f"{rows:,} lines, {columns} columns, {_FILES} files, {size:.2f} GB")
        copied, copy_cpu, copy_gb = _measured("copy", folder, Path(place) / "copy.duckdb")
        print(f"copy  {copied:8.2f} s  ({copy_cpu:8.2f} s of cores)  peak {copy_gb:5.2f} GB")
        loaded, load_cpu, load_gb = _measured("load", folder, Path(place) / "workspace")
        print(f"load  {loaded:8.2f} s  ({load_cpu:8.2f} s of cores)  peak {load_gb:5.2f} GB")
        print(f"ratio {loaded / copied:8.2f}    ({load_cpu / copy_cpu:8.2f} of cores)")


if __name__ == "__main__":
    main()
