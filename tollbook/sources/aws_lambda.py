"""AWS Lambda's log as canonical ``holdings``: one row per invocation, from the REPORT that ends it.

Source: AWS Lambda developer guide, "Sending Lambda function logs to CloudWatch Logs", "Telemetry API event schema" (``platform.report``);
Amazon CloudWatch Logs, exports to S3, ``filter-log-events``, subscription payloads, Logs Insights results.

- Text: lines as exported to S3 or printed by ``aws logs tail``, each with its time before ``REPORT RequestId: …``. JSON: the same text, or
  ``platform.report`` objects, as lines of their own or as ``message`` of events (``events``, ``logEvents``, or JSON lines of events).
  Tables: ``@timestamp`` and ``@message``, or the fields that Insights finds (``@requestId``, ``@billedDuration`` …, memory in bytes).
- The report comes at the end: the invocation started its billed duration before. What is billed may include the start of a cold
  environment (``Init Duration``); an invocation that has one was a cold start.
- An invocation that Lambda retries has the same request id: each of its reports is an attempt, from the second on with
  `@2` … after the id.
- All other lines are the function's own output and are left out. A ``Task timed out`` line makes its request one that timed out; without
  a status the outcome is not known.
- The function is named by the option ``function``, else by its log group. GB of 1024 MB.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files, records
from tollbook.sources.records import field, json_labels
from tollbook.sources.typing import text
from tollbook.workspace import Source

_TEXT_SUFFIXES = (".log", ".txt", "")

# An event: when (milliseconds since 1970, or a time as text), its message, its group and account
_EVENTS = """
create or replace temp table lambda_events as
with parts as (
    select record_no, {page_group} as page_group, {owner} as owner, unnest(case
        when json_type(record, '$.events') = 'ARRAY' then (record->'$.events')::json[]
        when json_type(record, '$.logEvents') = 'ARRAY' then (record->'$.logEvents')::json[]
        else [record]
    end) as event
    from records
)

select
    row_number() over (order by record_no) as file_row,
    {moment} as moment,
    coalesce({message}, event::varchar) as message,
    coalesce({event_group}, page_group) as log_group,
    owner
from parts
"""

_REPORTS = r"""
create or replace temp table lambda_reports as
with lines as (
    select
        *,
        regexp_matches(message, '(^|\s)REPORT RequestId: ') as is_line,
        case when message like '%platform.report%' or message like '%billedDuration%' then try_cast(message as json) end as object
    from lambda_events
),

parsed as (
    select
        file_row, moment, log_group, owner, is_line, object, message,
        case when is_line then nullif(regexp_extract(message, '^\s*([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)\s', 1), '') end as prefix,
        regexp_extract(message, '(?:^|\s)(REPORT RequestId: .*)$', 1, 's') as line
    from lines
    where is_line or {type} = 'platform.report' or {billed} is not null
)

select
    file_row,
    coalesce(prefix, {time}, moment) as ended,
    case when is_line then regexp_extract(line, 'RequestId: ([0-9A-Za-z-]+)', 1) else {request} end as request_id,
    case when is_line then {line_duration} else {duration} end as duration_ms,
    case when is_line then {line_billed} else {billed} end as billed_ms,
    case when is_line then {line_memory} else {memory} end as memory_mb,
    case when is_line then {line_used} else {used} end as used_mb,
    case when is_line then {line_init} else {init} end as init_ms,
    case when is_line then {line_restore} end as restore_ms,
    lower(case when is_line then nullif(regexp_extract(line, 'Status: ([a-zA-Z]+)', 1), '') else {status} end) as status,
    nullif(regexp_extract(log_group, '/aws/lambda/(.+)$', 1), '') as function_name,
    coalesce(owner, nullif(regexp_extract(log_group, '^([0-9]+):', 1), '')) as owner
from parsed
"""

_INVOCATIONS = """
create or replace temp table lambda_invocations as
with timed as (
    select
        *,
        case
            when regexp_full_match(ended, '[0-9]{10}') then make_timestamp(ended::bigint * 1000000)
            when regexp_full_match(ended, '[0-9]{11,}([.]0*)?') then make_timestamp(ended::decimal(18, 0)::bigint * 1000)
            when regexp_matches(ended, '(?i):[0-9.]+ ?(Z|[+-][0-9:]+)$') then try_cast(ended as timestamptz) at time zone 'UTC'
            else try_cast(ended as timestamp)
        end as ended_at,
        (try_cast(billed_ms as decimal(18, 6)) * 1000)::bigint as billed_microseconds
    from lambda_reports
)

select
    *, ended_at - to_microseconds(billed_microseconds) as started_at,
    row_number() over (partition by request_id order by ended_at, file_row) as attempt,
    case
        when ended is null then {'column_name': 'timestamp', 'value': null, 'reason': 'has no time: deliver the lines with their timestamps'}
        when ended_at is null then {'column_name': 'timestamp', 'value': ended, 'reason': 'is not a time'}
        when billed_microseconds is null then {'column_name': 'Billed Duration', 'value': billed_ms, 'reason': 'is not a number'}
        when coalesce(request_id, '') = '' then {'column_name': 'RequestId', 'value': request_id, 'reason': 'is missing'}
    end as fault
