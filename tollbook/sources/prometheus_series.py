"""Open a file of Prometheus series as the temp table ``prom_series``: what each series said first and last, and from when to when.

- Text as exporters expose it (one scrape, or several one after the other). Its time is the sample's own, else that of the last comment with
  a time in it (``# 2026-09-01T10:00:00Z``), else the one in the file's name.
- JSON that Prometheus' API answers (``query_range``, ``query``), one answer, an array of results or one per line; the lines that
  VictoriaMetrics exports (``metric``, ``values``, ``timestamps``).
- Long tables (Parquet, CSV): ``metric`` (``name``, ``__name__``), ``labels`` (JSON, map, or ``{a="b"}``), ``timestamp`` (``time``, ``ts``: seconds or
  milliseconds since 1970, or text) and ``value``. Without ``labels`` all other columns are labels.

``file_row`` is the number of the line, result or row. Values that are no number (staleness marks are NaN) say that the series is not there.
Documentation: Prometheus' exposition formats and HTTP API; VictoriaMetrics' export API.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.kubernetes_objects import named_time
from tollbook.sources.typing import quoted, text

_JSON = (".json", ".jsonl", ".ndjson")
_TABLES = (".csv", ".tsv", ".parquet")
_COLUMNS = {
    "metric": ("metric", "metric_name", "name", "__name__"),
    "labels": ("labels", "tags", "label_set"),
    "sampled_at": ("timestamp", "time", "ts", "sampled_at", "timestamp_ms", "datetime"),
    "value": ("value", "val"),
}
_LARGEST = 1 << 31

_MACROS = r"""
create or replace temp macro prom_time(t) as case
    when regexp_full_match(t, '[0-9.]+(?:[eE][+]?[0-9]+)?') then case
        when try_cast(t as double) >= 1e17 then make_timestamp((try_cast(t as double) / 1000)::bigint)
        when try_cast(t as double) >= 1e14 then make_timestamp(try_cast(t as double)::bigint)
        when try_cast(t as double) >= 1e11 then make_timestamp((try_cast(t as double) * 1000)::bigint)
        else make_timestamp((try_cast(t as double) * 1000000)::bigint)
    end
    else try_cast(t as timestamptz) at time zone 'UTC'
