-- One row per source, cluster, job and attempt: when, how it ended, whose it is, and what its labels say it was for.
-- Of an attempt's holdings the last to end says how it ended; of several that end together one that did not succeed.
{{ config(materialized='table') }}

with told as (
    select
        source_name, cluster, job_id, attempt,
        count(*) as holdings,
        min(submitted_at) as submitted_at,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        bool_or(is_open) as is_open,
        max_by(outcome, (coalesce(ended_at, started_at, submitted_at, timestamp '1970-01-01'), case outcome
            when 'preempted' then 4 when 'failed' then 3 when 'timed_out' then 2 when 'cancelled' then 1 else 0 end)) filter (where outcome is not null) as outcome
    from {{ ref('int_job_holdings') }}
    group by source_name, cluster, job_id, attempt
),

-- holdings of an attempt say the same, or the first of them decides
said as (
    select
        attempts.source_name, attempts.cluster, attempts.job_id, attempts.attempt,
        {%- for column in ['name', 'holder_kind', 'namespace', 'account', 'model', 'tenant', 'pool'] %}
        min_by(holdings.{{ column }}, (holdings.holding_date, holdings.holding_id, holdings.node))
            filter (where holdings.{{ column }} is not null) as {{ column }},
        {%- endfor %}
        {%- for column, keys in {
            'repository': ['repository'],
            'commit_id': ['commit', 'commit_id', 'commit_sha', 'sha'],
            'experiment': ['experiment', 'experiment_name', 'experiment_id'],
        }.items() %}
        min(coalesce({% for key in keys %}{{ json_field('holdings.labels', key) }}{{ ', ' if not loop.last }}{% endfor %}
            {%- if keys | length == 1 %}, null{% endif %})) as {{ column }},
        {%- endfor %}
        max_by(owned.team, (owned.holding_date, holdings.holding_id, holdings.node)) filter (where owned.team is not null) as team,
        max_by(owned.cost_centre, (owned.holding_date, holdings.holding_id, holdings.node)) filter (where owned.cost_centre is not null) as cost_centre
    from {{ ref('stg_telemetry__holdings') }} as holdings
    inner join {{ ref('int_job_holdings') }} as attempts
        on holdings.source_name = attempts.source_name and coalesce(holdings.cluster, '') = attempts.cluster
        and holdings.holding_id = attempts.holding_id
    left join {{ ref('int_holdings__owned') }} as owned
        on holdings.source_name = owned.source_name and holdings.cluster is not distinct from owned.cluster
        and holdings.holding_id = owned.holding_id and holdings.node is not distinct from owned.node
        and holdings.started_at is not distinct from owned.started_at
    group by attempts.source_name, attempts.cluster, attempts.job_id, attempts.attempt
)

select
    told.source_name, told.cluster, told.job_id, told.attempt,
    told.holdings,
    told.submitted_at, told.started_at,
    case when not told.is_open then told.ended_at end as ended_at,
    coalesce(told.outcome, case when told.is_open then 'running' end) as outcome,
    row_number() over attempts_of_job = 1 as is_first,
    lead(told.attempt) over attempts_of_job is null as is_final,
    coalesce(lag(told.outcome) over attempts_of_job = 'preempted', false) as is_requeue,
    said.name, said.holder_kind, said.namespace, said.account, said.model, said.tenant, said.pool, said.repository, said.commit_id,
    said.experiment, said.team, said.cost_centre
from told
inner join said
    on told.source_name = said.source_name and told.cluster = said.cluster and told.job_id = said.job_id and told.attempt = said.attempt
window attempts_of_job as (partition by told.source_name, told.cluster, told.job_id order by told.attempt)
