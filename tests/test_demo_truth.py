"""A demo fleet through the whole night: who is charged what is who really owes what, to the last digit."""

from datetime import date
from decimal import Decimal

import duckdb

from tollbook import pipeline
from tollbook.demo import generate
from tollbook.finance import statements
from tollbook.workspace import Workspace


def test_chargeback_equals_the_truth_the_fleet_was_made_from(tmp_path):
    generate(tmp_path / "fleet", "s", days=2, seed=7)
    workspace = Workspace.open(tmp_path / "fleet")
    report = pipeline.run(workspace, tell=lambda _: None)
    assert report.failures == []
    truth = workspace.root / "truth" / "team_costs.parquet"
    with duckdb.connect(str(workspace.published_db), read_only=True) as db:
        compared, different = db.execute(
            "select count(*), count(*) filter (charged.cost is distinct from owed.cost)"
            " from (select usage_date, team, sum(charged_cost) as cost from finance.fct_chargeback_days group by all) as charged"
            f" full join '{truth}' as owed using (usage_date, team)"
        ).fetchone()
        assert compared >= 2 * 6 and different == 0
        assert db.execute("select count(*) from quality.fct_checks where status = 'error'").fetchone() == (0,)

        # what tenants cost, day by day: tokens alone, and with the training that each of falcon-7b's inferences bears
        tokens, training = (f"'{workspace.root / 'truth' / name}.parquet'" for name in ("tokens", "training"))
        compared, different = db.execute(
            "select count(*), count(*) filter (found.cost is distinct from owed.cost)"
            " from (select usage_date, tenant, coalesce(sum(vendor_cost), 0) + coalesce(sum(serving_cost), 0) as cost"
            " from product.fct_tenant_costs group by all) as found"
            f" full join (select usage_date, customer as tenant, sum(cost) as cost from {tokens} group by all) as owed using (usage_date, tenant)"
        ).fetchone()
        assert compared == 2 * 12 and different == 0
        served, trained = db.execute(f"select (select sum(cost) from {tokens}), (select sum(cost) from {training})").fetchone()
        assert trained > 0
        assert db.execute("select sum(full_cost), sum(training_cost) from product.fct_token_costs").fetchone() == (
            served + trained,
            trained,
        )
        assert db.execute("select sum(cost) from product.fct_request_components").fetchone() == (served + trained,)

        # what is stated in cents is what the bills ask for, over the bridge
        bridge = dict(db.execute("select term, sum(cost) from quality.fct_bridge group by term").fetchall())
        over_the_bridge = sum(cost for term, cost in bridge.items() if term not in ("charged", "remainder"))
    stated = statements.issue_draft(workspace, date(2026, 10, 1), tmp_path / "statements", pdf=False)
    assert len([one for one in stated if one.recipient_kind == "tenant"]) == 12
    paid = [one.stated_amount for one in stated if one.recipient_kind != "tenant"]
    assert len(paid) > 6 and sum(paid) == over_the_bridge.quantize(Decimal("0.01")) > 0
