"""Flows of money after sharing: what a bucket gave to others flows once, to who pays."""

from decimal import Decimal

import duckdb
import pytest

CHARGEBACK = """
create schema finance;
create table finance.fct_chargeback as
select 's' as source_name, 'b' as billed_by, date '2026-09-01' as billing_period, date '2026-09-01' as usage_period, *
from (values
    ('gpu', 'idle', 'idle', 75::decimal(38, 12)), ('cpu', 'idle', 'idle', 25), ('shared: idle', 'idle', 'idle', -60),
    ('shared: idle', 'allocated', 'search', 60), ('Credit', 'allocated', 'search', -5)
) as charged (component, bucket, team, charged_cost)
"""


def test_shared_money_flows_once_and_credits_stay_below_zero(repo):
    with duckdb.connect() as db:
        db.execute(CHARGEBACK)
        found = db.execute((repo / "tollbook" / "report" / "sql" / "flows.sql").read_text(), {"periods": ["2026-09-01"]}).fetchall()
    flows = {(component, team): cost for _, component, _, team, cost in found}
    assert flows == {
        ("shared: idle", "search"): Decimal(60),
        ("gpu", "idle"): pytest.approx(Decimal(30)),
        ("cpu", "idle"): pytest.approx(Decimal(10)),
        ("Credit", "search"): Decimal(-5),
    }
