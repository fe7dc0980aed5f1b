-- One row per bill, component and team (or bucket) of the given billing periods; small ones under "other". What a team or bucket gave to
-- others (`shared: …` below zero) is taken off what it had, part by part, so that each amount flows once. A markup comes from
-- no bill.
with charged as (
    select
        concat_ws(
            ' · ',
            coalesce(source_name, 'source unknown'),
            case when billed_by <> source_name then billed_by end
        ) as bill,
        coalesce(component, 'other') as component,
        bucket,
        coalesce(team, 'team unknown') as team,
        sum(charged_cost) as cost
    from finance.fct_chargeback
    where coalesce(billing_period, usage_period) in (select unnest($periods::date[])) and component is distinct from 'markup'
    group by all
),

given as (
    select
        *,
        component like 'shared: %' and cost < 0 as is_given,
        sum(case when component like 'shared: %' and cost < 0 then cost else 0 end) over (partition by bill, bucket, team) as given_cost,
        sum(case when cost > 0 then cost else 0 end) over (partition by bill, bucket, team) as had_cost
    from charged
),

parts as (
    select
        bill, component, bucket, team,
        (cost + case when cost > 0 and had_cost > 0 then cost::double / had_cost::double * given_cost::double else 0 end)::decimal(38, 12) as cost
    from given
    where not is_given or had_cost <= 0
),

bills as (
    select bill, row_number() over (order by sum(abs(cost)) desc, bill) as size_rank from parts group by bill
),

components as (
    select component, row_number() over (order by sum(abs(cost)) desc, component) as size_rank
    from parts
    group by component
),

teams as (
    select team, row_number() over (order by sum(abs(cost)) desc, team) as size_rank
    from parts
    where bucket = 'allocated'
    group by team
)

select
    case when bills.size_rank <= 8 then parts.bill else 'other bills' end as bill,
    case when components.size_rank <= 10 then parts.component else 'other components' end as component,
    parts.bucket,
    case
        when parts.bucket <> 'allocated' then parts.bucket
        when teams.size_rank <= 12 then parts.team
        else 'other teams'
    end as team,
    sum(parts.cost) as cost
from parts
inner join bills using (bill)
inner join components using (component)
left join teams using (team)
group by all
order by sum(abs(parts.cost)) desc, bill, component, team
