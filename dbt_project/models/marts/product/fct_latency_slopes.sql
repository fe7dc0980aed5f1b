-- What a tighter latency costs: one row per period (day, month), model and comparison: a variant with the model's baseline (`variants`), or a
-- period with the one before it (`periods`). cost_per_ms: difference of full cost per 1,000 requests ÷ difference of p95; below 0: faster is dearer.
{%- for grain in ['day', 'month'] %}
{% set period = "usage_date" if grain == 'day' else "date_trunc('month', usage_date)::date" %}
{{ 'with' if loop.first }} costs_by_{{ grain }} as (
    select
        '{{ grain }}' as grain, {{ period }} as period_start_date, model, variant,
        grouping(variant) = 1 as is_whole_model,
        sum(request_count)::bigint as request_count,
        sum(unique_success_count)::bigint as unique_success_count,
        sum(full_cost) as full_cost,
        bool_or(basis in ('partial', 'unpriced')) as lacks_cost
    from {{ ref('int_variant_days') }}
    group by grouping sets ((2, 3), (2, 3, 4))
),

spread_by_{{ grain }} as (
    select
        {{ period }} as period_start_date, model, {{ unfolded({'variant': ['variant', "''"], 'is_whole_model': ['false', 'true']}) }},
        figure_value, row_count
    from {{ ref('int_request_spreads') }}
    where figure = 'latency_ms'
),

latencies_by_{{ grain }} as (
    select * replace (case when not is_whole_model then variant end as variant)
    from ({{ percentiles_of_counts('spread_by_' ~ grain, by=['period_start_date', 'model', 'variant', 'is_whole_model'], value='figure_value',
        count='row_count', percentiles=[95]) }})
),
{%- endfor %}

figures as (
    {%- for grain in ['day', 'month'] %}
    select
        costs.*,
        case when not costs.lacks_cost then costs.full_cost::double * 1000 / nullif(costs.unique_success_count, 0) end as cost_per_1k,
        latencies.p95 as latency_ms_p95
    from costs_by_{{ grain }} as costs
    left join latencies_by_{{ grain }} as latencies
        on costs.period_start_date = latencies.period_start_date and costs.model = latencies.model
        and costs.variant is not distinct from latencies.variant and costs.is_whole_model = latencies.is_whole_model
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

variants as (
    select
        *,
        first_value(struct_pack(name := variant, cost_per_1k := cost_per_1k, latency_ms_p95 := latency_ms_p95)) over (
            partition by grain, period_start_date, model order by {{ baseline_order('variant', 'request_count') }}
        ) as base
    from figures
    where not is_whole_model and variant is not null
),

compared as (
    select
        grain, period_start_date, model, 'variants' as comparison, base.name as base_value, variant as compared_value,
        base.cost_per_1k as base_cost_per_1k, cost_per_1k, base.latency_ms_p95 as base_latency_ms_p95, latency_ms_p95
    from variants
    where variant <> base.name

    union all

    select
        grain, period_start_date, model, 'periods' as comparison, lag(period_start_date) over previous as base_value,
        period_start_date::varchar as compared_value, lag(cost_per_1k) over previous, cost_per_1k, lag(latency_ms_p95) over previous, latency_ms_p95
    from figures
    where is_whole_model
    window previous as (partition by grain, model order by period_start_date)
)

select
    compared.*,
    (cost_per_1k - base_cost_per_1k) / nullif(latency_ms_p95 - base_latency_ms_p95, 0) as cost_per_ms,
    case
        when base_value is null then 'no period before it'
        when cost_per_1k is null or base_cost_per_1k is null then 'a cost is not known whole, or no request succeeded'
        when latency_ms_p95 is null or base_latency_ms_p95 is null then 'a latency is not known'
        when latency_ms_p95 = base_latency_ms_p95 then 'the latency does not differ'
    end as reason,
    workspace.currency_code
from compared
cross join {{ source('config', 'workspace') }} as workspace
