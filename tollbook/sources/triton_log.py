"""NVIDIA Triton's trace file as canonical ``requests``: one row per traced request of a model or ensemble.

Source: triton-inference-server/server, ``docs/user_guide/trace.md``: ``--trace-config triton,file=…`` with level TIMESTAMPS. In its mode
``opentelemetry``, Triton's spans are read by ``otel_spans``.

- Timestamps are nanoseconds of the host's steady clock, which counts from its boot: option ``boot_at`` says when that was. Nanoseconds
  since 1970 need none.
- Triton traces every ``rate``-th request: option ``rate`` (its setting, 1000 by default there) makes each row stand for as many.
- Models that an ensemble asked are part of its request. Tensors are not read. Triton counts no tokens.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import records, request_terms, server_lines
from tollbook.sources.request_terms import columns
from tollbook.sources.typing import text
from tollbook.workspace import Source

_TRACES = """
create or replace temp table triton_traces as
with said as (
    select
        record_no, coalesce(record->>'$.id', 'row ' || record_no) as id, record->>'$.model_name' as model_name,
        record->>'$.model_version' as model_version, nullif(record->>'$.request_id', '') as request_id, record->>'$.parent_id' as parent_id,
        unnest(coalesce(nullif(from_json(record->'$.timestamps', '[{{"name": "VARCHAR", "ns": "HUGEINT"}}]'), []), [null])) as stamp
    from records
)

select
    min(record_no) as file_row, id, any_value(model_name) as model_name, any_value(model_version) as model_version,
    any_value(request_id) as request_id, any_value(parent_id) as parent_id,
    min(stamp.ns) filter (stamp.name in ('HTTP_RECV_START', 'GRPC_WAITREAD_END', 'REQUEST_START')) as first_ns,
    max(stamp.ns) filter (stamp.name in ('HTTP_SEND_END', 'GRPC_SEND_END', 'REQUEST_END', 'INFER_RESPONSE_COMPLETE')) as last_ns,
    min(stamp.ns) filter (stamp.name = 'QUEUE_START') as queued_ns, min(stamp.ns) filter (stamp.name = 'COMPUTE_START') as computed_ns,
    min(stamp.ns) filter (stamp.name = 'INFER_RESPONSE_COMPLETE') as answered_ns,
    count(*) filter (stamp.name = 'INFER_RESPONSE_COMPLETE') as answers, bool_or(stamp.name = 'REQUEST_END') as has_ended
from said
group by id
"""
_EPOCH_NS = 10**18


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known, or of the wrong kind.
        DeliveryError: unreadable file, or its clock needs ``boot_at``.
    """
    source.refuse_other_options("boot_at", "rate", *(name for name in server_lines.STATED if name != "version"))
    stated = server_lines.stated(source)
    stated["model"] = f"coalesce({stated['model']}, model_name)"
    stated["model_version"] = "nullif(model_version, '-1')"
    rate, boot = source.option("rate", 1), source.option("boot_at")
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise ConfigError(f"{source.name}: option rate is Triton's own setting: a whole number of 1 or more.")
    boot_at = db.execute("select try_cast(? as timestamptz)", [_utc(boot)]).fetchone()[0] if boot is not None else None
    if boot is not None and boot_at is None:
        raise ConfigError(f"{source.name}: option boot_at is the moment the host booted, such as 2026-03-01T04:05:06Z.")
    request_terms.prepare(db)
    if records.open_records(db, file):
        raise DeliveryError(f"{file.name}: Triton's trace file is JSON (.json, also with .gz or .zst).")
    db.execute("create temp view delivery as select record, record_no as file_row from records")
    db.execute(_TRACES.replace("{{", "{").replace("}}", "}"))
    smallest = db.execute("select min(first_ns) from triton_traces").fetchone()[0]
    if smallest is not None and smallest < _EPOCH_NS and boot is None:
        raise DeliveryError(
            f"{file.name}: its times count from when the host booted. Give the source the option boot_at: the moment of the boot (`uptime -s`)."
        )
    zero = f"epoch_us({text(_utc(boot))}::timestamptz)::hugeint * 1000" if boot is not None else "0::hugeint"
    moment = f"(first_ns + if(first_ns < {_EPOCH_NS}, {zero}, 0)) // 1000"
    parts = columns(
        requested_at=f"strftime(make_timestamp(({moment})::bigint), '%Y-%m-%dT%H:%M:%S.%fZ')",
        request_id="request_id",
        kind="'prediction'",
        queue_ms="(computed_ns - queued_ns)::double / 1000000",
        time_to_first_token_ms="case when answers > 1 then (answered_ns - first_ns)::double / 1000000 end",
        latency_ms="case when has_ended then (last_ns - first_ns)::double / 1000000 end",
        sample_weight=f"case when {rate} > 1 then {rate} end",
        **stated,
    )
    return f"select {parts}, file_row from triton_traces where parent_id is null"


def _utc(moment) -> str:
    """A moment of the settings as text; without an offset it is UTC."""
    said = moment.isoformat() if isinstance(moment, date | datetime) else str(moment)
    said = f"{said} 00:00:00" if len(said) == len("2026-03-01") else said
    return said if said.endswith("Z") or "+" in said else f"{said}+00"
