-- One row per day, model, version and variant: what it costs on three figures, how fast and how good it is, and how far it is from the model's
-- baseline variant of the day. Vendor figure: the vendor's charge alone. Usage figure: own GPUs only while they worked.
with spread as (
    select * from {{ ref('int_request_spreads') }} where figure = 'latency_ms'
),

latencies as (
    {{ percentiles_of_counts('spread', by=['usage_date', 'model', 'model_version', 'variant'], value='figure_value', count='row_count') }}
),

scores as (
    select
        usage_date, model, model_version, variant,
        {{ json_object_of('metric', 'mean_score') }} as mean_scores
    from (
        select usage_date, model, model_version, variant, metric, round(sum(score_sum)::double / sum(scored_count), 6) as mean_score
        from {{ ref('int_quality_days') }}
        where scored_count > 0
        group by all
    )
    group by all
),

quality as (
    select
        usage_date, model, model_version, variant,
        sum(judged_count)::bigint as judged_count,
        sum(labelled_count)::bigint as labelled_count,
        sum(error_count)::double / nullif(sum(labelled_count), 0) as label_error_ratio
    from {{ ref('int_quality_days') }}
    group by all
),

figures as (
    select
        costs.usage_date,
        costs.model,
        costs.model_version,
        costs.variant,
        costs.request_count,
        costs.unique_request_count,
        costs.unique_success_count,
        costs.token_count,
        costs.success_count::double / nullif(costs.request_count, 0) as success_ratio,
        costs.error_count::double / nullif(costs.request_count, 0) as error_ratio,
        latencies.p50 as latency_ms_p50,
        latencies.p95 as latency_ms_p95,
        costs.vendor_cost,
        costs.full_cost,
        costs.used_full_cost,
        {{ unit_costs('vendor', 'costs.vendor_cost', 'costs.unique_success_count', 'costs.token_count') }},
        {{ unit_costs('full', 'costs.full_cost', 'costs.unique_success_count', 'costs.token_count') }},
        {{ unit_costs('used_full', 'costs.used_full_cost', 'costs.unique_success_count', 'costs.token_count') }},
        scores.mean_scores,
        quality.judged_count,
        quality.labelled_count,
        quality.label_error_ratio,
        costs.basis,
        case when costs.unique_success_count = 0 then 'no request succeeded' else costs.cost_reason end as cost_reason
    from {{ ref('int_variant_days') }} as costs
    {%- for other in ['latencies', 'scores', 'quality'] %}
    left join {{ other }}
        on costs.usage_date = {{ other }}.usage_date and costs.model = {{ other }}.model
        and costs.model_version is not distinct from {{ other }}.model_version and costs.variant is not distinct from {{ other }}.variant
    {%- endfor %}
),

baselines as (
    select usage_date, model, variant as baseline_variant
    from (select usage_date, model, variant, sum(request_count) as request_count from figures where variant is not null group by all)
    qualify row_number() over (partition by usage_date, model order by {{ baseline_order('variant', 'request_count') }}) = 1
),

-- the baseline in the version that most of its requests had
bases as (
    select figures.*
    from figures
    inner join baselines
        on figures.usage_date = baselines.usage_date and figures.model = baselines.model and figures.variant = baselines.baseline_variant
    qualify row_number() over (partition by figures.usage_date, figures.model order by figures.request_count desc, figures.model_version) = 1
)

select
    figures.*,
    bases.variant as baseline_variant,
    bases.model_version as baseline_version,
    figures.full_cost_per_inference - bases.full_cost_per_inference as full_cost_per_inference_difference,
    figures.full_cost_per_inference / nullif(bases.full_cost_per_inference, 0) - 1 as full_cost_per_inference_difference_ratio,
    figures.latency_ms_p95 - bases.latency_ms_p95 as latency_ms_p95_difference,
    figures.error_ratio - bases.error_ratio as error_ratio_difference,
    figures.label_error_ratio - bases.label_error_ratio as label_error_ratio_difference,
    case when bases.variant is null then 'the requests name no variant' end as difference_reason,
    workspace.currency_code
from figures
cross join {{ source('config', 'workspace') }} as workspace
left join bases on figures.usage_date = bases.usage_date and figures.model = bases.model and figures.variant is not null
