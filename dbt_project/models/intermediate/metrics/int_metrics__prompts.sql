-- Metrics of tokens that look at other days or requests: growth, prompts seen before, embeddings made again, fallbacks, and vectors kept.
{{ config(materialized='table') }}

with costs as (
    -- by what prompts and fallbacks are known by
    select
        usage_date, provider_name as provider, model, model_version, tenant, feature, request_kind,
        sum(full_cost)::double / nullif(sum(token_count), 0) as cost_per_token,
        {{ metric_basis('basis') }} as basis
    from {{ ref('fct_token_costs') }}
    group by all
),

embedding_costs as (
    select usage_date, provider_name as provider, model, model_version, sum(full_cost)::double / nullif(sum(token_count), 0) as cost_per_token
    from {{ ref('fct_token_costs') }}
    where request_kind in ('embedding', 'embeddings')
    group by all
),

prompts as (
    select
        repeats.* exclude (model_version),
        repeats.model || '@' || repeats.model_version as model_version,
        case when embedded_again_count > 0 then repeats.embedded_again_tokens * costs.cost_per_token else 0 end as embedded_again_cost
    from {{ ref('int_prompt_repeats') }} as repeats
    left join embedding_costs as costs
        on repeats.usage_date = costs.usage_date and repeats.provider is not distinct from costs.provider and repeats.model is not distinct from costs.model
        and repeats.model_version is not distinct from costs.model_version
),

prompt_groups as (
    {{ metric_groups('prompts', ['provider', 'model', 'model_version', 'tenant'], {
        'prompts': 'sum(prompt_count)', 'repeated': 'sum(repeated_count)', 'embeddings': 'sum(embedding_count)',
        'again': 'sum(embedded_again_count)', 'again_cost': 'case when count(embedded_again_cost) = count(*) then ' ~ sum_hours('embedded_again_cost') ~ ' end', 'basis': "'billed'",
    }) }}
),

-- what each fallback cost beyond the try before it: a fallback to a cheaper model is none
falling as (
    select
        days.usage_date, days.provider, days.model, days.model || '@' || days.model_version as model_version, days.tenant, days.feature,
        days.fallback_count, days.token_count * costs.cost_per_token as cost, days.tried_token_count * tried.cost_per_token as tried_cost
    from {{ ref('int_fallback_days') }} as days
    {%- for side, prefix in {'costs': '', 'tried': 'tried_'}.items() %}
    left join costs as {{ side }}
        on days.usage_date = {{ side }}.usage_date
        {%- for name in ['provider', 'model', 'model_version', 'tenant', 'feature', 'request_kind'] %}
        and days.{{ prefix }}{{ name }} is not distinct from {{ side }}.{{ name }}
        {%- endfor %}
    {%- endfor %}
),

requests as (
    {{ requests_for_metrics() }}
),

asked as (
    select usage_date, provider, model, model_version, tenant, feature, known_unique_count as uniques, fallback_count is not null as is_told, null as dearer,
        null as extra_cost, null as unknown
    from requests
    union all
    select usage_date, provider, model, model_version, tenant, feature, 0, true, case when cost > tried_cost then fallback_count end,
        case when cost > tried_cost then cost - tried_cost end, case when cost is null or tried_cost is null then 1 end
    from falling
),

fallback_groups as (
    {{ metric_groups('asked', ['provider', 'model', 'model_version', 'tenant', 'feature'], {
        'uniques': 'sum(uniques) filter (where is_told)', 'dearer': 'coalesce(sum(dearer), 0)', 'extra_cost': 'coalesce(' ~ sum_hours('extra_cost') ~ ', 0)',
        'unknown': 'count(unknown)', 'basis': "'billed'",
    }) }}
),

vector_costs as (
    select usage_date, sum(cost) as cost, null::double as vector_days
    from {{ ref('int_supporting_costs') }}
    where component like 'vector%'
    group by usage_date
    union all
    select usage_date, null, {{ sum_hours('quantity * ' ~ overlap_microseconds('started_at', 'ended_at', 'usage_date', 'day') ~ ' / 86400000000.0') }}
    from (
        select started_at, ended_at, quantity, {{ slots('started_at', 'ended_at', 'day') }} as usage_date
        from {{ source('raw', 'usage_drivers') }}
        where lower(trim(driver)) in ('vectors_stored', 'vectors')
    )
    group by usage_date
),

vector_groups as (
    {{ metric_groups('vector_costs', [], {
        'cost': 'sum(cost)', 'vectors': sum_hours('vector_days') ~ ' / nullif(count(vector_days), 0)', 'basis': "'billed'",
    }) }}
),

{{ inflation_groups('requests', ['model', 'tenant', 'feature', 'team']) }}

{{ metric_rows('prompt_groups', [
    {'metric_id': 'tok.repeat_prompt_rate', 'measure': 'ratio', 'value': 'repeated::double / nullif(prompts, 0)', 'reason': 'no request names its prompt by a hash'},
    {'metric_id': 'tok.embeddings_regenerated', 'measure': 'count', 'value': 'again', 'where': 'embeddings > 0', 'reason': 'no embeddings'},
    {'metric_id': 'tok.embeddings_regenerated', 'measure': 'cost', 'value': 'again_cost', 'where': 'embeddings > 0', 'reason': 'what embeddings cost is not known'},
]) }}

union all

{{ metric_rows('fallback_groups', [
    {'metric_id': 'tok.fallback_rate', 'measure': 'ratio', 'value': 'case when unknown = 0 then dearer::double / nullif(uniques, 0) end',
        'reason_sql': "case when unknown > 0 then 'what a request or the try before it costs is not known' else 'no log says which requests fell back' end"},
    {'metric_id': 'tok.fallback_rate', 'measure': 'extra_cost', 'value': 'case when unknown = 0 and uniques > 0 then extra_cost end',
        'reason_sql': "case when unknown > 0 then 'what a request or the try before it costs is not known' else 'no log says which requests fell back' end"},
]) }}

union all

{{ metric_rows('vector_groups', [{'metric_id': 'tok.storage_cost_per_vector', 'measure': 'value', 'value': 'cost::double / nullif(vectors, 0)',
    'reason': 'needs a usage driver vectors_stored, and a rule for component vector_store'}]) }}

union all

{{ metric_rows('growth', [{'metric_id': 'tok.inflation_rate', 'measure': 'ratio', 'value': 'rate', 'reason': 'fewer than two weeks of days before it'}]) }}
