-- Supporting costs on the requests that rest on them: one row per row of int_supporting_costs and of int_token_days__priced, exact. By what the
-- rule says (requests, tokens, retrievals, bytes out), among the requests it names. Where none of the day has any of it, nothing is shared.
{% set bill = ['usage_date', 'rule_id', 'rule_version', 'component', 'share_by', 'source_name', 'billed_by', 'billing_period', 'currency_code'] -%}

with tokens as (
    select * from {{ ref('int_token_days__priced') }} where {{ in_build_days('usage_date') }}
),

shares as (
    select
        {% for column in bill %}costs.{{ column }}, {% endfor %}
        costs.cost,
        tokens.token_row,
        case costs.share_by
            when 'requests' then tokens.request_count
            when 'tokens' then tokens.token_count
            when 'input_tokens' then tokens.input_tokens
            when 'output_tokens' then tokens.output_tokens
            when 'retrievals' then tokens.retrieval_count
            when 'bytes_out' then tokens.bytes_out
        end as weight
    from {{ ref('int_supporting_costs') }} as costs
    inner join tokens
        on costs.usage_date = tokens.usage_date and (
            costs.among is null
            {%- for name in ['provider', 'model', 'model_version', 'variant', 'request_kind', 'team', 'tenant', 'feature', 'region'] %}
            or (lower(costs.among) like '{{ name }}:%'
                and {{ matches_glob('lower(tokens.' ~ name ~ ')', "lower(trim(split_part(costs.among, ':', 2)))") }})
            {%- endfor %}
        )
    where {{ in_build_days('costs.usage_date') }} and weight > 0
)

{{ split_exact('shares', by=bill, amount='cost', weight='weight', tie_break=['token_row'], keep=bill + ['token_row']) }}
