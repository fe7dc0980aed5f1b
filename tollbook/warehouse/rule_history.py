"""Rule versions: a rule that is changed or removed in ``config/`` goes on deciding the days it has decided.

What finance was told about a month stays true when somebody edits a rule later. A rule edited in place, or taken out, changes
from the day after the last built one; a new rule holds from its own ``valid_from``, or from that day where it gives none.
Dates are explicit: moving a rule's ``valid_from`` or ``valid_to`` counts at once. ``restate_from`` asks for the past, too.
"""

from __future__ import annotations

from datetime import date

import duckdb

from tollbook.sources.typing import text

#: Tables whose rules are kept in versions, and the column that says which rule a row is a version of.
VERSIONED = {
    "owners": "rule_id",
    "virtual_tags": "rule_id",
    "teams": "team",
    "policies": "policy",
    "cost_sharing": "rule_id",
    "supporting_costs": "rule_id",
}


def remember(db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], restate_from: date | None) -> int:
    """Bring ``meta.rule_versions`` up to ``config.<table>`` as the file has it, and put every version still needed there.

    Columns of ``config.<table>`` become the file's columns, ``valid_from``, ``valid_to`` (narrowed to when the version was in
    force) and ``rule_version``. Returns how many rules changed for days to come only.
    """
    own = [name for name in columns if name not in ("valid_from", "valid_to")]
    packed = ", ".join(f"'{name}', {name}::varchar" for name in own)
    changed_on = db.execute(_CHANGED_ON, [restate_from]).fetchone()[0]
    if changed_on is None:
        db.execute("delete from meta.rule_versions where table_name = ?", [table])
    if restate_from is not None:
        db.execute("delete from meta.rule_versions where table_name = ? and in_force_from >= ?", [table, restate_from])
        db.execute("update meta.rule_versions set in_force_to = null where table_name = ? and in_force_to > ?", [table, restate_from])
    db.execute(
        f"create or replace temp table rules_now as select {VERSIONED[table]} as rule_key, json_object({packed})::varchar as content,"
        f" valid_from, valid_to, {_NTH} from config.{table}"
    )
    db.execute(
        f"create or replace temp table rules_before as select *, {_NTH} from meta.rule_versions"
        " where table_name = ? and in_force_to is null",
        [table],
    )
    db.execute(
        "create or replace temp table rules_gone as select rule_key, content, in_force_from, nth from rules_before"
        " anti join rules_now using (content, nth)"
    )
    first = db.execute("select count(*) = 0 from meta.rule_versions where table_name = ?", [table]).fetchone()[0]
    db.execute(
        "create or replace temp table rules_added as select rules_now.*, case when $first then null"
        " when rule_key in (select rule_key from rules_gone) or valid_from is null then $changed_on end as in_force_from"
        " from rules_now anti join rules_before using (content, nth)",
        {"first": first, "changed_on": changed_on},
    )
    day = f"date '{changed_on}'" if changed_on else "null::date"
    db.execute(_APPLY.format(table=text(table), changed_on=day))
    unpacked = ", ".join(f"json_extract_string(content, '$.{name}')::{columns[name]} as {name}" for name in own)
    db.execute(
        f"create or replace table config.{table} as select {unpacked}, valid_from, valid_to, rule_version from ("
        " select content, rule_version, greatest(valid_from, in_force_from) as valid_from, least(valid_to, in_force_to) as valid_to"
        f" from meta.rule_versions where table_name = {text(table)}"
        ") where valid_from is null or valid_to is null or valid_from < valid_to"
    )
    return db.execute(
        "select count(*) from (select rule_key from rules_gone union select rule_key from rules_added where in_force_from is not null)"
        if restate_from is None and not first
        else "select 0"
    ).fetchone()[0]


# rows of the same content are told apart by their order in time
_NTH = "row_number() over (partition by content order by valid_from nulls first) as nth"

# the day after the last built one; none where nothing was built yet
_CHANGED_ON = """
select coalesce(?::date, (select (max(horizon_at) - interval 1 microsecond)::date + 1 from meta.build_state))
"""

_APPLY = """
update meta.rule_versions as kept set valid_from = paired.valid_from, valid_to = paired.valid_to
from (
    select rules_before.content, rules_before.rule_version, rules_now.valid_from, rules_now.valid_to
    from rules_before inner join rules_now using (content, nth)
) as paired
where kept.table_name = {table} and kept.content = paired.content and kept.rule_version = paired.rule_version
    and kept.in_force_to is null;

delete from meta.rule_versions as kept
where table_name = {table} and in_force_to is null and in_force_from >= {changed_on}
    and (content, rule_version) in (
        select content, rule_version from rules_before semi join rules_gone using (content, nth)
    );

update meta.rule_versions as kept set in_force_to = {changed_on}
where table_name = {table} and in_force_to is null
    and (content, rule_version) in (
        select content, rule_version from rules_before semi join rules_gone using (content, nth)
    );

insert into meta.rule_versions by name
select
    {table} as table_name, rule_key, content, valid_from, valid_to, in_force_from, null::date as in_force_to,
    row_number() over (partition by rule_key order by valid_from nulls first, content)
        + coalesce((
            select max(known.rule_version) from meta.rule_versions as known
            where known.table_name = {table} and known.rule_key = rules_added.rule_key
        ), 0) as rule_version
from rules_added;
"""
