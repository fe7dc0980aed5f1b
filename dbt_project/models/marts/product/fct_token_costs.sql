-- One row per day, source, provider, model, version, variant, kind, team, tenant, feature, region and service tier: requests, tokens and what they cost. `vendor_cost` is
-- from the vendor's bill (or the price book: `estimated`), `serving_cost` from the GPUs that served; unpriced is NULL, never 0.
{% set dimensions = request_dimensions() | reject('in', ['is_success', 'is_retry', 'is_cold', 'is_cached', 'batch_band']) | list -%}

select
    requests.usage_date,
    {% for name in dimensions %}requests.{{ name }}{{ ' as provider_name' if name == 'provider' }},
    {% endfor -%}
    workspace.currency_code,
    {{ request_figures('requests') }}
from {{ ref('int_request_days') }} as requests
cross join {{ source('config', 'workspace') }} as workspace
group by all
