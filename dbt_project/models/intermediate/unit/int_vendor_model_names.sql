-- The names that vendors' usage and bills give the models of the build's days, and the names a price book may have them under: one row per
-- provider, name and such a name. `name_rank` orders them: as delivered, as config/model_aliases.csv says, without its version.
{{ config(materialized='table') }}

with named as (
    select distinct provider, vendor_model, usage_date
    from {{ ref('stg_telemetry__vendor_usage') }}
    where vendor_model is not null and {{ in_build_days('usage_date') }}
    union
    select distinct billed_by, model, usage_date
    from {{ ref('int_usage_bills') }}
    where model is not null and {{ in_build_days('usage_date') }}
),

aliased as (
    select distinct provider, vendor_model, {{ alias_of('named.provider', 'named.vendor_model', 'named.usage_date') }} as alias_model from named
),

ranked as (
    select provider, vendor_model, vendor_model as model, 1 as name_rank from aliased
    union all
    select provider, vendor_model, alias_model, 2 from aliased where alias_model is not null
    union all
    select provider, vendor_model, {{ model_family('coalesce(alias_model, vendor_model)') }}, 3 from aliased
)

select provider, vendor_model, model, min(name_rank) as name_rank
from ranked
group by provider, vendor_model, model
