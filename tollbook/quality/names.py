"""Names that rules of ``config/`` use and that are nowhere: most often a word spelt otherwise, so that a rule moves nothing."""

from __future__ import annotations

import duckdb

from tollbook.quality import query
from tollbook.quality.gates import Gates
from tollbook.quality.results import Measure, number

#: What the check looks names up in.
NEEDED = (
    "config.owners",
    "config.teams",
    "config.virtual_tags",
    "engineering.dim_capacity",
    "engineering.dim_holdings",
    "intermediate.int_costs__charged",
    "product.fct_token_costs",
)
_ADVICE = (
    "Spell it as it is in the bills and telemetry (`tollbook query` on finance.fct_chargeback, engineering.dim_capacity), or take the rule out;"
    " if it is to come, leave it."
)


def unknown_names(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    """One measure per rule with such names, else one for all rules; none where no rule names anything."""
    rules = query.run(db, "unknown_names")
    measures = [
        Measure(
            "unknown_names",
            f"{rule.table_name}.csv: {rule.rule_key}",
            f"rule {rule.rule_key!r} names what is nowhere: {rule.said}",
            _ADVICE,
            rule.names,
            float(rule.unknown),
            gates.unknown_names.limits(float(rule.unknown)),
        )
        for rule in rules
        if rule.unknown
    ]
    if measures or not rules:
        return measures
    names = sum(rule.names for rule in rules)
    found = f"{number(names, 'name')} in {number(len(rules), 'rule')}, each known"
    return [Measure("unknown_names", "config", found, "", names, 0.0, gates.unknown_names.limits(0.0))]
