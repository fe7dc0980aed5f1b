-- sacct --parsable2 --duplicates of the day: jobs that started then, each with its batch step, as lines of text.
with jobs as (
    select
        *,
        gpu_count * case when second_node is null then 1 else 2 end as gpus,
        case when second_node is null then 1 else 2 end as node_count,
        greatest(gpus * 8, 16) as cpus,
        coalesce(team, 'guest') as account,
        strftime(moment(starts_at), '%Y-%m-%dT%H:%M:%S') as started,
        case when is_running then 'Unknown' else strftime(moment(ends_at), '%Y-%m-%dT%H:%M:%S') end as ended,
        ends_at - starts_at as seconds,
        case when seconds >= 86400 then seconds // 86400 || '-' else '' end
        || lpad((seconds // 3600 % 24)::varchar, 2, '0') || ':' || lpad((seconds // 60 % 60)::varchar, 2, '0') || ':'
        || lpad((seconds % 60)::varchar, 2, '0') as elapsed,
        case
            when is_running then 'RUNNING'
            when has_failed then 'NODE_FAIL'
            else ['COMPLETED', 'COMPLETED', 'COMPLETED', 'FAILED', 'TIMEOUT', 'CANCELLED by 1001'][(1 + label_draw % 6)::bigint]
        end as state,
        case when second_node is null then node else 'slurm-n[' || right(node, 4) || '-' || right(second_node, 4) || ']' end as node_list
    from holdings
    where kind = 'job' and day = getvariable('day')
),

records as (
    select
        *,
        0 as step,
        concat_ws(
            '|', job, job, 'research', 'l40s', account, 'user-' || label_draw % 50, 'run-' || job % 1000, state, '0:0',
            started, started, ended, elapsed, node_count, cpus,
            'billing=' || cpus || ',cpu=' || cpus || case when gpus > 0 then ',gres/gpu=' || gpus || ',gres/gpu:l40s=' || gpus else '' end
            || ',mem=' || cpus * 4 || 'G,node=' || node_count,
            node_list
        ) as line
    from jobs

    union all

    select
        *,
        1 as step,
        concat_ws(
            '|', job || '.batch', job || '.batch', 'research', '', account, '', 'batch', split_part(state, ' ', 1), '0:0',
            started, started, ended, elapsed, 1, cpus // node_count, 'cpu=' || cpus // node_count, node
        ) as line
    from jobs
)

select line as "JobID|JobIDRaw|Cluster|Partition|Account|User|JobName|State|ExitCode|Submit|Start|End|Elapsed|NNodes|NCPUS|AllocTRES|NodeList"
from records
order by starts_at, lane, step
