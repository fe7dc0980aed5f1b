{#
  Metrics (product.metric_values): figures are summed by day or month and by one dimension at a time, and each metric is worked out from
  the sums, so that a ratio is always sum over sum, never a mean of ratios.

  metric_groups   gives one row per grain, period, dimension and value of it, with the figures
    from          relation or CTE with a day and the dimensions
    dimensions    columns of it: a dimension is named as its column
    figures       dict of name to aggregate expression over the rows of a group; `basis` should be one of them (metric_basis)
    day           its column that says which day a row belongs to
    where         condition on its rows
    grains        of 'day' and 'month'
    only_by_month dimensions with so many values that days are not told
#}
{% macro metric_groups(from, dimensions, figures, day='usage_date', where=none, grains=['day', 'month'], only_by_month=[]) -%}
    select
        grain,
        period_start_at,
        (case grain when 'month' then period_start_at + interval 1 month else period_start_at + interval 1 day end)::date as period_end_at,
        {% if dimensions -%}
        case{% for name in dimensions %} when grouping({{ name }}) = 0 then '{{ name }}'{% endfor %} else 'all' end as dimension,
        case{% for name in dimensions %} when grouping({{ name }}) = 0 then {{ name }}::varchar{% endfor %} end as dimension_value
        {%- else -%}
        'all' as dimension,
        null::varchar as dimension_value
        {%- endif -%}
        {% for name, expression in figures.items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}
    from (
        {% for grain in grains -%}
        select
            '{{ grain }}' as grain,
            {% if grain == 'month' %}date_trunc('month', {{ day }})::date{% else %}{{ day }}::date{% endif %} as period_start_at,
            *
        from {{ from }}
        where {{ day }} is not null{% if where %} and ({{ where }}){% endif %}
        {% if not loop.last %}union all
        {% endif -%}
        {% endfor -%}
    )
    group by grouping sets ((grain, period_start_at){% for name in dimensions %}, (grain, period_start_at, {{ name }}){% endfor %})
    {%- if only_by_month %}
    having grain = 'month' or ({% for name in only_by_month %}grouping({{ name }}) = 1{{ ' and ' if not loop.last }}{% endfor %})
    {%- endif %}
{%- endmacro %}

{#
  metric_rows     gives the rows of product.metric_values for some metrics of one relation of groups (or alike)
    groups        CTE with grain, period_start_at, period_end_at, dimension, dimension_value and figures
    metrics       list of dicts: metric_id, measure, value (expression over the figures; NULL where an input is missing),
                  reason (text, why it is NULL then; or `reason_sql`, an expression), basis (expression; the figure `basis` if there is one
                  by default), where (of which groups there are rows at all; of all by default)
#}
{% macro metric_rows(groups, metrics) -%}
    select
        metric_id,
        measure,
        grain,
        period_start_at,
        period_end_at,
        dimension,
        dimension_value,
        value,
        basis,
        case when value is null then coalesce(reason, 'an input is missing') end as reason
    from (
        select
            numbers.number,
            {{ _metric_case(metrics, 'metric_id', quoted=true) }} as metric_id,
            {{ _metric_case(metrics, 'measure', quoted=true) }} as measure,
            groups.grain,
            groups.period_start_at,
            groups.period_end_at,
            groups.dimension,
            groups.dimension_value,
            case numbers.number
                {% for one in metrics -%}
                when {{ loop.index }} then ({{ one['value'] }})::double
                {% endfor -%}
            end as value,
            case numbers.number
                {% for one in metrics -%}
                when {{ loop.index }} then {{ one.get('basis', 'basis') }}
                {% endfor -%}
            end as basis,
            case numbers.number
                {% for one in metrics -%}
                when {{ loop.index }} then {{ one['reason_sql'] if one.get('reason_sql') else "'" ~ one['reason'].replace("'", "''") ~ "'" }}
                {% endfor -%}
            end as reason
        from {{ groups }} as groups
        cross join ({% for one in metrics %}select {{ loop.index }} as number{{ ' union all ' if not loop.last }}{% endfor %}) as numbers
        where case numbers.number
                {% for one in metrics -%}
                when {{ loop.index }} then {{ one.get('where', 'true') }}
                {% endfor -%}
            end
    )
{%- endmacro %}

{% macro _metric_case(metrics, key, quoted=false) -%}
    case numbers.number{% for one in metrics %} when {{ loop.index }} then '{{ one[key] }}'{% endfor %} end
{%- endmacro %}

{# No rows, in the columns of metric_rows. #}
{% macro no_metric_rows() -%}
    select
        null::varchar as metric_id, null::varchar as measure, null::varchar as grain, null::date as period_start_at,
        null::date as period_end_at, null::varchar as dimension, null::varchar as dimension_value, null::double as value,
        null::varchar as basis, null::varchar as reason
    where false
{%- endmacro %}

{# Aggregate: how good figures are together: billed, estimated (some of it at list price), partial (some of it without a cost). #}
{% macro metric_basis(basis) -%}
    case
        when bool_or({{ basis }} in ('unpriced', 'partial')) then 'partial'
        when bool_or({{ basis }} = 'estimated') then 'estimated'
        else 'billed'
    end
{%- endmacro %}

{# The sum where every row has a figure, else NULL: what is not known is not 0. #}
{% macro sum_if_all(figure) -%} case when count({{ figure }}) = count(*) then sum({{ figure }}) end {%- endmacro %}

{# Hours of a period, over the columns of metric_groups. #}
{% macro period_hours() -%} (24.0 * (period_end_at - period_start_at)) {%- endmacro %}
