-- What serving a model cost on a day: one row per day, model, bill, figure and phase. Pool `vendor`: billing lines that name the model; `provisioned`:
-- those of provisioned throughput, in hours in which it served requests;
-- `self_hosted`: what its serving holdings were allocated. Figure `allocated` is that cost, `used` the part of it in which the GPUs were seen at
-- work (no row where nobody looked). Own cost is split into the phases prefill and decode by the time that the day's requests spent in them
-- (phase_method `measured` by the server, `latency`: time to first token and the rest); phase `all` where no request tells.
with served as (
    select
        usage_date, model, source_name, billed_by, billing_period, team, cost_centre, currency_code,
        sum(allocated_cost) as cost,
        sum(allocated_cost) filter (where layer = 'productive') as used_cost,
        bool_or(layer in ('productive', 'quiet')) as is_seen
    from {{ ref('int_slot_hours__allocated') }}
    where is_held and model is not null and not is_unused_commitment and {{ in_build_days('usage_date') }}
    group by all
),

figures as (
    select * exclude (cost, used_cost, is_seen), cost, 'allocated' as figure from served
    union all
    select * exclude (cost, used_cost, is_seen), coalesce(used_cost, 0) as cost, 'used' as figure from served where is_seen
),

phases as (
    select
        tokens.usage_date, tokens.model,
        {{ unfolded({'phase': ["'prefill'", "'decode'"], 'phase_us': ['sum(tokens.prefill_us)', 'sum(tokens.decode_us)']}) }},
        case when sum(tokens.measured_us) = sum(tokens.prefill_us) + sum(tokens.decode_us) then 'measured' else 'latency' end as phase_method
    from {{ ref('int_token_days') }} as tokens
    where tokens.provider is null and {{ in_build_days('tokens.usage_date') }}
    group by tokens.usage_date, tokens.model
    having sum(tokens.prefill_us) + sum(tokens.decode_us) > 0 and min(tokens.prefill_us) >= 0 and min(tokens.decode_us) >= 0
),

phased as (
    select
        figures.*,
        coalesce(phases.phase, 'all') as phase,
        coalesce(phases.phase_us, 1) as phase_us,
        phases.phase_method
    from figures
    left join phases on figures.usage_date = phases.usage_date and figures.model = phases.model
),

{% set bill = ['usage_date', 'model', 'source_name', 'billed_by', 'billing_period', 'team', 'cost_centre', 'currency_code', 'figure'] -%}

self_hosted as (
    {{ split_exact('phased', by=bill, amount='cost', weight='phase_us', tie_break=['phase'], keep=bill + ['phase', 'phase_method'], into='cost') }}
)

select
    usage_date,
    model,
    'vendor' as pool_kind,
    source_name,
    billed_by,
    billing_period,
    team,
    cost_centre,
    currency_code,
    'allocated' as figure,
    'all' as phase,
    null::varchar as phase_method,
    sum(cost) as cost
from {{ ref('int_charges__spread') }}
where model is not null and resource_id is null and not is_unused_commitment and not is_provisioned and {{ in_build_days('usage_date') }}
group by all

union all by name

select
    usage_date, model, 'provisioned' as pool_kind, source_name, billed_by, billing_period, team, cost_centre, currency_code,
    'allocated' as figure, 'all' as phase, sum(cost) as cost
from {{ ref('int_provisioned_hours') }}
where is_used and {{ in_build_days('usage_date') }}
group by all

union all by name

select *, 'self_hosted' as pool_kind from self_hosted
