-- What was asked of the models on one day, and by whom; run once a day. Variables: day, requests_per_day.

-- tokens that every request of a model gets more, and how many of its requests get one more than that; see below
set variable top_up = [0, 0, 0, 0, 0];
set variable top_up_ones = [0, 0, 0, 0, 0];

-- Of forty requests in a row each model has a fixed number of places, so the n-th request of a model is known without
-- counting.
create or replace view requests as
with drawn as (
    select
        number,
        number * 7 % 40 as place,
        case when place < 16 then 1 when place < 22 then 2 when place < 34 then 3 when place < 39 then 4 else 5 end as model_place,
        draw('request', getvariable('day'), number) as one,
        draw('tokens', getvariable('day'), number) as two
    from range(getvariable('requests_per_day')) as numbered (number)
)

select
    number,
    ['falcon-7b', 'heron-32b', 'lumen-large', 'lumen-small', 'nova-mini'][model_place] as model,
    [null, null, 'Lumen AI', 'Lumen AI', 'Tern AI'][model_place] as provider,
    -- some name no team: who owns the server or the contract, platform, bears it
    case when (one >> 48) % 33 <> 0 then some_team(one >> 16) end as team,
    50 + (one % 2000)::bigint + getvariable('top_up')[model_place]
    + case
        when (number // 40) * [16, 6, 12, 5, 1][model_place] + place - [0, 16, 22, 34, 39][model_place]
            < getvariable('top_up_ones')[model_place] then 1
        else 0
    end as fresh_tokens,
    case when (two >> 16) % 3 = 0 then (two >> 24)::bigint % 1000 else 0 end as cached_tokens,
    10 + (two % 500)::bigint as output_tokens,
    'customer-' || ((one >> 56) % 12)::varchar as customer,
    case when (two >> 36) % 50 = 0 then 'error' else 'ok' end as status,
    one,
    two
from drawn;

-- A server's cost is shared out by tokens. Requests to self-hosted models get a few tokens more, so that the day's total
-- divides the cost of any number of GPU-days (86.4 USD each) without a remainder: then every share is exact.
create or replace temp table top_ups as
with evenly as (
    select (2 ** twos * 3 ** threes * 5 ** fives)::bigint as total
    from unnest(range(17)) as two (twos), unnest(range(4)) as three (threes), unnest(range(12)) as five (fives)
),

drawn as (
    select model, count(*) as request_count, sum(fresh_tokens + cached_tokens + output_tokens)::bigint as tokens
    from requests
    where provider is null
    group by model
)

select model, request_count, min(total) - tokens as missing
from drawn
inner join evenly on total >= tokens
group by model, request_count, tokens
order by model;

set variable top_up = list_concat((select list(missing // request_count order by model) from top_ups), [0, 0, 0]);
set variable top_up_ones = list_concat((select list(missing % request_count order by model) from top_ups), [0, 0, 0]);

insert into token_hours
select
    getvariable('day') as day,
    number * 24 // getvariable('requests_per_day') as hour,
    model,
    provider,
    team,
    customer,
    count(*) as request_count,
    count(*) filter (where status = 'ok') as success_count,
    sum(fresh_tokens)::bigint as fresh_tokens,
    sum(cached_tokens)::bigint as cached_tokens,
    sum(output_tokens)::bigint as output_tokens
from requests
group by all;
