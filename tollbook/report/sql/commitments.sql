-- One row per commitment, the costliest first.
select
    billed_by, commitment_id, commitment_type, payment_model, status, purchased_cost, used_cost, unused_cost, open_cost,
    utilisation_ratio, saving_cost, break_even_ratio
from finance.fct_commitments
order by used_cost + unused_cost desc, billed_by, commitment_id
