-- One row per bill with commitments: how many there are, how many are over and not settled, and the worst of them.
select
    billed_by,
    count(*) as commitments,
    count(case when status = 'unsettled' then 1 end) as unsettled,
    max_by(commitment_id, abs(open_cost)) filter (where status = 'unsettled') as worst_id,
    max_by(open_cost, abs(open_cost)) filter (where status = 'unsettled') as worst_open_cost,
    max(currency_code) as currency_code
from finance.fct_commitments
group by billed_by
order by billed_by
