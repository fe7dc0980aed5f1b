-- The gateway's log of the day: what was asked, in the gateway's own names. Some spell their team in capitals.
select
    moment(getvariable('day') * 86400) + to_microseconds(number * 86400000000 // getvariable('requests_per_day')) as time,
    'req-' || getvariable('day') || '-' || number as request,
    case when one % 10 = 0 then upper(team) else team end as team,
    customer,
    ['chat', 'search', 'batch', 'evaluation'][(1 + (two >> 56) % 4)::bigint] as feature,
    provider as vendor,
    model,
    fresh_tokens + cached_tokens as prompt_tokens,
    cached_tokens,
    output_tokens as completion_tokens,
    ((two >> 40) % 4000 + 100)::double / 1000 as latency_s,
    status
from requests
