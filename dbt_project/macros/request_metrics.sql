{# What metrics of requests are told apart by; versions and variants as <model>@<version> and <model>@<variant>. #}
{% macro request_metric_dimensions() -%}
    {{ return(['provider', 'model', 'model_version', 'variant', 'tenant', 'feature', 'team', 'region']) }}
{%- endmacro %}

{#
  Rows of product.fct_token_costs for metrics: named as request_metric_dimensions says; counts that the row's log never tells are NULL; and what
  the row's cold starts would have cost if they had been warm ones of the same model and month (expected_cold_cost).
#}
{% macro requests_for_metrics() -%}
    select
        costs.* exclude (provider_name, model_version, variant, cold_count, cached_count, unique_request_count, fallback_count),
        costs.provider_name as provider,
        costs.model || '@' || costs.model_version as model_version,
        costs.model || '@' || costs.variant as variant,
        costs.unique_request_count as known_unique_count,
        case when told.cold_rows > 0 then costs.cold_count end as cold_count,
        case when told.cached_rows > 0 then costs.cached_count end as cached_count,
        case when told.try_rows > 0 then costs.unique_request_count end as unique_request_count,
        case when told.fallback_rows > 0 then costs.fallback_count end as fallback_count,
        case when told.cold_rows > 0 then costs.cold_count * warm.warm_cost end as expected_cold_cost
    from {{ ref('fct_token_costs') }} as costs
    left join (
        select
            source_name
            {%- for what in ['cold', 'cached', 'try', 'fallback', 'batch'] %},
            sum({{ what }}_rows) as {{ what }}_rows
            {%- endfor %}
        from {{ ref('int_request_reports') }}
        group by source_name
    ) as told on costs.source_name = told.source_name
    left join (
        select
            date_trunc('month', usage_date)::date as month_start_at, provider_name, model,
            (sum(full_cost) - coalesce(sum(cold_cost), 0))::double / nullif(sum(request_count) - sum(cold_count), 0) as warm_cost
        from {{ ref('fct_token_costs') }}
        group by all
    ) as warm
        on date_trunc('month', costs.usage_date)::date = warm.month_start_at and costs.model = warm.model
        and costs.provider_name is not distinct from warm.provider_name
{%- endmacro %}

{# Percentiles of a figure of int_request_spreads by month and what the figure is kept by: rows as metric_groups gives them, with p50 and p95. #}
{% macro month_percentiles(figure) -%}
    {%- set dimensions = ['all', 'provider', 'model', 'model_version', 'variant'] -%}
    select
        'month' as grain, period_start_at, (period_start_at + interval 1 month)::date as period_end_at, dimension,
        case when dimension <> 'all' then dimension_value end as dimension_value, p50, p95, 'billed' as basis
    from (
        {{ percentiles_of_counts("(
            select
                date_trunc('month', usage_date)::date as period_start_at,
                " ~ unfolded({
                    'dimension': ["'" ~ dimensions | join("', '") ~ "'"],
                    'dimension_value': ['null', 'provider', 'model', "model || '@' || model_version", "model || '@' || variant"],
                }) ~ ",
                figure_value, row_count
            from " ~ ref('int_request_spreads') ~ "
            where figure = '" ~ figure ~ "'
        )", by=['period_start_at', 'dimension', 'dimension_value'], value='figure_value', count='row_count') }}
    )
{%- endmacro %}

{# The same by day, from product.fct_request_stats: exact, of each row of the logs. #}
{% macro day_percentiles(p50, p95) -%}
    select
        'day' as grain, usage_date as period_start_at, (usage_date + interval 1 day)::date as period_end_at, dimension, dimension_value,
        {{ p50 }} as p50, {{ p95 }} as p95, 'billed' as basis
    from {{ ref('fct_request_stats') }}
{%- endmacro %}

{#
  How unusual each day of a series is: robust z = (value - median) / (1.4826 x median absolute deviation) over up to 28 days before, of which
  there must be 7. A deviation is taken for at least 5 % of the median, however alike the days were. Gives the columns of `from` with `usual` and `score`.
#}
{% macro robust_scores(from, by, value) -%}
    {%- set series = by | join(', ') -%}
    select
        * exclude (days_before, usual, deviation),
        case when days_before >= 7 then usual end as usual,
        case when days_before >= 7 then ({{ value }} - usual) / nullif(greatest(1.4826 * deviation, 0.05 * abs(usual)), 0) end as score
    from (
        select
            series.*,
            count(earlier.usage_date) as days_before,
            median(earlier.{{ value }}::double) as usual,
            mad(earlier.{{ value }}::double) as deviation
        from {{ from }} as series
        left join {{ from }} as earlier
            on {% for column in by %}series.{{ column }} is not distinct from earlier.{{ column }} and {% endfor -%}
            earlier.usage_date >= series.usage_date - 28 and earlier.usage_date < series.usage_date and earlier.{{ value }} is not null
        group by all
    )
{%- endmacro %}

{#
  CTE `growth`: growth of tokens against the week before. Of a day: tokens of the seven days that end with it ÷ those of the seven before - 1, so
  that each weekday stands on both sides; of a month: that of its last day with requests. NULL until there are fourteen days. The last CTE of a query.
#}
{% macro inflation_groups(from, dimensions) -%}
token_days as (
    {{ metric_groups(from, dimensions, {'tokens': 'sum(token_count)'}, grains=['day']) }}
),

first_days as (
    select min(period_start_at) as first_date from token_days
),

weeks as (
    select
        today.period_start_at, today.dimension, today.dimension_value,
        sum(other.tokens) filter (where other.period_start_at > today.period_start_at - 7) as tokens,
        sum(other.tokens) filter (where other.period_start_at <= today.period_start_at - 7) as tokens_before
    from token_days as today
    inner join token_days as other
        on today.dimension = other.dimension and today.dimension_value is not distinct from other.dimension_value
        and other.period_start_at <= today.period_start_at and other.period_start_at > today.period_start_at - 14
    group by all
),

growth as (
    select
        'day' as grain, period_start_at, period_start_at + 1 as period_end_at, dimension, dimension_value,
        case when period_start_at >= first_date + 13 then tokens::double / nullif(tokens_before, 0) - 1 end as rate, 'billed' as basis
    from weeks
    cross join first_days

    union all

    select
        'month', date_trunc('month', period_start_at)::date, (date_trunc('month', period_start_at) + interval 1 month)::date, dimension, dimension_value,
        max_by(tokens::double / nullif(tokens_before, 0) - 1, period_start_at)
            filter (where period_start_at >= first_date + 13 and tokens is not null and tokens_before <> 0),
        'billed'
    from weeks
    cross join first_days
    group by all
)
{%- endmacro %}
