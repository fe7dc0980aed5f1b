-- What people's time cost: one row per day, role, team and job, incident or model it was for, at the dated rates of config/people_rates.csv. No
-- bill says so: it stands beside what is billed, is part of full_cost alone, and is charged back to nobody. What names nothing is unattributed.
select
    usage_date,
    role,
    team,
    incident_id,
    job_source,
    nullif(job_cluster, '') as job_cluster,
    job_id,
    model,
    is_attributed,
    minutes,
    cost,
    currency_code,
    reason
from {{ ref('int_people_costs') }}
