-- One row per interval (or day of it), account, model and what else the vendor tells apart, with what it counted: whole counts of a longer
-- interval are split over its days by time, none lost. `model` is the name by config/model_aliases.csv; `model_family` is what it shares
-- with the requests' name. OpenAI counts audio beside text: here it is part of input and output, as in requests.
{%- set counts = ['input_tokens', 'cached_input_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens', 'output_tokens', 'audio_tokens',
    'request_count'] %}

with delivered as (
    select
        * replace (
            input_tokens + case when lower(provider) = 'openai' then coalesce(input_audio_tokens, 0) else 0 end as input_tokens,
            output_tokens + case when lower(provider) = 'openai' then coalesce(output_audio_tokens, 0) else 0 end as output_tokens
        ),
        coalesce(input_audio_tokens, 0) + coalesce(output_audio_tokens, 0) as audio_tokens,
        greatest(epoch_us(ended_at) - epoch_us(started_at), 1)::hugeint as whole_microseconds
    from {{ source('raw', 'vendor_usage') }}
),

days as (
    select
        *,
        {{ slots('started_at', 'greatest(ended_at, started_at + interval 1 microsecond)', 'day') }} as day_start_at
    from delivered
),

bounded as (
    select
        *,
        greatest(epoch_us(day_start_at) - epoch_us(started_at), 0)::hugeint as from_microsecond,
        least(epoch_us(day_start_at + interval 1 day) - epoch_us(started_at), whole_microseconds)::hugeint as until_microsecond
    from days
)

select
    bounded.day_start_at::date as usage_date,
    greatest(bounded.started_at, bounded.day_start_at) as started_at,
    least(bounded.ended_at, bounded.day_start_at + interval 1 day) as ended_at,
    bounded.source_name,
    bounded.provider,
    bounded.account,
    bounded.project,
    bounded.api_key,
    bounded.user_name,
    bounded.kind,
    bounded.model as vendor_model,
    coalesce({{ alias_of('bounded.provider', 'bounded.model', 'bounded.day_start_at::date') }}, bounded.model) as model,
    {{ model_family('coalesce(' ~ alias_of('bounded.provider', 'bounded.model', 'bounded.day_start_at::date') ~ ', bounded.model)') }}
        as model_family,
    bounded.service_tier,
    bounded.context_tier,
    bounded.region,
    {%- for count in counts %}
    ({{ whole_division('bounded.' ~ count ~ ' * bounded.until_microsecond', 'bounded.whole_microseconds') }}
        - {{ whole_division('bounded.' ~ count ~ ' * bounded.from_microsecond', 'bounded.whole_microseconds') }})::bigint as {{ count }},
    {%- endfor %}
    bounded.quantity,
    bounded.unit,
    bounded.file_name,
    bounded.file_row
from bounded