from timed
"""

_SELECT = """
select
    case when attempt > 1 then request_id || '@' || attempt else request_id end as holding_id, request_id as job_id, attempt, 'serverless' as holder_kind, {function} as name, {cluster} as cluster,
    0 as gpu_count, try_cast(memory_mb as decimal(18, 6)) / 1024 as memory_gb, started_at, ended_at, status as state,
    case
        when status = 'timeout' or request_id in (
            select regexp_extract(message, '([0-9a-f-]{{36}})\\s+Task timed out after ', 1) from lambda_events
            where message like '% Task timed out after %'
        ) then 'timed_out'
        when status = 'success' then 'succeeded'
        when status in ('error', 'failure') then 'failed'
    end as outcome,
    owner as account, {labels} as labels, file_row
from lambda_invocations
where fault is null
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``holdings`` columns and ``file_row`` (the line's or event's number).

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("function")
    if files.kind(file) in _TEXT_SUFFIXES:
        _read_lines(db, file)
    else:
        records.open_records(db, file)
        db.execute(
            _EVENTS.format(
                moment=field("event", "timestamp", "@timestamp", "time"),
                message=field("event", "message", "@message"),
                event_group=field("event", "logGroup", "@log", "log_group"),
                page_group=field("record", "logGroup", "logGroupName"),
                owner=field("record", "owner"),
            )
        )
    metrics = "record.metrics"
    db.execute(
        _REPORTS.format(
            type=field("object", "type"),
            time=field("object", "time"),
            request=field("object", "record.requestId", "@requestId"),
            status=field("object", "record.status"),
            duration=field("object", f"{metrics}.durationMs", "@duration"),
            billed=field("object", f"{metrics}.billedDurationMs", "@billedDuration"),
            memory=_megabytes("memorySizeMB", "@memorySize"),
            used=_megabytes("maxMemoryUsedMB", "@maxMemoryUsed"),
            init=field("object", f"{metrics}.initDurationMs", "@initDuration"),
            line_duration=_amount("\\tDuration"),
            line_billed=_amount("Billed Duration"),
            line_memory=_amount("Memory Size"),
            line_used=_amount("Max Memory Used"),
            line_init=_amount("Init Duration"),
            line_restore=_amount("\\tRestore Duration"),
        )
    )
    db.execute(_INVOCATIONS)
    db.execute(
        "insert into unread select file_row, fault.column_name, fault.value, fault.reason from lambda_invocations where fault is not null"
    )
    db.execute("drop view if exists temp.delivery; create temp view delivery as from lambda_events")
    function = f"coalesce({text(source.option('function'))}, function_name)" if source.option("function") else "function_name"
    labels = json_labels(
        function=function,
        cold="case when init_ms is not null then true end",
        duration_ms="try_cast(duration_ms as double)",
        billed_duration_ms="try_cast(billed_ms as double)",
        init_duration_ms="try_cast(init_ms as double)",
        restore_duration_ms="try_cast(restore_ms as double)",
        max_memory_mb="try_cast(used_mb as double)",
    )
    return _SELECT.format(function=function, cluster=text(source.cluster) if source.cluster else "null", labels=labels)


def _read_lines(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``lambda_events`` of a text file: each line is a message without a time of its own."""
    if file.stat().st_size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    try:
        # a delimiter that nobody writes gives whole lines; a name without a suffix tells nothing of its compression
        packed = "compression = 'gzip'," if file.suffix.lower() == ".gz" else ""
        db.execute(
            "create or replace temp table lambda_text as from"
            f" read_csv({files.path_text(file)}, columns = {{'message': 'varchar'}}, delim = '\x1f\x1e', quote = '', escape = '', {packed}"
            " header = false, auto_detect = false, strict_mode = false, max_line_size = 16777216)"
        )
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error
    db.execute(
        "create or replace temp table lambda_events as"
        " select rowid + 1 as file_row, null::varchar as moment, ltrim(message, '\ufeff') as message, null::varchar as log_group,"
        " null::varchar as owner from lambda_text where message is not null"
    )


def _amount(name: str) -> str:
    """The SQL of a report line's amount; ``\\t`` keeps ``Duration`` apart from ``Billed Duration``."""
    return f"nullif(regexp_extract(line, '{name}: ([0-9.]+)', 1), '')"


def _megabytes(metric: str, insight: str) -> str:
    """The SQL of an object's memory in MB; Insights has bytes, of 1,000 in a kB."""
    return f"coalesce({field('object', f'record.metrics.{metric}')}, (try_cast({field('object', insight)} as decimal(18, 6)) / 1000000)::varchar)"
