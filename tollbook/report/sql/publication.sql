-- When and by which run the marts were published.
select published_at, run_id, status, warnings, newest_usage_date
from quality.publication
