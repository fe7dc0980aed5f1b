-- What each holding held and was allocated: one row per day, source, cluster, holding, stretch (int_holding_cuts) and kind of place. An hour
-- in which a stretch ends is shared out by the time held on either side, exactly. Σ allocated_cost = Σ over what is held in fct_gpu_hours.
{%- set hour = ['usage_date', 'hour_start_at', 'source_name', 'cluster', 'holding_id', 'node', 'pool', 'gpu_model'] %}
{%- set measures = ['allocated_cost', 'used_cost', 'gpu_hours', 'used_gpu_hours', 'cpu_hours', 'memory_gb_hours'] %}
{%- set notes = ['hours_without_cost', 'hours_seen', 'cost_reason'] %}

with bought as (
    select hour_start_at, cluster, node, max(purchase_option) as purchase_option
    from (
        select cluster, node, purchase_option, {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
        from {{ ref('stg_telemetry__capacity') }}
        where purchase_option <> '' and {{ may_overlap_build_days('started_at', 'ended_at') }}
    )
    where {{ in_build_days('hour_start_at::date') }}
    group by hour_start_at, cluster, node
),

-- a price book says what it costs: no bill is in yet
estimated as (
    select distinct usage_date, holding_source, coalesce(cluster, '') as cluster, holding_id
    from {{ ref('int_slot_hours__allocated') }}
    where is_held and {{ in_build_days('usage_date') }} and source_name in (
            select priced.source_name from {{ ref('int_node_hours__priced') }} as priced where {{ in_build_days('priced.usage_date') }}
        )
),

hours as (
    select
        usage_date, hour_start_at, source_name, coalesce(cluster, '') as cluster, holding_id, node, pool, gpu_model,
        coalesce(sum(allocated_cost), 0)::decimal(38, 12) as allocated_cost,
        coalesce(sum(allocated_cost) filter (where layer = 'productive'), 0)::decimal(38, 12) as used_cost,
        coalesce(sum(held_gpu_hours::decimal(38, 12)), 0)::decimal(38, 12) as gpu_hours,
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where layer = 'productive'), 0)::decimal(38, 12) as used_gpu_hours,
        coalesce(sum(cpu_hours::decimal(38, 12)), 0)::decimal(38, 12) as cpu_hours,
        coalesce(sum(memory_gb_hours::decimal(38, 12)), 0)::decimal(38, 12) as memory_gb_hours,
        count(*) filter (where allocated_cost is null) as hours_without_cost,
        count(*) filter (where layer in ('productive', 'quiet')) as hours_seen,
        min(cost_reason) filter (where allocated_cost is null) as cost_reason
    from {{ ref('fct_gpu_hours') }}
    where is_held and {{ in_build_days('usage_date') }}
    group by usage_date, hour_start_at, source_name, coalesce(cluster, ''), holding_id, node, pool, gpu_model
),

stretches as (
    select * from {{ ref('int_holding_cuts') }} where {{ in_build_days('usage_date') }}
),

-- the time held in each stretch of a holding that is cut that day
pieces as (
    select
        spans.hour_start_at, spans.source_name, spans.cluster, spans.holding_id, spans.node, stretches.stretch_start_at, stretches.stretch_end_at,
        {{ microseconds_between(
            'greatest(spans.span_start_at, stretches.stretch_start_at)', 'least(spans.span_end_at, stretches.stretch_end_at)'
        ) }} as microseconds
    from {{ ref('int_holding_spans') }} as spans
    inner join stretches
        on spans.usage_date = stretches.usage_date and spans.source_name = stretches.source_name and spans.cluster = stretches.cluster
        and spans.holding_id = stretches.holding_id and stretches.stretches > 1
        and spans.span_start_at < stretches.stretch_end_at and spans.span_end_at > stretches.stretch_start_at
    where {{ in_build_days('spans.usage_date') }}
),

cut as (
    select
        {% for column in hour + measures + notes %}hours.{{ column }}, {% endfor %}
        pieces.stretch_start_at, pieces.stretch_end_at, sum(pieces.microseconds) as microseconds
    from hours
    inner join pieces
        on hours.hour_start_at = pieces.hour_start_at and hours.source_name = pieces.source_name and hours.cluster = pieces.cluster
        and hours.holding_id = pieces.holding_id and (hours.node is null or hours.node = pieces.node)
    group by all
),

amounts as (
    {%- for measure in measures %}
    select {{ (hour + notes) | join(', ') }}, stretch_start_at, stretch_end_at, microseconds, '{{ measure }}' as measure, {{ measure }} as amount
    from cut
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

split as (
    {{ split_exact('amounts', by=hour + ['measure'], amount='amount', weight='microseconds', tie_break=['stretch_start_at'],
        keep=hour + notes + ['stretch_start_at', 'stretch_end_at', 'measure'], into='part') }}
),

together as (
    select
        {% for column in hour + measures + notes %}hours.{{ column }}, {% endfor %}
        stretches.stretch_start_at, stretches.stretch_end_at
    from hours
    inner join stretches
        on hours.usage_date = stretches.usage_date and hours.source_name = stretches.source_name and hours.cluster = stretches.cluster
        and hours.holding_id = stretches.holding_id and stretches.stretches = 1
    union all
    select
        {{ hour | join(', ') }},
        {% for measure in measures %}sum(part) filter (where measure = '{{ measure }}') as {{ measure }}, {% endfor %}
        {{ notes | join(', ') }}, stretch_start_at, stretch_end_at
    from split
    group by {{ (hour + notes) | join(', ') }}, stretch_start_at, stretch_end_at
)

select
    together.usage_date, together.source_name, together.cluster, together.holding_id,
    together.stretch_start_at, together.stretch_end_at,
    together.pool, together.gpu_model, bought.purchase_option,
    estimated.holding_id is not null as is_estimated,
    {% for measure in measures %}sum(together.{{ measure }}) as {{ measure }},
    {% endfor -%}
    sum(together.hours_without_cost) as hours_without_cost,
    sum(together.hours_seen) as hours_seen,
    min(together.cost_reason) as cost_reason
from together
left join bought on together.hour_start_at = bought.hour_start_at and together.cluster = bought.cluster and together.node = bought.node
left join estimated
    on together.usage_date = estimated.usage_date and together.source_name = estimated.holding_source
    and together.cluster = estimated.cluster and together.holding_id = estimated.holding_id
group by all
