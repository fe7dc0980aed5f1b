"""The SQL of the last edge: aggregates of the marts, compared as decimals inside DuckDB, never as binary floats."""

# Rows of the mart by source; a delta that is NULL, or that compared no rows, is a difference beyond every limit.
RECONCILIATION = """
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as billing_lines from raw.billing_lines group by all
),

compared as (
    select
        *,
        coalesce(source_name, '') as source,
        abs(cost_delta) as size,
        coalesce(rows_compared, 0) = 0 or cost_delta is null as is_empty
    from quality.fct_reconciliation
),

by_source as (
    select
        source,
        count(*) as periods,
        coalesce(sum(rows_compared), 0)::bigint as rows_compared,
        count(*) filter (where is_empty or size > 0) as differing,
        count(*) filter (where is_empty or size > $warn_above::decimal(38, 20)) as beyond_warn,
        count(*) filter (where is_empty or size > $error_above::decimal(38, 20)) as beyond_error,
        arg_max(billing_period, coalesce(size, 1e17::decimal(38, 20))) as worst_period,
        arg_max(cost_delta::varchar, size) as worst_delta,
        count(*) filter (where rows_delta is distinct from 0) as uneven,
        max(rows_delivered) as rows_delivered,
        max(rows_loaded) as rows_loaded,
        max(rows_quarantined) as rows_quarantined,
        max(currency_code) as currency_code
    from compared
    group by source
)

select
    coalesce(by_source.source, billed.source_name) as source_name,
    coalesce(billed.billing_lines, 0) as billing_lines,
    coalesce(by_source.periods, 0) as periods,
    coalesce(by_source.rows_compared, 0) as rows_compared,
    coalesce(by_source.differing, 0) as differing,
    coalesce(by_source.beyond_warn, 0) as beyond_warn,
    coalesce(by_source.beyond_error, 0) as beyond_error,
    coalesce(by_source.uneven, 0) as uneven,
    by_source.* exclude (source, periods, rows_compared, differing, beyond_warn, beyond_error, uneven)
from by_source
full join billed on by_source.source = billed.source_name
order by 1
"""

# One row per provider that charged something, with its remainders of all billing periods.
BRIDGE = """
with charged as (
    select coalesce(billed_by, '') as billed_by, count(*) as charges from finance.fct_charges group by all
),

remainders as (
    select
        coalesce(billed_by, '') as billed_by,
        count(*) as periods,
        coalesce(sum(rows_compared), 0)::bigint as rows_compared,
        count(*) filter (where is_empty or abs(cost) > 0) as differing,
        count(*) filter (where is_empty or abs(cost) > $warn_above::decimal(38, 20)) as beyond_warn,
        count(*) filter (where is_empty or abs(cost) > $error_above::decimal(38, 20)) as beyond_error,
        arg_max(billing_period, coalesce(abs(cost), 1e17::decimal(38, 20))) as worst_period,
        arg_max(cost::varchar, abs(cost)) as worst_remainder,
        max(currency_code) as currency_code
    from (select *, coalesce(rows_compared, 0) = 0 or cost is null as is_empty from quality.fct_bridge where term = 'remainder')
    group by all
)

select
    coalesce(nullif(coalesce(charged.billed_by, remainders.billed_by), ''), 'no provider') as billed_by,
    coalesce(charged.charges, 0) as charges,
    coalesce(remainders.periods, 0) as periods,
    coalesce(remainders.rows_compared, 0) as rows_compared,
    coalesce(remainders.differing, 0) as differing,
    coalesce(remainders.beyond_warn, 0) as beyond_warn,
    coalesce(remainders.beyond_error, 0) as beyond_error,
    remainders.worst_period,
    remainders.worst_remainder,
    remainders.currency_code
from charged
full join remainders on charged.billed_by = remainders.billed_by
order by 1
"""

