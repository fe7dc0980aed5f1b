-- One row per rule of config/ that names teams, components, drivers, clusters or pools: how many, and which of them are nowhere.
with rules as (
    select table_name, rule_key, content
    from meta.rule_versions
    where in_force_to is null and table_name in ('cost_sharing', 'policies', 'owners')
),

sharing as (
    select
        table_name, rule_key, json_extract_string(content, '$.driver') as driver,
        regexp_replace(lower(trim(json_extract_string(content, '$.cost'))), '\s*:\s*', ':') as cost,
        json_extract_string(content, '$.receivers') as receivers
    from rules
    where table_name = 'cost_sharing'
),

receivers as (
    select table_name, rule_key, regexp_replace(lower(trim(split_part(item, '=', 1))), '\s*:\s*', ':') as receiver
    from (select *, unnest(string_split(receivers, ';')) as item from sharing where receivers is not null)
    where trim(item) <> ''
),

placed as (
    select
        table_name, rule_key, json_extract_string(content, '$.cluster') as cluster, json_extract_string(content, '$.pool') as pool,
        lower(trim(json_extract_string(content, '$.field'))) as field, trim(json_extract_string(content, '$.pattern')) as pattern
    from rules
    where table_name in ('policies', 'owners')
),

named as (
    select table_name, rule_key, split_part(cost, ':', 1) as kind, substr(cost, strpos(cost, ':') + 1) as name, 'cost' as used_as
    from sharing
    where cost not like 'bucket:%'
    union
    select
        table_name, rule_key, case when receiver like 'component:%' then 'component' else 'team' end,
        regexp_replace(receiver, '^(team|component):', ''), 'receiver'
    from receivers
    union
    select table_name, rule_key, 'driver', lower(trim(driver)), 'driver' from sharing where driver is not null
    union
    select table_name, rule_key, 'cluster', cluster, 'cluster' from placed where trim(cluster) <> ''
    union
    select table_name, rule_key, 'pool', coalesce(nullif(cluster, '') || ' / ', '') || pool, 'pool' from placed where trim(pool) <> ''
    union
    -- a pattern that stands for one value
    select table_name, rule_key, field, pattern, field from placed where field in ('cluster', 'pool') and not regexp_matches(pattern, '[*?\[]')
),

places as (
    select cluster, pool from engineering.dim_capacity
    union
    select cluster, pool from engineering.dim_holdings
),

known as (
    select 'team' as kind, lower(trim(team)) as name from config.teams
    union
    select 'team', lower(trim(team)) from config.owners where trim(team) <> '{value}'
    union
    select 'team', lower(team) from intermediate.int_costs__charged where bucket = 'allocated'
    union
    select 'team', lower(team) from engineering.dim_holdings
    union
    select 'team', lower(team) from product.fct_token_costs
    union
    select 'team', lower(trim(team)) from raw.usage_drivers
    union
    select 'component', lower(component) from intermediate.int_costs__charged
    union
    select 'component', lower(trim(value)) from config.virtual_tags where lower(trim(tag)) = 'component'
    union
    select 'driver', lower(trim(driver)) from raw.usage_drivers
    union
    select 'cluster', cluster from places
    union
    select 'pool', pool from places
    union
    select 'pool', cluster || ' / ' || pool from places
)

select
    named.table_name, named.rule_key, count(*) as names, count(*) filter (where known.name is null) as unknown,
    string_agg(named.used_as || case when named.used_as = named.kind then ' ' else ' ' || named.kind || ' ' end || '''' || named.name || '''', ', '
        order by named.used_as, named.name) filter (where known.name is null) as said
from named
left join known on named.kind = known.kind and named.name = known.name
group by named.table_name, named.rule_key
order by named.table_name, named.rule_key
