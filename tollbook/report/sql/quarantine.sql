-- The 50 commonest reasons for quarantine by source and column, each with one example.
select
    source_name,
    column_name,
    reason,
    count(*) as row_count,
    arg_min(file_name, (file_name, file_row)) as file_name,
    arg_min(file_row, (file_name, file_row)) as file_row,
    arg_min(coalesce(value, '(empty)'), (file_name, file_row)) as value
from quality.fct_quarantine
group by all
order by row_count desc, source_name, column_name, reason
limit 50
