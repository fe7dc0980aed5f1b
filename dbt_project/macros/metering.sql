{#
  Shares of a GPU are whole numbers of parts, so that sevenths and eighths (MIG slices), thirds and six decimals are exact:
  one GPU (or CPU, GB, node) is 21,000,000 parts.
#}
{% macro parts_of_one() -%} 21000000 {%- endmacro %}
{% macro parts(amount) -%} ({{ amount }} * 21000000)::bigint {%- endmacro %}

{# Parts times microseconds, as hours of whole ones. #}
{% macro part_hours(part_microseconds) -%} (({{ part_microseconds }})::double / 75600000000000000.0) {%- endmacro %}

{# States of a node in which nothing new starts and what runs goes on. #}
{% macro drain_states() -%}
    ('drain', 'draining', 'drained', 'cordon', 'cordoned', 'schedulingdisabled')
{%- endmacro %}

{#
  MIG slices of a profile such as 3g.20gb (or 1c.3g.20gb): its compute slices, and its memory slices by the GPU's memory. A GPU has 7 and
  8, an A30 and an RTX PRO 6000 4 and 4. Source: NVIDIA Multi-Instance GPU User Guide, profiles per GPU.
#}
{% macro mig_is_of_four(gpu_model) -%}
    regexp_matches(coalesce(lower({{ gpu_model }}), ''), 'a30|rtx pro 6000')
{%- endmacro %}
{% macro mig_compute_parts(profile, gpu_model) -%}
    ({{ parts_of_one() }} * regexp_extract(lower({{ profile }}), '([0-9]+)[cg][.]', 1)::bigint
        // case when {{ mig_is_of_four(gpu_model) }} then 4 else 7 end)
{%- endmacro %}
{% macro mig_memory_parts(profile, gpu_model, gpu_memory_gb) -%}
    ({{ parts_of_one() }} * {{ mig_memory_slices(profile, gpu_model, gpu_memory_gb) }}
        // case when {{ mig_is_of_four(gpu_model) }} then 4 else 8 end)
{%- endmacro %}
{% macro mig_memory_slices(profile, gpu_model, gpu_memory_gb) -%}
    coalesce(
        nullif(round(regexp_extract(lower({{ profile }}), 'g[.]([0-9]+)gb', 1)::double / (
            {{ gpu_memory_of(gpu_model, gpu_memory_gb) }} / case when {{ mig_is_of_four(gpu_model) }} then 4 else 8 end
        ))::bigint, 0),
        case regexp_extract(lower({{ profile }}), '([0-9]+)g[.]', 1)
            when '3' then 4 when '7' then 8 else regexp_extract(lower({{ profile }}), '([0-9]+)g[.]', 1)::bigint end
    )
{%- endmacro %}

{# Memory of a GPU in GB: as the capacity list says, else by its model's name. #}
{% macro gpu_memory_of(gpu_model, gpu_memory_gb) -%}
    coalesce({{ gpu_memory_gb }}::double, try_cast(nullif(regexp_extract(lower({{ gpu_model }}), '([0-9]+) ?gb', 1), '') as double),
        case when lower({{ gpu_model }}) like '%b200%' then 180 when lower({{ gpu_model }}) like '%h200%' then 141
            when lower({{ gpu_model }}) like '%h100%' then 80 when lower({{ gpu_model }}) like '%a30%' then 24
            when lower({{ gpu_model }}) like '%rtx pro 6000%' then 96 when lower({{ gpu_model }}) like '%a100%' then 40 end)
{%- endmacro %}

{# Microseconds that two stretches (span_*, segment_*) have in common. #}
{% macro shared_microseconds(spans, segments) -%}
    greatest({{ microseconds_between('greatest(' ~ spans ~ '.span_start_at, ' ~ segments ~ '.segment_start_at)',
        'least(' ~ spans ~ '.span_end_at, ' ~ segments ~ '.segment_end_at)') }}, 0)
{%- endmacro %}

{#
  `whole` shared out by `amount` of `total`: cut by running totals (`so_far` includes the row), so that the parts add up exactly.
  Steps keep the products within 38 digits.
#}
{% macro proportion(amount, so_far, total, whole) -%}
    {%- set step = '(1 + ' ~ total ~ ' // 1000000000000000)' -%}
    ({{ whole }} * ({{ so_far }} // {{ step }}) // ({{ total }} // {{ step }})
        - {{ whole }} * (({{ so_far }} - {{ amount }}) // {{ step }}) // ({{ total }} // {{ step }}))
{%- endmacro %}

{# `amount` of a row, or its part of `whole` where the rows together want more than that. #}
{% macro rationed(amount, so_far, total, whole) -%}
    case when {{ total }} <= {{ whole }} then {{ amount }} else {{ proportion(amount, so_far, total, whole) }} end
{%- endmacro %}

{#
  floor(amount × part ÷ whole), part <= whole; `otherwise` where there is no whole. From 10^19 on (132 GPU-hours or GB-hours in one row)
  part and whole are cut by a step, so that the product stays within 38 digits.
#}
{% macro part_of(amount, part, whole, otherwise) -%}
    {%- set one = '10000000000000000000::hugeint' -%}
    {%- set step = '((1 + ' ~ amount ~ ' // ' ~ one ~ ') * (1 + ' ~ whole ~ ' // ' ~ one ~ '))' -%}
    case
        when {{ whole }} = 0 then {{ otherwise }}
        when {{ part }} = {{ whole }} then {{ amount }}
        else {{ amount }} * ({{ part }} // {{ step }}) // greatest({{ whole }} // {{ step }}, 1)
    end
{%- endmacro %}
