-- A model-day's cost on those who used it: one row per bill, figure and phase of the model-day and row of int_token_days__priced, exact.
-- split_method says by what: prefill by input read and written to a cache, decode by output; else by tokens at list price, where the price
-- book prices every token of the model-day, else by tokens. `figure` and `phase` as in int_model_days__pooled.
with tokens as (
    select * from {{ ref('int_token_days__priced') }} where pool_kind is not null and {{ in_build_days('usage_date') }}
),

weighed as (
    select
        *,
        bool_and(list_weight is not null) over same_model as is_priced,
        -- answers from a cache of answers, and tokens from the cache of the server, took no work of the model
        case when is_cached then 0 else coalesce(input_tokens, 0) - coalesce(cached_input_tokens, 0) + coalesce(cache_write_tokens, 0) end
            as prefill_tokens,
        case when is_cached then 0 else coalesce(output_tokens, 0) end as decode_tokens,
        case when is_cached then 0 else token_count end as worked_tokens
    from tokens
    window same_model as (partition by usage_date, model, pool_kind)
),

{% set bill = ['usage_date', 'model', 'pool_kind', 'figure', 'phase', 'source_name', 'billed_by', 'billing_period', 'bill_team',
    'bill_cost_centre', 'currency_code'] -%}

shares as (
    select
        pools.usage_date, pools.model, pools.pool_kind, pools.figure, pools.phase, pools.source_name, pools.billed_by, pools.billing_period,
        pools.team as bill_team, pools.cost_centre as bill_cost_centre, pools.currency_code, pools.cost,
        tokens.token_row, tokens.team, tokens.cost_centre,
        case
            when pools.phase <> 'all' then pools.phase || '_' || pools.phase_method
            when tokens.is_priced then 'list_price'
            else 'token_count'
        end as split_method,
        case
            when pools.phase = 'prefill' then tokens.prefill_tokens
            when pools.phase = 'decode' then tokens.decode_tokens
            when tokens.is_priced then tokens.list_weight
            else tokens.worked_tokens
        end as weight
    from {{ ref('int_model_days__pooled') }} as pools
    inner join weighed as tokens
        on pools.usage_date = tokens.usage_date and pools.model = tokens.model and pools.pool_kind = tokens.pool_kind
        and (tokens.provider is null or tokens.pool_kind = 'self_hosted' or lower(tokens.provider) = lower(pools.billed_by))
    where {{ in_build_days('pools.usage_date') }}
)

{{ split_exact('shares', by=bill, amount='cost', weight='weight', tie_break=['token_row'],
    keep=bill + ['token_row', 'team', 'cost_centre', 'split_method']) }}
