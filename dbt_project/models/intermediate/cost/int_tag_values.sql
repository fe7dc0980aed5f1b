-- One row per distinct tags text that may matter to the build's days and normalised key: keys in lower case, blanks trimmed; where one text
-- has a key twice in different case, the first by spelling counts. Empty values are no values.
{{ config(materialized='table') }}

with texts as (
    select distinct tags
    from {{ ref('int_charge_lines') }}
    where tags is not null and {{ may_overlap_build_days('charge_date', 'accrues_until_at') }}

    union

    select distinct labels as tags
    from {{ ref('stg_telemetry__holdings') }}
    where labels is not null and {{ in_build_days('holding_date') }}
),

entries as (
    select
        tags,
        {{ json_entries('tags') }} as entry
    from texts
)

select
    tags,
    lower(trim(entry.key)) as tag_key,
    trim(entry.value) as tag_value
from entries
where trim(entry.value) <> ''
qualify row_number() over (partition by tags, lower(trim(entry.key)) order by entry.key) = 1
