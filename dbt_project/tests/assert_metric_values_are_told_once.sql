-- One value per metric, measure, grain, period, dimension and value of it; without one there is a reason, and never both.
select metric_id, measure, grain, period_start_at, dimension, dimension_value, count(*) as values_told
from {{ ref('metric_values') }}
group by all
having count(*) > 1 or bool_or((value is null) <> (reason is not null)) or bool_or(not isfinite(value))
