-- One row per source and billing period: the newest three months, and every older one that does not tie.
select * exclude (currency_code)
from quality.fct_reconciliation
where
    billing_period >= (
        select date_trunc('month', max(billing_period)) - interval 2 month from quality.fct_reconciliation
    )
    or cost_delta is distinct from 0
    or rows_delta is distinct from 0
order by billing_period desc, source_name
