-- One row per source with billing lines: those whose currency the file did not name.
select
    source_name,
    count(*) as billing_lines,
    count(*) filter (where currency_origin = 'assumed') as assumed,
    string_agg(distinct billing_currency, ', ') filter (where currency_origin = 'assumed') as assumed_currencies
from raw.billing_lines
group by source_name
