-- How many checks of the newest run ended how.
select status, count(*) as check_count
from quality.fct_checks
group by all
order by status
