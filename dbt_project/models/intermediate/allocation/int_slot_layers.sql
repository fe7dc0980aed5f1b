-- What became of every second: one row per part of a slot-hour, layer and holder, with the time in parts times microseconds and the weight
-- by which the layer bears the slot's cost. Held time is productive, quiet or, where nobody saw, unknown with its holder; what is not held is
-- idle, stranded, down or, without any evidence, unknown. Σ time over the layers = what existed.
{% set slot = ['usage_date', 'hour_start_at', 'part_start_at', 'slot_key', 'slot_level', 'basis', 'cluster', 'pool', 'node', 'gpu_id', 'gpu_model',
    'node_cost_split'] -%}
{%- set holder = ['source_name', 'holding_id', 'job_id', 'holder_kind', 'name', 'model', 'tenant', 'team', 'cost_centre',
    'gpu_profile', 'gpu_sharing', 'share_method'] -%}
with holders as (
    select
        *,
        held_parts - productive_parts - unseen_parts as quiet_parts,
        -- where CPUs bear no cost of their own, the holder's CPU time stands beside its GPU time
        case when basis = 'gpu' and node_cost_split = 'gpu' then (cpu_count * microseconds)::bigint else 0 end as cpu_microseconds
    from {{ ref('int_segment_evidence') }}
    where {{ in_build_days('usage_date') }}
),

-- the declared time, the weight and the CPU time of a holder lie in its layers as its held time does
held as (
    {%- for layer in ['productive', 'unknown', 'quiet'] %}
    {%- set parts = 'unseen_parts' if layer == 'unknown' else layer ~ '_parts' %}
    select
        {{ slot | join(', ') }}, {{ holder | join(', ') }},
        '{{ layer }}' as layer,
        {% if layer == 'unknown' %}'requested'{% else %}evidence{% endif %} as evidence,
        null::varchar as reason,
        true as is_held,
        {{ parts }} as parts,
        {%- for amount in ['declared_parts', 'paid_parts', 'cpu_microseconds'] %}
        {%- if layer == 'quiet' %}
        ({{ amount }} - {{ part_of(amount, 'productive_parts', 'held_parts', 0) }} - {{ part_of(amount, 'unseen_parts', 'held_parts', amount) }})::hugeint
        {%- else %}
        ({{ part_of(amount, parts, 'held_parts', amount if layer == 'unknown' else 0) }})::hugeint
        {%- endif %} as {{ {'declared_parts': 'declared_parts', 'paid_parts': 'weight', 'cpu_microseconds': 'cpu_microseconds'}[amount] }}{{ ',' if not loop.last }}
        {%- endfor %},
        compute_parts, memory_parts
    from holders
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

rests as (
    select * from {{ ref('int_segment_rests') }} where {{ in_build_days('usage_date') }}
),

unheld as (
    {%- for layer, amounts in {
        'idle': ['case when has_evidence then unheld_parts - stranded_parts else 0 end', 'case when has_evidence then unpaid_parts - stranded_weight else 0 end'],
        'stranded': ['stranded_parts', 'stranded_weight'],
        'down': ['down_now_parts', 'down_now_weight'],
        'unknown': ['case when has_evidence then 0 else unheld_parts end', 'case when has_evidence then 0 else unpaid_parts end'],
    }.items() %}
    select
        {{ slot | join(', ') }}, {% for column in holder %}null::varchar as {{ column }}, {% endfor %}
        '{{ layer }}' as layer,
        {% if layer == 'unknown' %}'none'{% else %}'requested'{% endif %} as evidence,
        {% if layer == 'stranded' %}reason{% else %}null::varchar{% endif %} as reason,
        false as is_held,
        ({{ amounts[0] }})::hugeint as parts, 0::hugeint as declared_parts, ({{ amounts[1] }})::hugeint as weight,
        0::hugeint as cpu_microseconds, null::bigint as compute_parts, null::bigint as memory_parts
    from rests
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    {{ slot | join(', ') }}, {{ holder | join(', ') }}, layer, evidence, reason, is_held,
    sum(parts)::hugeint as parts,
    sum(declared_parts)::hugeint as declared_parts,
    -- a whole pool's weight is kept in seconds: its products must stay within 38 digits
    (case when slot_level = 'pool' then sum(weight) // 1000000 else sum(weight) end)::hugeint as weight,
    sum(cpu_microseconds)::bigint as cpu_microseconds,
    max(compute_parts) as compute_parts,
    max(memory_parts) as memory_parts
from (select * from held union all select * from unheld)
where parts > 0 or weight > 0 or declared_parts > 0
group by {{ slot | join(', ') }}, {{ holder | join(', ') }}, layer, evidence, reason, is_held
