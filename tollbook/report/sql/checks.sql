-- Checks of the newest run that did not pass, errors first.
select check_id, subject, severity, status, rows_seen, observed, threshold, message
from quality.fct_checks
where status <> 'pass'
order by status <> 'error', check_id, subject
limit 50
