"""Rule versions: a rule that is changed or removed in ``config/`` goes on deciding the days it has decided.

What finance was told about a month stays true when somebody edits a rule later. A rule edited in place, or taken out, changes
from the day after the last built one; a new rule holds from its own ``valid_from``, or from that day where it gives none.
A rule that decides the same as one that was taken out (``rule_tables.DECIDES``) is a version of it, whatever its name.
Dates are explicit: moving a rule's ``valid_from`` or ``valid_to`` counts at once, except on days that a version taken out has
decided. ``restate_from`` asks for the past, too.
"""

from __future__ import annotations

from datetime import date

import duckdb

from tollbook.sources.typing import text
from tollbook.warehouse.rule_tables import DECIDES, ONE_IN_FORCE

#: Tables whose rules are kept in versions, and the column that says which rule a row is a version of.
VERSIONED = {
    "owners": "rule_id",
    "virtual_tags": "rule_id",
    "teams": "team",
    "policies": "policy",
    "cost_sharing": "rule_id",
    "supporting_costs": "rule_id",
}


def remember(db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], restate_from: date | None, known: bool = False) -> int:
    """Bring ``meta.rule_versions`` up to ``config.<table>`` as the file has it, and put every version still needed there.

    Columns of ``config.<table>`` become the file's columns, ``valid_from``, ``valid_to`` (narrowed to when the version was in
    force) and ``rule_version``. ``known``: the file was read before, even if there was no rule in it. Returns how many rules changed
    for days to come only.
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
        f" {DECIDES[table]} as decides, valid_from::date as valid_from, valid_to::date as valid_to, {_NTH}"
        f" from (select columns(*)::varchar from config.{table})"
    )
    columns_of_content = ", ".join(f"json_extract_string(content, '$.{name}') as {name}" for name in own)
    versions = (
        f"select rule_key, content, {DECIDES[table]} as decides, valid_from, valid_to, in_force_from, in_force_to, rule_version"
        f" from (select *, {columns_of_content} from meta.rule_versions where table_name = {text(table)})"
    )
    db.execute(f"create or replace temp table rules_before as select *, {_NTH} from ({versions}) where in_force_to is null")
    db.execute("create or replace temp table rules_gone as select * from rules_before anti join rules_now using (content, nth)")
    empty = db.execute("select count(*) = 0 from meta.rule_versions where table_name = ?", [table]).fetchone()[0]
    first = changed_on is None or (empty and not known)
    db.execute(_ADDED.format(versions=versions), {"first": first, "changed_on": changed_on})
    day = f"date '{changed_on}'" if changed_on else "null::date"
    db.execute(_APPLY.format(table=text(table), changed_on=day))
    unpacked = ", ".join(f"json_extract_string(content, '$.{name}')::{columns[name]} as {name}" for name in own)
    # of owners and virtual tags several may fit, and the priority decides
    decides = "decides" if table in ONE_IN_FORCE else "null"
    db.execute(
        f"create or replace table config.{table} as with versions as (select *, {decides} as alone from ({versions})), {_PIECES}"
        f" select {unpacked}, nullif(from_day, date '0001-01-01') as valid_from, nullif(until_day, date '9999-12-31') as valid_to, rule_version"
        " from pieces where from_day < until_day"
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

# what is new in the file; it decides days to come only where it is the next version of a rule that decided some of its days
_ADDED = """
create or replace temp table rules_added as
with added as (
    select * from rules_now anti join rules_before using (content, nth)
),

-- what goes now ends on the day from which the file counts
ended as (
    select
        rule_key, decides, greatest(coalesce(valid_from, '0001-01-01'), coalesce(in_force_from, '0001-01-01')) as from_day,
        least(coalesce(valid_to, '9999-12-31'), coalesce(in_force_to, $changed_on, '9999-12-31')) as until_day
    from ({versions})
    where in_force_to is not null or (content, rule_version) in (select (content, rule_version) from rules_gone)
)

select
    added.*,
    case
        when $first then null
        when added.valid_from is null or added.rule_key in (select rules_gone.rule_key from rules_gone) then $changed_on
        when exists (
            select 1 from ended
            where (ended.rule_key = added.rule_key or ended.decides = added.decides) and ended.from_day < ended.until_day
                and ended.from_day < coalesce(added.valid_to, '9999-12-31') and added.valid_from < ended.until_day
        ) then $changed_on
    end::date as in_force_from
from added
"""

# The days on which each version is in force: its own, without those on which an earlier one decided the same.
_PIECES = """
spans as (
    select
        *, greatest(coalesce(valid_from, '0001-01-01'), coalesce(in_force_from, '0001-01-01')) as first_day,
        least(coalesce(valid_to, '9999-12-31'), coalesce(in_force_to, '9999-12-31')) as end_day,
        coalesce(in_force_to, '9999-12-31') as went_on
    from versions
),

taken as (
    select spans.content, spans.rule_version, earlier.first_day, earlier.end_day
    from spans
    inner join spans as earlier
        on spans.alone = earlier.alone and earlier.went_on < spans.went_on and earlier.first_day < earlier.end_day
        and earlier.first_day < spans.end_day and spans.first_day < earlier.end_day
),

starts as (
    select content, rule_version, first_day as from_day from spans
    union
    select content, rule_version, end_day from taken
),

pieces as (
    select
        spans.content, spans.rule_version, starts.from_day,
        least(spans.end_day, coalesce((
            select min(taken.first_day) from taken
            where taken.content = spans.content and taken.rule_version = spans.rule_version and taken.first_day >= starts.from_day
        ), spans.end_day)) as until_day
    from spans
    inner join starts on spans.content = starts.content and spans.rule_version = starts.rule_version
    where not exists (
        select 1 from taken
        where taken.content = spans.content and taken.rule_version = spans.rule_version
            and taken.first_day <= starts.from_day and starts.from_day < taken.end_day
    )
)
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
