-- Who really owes what, by day; what nobody owes stands under idle, down, unowned or unused_commitment.
with owed as (
    select usage_date, coalesce(team, 'platform') as team, cost from truth_tokens where cost is not null

    union all

    select
        getvariable('start') + day::integer,
        coalesce(team, 'unowned'),
        ((until_second - from_second)::decimal(18, 0) * gpu_count * share * price * 0.000001)::decimal(38, 12)
    from held_days
    where kind <> 'server'

    union all

    select usage_date, layer, cost from truth_gpu_hours where layer in ('idle', 'down')

    union all

    select getvariable('start') + day::integer, team, cost from direct_costs

    union all

    -- support and tax; a credit; what nothing drew on the plan
    select getvariable('start') + day::integer, unnest(['platform', 'research', 'unused_commitment']), unnest([150.00, -25.00, nodes * 8.64])
    from unnest(range(getvariable('days'))) as calendar (day), (select count(*) as nodes from nodes where pool = 'a10')
)

select usage_date, team, sum(cost)::decimal(38, 12) as cost
from owed
group by usage_date, team
order by usage_date, team
