"""Points of Prometheus series out of any file that holds them: the same two relations whatever wrote the file.

- Exposition text (``.prom``, ``.metrics``, ``.txt`` …): scraped pages, OpenMetrics, ``promtool tsdb dump``. Lines without a time
  are of the moment that the option ``scraped_at`` says, else the last comment before them (``# 2026-09-01T10:00:00Z``: pages one
  after the other), else the file's path.
- JSON: answers of ``/api/v1/query_range`` and ``/api/v1/query`` (matrix, vector), one, a list, or one a line; their results
  alone, one a line (what ``tollbook pull`` writes); VictoriaMetrics' export (``values`` beside ``timestamps``).
- Tables (CSV, Parquet, flat JSON): long (a metric's name, its labels, time, value) or wide (a column per metric or series).

Sources: Prometheus documentation, "Exposition formats", "HTTP API", "promtool"; OpenMetrics 1.0.
Times that are numbers are seconds, or by their size milli-, micro- or nanoseconds; texts without an offset are in UTC.
Names of metrics are compared without case. What cannot be read is in ``unread``; series that nobody asked for are not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

_TEXT = (".prom", ".metrics", ".txt", ".log", ".om", ".openmetrics", "")
_TABLES = (".csv", ".tsv", ".parquet")
_JSON = (".json", ".jsonl", ".ndjson")
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABELS = r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}'
_SAMPLE = rf"^\s*((?:{_NAME})?\s*{_LABELS}|{_NAME}\s)\s*(\S+)(?:\s+([-+0-9.eE]+))?\s*(?:#.*)?$"
_LABEL = r'(?:([a-zA-Z_][a-zA-Z0-9_.:/-]*)|"((?:[^"\\]|\\.)*)")\s*=\s*"((?:[^"\\]|\\.)*)"'
# a name that is no identifier stands in quotes among the labels
_QUOTED_NAME = r'^\{\s*"((?:[^"\\]|\\.)*)"\s*[,}]'
_CLOCK = r"([0-2]\d)[-:_h]?([0-5]\d)(?:[-:_m]?([0-5]\d))?"
_DATE = r"(?<!\d)((?:19|20)\d\d)[-_/]?([01]\d)[-_/]?([0-3]\d)"
_TIME_COLUMNS = ("timestamp", "time", "ts", "_time", "datetime", "sampled_at", "timestamp_ms", "unix_time", "date")
_VALUE_COLUMNS = ("value", "_value", "val", "metric_value")
_METRIC_COLUMNS = ("__name__", "metric", "metric_name", "_measurement", "name", "field")
_LABELS_COLUMNS = ("labels", "tags", "label", "metric_labels", "labelset", "label_set")
# a comment that says when what follows was scraped; HELP, TYPE and UNIT are of the metric
_SCRAPED = r"^\s*#(?:\s*(?:HELP|TYPE|UNIT)\s.*|.*?(\d{4}-\d{2}-\d{2}[T ]\d{2}:[0-9:.]+(?:Z|[+-][0-9:]+)?).*)$"


@dataclass(frozen=True)
class Wanted:
    """What a reader wants of a file.

    ``metrics``: regular expression of their names, in lower case; ``what``: what they are, in words. ``columns``: what a wide table's
    columns are called beside the metrics' own names. ``as_written``: labels keep their case, their spaces, and empty values; else an
    empty label is no label. ``is_dated``: a file in which a sample has no time is refused; else such samples are unread.
    """

    metrics: str
    what: str
    columns: dict[str, str] = field(default_factory=dict)
    as_written: bool = False
    is_dated: bool = True


def open_points(db: duckdb.DuckDBPyConnection, file: Path, source: Source, wanted: Wanted) -> None:
    """Make ``prometheus_series`` (series_id, metric, labels map), ``prometheus_points`` (series_id, moment, value, file_row), ``unread``.

    Raises:
        DeliveryError: the file cannot be read, or nobody says of what moment it is.
        ConfigError: ``scraped_at`` is no time.
    """
    if file.stat().st_size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    kind = files.kind(file)
    try:
        if kind in _TABLES or (kind in _JSON and _is_flat(file)):
            _read_table(db, file, source, wanted)
        elif kind in _JSON or (kind in _TEXT and re.match(r'\s*(\[|\{\s*("[^"]*"\s*:|$))', files.header(file))):
            _read_json(db, file, source)
        elif kind in _TEXT or re.fullmatch(r"\.\d+", kind):
            _read_text(db, file, source, wanted)
        else:
            known = ", ".join(suffix for suffix in (*_TEXT, *_JSON, *_TABLES) if suffix)
            raise DeliveryError(f"{file.name}: unknown kind of file; known are {known}, also with .gz or .zst")
    except (duckdb.Error, OSError, EOFError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error
    _name_series(db, file, source, wanted)


def label(*names: str) -> str:
    """The SQL of the first label that is there, of these names; the one that a federation renamed (``exported_``) goes first."""
    return "coalesce(" + ", ".join(f"labels['exported_{name}'], labels['{name}']" for name in names) + ")"


def moment_of(value: str) -> str:
    """The SQL of a timestamp (UTC) from text: a number of seconds or fractions of them since 1970, or a time (without offset: UTC)."""
    number = f"try_cast({value} as double)"
    unit = f"case when abs({number}) < 1e11 then 1e6 when abs({number}) < 1e14 then 1e3 when abs({number}) < 1e17 then 1 else 1e-3 end"
    return (
        f"case when {number} between -1e19 and 1e19 then make_timestamp(round({number} * {unit})::bigint)"
        f" else coalesce(try_cast({value} || '+00' as timestamptz), try_cast({value} || ' 00:00+00' as timestamptz),"
        f" try_cast({value} as timestamptz)) at time zone 'UTC' end"
    )


def moment_in(name: str) -> str | None:
    """The moment (ISO, UTC) that a path says: a date and a time of day, together or as partitions, or seconds since 1970."""
    if date := re.search(_DATE, name):
        rest = name[date.end() :]
        clock = (
            re.match(rf"[T _-]{_CLOCK}", rest)
            or re.match(rf"{_CLOCK}(?!\d)", rest)
            or re.match(r".*?\b(?:hour|hh|h)=([0-2]\d)(?:.*?\b(?:minute|min|mm|m)=([0-5]\d))?()", rest)
        )
        if clock:
            hours, minutes, seconds = clock.groups()
            return f"{'-'.join(date.groups())} {hours}:{minutes or '00'}:{seconds or '00'}"
    if epoch := re.search(r"(?<!\d)(1\d{9})(?:\d{3})?(?!\d)", name):
        return epoch.group(1)
    return None


def scraped_at(db: duckdb.DuckDBPyConnection, file: Path, source: Source) -> str | None:
    """The moment of what has no time of its own, as text; None where nobody says."""
    stated = source.option("scraped_at")
    if stated is None:
        delivered = db.execute("select getvariable('delivered_name')").fetchone()[0]
        return moment_in(file.name) or (moment_in(delivered) if delivered else None)
    if db.execute(f"select {moment_of(text(str(stated)))}").fetchone()[0] is None:
        raise ConfigError(f"{source.name}: option scraped_at is {stated!r}; it must be a time such as 2026-07-14T09:00:00Z.")
    return str(stated)


def _read_text(db: duckdb.DuckDBPyConnection, file: Path, source: Source, wanted: Wanted) -> None:
    files.read_lines(db, file, "prometheus_lines")
    first = db.execute("select coalesce(min(rowid), 0) - 1 from prometheus_lines").fetchone()[0]
    db.execute(
        f"""
        create or replace temp table prometheus_read as
        with samples as (
            select
                rowid - ({first}) as file_row, line,
                regexp_extract(line, {text(_SAMPLE)}, ['series', 'value', 'at']) as parts
            from prometheus_lines
            where regexp_matches(line, '^\\s*[^#\\s]')
        )

        select
            file_row, trim(parts.series) as series, parts.value as value_text, nullif(parts.at, '') as at_text,
            case when parts.series = '' then line end as broken
        from samples
        """
    )
    if source.option("scraped_at") is None:
        db.execute(
            f"""
            create or replace temp table prometheus_scrapes as
            select rowid - ({first}) as from_row, regexp_extract(line, {text(_SCRAPED)}, 1) as scraped_at
            from prometheus_lines where regexp_matches(line, {text(_SCRAPED)}) and regexp_extract(line, {text(_SCRAPED)}, 1) <> ''
            """
        )
        if db.execute("select exists (from prometheus_scrapes)").fetchone()[0]:
            db.execute(
                "create or replace temp table prometheus_read as"
                " select * exclude (from_row, scraped_at) replace (coalesce(at_text, scraped_at) as at_text)"
                " from prometheus_read asof left join prometheus_scrapes on file_row >= from_row"
            )
    # an ellipsis is how people shorten a page
    db.execute(
        "insert into unread select file_row, 'line', left(broken, 200), 'is no sample: name{labels} value' from prometheus_read"
        " where broken is not null and not regexp_full_match(trim(broken), '[.…]+')"
    )
    db.execute("delete from prometheus_read where broken is not null; drop table prometheus_lines")
    db.execute(
        f"""
        create or replace temp table prometheus_pairs as
        with texts as (select distinct series from prometheus_read)

        select
            series,
            lower(coalesce(
                nullif(regexp_extract(series, '^{_NAME}'), ''), nullif(regexp_extract(series, {text(_QUOTED_NAME)}, 1), ''),
                nullif(regexp_extract(series, '[{{,]\\s*__name__\\s*=\\s*"([^"]*)"', 1), '')
            )) as metric,
            {_text_pairs("series")} as pairs
        from texts
        """
    )
    _date_timeless(db, file, source, wanted)


def _date_timeless(db: duckdb.DuckDBPyConnection, file: Path, source: Source, wanted: Wanted) -> None:
    """Give samples without a time the moment that is said elsewhere; one moment has one value of a series."""
    timeless = (
        "select file_row from prometheus_read semi join"
        f" (select series from prometheus_pairs where metric is null or regexp_matches(metric, {text(wanted.metrics)})) using (series) where at_text is null"
    )
    if not db.execute(f"select exists ({timeless})").fetchone()[0]:
        return
    moment = scraped_at(db, file, source)
    if moment is None and not wanted.is_dated:
        db.execute(
            f"insert into unread select file_row, 'timestamp', left(series, 500), 'says no time, and the file''s name has none'"
            f" from prometheus_read semi join ({timeless}) using (file_row)"
        )
        db.execute("delete from prometheus_read where at_text is null")
        return
    if moment is None:
        raise DeliveryError(
            f"{file.name}: its samples have no time, and neither the option scraped_at nor the path says when they were scraped."
            " Put the time in the path (…/2026-07-14T09:00:00Z.prom) or set options: {scraped_at: 2026-07-14T09:00:00Z}."
        )
    twice = db.execute(
        "select series, min(file_row), max(file_row) from prometheus_read where at_text is null"
        " group by series having count(distinct value_text) > 1 order by 2 limit 1"
    ).fetchone()
    if twice:
        raise DeliveryError(
            f"{file.name}: lines {twice[1]} and {twice[2]} state {twice[0][:120]} with two values and no time: these are several scrapes."
            " Deliver one scrape a file, or samples with timestamps; nothing of it was loaded."
        )
    db.execute("update prometheus_read set at_text = ? where at_text is null", [moment])


def _is_flat(file: Path) -> bool:
    """Whether a JSON file has records of plain fields: no answers, no results."""
    return not re.search(
        r'"(data|result|metric|values?)"\s*:\s*[\[{]|"status"\s*:\s*"(success|error)"|"__name__"\s*:.*"values"', _beginning(file)
    )


def _beginning(file: Path) -> str:
    import fsspec

    with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8-sig", errors="replace") as opened:
        return opened.read(4096)


def _read_json(db: duckdb.DuckDBPyConnection, file: Path, source: Source) -> None:
    largest = max(1 << 26, file.stat().st_size * (50 if file.suffix.lower() in (".gz", ".zst") else 1))
    # one row per result: answers are opened, lists of them too
    db.execute(
        f"""
        create or replace temp table prometheus_results as
        with records as (
            select json as record
            from read_json_objects({files.path_text(file)}, format = 'unstructured', maximum_object_size = {min(largest, 1 << 31)})
        ),

        parts as (
            select unnest(case when json_type(record) = 'ARRAY' then record::json[] else [record] end) as part from records
        ),

        results as (
            select
                unnest(case
                    when json_type(part, '$.data.result') = 'ARRAY'
                        then case when json_type(part, '$.data.result[0]') in ('OBJECT', 'NULL') or json_array_length(part, '$.data.result') = 0
                            then (part->'$.data.result')::json[] else [part] end
                    when json_type(part, '$.result') = 'ARRAY' then (part->'$.result')::json[]
                    else [part]
                end) as result
            from parts
        )

        select row_number() over () as file_row, result from results
        """
    )
    db.execute(
        """
        insert into unread
        select
            file_row, 'result', left(result::varchar, 200),
            case when result->>'$.status' = 'error' then 'is an error that the server answered' else 'is no series with its values' end
        from prometheus_results
        where json_type(result, '$.metric') is distinct from 'OBJECT'
            or (json_type(result, '$.values') is distinct from 'ARRAY' and json_type(result, '$.value') is distinct from 'ARRAY')
        """
    )
    db.execute(
        """
        create or replace temp table prometheus_read as
        with good as (from prometheus_results anti join unread using (file_row)),

        points as (
            select
                file_row, (result->'$.metric')::varchar as series,
                case
                    when json_type(result, '$.timestamps') = 'ARRAY'
                        then list_zip((result->'$.timestamps')::varchar[], (result->'$.values')::varchar[])
                    else list_transform(
                        coalesce(try_cast(result->'$.values' as varchar[][]), [(result->'$.value')::varchar[]]),
                        lambda pair: row(pair[1], pair[2])
                    )
                end as pairs
            from good
        ),

        single as (select file_row, series, unnest(pairs) as pair from points)

        select file_row, series, pair[2] as value_text, pair[1] as at_text from single
        """
    )
    db.execute(
        """
        create or replace temp table prometheus_pairs as
        with texts as (select distinct series from prometheus_read)

        select
            series, lower(series::json->>'$.__name__') as metric,
            list_transform(json_keys(series), lambda key: {'k': key, 'v': series::json->>('$."' || key || '"')}) as pairs
        from texts;
        drop table prometheus_results
        """
    )


def _read_table(db: duckdb.DuckDBPyConnection, file: Path, source: Source, wanted: Wanted) -> None:
    opened = files.open_delivery(db, file, all_text=True, any_delimiter=True)
    named = {column.strip().casefold(): column for column in reversed(opened.columns)}
    time = _first(named, _TIME_COLUMNS)
    value = _first(named, _VALUE_COLUMNS)
    metric = _first(named, _METRIC_COLUMNS)
    measured = {column: found for column in opened.columns if (found := _measured(column, wanted))}
    if value and metric and not measured:
        labels = _first(named, _LABELS_COLUMNS)
        others = [column for column in opened.columns if column not in (time, value, metric, labels)]
        pairs = f"list_concat({_pairs(others)}, {_labels_pairs(labels, opened.columns[labels]) if labels else '[]'})"
        columns = [(f"lower(trim({quoted(metric)}::varchar))", pairs, quoted(value), [metric, *others, *([labels] if labels else [])])]
    elif measured:
        others = [column for column in opened.columns if column != time and column not in measured]
        columns = [
            (text(name), f"list_concat({_pairs(others)}, {_literal(inside)})", quoted(column), others)
            for column, (name, inside) in measured.items()
        ]
    else:
        raise DeliveryError(
            f"{file.name}: found neither the columns of a long table (metric or __name__, timestamp, value) nor a column named as a"
            f" {wanted.what}; it has {', '.join(opened.columns)}. Give the source a `table` and a `select` instead of the format."
        )
    at = f"{quoted(time)}::varchar" if time else "null::varchar"
    if time and opened.columns[time] == "TIMESTAMP WITH TIME ZONE":
        at = f"({quoted(time)} at time zone 'UTC')::varchar"
    db.execute("create or replace temp table prometheus_read (file_row bigint, series varchar, value_text varchar, at_text varchar)")
    db.execute("create or replace temp table prometheus_pairs (series varchar, metric varchar, pairs struct(k varchar, v varchar)[])")
    for number, (name, pairs, cell, keys) in enumerate(columns):
        key = f"concat_ws(chr(31), '{number}', " + ", ".join(f"coalesce({quoted(column)}::varchar, '')" for column in keys) + ")"
        # units behind numbers are nvidia-smi's: 45 %, 11125 MiB, [N/A]
        number_text = f"regexp_replace(trim({cell}::varchar), '\\s*(%|[kMG]?i?B|W|MHz)$', '')"
        db.execute(f"insert into prometheus_read select file_row, {key}, {number_text}, {at} from delivery where {cell} is not null")
        db.execute(
            f"insert into prometheus_pairs select {key}, {name}, {pairs} from delivery"
            f" semi join (select min(file_row) as file_row from delivery group by {key}) as one using (file_row)"
        )
    if not time:
        _date_timeless(db, file, source, wanted)


def _first(named: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((named[name] for name in names if name in named), None)


def _measured(column: str, wanted: Wanted) -> tuple[str, dict[str, str]] | None:
    """The metric, and the labels, that a wide table's column is named after."""
    bare = re.sub(r"\s*\[.*\]$", "", column.strip()).casefold()
    if bare in wanted.columns:
        return wanted.columns[bare], {}
    found = re.match(rf"\s*({_NAME})\s*({_LABELS})?\s*$", column)
    if not found or not re.search(wanted.metrics, found.group(1).casefold()):
        return None
    return found.group(1).casefold(), {name: value for name, _, value in re.findall(_LABEL, found.group(2) or "")}


