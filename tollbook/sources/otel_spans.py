"""Any spans of OpenTelemetry as canonical ``spans``: what a job's traces did, and how much they carried.

Source: OTLP JSON (see ``otel``); OpenTelemetry semantic conventions for HTTP, RPC, messaging, databases and jobs.

- ``job_id`` is the first of the attributes in the option ``job`` that the span has; of its resource, too: a worker whose resource names
  the job (``k8s.job.name``) names it on each of its spans.
- ``request_id`` of a model's call is what ``otel_genai`` calls it: ``gen_ai.response.id``, else trace and span.
- Bytes are those of bodies that the span received and sent, seen from the span's service: a client's response is in, a server's is out.
- ``attributes`` leaves out persons, prompts, answers, headers and full addresses.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import otel
from tollbook.sources.otel import attribute
from tollbook.sources.request_terms import columns, paths
from tollbook.workspace import Source

_KINDS = ("internal", "server", "client", "producer", "consumer")
_REQUEST = ("http.request.body.size", "http.request_content_length", "http.request.size", "messaging.message.body.size", "rpc.request.size")
_RESPONSE = ("http.response.body.size", "http.response_content_length", "http.response.size", "rpc.response.size")
_PEER = ("service.peer.name", "peer.service", "server.address", "net.peer.name", "db.system.name", "db.system", "messaging.system", "gen_ai.provider.name", "gen_ai.system")  # fmt: skip


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``spans`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("job")
    otel.open_spans(db, file)
    kinds = " ".join(
        f"when '{number}' then '{kind}' when 'SPAN_KIND_{kind.upper()}' then '{kind}'" for number, kind in enumerate(_KINDS, 1)
    )
    sent, got = f"req_count({attribute(*_REQUEST)})", f"req_count({attribute(*_RESPONSE)})"
    serves = "kind in ('2', 'SPAN_KIND_SERVER', '5', 'SPAN_KIND_CONSUMER')"
    parts = columns(
        trace_id="trace_id",
        span_id="span_id",
        parent_span_id="parent_span_id",
        name="name",
        service=otel.service(),
        kind=f"case kind {kinds} else 'internal' end",
        started_at="coalesce(strftime(started_at, '%Y-%m-%dT%H:%M:%S.%fZ'), nullif(starts, '0'))",
        ended_at="coalesce(strftime(ended_at, '%Y-%m-%dT%H:%M:%S.%fZ'), nullif(ends, '0'))",
        is_error="is_error",
        job_id=attribute(*paths(source, "job", otel.JOBS), resource=True),
        request_id=f"case when {otel.IS_MODEL_CALL} then {otel.REQUEST_ID} end",
        peer_service=attribute(*_PEER),
        bytes_in=f"case when {serves} then {sent} else {got} end",
        bytes_out=f"case when {serves} then {got} else {sent} end",
        attributes=otel.kept(),
    )
    return f"select {parts}, file_row from otel_read"