end;
create or replace temp macro prom_labels(t) as case
    when t is null or t in ('', '{}') then map([]::varchar[], []::varchar[])
    when regexp_matches(t, '^\s*\{\s*"') then try_cast(try_cast(t as json) as map(varchar, varchar))
    else try(map(
        regexp_extract_all(t, '([a-zA-Z_][a-zA-Z0-9_.:/-]*)\s*=\s*"((?:[^"\\]|\\.)*)"', 1),
        list_transform(
            regexp_extract_all(t, '([a-zA-Z_][a-zA-Z0-9_.:/-]*)\s*=\s*"((?:[^"\\]|\\.)*)"', 2),
            lambda value: replace(replace(replace(value, '\n', chr(10)), '\"', '"'), '\\', '\')
        )
    ))
end
"""

_TEXT = r"""
create or replace temp table prom_samples as
with parsed as (
    select
        rowid + 1 as file_row,
        line,
        regexp_matches(line, '^\s*(#|$)') as is_comment,
        regexp_extract(
            line, '^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(\S+)(?:\s+(-?[0-9.]+))?\s*(?:#.*)?$',
            ['metric', 'labels', 'value', 'sampled']
        ) as part,
        if(is_comment, prom_time(nullif(regexp_extract(line, '[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(?:Z|[+-][0-9:]+)?'), '')), null)
            as commented_at
    from prom_lines
),

timed as (
    select *, last_value(commented_at ignore nulls) over (order by file_row rows unbounded preceding) as scraped_at from parsed
)

select
    file_row,
    nullif((part).metric, '') as metric,
    (part).labels as labels_text,
    coalesce(prom_time(nullif((part).sampled, '')), scraped_at, $named) as sampled_at,
    try_cast((part).value as double) as value,
    left(line, 500) as line
from timed
where not is_comment
"""

_ANSWERS = """
create or replace temp table prom_samples as
with answers as (
    select row_number() over () as answer_no, * from read_json(
        {path}, maximum_object_size = {most}, format = 'auto', columns = {{
            status: 'VARCHAR', error: 'VARCHAR', metric: 'MAP(VARCHAR, VARCHAR)', "values": 'JSON', value: 'VARCHAR[]', timestamps: 'BIGINT[]',
            data: 'STRUCT(result STRUCT(metric MAP(VARCHAR, VARCHAR), "values" VARCHAR[][], value VARCHAR[])[])'
        }}
    )
),

results as (
    select answer_no, result.metric as labels, coalesce(result."values", [result.value]) as points
    from (select answer_no, unnest(data.result) as result from answers)
    union all
    select
        answer_no,
        metric,
        case
            when timestamps is not null
                then list_zip(timestamps::varchar[], ("values")::varchar[]).list_transform(lambda pair: [pair[1], pair[2]])
            else coalesce(try_cast("values" as varchar[][]), [value])
        end
    from answers
    where metric is not null
),

numbered as (
    select row_number() over (order by answer_no) as file_row, to_json(labels)::varchar as labels_text, labels['__name__'] as metric, points
    from results
)

select
    file_row, metric, labels_text, prom_time(point[1]) as sampled_at, try_cast(point[2] as double) as value, labels_text as line
from (select file_row, metric, labels_text, unnest(points) as point from numbered)
"""

_SERIES = """
insert into unread
select
    file_row,
    if(metric is null, 'metric', 'timestamp'),
    any_value(line),
    if(metric is null, 'is no sample of a series', 'says no time, and the file''s name has none')
from prom_samples
where metric is null or sampled_at is null
group by all;

create or replace temp table prom_series as
with series as (
    select
        metric,
        labels_text,
        min(file_row) as file_row,
        min(sampled_at) as first_at,
        max(sampled_at) as last_at,
        -- the value is 1 for what is so
        min(sampled_at) filter (value > 0) as first_true_at,
        max(sampled_at) filter (value > 0) as last_true_at,
        arg_max(value, sampled_at) as value
    from prom_samples
    where metric is not null and sampled_at is not null and not isnan(value)
    group by all
)

select series.*, parsed.labels
from series
inner join (
    select labels_text, prom_labels(labels_text) as labels from (select distinct labels_text from series)
) as parsed on series.labels_text is not distinct from parsed.labels_text;

-- the usual time between two samples of all, and the last moment that there was any
create or replace temp table prom_clock as
with moments as (select distinct sampled_at from prom_samples where sampled_at is not null),

steps as (select sampled_at, sampled_at - lag(sampled_at) over (order by sampled_at) as step from moments)

select
    max(sampled_at) as last_at,
    to_microseconds(coalesce(quantile_disc(epoch_us(sampled_at) - epoch_us(sampled_at - step), 0.5) filter (step >= interval 1 second), 0)) as step
from steps
"""


def open_series(db: duckdb.DuckDBPyConnection, file: Path, prefixes: tuple[str, ...]) -> None:
    """Make ``prom_series`` (metric, labels, first_at, last_at, first_true_at, last_true_at, value, file_row), ``prom_samples``, ``prom_clock``
    (last_at, step) and ``unread`` for the metrics of ``file`` whose names start with one of the prefixes.

    Raises:
        DeliveryError: the file is empty, cut off, or has no such series.
    """
    if file.stat().st_size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    db.execute(_MACROS)
    kind = files.kind(file)
    if kind in _TABLES:
        _read_table(db, file)
    else:
        db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
        db.execute("drop view if exists temp.delivery")
        try:
            _read_answers(db, file) if kind in _JSON else _read_text(db, file)
        except (duckdb.Error, OSError, EOFError) as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error
    wanted = " or ".join(f"starts_with(metric, {text(prefix)})" for prefix in prefixes)
    db.execute(f"delete from prom_samples where metric is not null and not ({wanted})")
    db.execute(_SERIES)
    if not db.execute("select count(*) from prom_series").fetchone()[0]:
        said = db.execute("select value, reason from unread limit 1").fetchone()
        reason = f"; the first of what cannot be read: {said[0]!r} {said[1]}" if said else ""
        raise DeliveryError(f"{file.name} has no series called {' or '.join(f'{prefix}…' for prefix in prefixes)}{reason}.")


def _read_text(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    # the format knows no quotes around fields: a delimiter that nobody writes gives whole lines
    db.execute(
        f"create or replace temp table prom_lines as from read_csv({files.path_text(file)}, columns = {{'line': 'varchar'}},"
        " delim = '\x1f\x1e', quote = '', escape = '', header = false, auto_detect = false, strict_mode = false,"
        " max_line_size = 16777216)"
    )
    named = named_time(file)
    db.execute(_TEXT.replace("$named", f"timestamp '{named}'" if named else "null::timestamp"))


def _read_answers(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    packed = file.suffix.lower() in (".gz", ".zst")
    most = min(max(1 << 24, file.stat().st_size * (50 if packed else 1)), _LARGEST)
    db.execute(_ANSWERS.format(path=files.path_text(file), most=most))


def _read_table(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    opened = files.open_delivery(db, file, all_text=True)
    plain = {name.strip().lower(): name for name in opened.columns}
    found = {column: next((plain[name] for name in names if name in plain), None) for column, names in _COLUMNS.items()}
    for column in ("metric", "sampled_at", "value"):
        if found[column] is None:
            raise DeliveryError(f"{file.name} has no column for the {column}: it may be called {', '.join(_COLUMNS[column])}.")
    if found["labels"] is None:
        others = [name for name in opened.columns if name not in found.values()]
        pairs = ", ".join(f"{text(name.strip())}, {quoted(name)}::varchar" for name in others)
        labels = f"json_merge_patch('{{}}'::json, json_object({pairs}))::varchar"
    elif opened.columns[found["labels"]] in ("VARCHAR", "JSON"):
        labels = f"{quoted(found['labels'])}::varchar"
    else:
        labels = f"to_json({quoted(found['labels'])})::varchar"
    moment = quoted(found["sampled_at"])
    if opened.columns[found["sampled_at"]].startswith("TIMESTAMP"):
        zoned = opened.columns[found["sampled_at"]] == "TIMESTAMP WITH TIME ZONE"
        moment = f"{moment} at time zone 'UTC'" if zoned else f"{moment}::timestamp"
    else:
        moment = f"prom_time(trim({moment}::varchar))"
    db.execute(
        f"create or replace temp table prom_samples as select file_row, nullif(trim({quoted(found['metric'])}::varchar), '') as metric,"
        f" {labels} as labels_text, {moment} as sampled_at, try_cast({quoted(found['value'])} as double) as value,"
        f" {quoted(found['metric'])}::varchar as line from delivery"
    )