def _pairs(columns: list[str]) -> str:
    entries = ", ".join(f"{{'k': {text(column.strip())}, 'v': {quoted(column)}::varchar}}" for column in columns)
    return f"[{entries}]::struct(k varchar, v varchar)[]"


def _literal(labels: dict[str, str]) -> str:
    return (
        "["
        + ", ".join(f"{{'k': {text(name)}, 'v': {text(value)}}}" for name, value in labels.items())
        + "]::struct(k varchar, v varchar)[]"
    )


def _labels_pairs(column: str, kind: str) -> str:
    """The SQL of the labels in one column: a map, a struct, JSON text, or ``{name="value"}``."""
    name = quoted(column)
    if kind.upper().startswith("MAP"):
        return f"list_transform(map_entries({name}), lambda entry: {{'k': entry.key::varchar, 'v': entry.value::varchar}})"
    as_json = f"to_json({name})" if kind.upper().startswith("STRUCT") else f"try_cast({name} as json)"
    from_json = f"list_transform(json_keys({as_json}), lambda key: {{'k': key, 'v': {as_json}->>('$.\"' || key || '\"')}})"
    return f"coalesce({from_json}, {_text_pairs(f'{name}::varchar')}, [])"


def _text_pairs(labels: str) -> str:
    """The SQL of labels written as ``{name="value"}``; backslashes go."""
    parts = ", ".join(f"regexp_extract_all({labels}, {text(_LABEL)}, {group})" for group in (1, 2, 3))
    return (
        f"list_transform(list_zip({parts}), lambda part: {{'k': coalesce(nullif(part[1], ''), part[2]),"
        " 'v': replace(replace(replace(replace(part[3], '\\\\', chr(1)), '\\\"', '\"'), '\\n', chr(10)), chr(1), '\\')})"
    )


