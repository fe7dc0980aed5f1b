"""The queries of explain_evidence."""

from tollbook.finance.freeze import OF_MONTH
from tollbook.finance.ledger import BY_HAND
from tollbook.finance.tables import KEYS

_CHARGED = [name for name in KEYS if name not in ("account", "invoice_id", "commitment_id")]
_MOVED = (
    "usage_date",
    "billing_period",
    "source_name",
    "billed_by",
    "basis",
    "team",
    "cost_centre",
    "bucket",
    "component",
    "rule",
    "currency_code",
)
_BY_MODELS = f"reason not in {(*BY_HAND, 'markup')} and bucket <> 'immaterial'"


def _same(left: str, right: str, names) -> str:
    return " and ".join(f"{left}.{name} is not distinct from {right}.{name}" for name in names)


#: Files of a closed month: the table that has the same now, and which of its rows the file has instead (all where nothing is said).
LIVE = {"allocation": ("intermediate.int_costs__detailed", "")} | OF_MONTH

#: Bill rows with what an allocated cost says of them; the sums of both are compared wherever they are used.
CHARGES = """
select
    * exclude (team), team,
    case
        when commitment_discount_status = 'Unused' or capacity_reservation_status = 'Unused' then 'unused_commitment'
        else coalesce(team, 'unowned')
    end as payer,
    'owners/' || owner_rule_id || '@' || owner_rule_version as rule,
    coalesce(json_extract_string(try_cast(virtual_tags as json), '$.project'), json_extract_string(try_cast(tags as json), '$.project'), sub_account_name)
        as project,
    coalesce(
        json_extract_string(try_cast(virtual_tags as json), '$.component'),
        case
            when billed_cost_origin = 'own: nobody invoices it' and sku_meter = 'disposal' then 'disposal'
            when billed_cost_origin = 'own: nobody invoices it' then json_extract_string(try_cast(other_columns as json), '$.kind')
            when charge_category in ('Usage', 'Purchase') then coalesce(service_category, 'Other')
            else charge_category
        end
    ) as category
from kept_charges
"""

POSTED_KEYS = (
    f"create or replace temp table posted_keys as select distinct {', '.join(_CHARGED)} from line_postings where {_BY_MODELS}",
    "create or replace temp table allocated as select allocation.* from kept_allocation as allocation semi join posted_keys"
    f" on {_same('allocation', 'posted_keys', _CHARGED)}",
    "create or replace temp table moved as select shared.* from (select *, 'cost_sharing/' || rule_id || '@' || rule_version as rule"
    " from kept_shared_costs where entry <> 'kept') as shared semi join posted_keys"
    f" on {_same('shared', 'posted_keys', _MOVED)}",
)

HELD_POSTINGS = f"""
create or replace temp table held_postings as
select postings.* from ledger.postings as postings semi join posted_keys on {_same("postings", "posted_keys", _CHARGED)}
where postings.recorded_at <= $as_of and {_BY_MODELS} and postings.posting_id not in (select posting_id from line_postings)
"""

_HOURS = "sum(hours.gpu_hours) as hours, sum(hours.allocated_cost) as cost, min(hours.hour_start_at) as start, max(hours.hour_start_at) + interval 1 hour as until"
_TOLD = """
left join (
    select source_name, holding_id, node, min(file_name) as file_name, min_by(file_row, (file_name, file_row)) as file_row
    from engineering.dim_holdings group by all
) as told on hours.source_name = told.source_name and hours.holding_id = told.holding_id and hours.node is not distinct from told.node
"""

#: Of a place and days: what this payer held, or what nobody held, by holder.
HELD = f"""
select
    coalesce(hours.job_id, hours.holding_id, hours.layer) as holder, case when not hours.is_held then hours.layer_reason end as reason,
    told.file_name, told.file_row, {_HOURS}
from kept_gpu_hours as hours
{_TOLD}
left join (
    select source_name, holding_id, min(owner_rule) as rule, min(project) as project from intermediate.int_holdings__owned group by all
) as owned on hours.is_held and hours.source_name = owned.source_name and hours.holding_id = owned.holding_id
where hours.usage_date in (select usage_date from group_days)
    and coalesce(hours.cluster, '') = coalesce($cluster, '') and coalesce(hours.pool, '') = coalesce($pool, '')
    and hours.node is not distinct from $node and hours.gpu_model is not distinct from $gpu_model
    and $component in (hours.resource, hours.resource || '_unknown', 'tokens_self_hosted')
    and hours.model is not distinct from $model and hours.tenant is not distinct from $tenant
    and case
        when ends_with($component, '_unknown') then hours.layer = 'unknown' and not hours.is_held
        when hours.is_held then coalesce(hours.team, 'unowned') = $team and owned.rule is not distinct from $rule
            and owned.project is not distinct from $project
        when $bucket = 'unowned' then hours.layer not in ('idle', 'down', 'stranded')
        else hours.layer = $bucket
    end
group by 1, 2, 3, 4 having sum(hours.allocated_cost) <> 0 order by abs(cost) desc, 1, 2, 3, 4
"""

#: What served a model on the days, by holding and node.
SERVERS = f"""
select
    coalesce(hours.job_id, hours.holding_id) as holder, null as reason, coalesce(hours.cluster, '') as cluster, coalesce(hours.pool, '') as pool,
    hours.node, told.file_name, told.file_row, {_HOURS}
from kept_gpu_hours as hours
{_TOLD}
where hours.usage_date in (select usage_date from group_days) and hours.model = $model and hours.is_held
group by 1, 2, 3, 4, 5, 6, 7 order by abs(cost) desc nulls last, 1, 2, 3, 4, 5, 6, 7
"""

#: Bill rows of the cloud instances of a place.
OF_NODE = (
    "resource_id in (select resource_id from engineering.dim_capacity where coalesce(cluster, '') = coalesce($cluster, '')"
    " and coalesce(pool, '') = coalesce($pool, '') and ($node is null or node = $node))"
)
#: Bill rows that went to a node on the days.
NODE_ROWS = (
    "coalesce(resource_id, '') {word} (select coalesce(allocated_resource_id, '') from kept_gpu_hours"
    " where allocated_resource_id is not null and usage_date in (select usage_date from group_days))"
)
#: Bill rows that accrue on one of the days; what takes no time, on its day.
OVERLAP = (
    "exists (select 1 from group_days where charge_period_start < group_days.usage_date + interval 1 day"
    " and greatest(charge_period_end, charge_period_start + interval 1 second) > group_days.usage_date)"
)

#: What a giver had of what a rule shared with a receiver, before anything was shared.
GIVEN = """
create or replace temp table given as
select * from kept_allocation
where usage_date in (select usage_date from moved where rule_id = $rule_id and step = $step and team = $team and from_team = $payer)
    and source_name = $source_name and billed_by = $billed_by and billing_period = $billing_period and bucket = $bucket and team = $payer
    and ($cluster is null or cluster = $cluster) and ($pool is null or pool = $pool) and ($node is null or node = $node)
    and ($resource is null or $resource = 'other' or component in ($resource, $resource || '_unknown'))
"""

DELIVERIES = """
select file_names, delivered_at, loaded_at, delivery_id, rows_loaded from quality.fct_deliveries
where status = 'loaded' and (
    list_contains($contents::varchar[], delivery_id)
    or is_current and len(list_intersect(string_split(file_names, ', '), $files::varchar[])) > 0
)
order by file_names, loaded_at
"""
