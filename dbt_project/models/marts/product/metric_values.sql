-- The long table of metrics: one row per metric, measure, grain, period, dimension and value of it. What cannot be worked out is NULL, with
-- the reason; a metric that a month has nothing for has one row of that month that says what it needs.
with given as (
    {% for section in ['gpu', 'jobs', 'inference', 'tokens', 'platform'] -%}
    select metric_id, measure, grain, period_start_at, period_end_at, dimension, dimension_value, value, basis, reason
    from {{ ref('int_metrics__' ~ section) }}
    {% if not loop.last %}
    union all

    {% endif -%}
    {% endfor -%}
),

months as (
    select distinct date_trunc('month', usage_date)::date as period_start_at
    from {{ ref('int_chargeback_days') }}

    union

    select period_start_at from given where grain = 'month'
),

complete as (
    select * from given

    union all

    select
        catalogue.metric_id, catalogue.measure, 'month' as grain, months.period_start_at,
        (months.period_start_at + interval 1 month)::date as period_end_at, 'all' as dimension, null as dimension_value, null as value,
        'partial' as basis, 'needs ' || catalogue.needs as reason
    from {{ ref('metric_catalogue') }} as catalogue
    cross join months
    where not exists (
            select 1 from given
            where given.metric_id = catalogue.metric_id and given.measure = catalogue.measure and given.grain = 'month'
                and given.period_start_at = months.period_start_at
        )
)

select
    complete.metric_id,
    complete.measure,
    complete.grain,
    complete.period_start_at,
    complete.period_end_at,
    complete.dimension,
    complete.dimension_value,
    complete.value,
    catalogue.unit,
    case when catalogue.unit like 'cost%' then workspace.currency_code end as currency_code,
    complete.basis,
    complete.reason
from complete
cross join {{ source('config', 'workspace') }} as workspace
left join {{ ref('metric_catalogue') }} as catalogue on complete.metric_id = catalogue.metric_id and complete.measure = catalogue.measure
