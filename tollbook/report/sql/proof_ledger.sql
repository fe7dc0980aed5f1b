-- One row per proof of the ledger: how many postings it compared, the sum of absolute differences.
select
    'debits = credits of each run' as said,
    sum(posting_count)::bigint as rows_compared,
    sum(abs(cost)) as difference,
    0 as unknown,
    'money' as unit
from (select run_id, count(*) as posting_count, sum(posted_cost) as cost from finance.fct_postings group by run_id)
having count(*) > 0

union all

select
    'bills = what is charged for them',
    sum(posting_count)::bigint,
    sum(abs(cost)),
    0,
    'money'
from (
    select billed_by, billing_period, count(*) as posting_count, sum(posted_cost) as cost
    from finance.fct_postings
    where account = 'bridge'
    group by billed_by, billing_period
)
having count(*) > 0
