-- What was logged here beside what the vendor counted and billed: one row per day, provider, model and, where all tell it, service tier;
-- billed lines that name no model by day, provider and service. billed_cost - log_list_cost = quantity_cost + price_cost.
with spelt as (
    -- a model is called as the requests call it, where they have one name for it
    select
        provider_key,
        model_family,
        case when count(distinct log_names) = 1 and not contains(min(log_names), ',') then min(log_names) else model_family end as model
    from {{ ref('int_usage_sides') }}
    group by provider_key, model_family
),

invoices as (
    select invoice_issuer_name, invoice_id, billing_currency, min(status) as status
    from {{ ref('fct_invoice_tie_out') }}
    where invoice_id is not null
    group by all
),

compared as (
    select
        sides.* replace (
            coalesce(
                min(case when sides.is_log then sides.provider_name end) over (partition by sides.provider_key),
                min(sides.provider_name) over (partition by sides.provider_key)
            ) as provider_name
        ),
        spelt.model,
        coalesce(sides.vendor_known_to < sides.usage_date, true) and not sides.is_vendor as is_open,
        sides.log_request_count - sides.vendor_request_count as request_delta,
        {%- for kind in ['input', 'cached_input', 'cache_write', 'output'] %}
        sides.log_{{ kind }}_tokens - sides.vendor_{{ kind }}_tokens as {{ kind }}_delta,
        {%- endfor %}
        (sides.vendor_list_cost - sides.log_list_cost)::decimal(38, 12) as quantity_cost,
        (sides.billed_cost - sides.vendor_list_cost)::decimal(38, 20) as price_cost
    from {{ ref('int_usage_sides') }} as sides
    left join spelt on sides.provider_key = spelt.provider_key and sides.model_family = spelt.model_family
),

stated as (
    select
        *,
        case
            when model_family is null then 'no_model'
            when is_log and not is_vendor and log_request_count = 0 and coalesce(log_input_tokens + log_output_tokens, 0) = 0 then 'matched'
            when is_log and not is_vendor then 'only_here'
            when not is_log then 'only_there'
            when coalesce(request_delta, 0) = 0 and coalesce(input_delta, 0) = 0 and coalesce(cached_input_delta, 0) = 0
                and coalesce(cache_write_delta, 0) = 0 and coalesce(output_delta, 0) = 0 then 'matched'
            else 'differs'
        end as state
    from compared
)

select
    stated.usage_date,
    stated.provider_name,
    stated.model,
    stated.service_tier,
    stated.service_name,
    stated.state,
    stated.is_open,
    stated.vendor_basis,
    stated.log_names,
    stated.vendor_names,
    {%- for side in ['log', 'vendor'] %}{% for column in ['request_count', 'input_tokens', 'cached_input_tokens', 'cache_write_tokens', 'output_tokens'] %}
    stated.{{ side }}_{{ column }},
    {%- endfor %}{% endfor %}
    stated.request_delta,
    {%- for kind in ['input', 'cached_input', 'cache_write', 'output'] %}
    stated.{{ kind }}_delta,
    {%- endfor %}
    stated.failed_request_count,
    stated.cached_answer_count,
    stated.log_list_cost,
    stated.vendor_list_cost,
    stated.quantity_cost,
    stated.billed_cost,
    stated.price_cost,
    -- what is at stake where the two do not agree: what the vendor counted alone, what was logged alone, or the difference
    case stated.state
        when 'matched' then 0
        when 'only_there' then abs(coalesce(stated.billed_cost, stated.vendor_list_cost::decimal(38, 20)))
        when 'only_here' then stated.log_list_cost::decimal(38, 20)
        when 'differs' then abs(stated.quantity_cost)::decimal(38, 20)
    end::decimal(38, 20) as unmatched_cost,
    workspace.currency_code,
    stated.billing_period,
    stated.invoice_id,
    invoices.status as invoice_status,
    stated.billing_currency,
    stated.billed_line_count,
    stated.is_sampled,
    nullif(concat_ws(
        '; ',
        case
            when stated.model_family is null then 'the lines name no model'
            when stated.is_open and stated.vendor_known_to is null then 'this vendor delivers no usage'
            when stated.is_open then 'the vendor''s usage reaches to ' || stated.vendor_known_to || ' only'
            when stated.state = 'only_here' then 'the vendor counted none of it that day'
            when stated.state = 'only_there' and stated.is_vendor then 'the vendor counted what was never logged here'
            when stated.state = 'only_there' then 'billed, but counted nowhere'
        end,
        case when stated.request_delta < 0 and stated.is_log then 'requests that are not in the log: ' || -stated.request_delta end,
        case
            when stated.request_delta > 0 and stated.request_delta = stated.failed_with_tokens_count
                then 'tries that failed here were not counted there'
            when stated.request_delta > 0 then 'requests that are not in the vendor''s count: ' || stated.request_delta
        end,
        case
            when stated.input_delta <> 0 and stated.input_delta in (stated.vendor_cached_input_tokens, stated.log_cached_input_tokens)
                then 'input is more by what came from the cache: the log counts it twice'
            when stated.input_delta <> 0 and -stated.input_delta = stated.vendor_cached_input_tokens
                then 'input is less by what came from the cache: the log leaves it out'
        end,
        case when stated.is_sampled then 'the log is sampled: its figures are estimates' end,
        case when stated.is_price_inexact then 'the price depends on prompt length or hour, which the vendor''s usage does not tell' end,
        case when stated.is_log and stated.log_list_cost is null then 'the price book lacks a price for what was logged' end,
        case when stated.is_vendor and stated.vendor_list_cost is null then 'the price book lacks a price for what the vendor counted' end,
        case when stated.model_family is not null and stated.billed_cost is null then 'no bill names the model that day' end,
        case when stated.billing_period_count > 1 then 'billed in more than one period' end
    ), '') as reason
from stated
cross join {{ source('config', 'workspace') }} as workspace
left join invoices
    on stated.invoice_id = invoices.invoice_id and stated.invoice_issuer_name = invoices.invoice_issuer_name
    and stated.billing_currency = invoices.billing_currency
