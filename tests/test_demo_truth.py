"""A demo fleet through the whole night: who is charged what is who really owes what, to the last digit."""

import duckdb

from tollbook import pipeline
from tollbook.demo import generate
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
