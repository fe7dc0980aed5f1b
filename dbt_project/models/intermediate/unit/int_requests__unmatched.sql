-- Requests that one of two logs of a day lacks, ours (`here`) and the vendor's own (`there`), by request id or the id of the vendor's
-- answer; only of providers whose log of the day is in. What the other log has on the day before or after is taken out later.
with here_rows as (
    select
        requests.*,
        coalesce({{ json_field('requests.other_columns', 'response_id') }}, {{ json_field('requests.other_columns', 'vendor_request_id') }})
            as response_id
    from {{ ref('stg_telemetry__requests') }} as requests
    where requests.provider is not null and not coalesce(requests.is_cached, false) and {{ in_build_days('requests.usage_date') }}
        and (requests.usage_date, lower(trim(requests.provider))) in (
            select (logs.usage_date, lower(trim(logs.provider))) from {{ ref('stg_telemetry__vendor_requests') }} as logs
        )
),

there_rows as (
    select *, {{ json_field('other_columns', 'response_id') }} as response_id
    from {{ ref('stg_telemetry__vendor_requests') }}
    where {{ in_build_days('usage_date') }}
),

{% set kept = ['usage_date', 'source_name', 'provider', 'model', 'request_id', 'response_id', 'requested_at', 'status', 'input_tokens',
    'output_tokens'] -%}

ids_here as (
    select usage_date, request_id as id from here_rows where request_id is not null
    union
    select usage_date, response_id from here_rows where response_id is not null
),

ids_there as (
    select usage_date, request_id as id from there_rows where request_id is not null
    union
    select usage_date, response_id from there_rows where response_id is not null
)

select 'here' as found_in, {{ kept | join(', ') }}
from here_rows
where request_id is not null and (usage_date, request_id) not in (select (ids.usage_date, ids.id) from ids_there as ids)
    and (response_id is null or (usage_date, response_id) not in (select (ids.usage_date, ids.id) from ids_there as ids))

union all

select 'there' as found_in, {{ kept | join(', ') }}
from there_rows
where request_id is not null and (usage_date, request_id) not in (select (ids.usage_date, ids.id) from ids_here as ids)
    and (response_id is null or (usage_date, response_id) not in (select (ids.usage_date, ids.id) from ids_here as ids))
