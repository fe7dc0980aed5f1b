"""Who answers for a budget: an optional column of config/budgets.csv. What is left of budgets: the models' unit tests and test_markup.py."""

import pytest

from tests.workspaces import quiet, settings_of, write_workspace
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema


def loaded(tmp_path, text):
    made = write_workspace(tmp_path, settings_of("bill"), {"config/budgets.csv": text})
    with made.connect() as db:
        schema.ensure(db)
        config.load(made, db, tell=quiet)
        return db.execute("select scope, scope_value, owner from config.budgets order by rule_row").fetchall()


def test_a_budget_may_name_who_answers_for_it(tmp_path):
    rows = "team,research,100,USD,research-budget@example.com,,\nall,,1000,USD,,,\n"
    assert loaded(tmp_path, f"scope,scope_value,amount_per_month,currency,owner,valid_from,valid_to\n{rows}") == [
        ("team", "research", "research-budget@example.com"),
        ("all", None, None),
    ]


def test_budgets_need_no_owner(tmp_path):
    rows = "team,research,100,USD,,\n"
    assert loaded(tmp_path, f"scope,scope_value,amount_per_month,currency,valid_from,valid_to\n{rows}") == [("team", "research", None)]


def test_a_column_that_is_no_owner_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"budgets\.csv: unknown column boss"):
        loaded(tmp_path, "scope,scope_value,amount_per_month,currency,boss,valid_from,valid_to\nall,,1,USD,x,,\n")
