-- Who holds what of a slot: one row per slot-hour, holding and stretch, with what it declared (`declared_parts`) and, where that was seen,
-- what it used (`used_parts`, CPU and memory) of the slot's resource, in parts.
{% set holder = ['usage_date', 'hour_start_at', 'span_start_at', 'span_end_at', 'source_name', 'holding_id', 'job_id', 'holder_kind', 'name', 'pod_name',
    'node', 'gpu_id', 'instance_id', 'gpu_profile', 'gpu_sharing', 'model', 'tenant', 'team', 'cost_centre', 'gpu_parts', 'is_shared',
    'compute_parts', 'memory_parts', 'mig_share', 'cpu_count', 'memory_gb', 'disk_gb'] -%}
with spans as (
    select * from {{ ref('int_holding_spans') }}
    where {{ in_build_days('usage_date') }} and (is_on_known_node or node is null)
),

slots as (
    select
        hour_start_at, slot_key, slot_level, basis, cluster, pool, slot_node, slot_gpu_id, lower(slot_gpu_model) as slot_gpu_model,
        node_cost_split,
        -- of a slot shared by whole nodes: what a node of it has
        sum(node_gpu_microseconds)::double / sum(node_microseconds) as gpus_of_node,
        sum(node_cpu_microseconds)::double / sum(node_microseconds) as cpus_of_node,
        sum(node_memory_gb_microseconds)::double / sum(node_microseconds) as memory_gb_of_node
    from {{ ref('int_slots') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

placed as (
    {%- for level, condition in {
        'gpu': 'spans.node = slots.slot_node and spans.gpu_id = slots.slot_gpu_id',
        'model': 'spans.node = slots.slot_node and lower(spans.asked_model) = slots.slot_gpu_model',
        'node': 'spans.node = slots.slot_node',
        'pool': 'spans.pool = slots.pool',
    }.items() %}
    select {% for column in holder %}spans.{{ column }}, {% endfor %}slots.* exclude (hour_start_at)
    from spans
    inner join slots
        on slots.slot_level = '{{ level }}' and spans.hour_start_at = slots.hour_start_at and spans.cluster = slots.cluster
        and {{ condition }}
    where slots.basis <> 'gpu' or spans.gpu_parts > 0
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

used as (
    select
        placed.*,
        sum({{ microseconds_between('placed.span_start_at', 'placed.span_end_at') }}) over (
            partition by placed.slot_key, placed.hour_start_at, placed.source_name, placed.holding_id
        ) as held_microseconds,
        usage.cpu_seconds,
        usage.memory_gb_seconds,
        policies.shared_gpu_split,
        policies.cpu_memory_share,
        gpu_parts::double / {{ parts_of_one() }} as gpus,
        rates.gpu_rate, rates.cpu_rate, rates.memory_rate
    from placed
    left join {{ ref('int_usage_hours') }} as usage
        on placed.basis in ('cpu', 'memory') and placed.hour_start_at = usage.hour_start_at and placed.holding_id = usage.holding_id
        and (usage.node is null or usage.node = placed.node)
    left join {{ ref('int_pool_policies') }} as policies
        on placed.usage_date = policies.usage_date and placed.cluster = policies.cluster and placed.pool = policies.pool
    left join {{ ref('int_split_rates') }} as rates
        on placed.node_cost_split = 'billing_weights' and placed.usage_date = rates.usage_date
        and rates.split = 'billing_weights' and rates.gpu_model is null
)

select
    {{ holder | join(', ') }},
    slot_key, slot_level, basis, cluster, pool, node_cost_split, shared_gpu_split, cpu_memory_share,
    case
        when basis = 'gpu' then gpu_parts
        when basis = 'cpu' then {{ parts('cpu_count') }}
        when basis = 'memory' then {{ parts('memory_gb') }}
        when basis = 'disk' then {{ parts('disk_gb') }}
        when node_cost_split = 'max_share' then {{ parts("greatest(coalesce(gpus / nullif(gpus_of_node, 0), 0), "
            ~ "coalesce(cpu_count / nullif(cpus_of_node, 0), 0), coalesce(memory_gb / nullif(memory_gb_of_node, 0), 0))") }}
        when node_cost_split = 'billing_weights' then {{ parts("coalesce((gpu_rate * gpus + cpu_rate * cpu_count + memory_rate * memory_gb)"
            ~ " / nullif(gpu_rate * gpus_of_node + cpu_rate * cpus_of_node + memory_rate * memory_gb_of_node, 0), 0)") }}
        else {{ parts_of_one() }}
    end as declared_parts,
    case
        when basis = 'cpu' then {{ parts('(cpu_seconds / nullif(held_microseconds / 1000000.0, 0))') }}
        when basis = 'memory' then {{ parts('(memory_gb_seconds / nullif(held_microseconds / 1000000.0, 0))') }}
    end as used_parts
from used
