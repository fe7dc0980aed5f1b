select date '1970-01-01' as usage_date, timestamp '1970-01-01' as hour_start_at, '' as resource_id, timestamp '1970-01-01' as part_start_at, timestamp '1970-01-01' as part_end_at where false
