-- What training falcon-7b cost, and how much of it each day's inferences bear: an even share of it each, until `life` of them are served.
with trained as (
    select sum((until_second - from_second) * gpu_count * share * price)::decimal(38, 4) as cost
    from held_days
    where kind = 'pod' and (label_draw >> 32) % 4 = 0
),

served as (
    select usage_date, sum(success_count) as success_count
    from truth_tokens
    where model = 'falcon-7b'
    group by all
),

worn as (
    select
        usage_date,
        least(sum(success_count) over (order by usage_date), getvariable('training_life')) as worn_until,
        least(sum(success_count) over (order by usage_date) - success_count, getvariable('training_life')) as worn_before
    from served
)

select
    usage_date,
    -- millionths of a USD with 4 digits, to units of 10^-12, of which only whole ones count
    (
        ((cost * 10000)::hugeint * 100 * worn_until // getvariable('training_life')
            - (cost * 10000)::hugeint * 100 * worn_before // getvariable('training_life'))::decimal(25, 0) * 0.000000000001::decimal(13, 12)
    )::decimal(38, 12) as cost
from worn, trained
order by usage_date
