-- The cost that config/job_costs.csv names, by the job that caused it: in proportion to what each job has of the rule's driver that day,
-- exactly. One row per day, rule, bill, payer and job as it was named; job_id is NULL with the reason for what no job was named for.
-- A driver row that names a resource or a provider shares out the cost of that one only. Nothing moves between payers.
{%- set charge = ['usage_date', 'rule_id', 'component', 'driver', 'source_name', 'billed_by', 'billing_period', 'resource_id', 'team', 'currency_code'] %}

with weights as (
    select * from {{ ref('int_job_drivers') }} where {{ in_build_days('usage_date') }}
),

charges as (
    select *, row_number() over (order by {{ charge | join(', ') }}) as charge_number
    from {{ ref('int_job_charges__matched') }}
    where cost <> 0 and {{ in_build_days('usage_date') }}
),

driven as (
    select
        {% for column in charge + ['charge_number', 'cost'] %}charges.{{ column }}, {% endfor %}
        weights.job_id, weights.named_cluster, sum(weights.weight) as weight
    from charges
    inner join weights
        on charges.usage_date = weights.usage_date and charges.driver = weights.driver
        and (weights.resource_id is null or weights.resource_id = charges.resource_id)
        and (weights.provider is null or weights.provider = lower(charges.billed_by))
    group by all
),

-- amount x weight must fit into 38 digits
scaled as (
    select *, weight // (1 + whole // ({{ to_whole('10000000000000000000000000000000000000') }} // (1 + {{ to_units('abs(cost)') }}))) as split_weight_of_job
    from (select *, sum(weight) over (partition by charge_number) as whole from driven)
),

split as (
    {{ split_exact('scaled', by=['charge_number'], amount='cost', weight='split_weight_of_job', tie_break=['job_id', 'named_cluster'],
        keep=charge + ['job_id', 'named_cluster', 'weight'], into='job_cost') }}
)

select
    {{ charge | reject('equalto', 'resource_id') | join(', ') }}, job_id, named_cluster,
    sum(weight)::double / 1000000 as quantity,
    sum(job_cost) as cost,
    case when job_id is null then 'the driver names no job' end as reason
from split
group by all
union all
select
    {{ charge | reject('equalto', 'resource_id') | join(', ') }}, null, null, null, sum(cost), 'nothing of the driver that day'
from charges
anti join driven on charges.charge_number = driven.charge_number
group by all
