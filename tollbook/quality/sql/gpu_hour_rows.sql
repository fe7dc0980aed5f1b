-- One row: holdings that ran (one that never started, or ran for no time at all, needs no hour), and the mart's rows.
with ran as (
    select count(*) as input_rows
    from raw.holdings
    where started_at < coalesce(ended_at, (select horizon_at from meta.horizon))
)

select
    ran.input_rows,
    (select count(*) from engineering.fct_gpu_hours) as mart_rows
from ran
