-- One row per conservation check over everything published: what it compared, the sum of absolute differences.
select
    'rows delivered = loaded + quarantined' as said,
    sum(rows_delivered)::bigint as rows_compared,
    sum(abs(rows_delta))::decimal(38, 0) as difference,
    count(*) - count(rows_delta) as unknown,
    'row' as unit
-- each period of a source has the row counts of the whole source
from (select distinct source_name, rows_delivered, rows_delta from quality.fct_reconciliation)
having count(*) > 0

union all

select
    'effective = allocated + named buckets',
    sum(rows_compared)::bigint,
    sum(abs(cost_delta)),
    count(*) - count(cost_delta),
    'money'
from quality.fct_reconciliation
having count(*) > 0

union all

select
    'bridge from billed to charged' as said,
    sum(rows_compared)::bigint as rows_compared,
    sum(abs(cost)) as difference,
    count(*) - count(cost) as unknown,
    'money' as unit
from quality.fct_bridge
where term = 'remainder'
having count(*) > 0
