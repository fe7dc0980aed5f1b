"""GitHub Actions jobs as canonical ``holdings``: one row per job of a run's attempt, on the runner that ran it.

Source: GitHub REST API, "List jobs for a workflow run" (pages ``{"total_count", "jobs"}``), "List workflow runs" (``{"workflow_runs"}``),
and payloads of the webhooks ``workflow_job`` and ``workflow_run``; as saved pages or as JSON lines of pages, payloads, jobs or runs.

- Runs hold nothing: they tell who started it, by what event, for which commit, where they are in the same file as their jobs.
- A queued job has a ``started_at`` all the same, and so has one that was skipped or cancelled while it waited: who had no runner did not
  start. Of several payloads of one job in a file the one that knows most counts.
- Each attempt is a job with an id of its own; ``job_id`` ties them: the run and the job's name.
- GitHub's own runners ("GitHub Actions 12") are on no node.
- Labels (``runs-on``) give what is held there: see ``ci_jobs`` for the options ``runners`` and ``node_from``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import ci_jobs
from tollbook.sources.records import field, json_labels
from tollbook.workspace import Source

_JOBS = """
create or replace temp table github_jobs as
with jobs as (
    select
        record_no,
        -- what a payload says beside its job; the page itself would be copied beside each of its jobs
        json_object('repository', record->'$.repository', 'sender', record->'$.sender', 'workflow', record->'$.workflow') as page,
        unnest(case
            when json_type(record, '$.jobs') = 'ARRAY' then (record->'$.jobs')::json[]
            when json_type(record, '$.workflow_job') = 'OBJECT' then [record->'$.workflow_job']
            when json_type(record, '$.run_id') is not null then [record]
            else []::json[]
        end) as job
    from records
),

numbered as (
    select row_number() over (order by record_no) as file_row, page, job, {id} as id, {status} as status from jobs
)

select * from numbered
qualify row_number() over (
    partition by coalesce(id, file_row::varchar)
    order by case status when 'completed' then 2 when 'in_progress' then 1 else 0 end desc, file_row desc
) = 1
"""

_RUNS = """
create or replace temp table github_runs as
with runs as (
    select unnest(case
        when json_type(record, '$.workflow_runs') = 'ARRAY' then (record->'$.workflow_runs')::json[]
        when json_type(record, '$.workflow_run') = 'OBJECT' then [record->'$.workflow_run']
        when json_exists(record, '$.jobs_url') then [record]
        else []::json[]
    end) as run
    from records
)

select {id} as run_id, try_cast({attempt} as integer) as run_attempt, run from runs
qualify row_number() over (partition by {id} order by try_cast({attempt} as integer) desc nulls last) = 1
"""

_SELECT = """
select
    id as holding_id, run_id || '/' || {name} as job_id, {attempt} as attempt, 'ci_job' as holder_kind, {name} as name,
    coalesce(held_cluster, {cluster}) as cluster, coalesce(held_pool, {group}) as pool,
    case when is_started and not is_hosted then {node} end as node,
    {numbers}, gpu_model, gpu_profile,
    {created} as submitted_at, case when is_started then {started} end as started_at, case when is_started then {completed} end as ended_at,
    coalesce({conclusion}, status) as state,
    case
        when {conclusion} in ('success', 'neutral') then 'succeeded'
        when {conclusion} in ('failure', 'startup_failure', 'action_required') then 'failed'
        when {conclusion} in ('cancelled', 'skipped', 'stale') then 'cancelled'
        when {conclusion} = 'timed_out' then 'timed_out'
        when status = 'in_progress' then 'running'
        when status in ('queued', 'waiting', 'pending', 'requested') then 'pending'
    end as outcome,
    repository as namespace, split_part(repository, '/', 1) as account, user_name, labels, file_row
from (
    select
        *, {resources}, {labels} as labels
    from (
        select
            jobs.file_row, jobs.page, jobs.job, jobs.id, jobs.status, runs.run, {run_id} as run_id, {runner} as runner,
            lower(jobs.job->>'$.labels')::varchar as runner_labels,
            coalesce(from_json(lower(jobs.job->>'$.labels'), '["VARCHAR"]'), []) as label_list,
            coalesce({group} = 'GitHub Actions' or regexp_matches({runner}, '^(GitHub Actions|Hosted Agent)( [0-9]+)?$'), false) as is_hosted,
            -- a file that does not tell runners at all leaves only the times
            status in ('in_progress', 'completed') and {conclusion} is distinct from 'skipped' and (
                {runner} is not null or coalesce({runner_id}, '0') <> '0'
                or not (json_exists(jobs.job, '$.runner_name') or json_exists(jobs.job, '$.runner_id'))
            ) as is_started,
            coalesce({repository}, {url_repository}) as repository, {user} as user_name
        from github_jobs as jobs
        left join github_runs as runs on {run_id} = runs.run_id
    )
)
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``holdings`` columns and ``file_row`` (the job's number in the file).

    Raises:
        ConfigError: an option that is not known or makes no sense.
        DeliveryError: unreadable file.
    """
    runners = ci_jobs.open_jobs(db, file, source, "label_list")
    db.execute(_JOBS.format(id=field("job", "id"), status=f"lower({field('job', 'status')})"))
    db.execute(_RUNS.format(id=field("run", "id"), attempt=field("run", "run_attempt")))
    labels = json_labels(
        repository="repository",
        workflow=f"coalesce({field('job', 'workflow_name')}, {field('run', 'name')}, {field('page', 'workflow.name')})",
        ref=f"coalesce({field('job', 'head_branch')}, {field('run', 'head_branch')})",
        commit=f"coalesce({field('job', 'head_sha')}, {field('run', 'head_sha')})",
        event=field("run", "event"),
        run_id="run_id",
        runner="runner",
        runner_labels="array_to_string(label_list, ',')",
    )
    url = f"coalesce({field('job', 'url')}, {field('job', 'run_url')}, {field('job', 'html_url')})"
    return _SELECT.format(
        **runners,
        name=f"coalesce({field('job', 'name')}, id)",
        attempt=field("job", "run_attempt"),
        group=field("job", "runner_group_name"),
        created=f"coalesce({field('job', 'created_at')}, {field('job', 'started_at')})",
        started=field("job", "started_at"),
        completed=field("job", "completed_at"),
        conclusion=f"lower({field('job', 'conclusion')})",
        labels=labels,
        run_id=field("jobs.job", "run_id"),
        runner=field("jobs.job", "runner_name"),
        runner_id=field("jobs.job", "runner_id"),
        repository=f"coalesce({field('page', 'repository.full_name')}, {field('run', 'repository.full_name')})",
        url_repository=f"nullif(regexp_extract({url}, '(?:/repos|//github[.]com)/([^/]+/[^/]+)/', 1), '')",
        user=f"coalesce({field('run', 'triggering_actor.login')}, {field('run', 'actor.login')}, {field('page', 'sender.login')})",
    )