# Effective cost at the twelve digits that are charged (what lies below is the rounding bucket, which the bridge holds to
# account) against what the bills charged outside that bucket.
CHARGEBACK = """
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as billing_lines from raw.billing_lines group by all
),

effective as (
    select
        coalesce(source_name, '') as source_name,
        count(*) as row_count,
        sum(reporting_effective_cost::decimal(38, 12)) as cost,
        max(currency_code) as currency_code
    from finance.fct_charges
    group by all
),

charged as (
    select coalesce(source_name, '') as source_name, count(*) as row_count, sum(charged_cost) as cost
    from finance.fct_chargeback
    where basis = 'billed' and bucket <> 'rounding'
    group by all
),

compared as (
    select
        coalesce(effective.source_name, charged.source_name) as source_name,
        coalesce(effective.row_count, 0) + coalesce(charged.row_count, 0) as rows_compared,
        effective.cost as effective_cost,
        charged.cost as charged_cost,
        coalesce(effective.cost, 0) - coalesce(charged.cost, 0) as delta,
        effective.currency_code
    from effective
    full join charged on effective.source_name = charged.source_name
)

select
    coalesce(compared.source_name, billed.source_name) as source_name,
    coalesce(billed.billing_lines, 0) as billing_lines,
    coalesce(compared.rows_compared, 0) as rows_compared,
    coalesce(compared.effective_cost, 0)::varchar as effective_cost,
    coalesce(compared.charged_cost, 0)::varchar as charged_cost,
    coalesce(compared.delta, 0)::varchar as delta,
    coalesce(abs(compared.delta) > 0, false)::integer as differing,
    coalesce(abs(compared.delta) > $warn_above::decimal(38, 20), false)::integer as beyond_warn,
    coalesce(abs(compared.delta) > $error_above::decimal(38, 20), false)::integer as beyond_error,
    compared.currency_code
from billed
full join compared on billed.source_name = compared.source_name
order by 1
"""

# The newest month of each source; as absolute amounts, so that a credit without an owner hides nothing.
UNOWNED = """
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as billing_lines from raw.billing_lines group by all
),

newest as (
    select *, coalesce(source_name, '') as source
    from finance.fct_chargeback
    qualify usage_period = max(usage_period) over (partition by source_name)
),

by_source as (
    select
        source,
        max(usage_period) as usage_period,
        count(*) as row_count,
        sum(case when bucket = 'unowned' then charged_cost else 0 end) as unowned_cost,
        sum(case when bucket = 'unowned' then abs(charged_cost) else 0 end)::double / nullif(sum(abs(charged_cost))::double, 0)
            as unowned_ratio,
        max(currency_code) as currency_code
    from newest
    group by source
)

select
    coalesce(by_source.source, billed.source_name) as source_name,
    coalesce(billed.billing_lines, 0) as billing_lines,
    by_source.usage_period,
    coalesce(by_source.row_count, 0) as row_count,
    by_source.unowned_cost,
    by_source.unowned_ratio,
    by_source.currency_code
from by_source
full join billed on by_source.source = billed.source_name
order by 1
"""

# Which tag of which source must have a coverage: one that was in force on a day the source was charged for.
REQUIRED_TAGS = """
    select distinct days.source_name, tags.tag
    from (select distinct source_name, charge_date from finance.fct_charges) as days
    inner join config.required_tags as tags
        on coalesce(tags.valid_from, date '0001-01-01') <= days.charge_date
        and days.charge_date < coalesce(tags.valid_to, date '9999-12-31')
"""
NO_REQUIRED_TAGS = "select null::varchar as source_name, null::varchar as tag where false"

# The newest period of each source and tag.
TAG_COVERAGE = """
with required as ({required}),

newest as (
    select
        source_name,
        tag,
        max(period) as period,
        count(*) as row_count,
        arg_max(coverage_by_cost_ratio, period) as coverage_by_cost_ratio,
        arg_max(total_cost - tagged_cost, period) as untagged_cost,
        max(currency_code) as currency_code
    from quality.fct_tag_coverage
    group by source_name, tag
)

select
    coalesce(newest.source_name, required.source_name) as source_name,
    coalesce(newest.tag, required.tag) as tag,
    required.tag is not null as is_required,
    newest.period,
    coalesce(newest.row_count, 0) as row_count,
    newest.coverage_by_cost_ratio,
    newest.untagged_cost,
    newest.currency_code
from newest
full join required on newest.source_name = required.source_name and newest.tag = required.tag
order by 1, 2
"""

