"""The rule files of ``config/``: their columns, and what may stand in them. All are dated, [valid_from, valid_to), empty means open."""

from __future__ import annotations

DATED = {"valid_from": "date", "valid_to": "date"}

#: File name (without .csv) to its columns.
TABLES: dict[str, dict[str, str]] = {
    "teams": {"team": "varchar", "cost_centre": "varchar"},
    "owners": {"rule_id": "varchar", "priority": "integer", "field": "varchar", "pattern": "varchar", "team": "varchar"},
    "virtual_tags": {
        "rule_id": "varchar",
        "priority": "integer",
        "field": "varchar",
        "pattern": "varchar",
        "tag": "varchar",
        "value": "varchar",
    },
    "required_tags": {"tag": "varchar"},
    "prices": {
        "provider": "varchar",
        "model": "varchar",
        "token_kind": "varchar",
        "price_per_million": "decimal(38,20)",
        "currency": "varchar",
        "region": "varchar",
        "service_tier": "varchar",
        "quantity_from": "decimal(38,20)",
        "time_from": "varchar",
        "time_to": "varchar",
    },
    "price_books": {"book": "varchar", "priority": "integer"},
    "exchange_rates": {"from_currency": "varchar", "to_currency": "varchar", "rate": "decimal(38,20)"},
    "resource_rates": {
        "split": "varchar",
        "resource": "varchar",
        "gpu_model": "varchar",
        "rate_kind": "varchar",
        "rate": "decimal(18,9)",
    },
    "policies": {"policy": "varchar", "value": "varchar", "cluster": "varchar", "pool": "varchar"},
}
_CLOCK_COLUMNS = ("region", "service_tier", "quantity_from", "time_from", "time_to")
#: Columns that may be absent.
ABSENT = {("prices", column) for column in _CLOCK_COLUMNS} | {
    ("policies", "cluster"),
    ("policies", "pool"),
    ("resource_rates", "gpu_model"),
}
#: Columns that may be empty.
OPTIONAL = {("teams", "cost_centre"), ("prices", "provider")} | ABSENT

#: Policies and what each may say; a kind of value where any will do. docs/rules.md says what they mean.
POLICIES: dict[str, tuple[str, ...] | str] = {
    "model_cost_charged_to": ("consumers", "owner"),
    "node_cost_split": "a split of resource_rates.csv, or gpu, aws_weights or max_share",
    "mig_share": ("compute", "memory", "larger"),
    "shared_gpu_split": ("process", "declared", "larger"),
    "cpu_memory_share": ("request", "usage", "larger"),
    "sample_gap_intervals": "a number",
    "down_xids": "XID numbers, separated by spaces",
    "attached_by_tag": "tag keys, separated by spaces",
}
#: Policies that hold for the whole workspace: of what they decide, no cluster is known before.
WHOLE_WORKSPACE = ("attached_by_tag",)
#: Ways to split a node's cost that need no rates of the workspace's own.
BUILT_IN_SPLITS = ("gpu", "aws_weights", "max_share")
CHOICES = {
    ("policies", "policy"): tuple(POLICIES),
    ("prices", "token_kind"): ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "request"),
    ("resource_rates", "resource"): ("gpu", "cpu", "memory_gb", "disk_gb"),
    ("resource_rates", "rate_kind"): ("weight", "declared"),
}

#: Columns that rules may name as `field`; `tag:<key>` beside them.
LINE_FIELDS = (
    "source_name",
    "billed_by",
    "billing_account_id",
    "sub_account_id",
    "sub_account_name",
    "service_name",
    "service_category",
    "sku_id",
    "region_id",
    "resource_id",
    "resource_name",
    "resource_type",
    "charge_category",
    "charge_description",
)
HOLDING_FIELDS = ("source_name", "namespace", "account", "user_name", "pool", "cluster", "name")
FIELDS = {"owners": {*LINE_FIELDS, *HOLDING_FIELDS}, "virtual_tags": set(LINE_FIELDS)}
#: What no two rules may say for the same day.
ONE_IN_FORCE = {
    "teams": "team",
    "exchange_rates": "from_currency || ' to ' || to_currency",
    "policies": "policy || ' ' || coalesce(cluster, '') || ' ' || coalesce(pool, '')",
    "resource_rates": "split || ' ' || resource || ' ' || coalesce(gpu_model, '')",
    "required_tags": "tag",
    "price_books": "book",
}
