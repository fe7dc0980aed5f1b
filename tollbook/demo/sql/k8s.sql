-- Pods that started on the day, or wait since then. Labels spell `team` in more than one way; some pods have none, and
-- their namespace tells; some have neither.
with pods as (
    select
        *,
        'ns-' || coalesce(team, 'shared') as namespace,
        case kind when 'server' then model || '-server' else ['train', 'tune', 'notebook', 'batch'][(1 + (label_draw >> 32) % 4)::bigint] end
            as app,
        case
            when team is null or (label_draw % 10 > 7 and kind = 'pod') then '{'
            when label_draw % 10 > 5 and kind = 'pod' then '{"Team": "' || team || '", '
            else '{"team": "' || team || '", '
        end as label_start
    from holdings
    where kind <> 'job' and day = getvariable('day')
),

listed as (
    select
        'pod-' || lane || '-' || day || '-' || start_number as holding_id,
        'job-' || job as job_id,
        attempt::integer as attempt,
        app as name,
        pool,
        node,
        case
            when pool = 'h100' then array_to_string(
                list_transform(range(first_gpu, first_gpu + gpu_count), lambda gpu: 'GPU-' || node || '-' || gpu), ','
            )
        end as gpu_ids,
        gpu_count::decimal(18, 6) as gpu_count,
        share::decimal(18, 6) as gpu_share,
        (gpu_count * 8)::decimal(18, 6) as cpu_count,
        moment(starts_at) as submitted_at,
        moment(starts_at) as started_at,
        case when not is_running then moment(ends_at) end as ended_at,
        case when is_running then 'Running' when has_failed then 'Failed' else 'Succeeded' end as state,
        lower(state) as outcome,
        namespace,
        model,
        label_start || '"app": "' || app || '"}' as labels
    from pods

    union all

    select
        'pod-waiting-' || getvariable('day') || '-' || number, null, 1, 'train', 'h100', null, null, 8, 1, 64,
        moment(getvariable('day') * 86400 + number * 60 % 86400), null, null, 'Pending', 'pending',
        'ns-' || some_team(draw('waiting', getvariable('day'), number)), null, '{"app": "train"}'
    from range(getvariable('holdings_per_day') // 50) as numbered (number)
)

select 'pod' as holder_kind, 'k8s-main' as cluster, *
from listed
order by submitted_at, holding_id
