"""Rules that need other rules: a split of ``resource_rates.csv`` must have rates on every day on which a policy names it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.warehouse.rule_tables import BUILT_IN_SPLITS

_ALWAYS, _NEVER = date.min, date.max
Days = tuple[date, date]

# nothing was or will be split before
_FIRST_DAY = """
select min(first_day) from (
    select min(usage_date) as first_day from meta.delivery_days
    union all select min(started_at)::date from raw.capacity
    union all select min(started_at)::date from raw.holdings
)
"""


def refuse_uncovered_splits(db: duckdb.DuckDBPyConnection, policies: Path, rates: Path, within: Days | None = None) -> None:
    """Refuse rates that are not in force on a day on which a policy splits nodes by them: ``within`` these, else from the first with data on.

    Raises:
        ConfigError: names the file, the policy's row, the days and what to do.
    """
    named = db.execute(
        "select value, coalesce(cluster, ''), coalesce(pool, ''), valid_from, valid_to from config.policies where policy = 'node_cost_split'"
        " and value not in (select unnest(?)) order by all",
        [list(BUILT_IN_SPLITS)],
    ).fetchall()
    if not named:
        return
    first, last = within or (db.execute(_FIRST_DAY).fetchone()[0] or _ALWAYS, _NEVER)
    for split, cluster, pool, start, end in named:
        in_force = db.execute("select valid_from, valid_to from config.resource_rates where split = ?", [split]).fetchall()
        needed = (max(start or _ALWAYS, first), min(end or _NEVER, last))
        gaps = list(_gaps(needed, [(begin or _ALWAYS, until or _NEVER) for begin, until in in_force]))
        if gaps:
            row = _row(policies, (split, cluster, pool), gaps[0][0])
            who = (
                f"row {row} of {policies.name}"
                if row
                else f"a row that {policies.name} does not hold any more, but which goes on deciding the days it decided,"
            )
            raise ConfigError(
                f"{rates}: no rate of split {split!r} is in force {' and '.join(map(_told, gaps))}, where {who} splits nodes by it."
                f" Give rates for these days (mend valid_from or valid_to of its rows), or have {policies.name} name another split on them;"
                " the rules in force stay."
            )


def _gaps(needed: Days, covered: list[Days]) -> Iterator[Days]:
    """The parts of ``needed`` that nothing covers, in order."""
    day, end = needed
    for begin, until in sorted(covered):
        if day < min(begin, end):
            yield day, min(begin, end)
        day = max(day, until)
    if day < end:
        yield day, end


def _told(gap: Days) -> str:
    first, last = gap[0], None if gap[1] == _NEVER else gap[1] - timedelta(days=1)
    if first == _ALWAYS:
        return f"up to {last}" if last else "on any day"
    if last is None:
        return f"from {first} on"
    return f"on {first}" if first == last else f"from {first} to {last}"


def _row(policies: Path, wanted: tuple[str, str, str], day: date) -> int | None:
    """Which row of the file says so of that day; None where none does."""
    if not policies.is_file():
        return None
    with policies.open(encoding="utf-8-sig", newline="") as content:
        for number, row in enumerate(csv.DictReader(content), 1):
            said = {name.strip(): (value or "").strip() for name, value in row.items() if name}
            same = said.get("policy") == "node_cost_split" and tuple(said.get(name, "") for name in ("value", "cluster", "pool")) == wanted
            if same and (said["valid_from"] or str(_ALWAYS)) <= str(day) < (said["valid_to"] or str(_NEVER)):
                return number
    return None
