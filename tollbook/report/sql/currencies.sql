-- The currencies that the amounts name; one, where sums are to mean anything.
select currency_code
from (
    select currency_code from finance.fct_charges
    union
    select currency_code from finance.fct_chargeback
    union
    select currency_code from engineering.fct_gpu_days
    union
    select currency_code from product.fct_token_costs
)
where currency_code is not null
order by currency_code