# A credit can make a node's hour negative as a whole, and its idle part with it; idle alone may not be.
IDLE = """
with suspects as (
    select distinct hour_start_at, cluster, pool, node
    from engineering.fct_gpu_hours
    where layer = 'idle' and allocated_cost < 0
),

node_hours as (
    select hours.hour_start_at
    from engineering.fct_gpu_hours as hours
    inner join suspects
        on hours.hour_start_at = suspects.hour_start_at and hours.cluster is not distinct from suspects.cluster
        and hours.pool is not distinct from suspects.pool and hours.node is not distinct from suspects.node
    group by hours.hour_start_at, hours.cluster, hours.pool, hours.node
    having sum(case when hours.layer = 'idle' then hours.allocated_cost end) < 0 and sum(hours.allocated_cost) >= 0
),

hours as (
    select
        count(*) as row_count,
        count(*) filter (where is_negative) as negative_hours,
        min(hour_start_at) filter (where is_negative) as first_at
    from (
        select *, layer = 'idle' and (coalesce(gpu_hours, 0) < 0 or coalesce(cpu_hours, 0) < 0) as is_negative
        from engineering.fct_gpu_hours
    )
)

select
    hours.row_count,
    hours.negative_hours,
    (select count(*) from node_hours) as negative_costs,
    least(hours.first_at, (select min(hour_start_at) from node_hours)) as first_at
from hours
"""

# By mart: rows whose cost is NULL, the share of the usage they are, and the reasons they give.
NULL_COSTS = """
with costs as (
    select 'engineering.fct_gpu_hours' as mart, 'GPU hours' as unit, gpu_hours as quantity, allocated_cost as cost, cost_reason
    from engineering.fct_gpu_hours
    union all
    select 'engineering.fct_job_costs', 'GPU hours', gpu_hours, allocated_cost, cost_reason
    from engineering.fct_job_costs
    union all
    select 'product.fct_token_costs', 'tokens', token_count, full_cost, cost_reason
    from product.fct_token_costs
),

by_reason as (
    select
        mart,
        unit,
        case when cost is null then coalesce(nullif(trim(cost_reason), ''), 'no reason') end as reason,
        count(*) as row_count,
        sum(quantity)::double as quantity
    from costs
    group by all
)

select
    mart,
    unit,
    sum(row_count)::bigint as row_count,
    coalesce(sum(row_count) filter (where reason is not null), 0)::bigint as null_rows,
    coalesce(sum(quantity) filter (where reason is not null), 0) / nullif(sum(quantity), 0) as null_ratio,
    coalesce(sum(row_count) filter (where reason = 'no reason'), 0)::bigint as without_reason,
    string_agg(reason || ' (' || row_count || ' rows)', ', ' order by row_count desc, reason) as reasons
from by_reason
group by mart, unit
order by mart
"""

CHARGE_ROWS = """
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as row_count from raw.billing_lines group by all
),

charged as (
    select coalesce(source_name, '') as source_name, count(*) as row_count from finance.fct_charges group by all
)

select
    coalesce(billed.source_name, charged.source_name) as source_name,
    coalesce(billed.row_count, 0) as input_rows,
    coalesce(charged.row_count, 0) as mart_rows,
    abs(coalesce(billed.row_count, 0) - coalesce(charged.row_count, 0)) as differing
from billed
full join charged on billed.source_name = charged.source_name
order by 1
"""

# A holding that ran for no time at all, or never started, needs no hour.
GPU_HOUR_ROWS = """
select
    (select count(*) from raw.holdings where started_at < coalesce(ended_at, {horizon})) as input_rows,
    (select count(*) from engineering.fct_gpu_hours) as mart_rows
"""

TOKEN_ROWS = """
select (select count(*) from raw.requests) as input_rows, (select count(*) from product.fct_token_costs) as mart_rows
"""
