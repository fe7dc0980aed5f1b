-- One row per pool, project and scope of commitments that is in force that day and holds the project: a commitment's own projects, and
-- those in its folders. Commitments of the same scope are one. Amounts in the units of int_gcp_cud_usage, per day.
{{ config(materialized='table') }}

with commitments as (
    select
        commitment_id,
        commitment_started_at::date as valid_from,
        commitment_ended_at as valid_to,
        lower(trim(commitment_type)) as cud_type,
        lower(trim(commitment_unit)) as unit_type,
        trim(coalesce({{ json_field('applicability', 'region') }}, {{ json_field('applicability', 'commitments_region') }})) as region_id,
        {{ json_field('applicability', 'project_ids') }} as project_ids,
        {{ json_field('applicability', 'folder_ids') }} as folder_ids,
        (commitment_quantity * case when lower(trim(commitment_unit)) = 'cpu' then 86400000000 else 86400::hugeint * 1073741824 end)::hugeint
            as committed_units
    from {{ ref('stg_contracts__commitments') }}
    where provider = 'Google Cloud'
),

projects as (
    select distinct
        sub_account_id as project_id,
        '/' || {{ json_field('other_columns', 'ancestry_numbers') }} || '/' as ancestry
    from {{ ref('stg_billing__lines') }}
    where billed_by = 'Google Cloud' and sub_account_id is not null
),

named as (
    select commitment_id, {{ listed_items('project_ids') }} as project_id from commitments
),

folders as (
    select commitment_id, {{ listed_items('folder_ids') }} as folder_id from commitments
),

members as (
    select commitment_id, project_id from named where project_id <> ''
    union
    select folders.commitment_id, projects.project_id
    from folders
    inner join projects on folders.folder_id <> '' and strpos(projects.ancestry, '/' || folders.folder_id || '/') > 0
),

scoped as (
    select commitments.*, scopes.scope
    from commitments
    inner join (select commitment_id, string_agg(project_id, ',' order by project_id) as scope from members group by commitment_id) as scopes
        on commitments.commitment_id = scopes.commitment_id
),

pools as (
    select distinct usage_date, billing_account_id, billing_currency, region_id, cud_type, unit_type from {{ ref('int_gcp_cud_usage') }}
),

in_force as (
    select
        pools.*,
        scoped.scope,
        min(scoped.commitment_id) as commitment_id,
        sum(scoped.committed_units) as committed_units
    from pools
    inner join scoped
        on pools.region_id = scoped.region_id and pools.cud_type = scoped.cud_type and pools.unit_type = scoped.unit_type
        and pools.usage_date >= scoped.valid_from and pools.usage_date < scoped.valid_to
    group by all
)

select
    in_force.usage_date,
    in_force.billing_account_id,
    in_force.billing_currency,
    in_force.region_id,
    in_force.cud_type,
    in_force.unit_type,
    in_force.scope,
    in_force.committed_units::decimal(38, 0) as committed_units,
    usage.project_id,
    usage.usage_units,
    sum(usage.usage_units) over (
        partition by
            in_force.usage_date, in_force.billing_account_id, in_force.billing_currency, in_force.region_id, in_force.cud_type,
            in_force.unit_type, in_force.scope
    )::decimal(38, 0) as scope_usage_units
from in_force
inner join members on in_force.commitment_id = members.commitment_id
inner join {{ ref('int_gcp_cud_usage') }} as usage
    on members.project_id = usage.project_id and in_force.usage_date = usage.usage_date
    and in_force.billing_account_id is not distinct from usage.billing_account_id and in_force.billing_currency = usage.billing_currency
    and in_force.region_id = usage.region_id and in_force.cud_type = usage.cud_type and in_force.unit_type = usage.unit_type
where usage.usage_units > 0
