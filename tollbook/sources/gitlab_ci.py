"""GitLab CI jobs as canonical ``holdings``: one row per job, on the runner that ran it.

Source: GitLab REST API, "Jobs API" (``/projects/:id/jobs``, ``/projects/:id/pipelines/:id/jobs``), as saved pages (arrays) or JSON lines,
and payloads of the webhook "Job events" (``build_*`` fields, times as "2021-02-23 02:41:37 UTC").

- A retried job is a job with an id of its own; ``job_id`` ties them: the pipeline and the job's name. ``attempt`` is the webhook's
  ``retries_count`` + 1, or the place in order of id among the file's jobs of that name.
- ``created_at`` is when the pipeline made the job; it waits for a runner only since its start less ``queued_duration``.
- The node is the runner's description; tags give what is held there: see ``ci_jobs`` for the options ``runners`` and ``node_from``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import ci_jobs
from tollbook.sources.records import field, json_labels
from tollbook.workspace import Source

_JOBS = """
create or replace temp table gitlab_jobs as
with numbered as (
    select record_no as file_row, record as job, {id} as id, {pipeline} as pipeline, {name} as name, lower({status}) as status
    from records
    where {id} is not null
),

latest as (
    select * from numbered
    qualify row_number() over (
        partition by id
        order by case when status in ('success', 'failed', 'canceled', 'skipped') then 2 when status = 'running' then 1 else 0 end desc,
            file_row desc
    ) = 1
)

select *, row_number() over (partition by coalesce(pipeline, id), name order by try_cast(id as hugeint), file_row) as place from latest
"""

_SELECT = """
select
    id as holding_id, coalesce(pipeline || '/' || name, id) as job_id,
    coalesce(try_cast({retries} as integer) + 1, place) as attempt, 'ci_job' as holder_kind, name,
    coalesce(held_cluster, {cluster}) as cluster, held_pool as pool, case when is_started then {node} end as node,
    {numbers}, gpu_model, gpu_profile,
    coalesce((try_cast(started as timestamptz) - to_microseconds((try_cast({queued} as decimal(18, 6)) * 1000000)::bigint))::varchar, {created})
        as submitted_at,
    case when is_started then started end as started_at, case when is_started then {finished} end as ended_at,
    status as state,
    case
        when status = 'success' then 'succeeded'
        when status = 'failed' and {reason} in ('job_execution_timeout', 'job_execution_server_timeout') then 'timed_out'
        when status = 'failed' then 'failed'
        when status in ('canceled', 'skipped') then 'cancelled'
        when status in ('running', 'canceling') then 'running'
        when status is not null then 'pending'
    end as outcome,
    repository as namespace, user_name, labels, file_row
from (
    select *, {resources}, {labels} as labels
    from (
        select
            *, {started} as started, {started} is not null and status <> 'skipped' as is_started, {runner} as runner,
            list_transform(
                list_concat(coalesce(from_json(job->'$.tag_list', '["VARCHAR"]'), []), coalesce(from_json(job->'$.runner.tags', '["VARCHAR"]'), [])),
                lambda tag: lower(tag)
            ) as tag_list,
            coalesce({path}, nullif(regexp_extract({url}, '^https?://[^/]+/(.+?)/-/', 1), '')) as repository,
            {user} as user_name
        from gitlab_jobs
    )
)
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``holdings`` columns and ``file_row`` (the job's number in the file).

    Raises:
        ConfigError: an option that is not known or makes no sense.
        DeliveryError: unreadable file.
    """
    runners = ci_jobs.open_jobs(db, file, source, "tag_list")
    job_id = field("record", "build_id", "id")
    db.execute(
        _JOBS.format(
            id=job_id,
            pipeline=field("record", "pipeline_id", "pipeline.id"),
            name=f"coalesce({field('record', 'build_name', 'name')}, {job_id})",
            status=field("record", "build_status", "status"),
        )
    )
    db.execute(f"insert into unread select record_no, 'id', left(record::varchar, 200), 'is no job' from records where {job_id} is null")
    labels = json_labels(
        repository="repository",
        stage=field("job", "build_stage", "stage"),
        ref=field("job", "ref", "pipeline.ref"),
        commit=field("job", "sha", "commit.id", "pipeline.sha"),
        event=field("job", "source", "pipeline.source"),
        pipeline="pipeline",
        runner="runner",
        runner_labels="nullif(array_to_string(list_sort(list_distinct(tag_list)), ','), '')",
    )
    return _SELECT.format(
        **runners,
        retries=field("job", "retries_count"),
        queued=field("job", "build_queued_duration", "queued_duration"),
        created=_time("build_created_at", "created_at"),
        finished=_time("build_finished_at", "finished_at"),
        started=_time("build_started_at", "started_at"),
        reason=field("job", "build_failure_reason", "failure_reason"),
        labels=labels,
        runner=field("job", "runner.description", "runner.name"),
        path=field("job", "project.path_with_namespace"),
        url=field("job", "web_url"),
        user=field("job", "user.username"),
    )


def _time(*paths: str) -> str:
    """The SQL of a time as text: webhooks write the zone as a word."""
    return f"replace({field('job', *paths)}, ' UTC', '+00')"