def _name_series(db: duckdb.DuckDBPyConnection, file: Path, source: Source, wanted: Wanted) -> None:
    """Number the series that are wanted, and turn times and values into what they are."""
    nameless = source.option("metric") or next(iter(re.findall(_NAME, file.name.split(".")[0])), None)
    nameless = nameless.casefold() if nameless and re.search(wanted.metrics, nameless.casefold()) else None
    name, value, there = (
        ("pair.k", "pair.v", "pair.v is not null") if wanted.as_written else ("lower(trim(pair.k))", "trim(pair.v)", "trim(pair.v) <> ''")
    )
    db.execute(
        f"""
        create or replace temp table prometheus_series as
        with known as (
            select series, coalesce(metric, {text(nameless) if nameless else "null"}) as metric, pairs from prometheus_pairs
        ),

        entries as (
            select series, unnest(pairs) as pair, generate_subscripts(pairs, 1) as place from known where regexp_matches(metric, {text(wanted.metrics)})
        ),

        folded as (
            select series, {name} as name, min({value}) as value, min(place) as place
            from entries
            where {there}
            group by all
        ),

        labelled as (select series, map(list(name order by place), list(value order by place)) as labels from folded group by series)

        select row_number() over (order by known.metric, known.series) as series_id, known.series, known.metric,
            coalesce(labelled.labels, map([]::varchar[], []::varchar[])) as labels
        from known left join labelled using (series)
        where regexp_matches(known.metric, {text(wanted.metrics)})
        """
    )
    db.execute(
        "insert into unread select min(file_row), 'metric', left(series, 200),"
        " 'has no metric name: a function dropped it; name it in option metric' from prometheus_read semi join"
        f" (select series from prometheus_pairs where metric is null and {nameless is None}) using (series) group by series"
    )
    db.execute(
        f"""
        create or replace temp table prometheus_typed as
        select series_id, {moment_of("at_text")} as moment, try_cast(value_text as double) as value, file_row, at_text, value_text
        from prometheus_read inner join prometheus_series using (series)
        """
    )
    no_number = "value is null and not regexp_full_match(trim(value_text), '(?i)-?|n/a|null|none|<.*>|\\[.*\\]')"
    db.execute(
        "insert into unread select file_row, case when moment is null then 'timestamp' else 'value' end,"
        " case when moment is null then at_text else value_text end,"
        " case when moment is null then 'is not a time' else 'is not a number' end"
        f" from prometheus_typed where moment is null or ({no_number})"
    )
    db.execute(
        "create or replace temp table prometheus_points as select series_id, moment, value, file_row from prometheus_typed"
        f" where moment is not null and not ({no_number});"
        " drop table prometheus_typed; drop table prometheus_read; drop table prometheus_pairs"
    )
    db.execute("drop view if exists temp.delivery")
    db.execute("create temp view delivery as from prometheus_points")
