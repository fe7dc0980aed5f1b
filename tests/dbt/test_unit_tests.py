"""The models' own unit tests (known answers), run by dbt on a warehouse that has been built."""

import os

from tollbook import pipeline
from tollbook.warehouse import build

SETTINGS = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/bill/*.csv}\n"
BILL = (
    "BilledCost,EffectiveCost,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"
    "1,1,2026-09-01,2026-10-01,2026-09-01,2026-09-02,Usage\n"
)


def test_every_unit_test_of_the_models_passes(workspace, monkeypatch):
    ws = workspace(SETTINGS, {"landing/bill/a.csv": BILL})
    pipeline.load(ws, tell=lambda _: None)
    pipeline.build(ws, tell=lambda _: None)
    monkeypatch.setenv("TOLLBOOK_WAREHOUSE", str(ws.warehouse))
    monkeypatch.setitem(os.environ, "TOLLBOOK_DUCKDB_CONFIG", "{}")
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    place = ["--project-dir", str(build.PROJECT), "--profiles-dir", str(build.PROJECT), "--target-path", str(ws.temp / "dbt")]
    try:
        done = dbtRunner().invoke(["test", "--select", "test_type:unit", "--log-level", "none", "--log-path", str(ws.temp), *place])
    finally:
        DuckDBConnectionManager.close_all_connections()
    assert [f"{one.node.name}: {one.message}" for one in done.result.results if one.status != "pass"] == []
    assert done.success, done.exception
    names = {one.node.name for one in done.result.results}
    assert any("ka_4" in name for name in names) and any("ka_20" in name for name in names)
