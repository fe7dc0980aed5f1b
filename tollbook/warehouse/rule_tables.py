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
    "model_aliases": {"provider": "varchar", "alias": "varchar", "model": "varchar"},
    "exchange_rates": {"from_currency": "varchar", "to_currency": "varchar", "rate": "decimal(38,20)"},
    "resource_rates": {
        "split": "varchar",
        "resource": "varchar",
        "gpu_model": "varchar",
        "rate_kind": "varchar",
        "rate": "decimal(18,9)",
    },
    "policies": {"policy": "varchar", "value": "varchar", "cluster": "varchar", "pool": "varchar"},
    "cost_sharing": {
        "rule_id": "varchar",
        "step": "integer",
        "cost": "varchar",
        "within": "varchar",
        "method": "varchar",
        "driver": "varchar",
        "receivers": "varchar",
    },
    "supporting_costs": {
        "rule_id": "varchar",
        "priority": "integer",
        "field": "varchar",
        "pattern": "varchar",
        "component": "varchar",
        "share_by": "varchar",
        "among": "varchar",
    },
    "training_runs": {
        "rule_id": "varchar",
        "model": "varchar",
        "model_version": "varchar",
        "job": "varchar",
        "amortise_by": "varchar",
        "life": "decimal(18,0)",
        "in_service_on": "date",
    },
    "comparable_models": {"model": "varchar", "compared_with": "varchar"},
    "job_costs": {"rule_id": "varchar", "component": "varchar", "cost": "varchar", "driver": "varchar"},
    "people_rates": {"role": "varchar", "rate_per_hour": "decimal(18,6)", "currency": "varchar"},
    "recipients": {
        "recipient_kind": "varchar",
        "recipient": "varchar",
        "name": "varchar",
        "address": "varchar",
        "owner": "varchar",
        "locale": "varchar",
    },
    "budgets": {
        "scope": "varchar",
        "scope_value": "varchar",
        "cost": "varchar",
        "amount_per_month": "decimal(38,12)",
        "currency": "varchar",
        "owner": "varchar",
    },
    "internal_prices": {
        "component": "varchar",
        "gpu_model": "varchar",
        "model": "varchar",
        "token_kind": "varchar",
        "unit": "varchar",
        "price": "decimal(24,12)",
        "currency": "varchar",
    },
    "accounts": {
        "account": "varchar",
        "component": "varchar",
        "billed_by": "varchar",
        "bucket": "varchar",
        "cost_centre": "varchar",
        "priority": "integer",
        "account_code": "varchar",
        "account_name": "varchar",
    },
}
_CLOCK_COLUMNS = ("region", "service_tier", "quantity_from", "time_from", "time_to")
#: Columns that may be absent.
ABSENT = {("prices", column) for column in _CLOCK_COLUMNS} | {
    ("policies", "cluster"),
    ("policies", "pool"),
    ("resource_rates", "gpu_model"),
    ("cost_sharing", "within"),
    ("cost_sharing", "driver"),
    ("cost_sharing", "receivers"),
    ("supporting_costs", "among"),
    ("training_runs", "model_version"),
    ("recipients", "name"),
    ("recipients", "address"),
    ("recipients", "owner"),
    ("recipients", "locale"),
    ("budgets", "scope_value"),
    ("budgets", "cost"),
    ("budgets", "owner"),
    ("internal_prices", "component"),
    ("internal_prices", "gpu_model"),
    ("internal_prices", "model"),
    ("internal_prices", "token_kind"),
    ("internal_prices", "currency"),
    ("accounts", "component"),
    ("accounts", "billed_by"),
    ("accounts", "bucket"),
    ("accounts", "cost_centre"),
    ("accounts", "priority"),
}
#: Columns that may be empty.
OPTIONAL = {("teams", "cost_centre"), ("prices", "provider"), ("model_aliases", "provider")} | ABSENT

#: What a cost attributed to jobs by a driver is called; a column of engineering.fct_jobs each.
JOB_COMPONENTS = ("api", "egress", "storage", "observability")

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
    "materiality_threshold": "an amount in the reporting currency",
    "chargeback_basis": ("cost", "markup", "price_list"),
    "chargeback_mode": ("chargeback", "showback"),
    "showback_cost_centre": "a cost centre",
}
#: Policies that hold for the whole workspace: of what they decide, no cluster is known before.
WHOLE_WORKSPACE = (
    *("attached_by_tag", "chargeback_basis", "chargeback_mode", "down_xids", "materiality_threshold", "model_cost_charged_to"),
    *("sample_gap_intervals", "showback_cost_centre"),
)
#: Ways to split a node's cost that need no rates of the workspace's own.
BUILT_IN_SPLITS = ("gpu", "aws_weights", "max_share")
#: What of a request supporting costs may be shared by.
SHARED_BY = ("requests", "tokens", "input_tokens", "output_tokens", "retrievals", "bytes_out")
#: What a budget may be for.
BUDGET_SCOPES = ("all", "team", "cost_centre", "provider", "cluster", "pool", "tenant", "feature", "model")
#: The ledger's accounts.
LEDGER_ACCOUNTS = ("cost", "tax", "rounding", "margin", "clearing", "prepaid", "accrual", "own_ledger", "bridge", "provider_rounding")
#: Kinds of token that a price may be of, as macros/token_kinds.sql counts them; `embedding` is another word for input.
TOKEN_KINDS = (
    *("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "embedding"),
    *("input_audio", "cached_input_audio", "output_audio", "input_image", "output_image"),
)
CHOICES = {
    ("policies", "policy"): tuple(POLICIES),
    ("prices", "token_kind"): (*TOKEN_KINDS, "image", "search", "request", "share_of_standard"),
    ("resource_rates", "resource"): ("gpu", "cpu", "memory_gb", "disk_gb"),
    ("resource_rates", "rate_kind"): ("weight", "declared"),
    ("cost_sharing", "within"): ("node", "pool", "cluster", "everything"),
    ("supporting_costs", "share_by"): SHARED_BY,
    ("training_runs", "amortise_by"): ("inferences", "days"),
    ("cost_sharing", "method"): ("proportional", "by_resource", "even", "weights", "driver", "kept"),
    ("job_costs", "component"): JOB_COMPONENTS,
    ("budgets", "scope"): BUDGET_SCOPES,
    ("budgets", "cost"): ("gpu", "everything"),
    ("internal_prices", "token_kind"): TOKEN_KINDS,
    ("internal_prices", "unit"): ("gpu_hour", "million_tokens", "percent"),
    ("accounts", "account"): LEDGER_ACCOUNTS,
    ("recipients", "recipient_kind"): ("cost_centre", "tenant", "bucket"),
}
#: Steps of cost_sharing.csv: int_costs__shared takes one after the other.
SHARING_STEPS = 9
#: What `bucket:` may name in cost_sharing.csv.
SHARED_BUCKETS = ("idle", "down", "stranded", "unknown", "unowned", "unused_commitment")
#: Where cost goes that no team bears: no team may be called so.
BUCKETS = ("allocated", *SHARED_BUCKETS, "rounding", "immaterial")
_BUCKETS = "|".join(BUCKETS)
_IS_BUCKET = (
    f"regexp_matches(lower(trim(team)), '^({_BUCKETS})$')",
    "is what a bucket is called, where cost goes that no team bears; give the team another name",
)
_LISTED = r"^\s*[^;=]+=\s*[0-9]+(\.[0-9]{1,6})?\s*(;\s*[^;=]+=\s*[0-9]+(\.[0-9]{1,6})?\s*)*;?\s*$"
#: What `cost` of job_costs.csv may name.
JOB_COST_WORDS = ("service", "provider", "component", "resource", "team")
_JOB_COST = rf"\s*({'|'.join(JOB_COST_WORDS)})\s*:\s*[^;\s][^;]*"
_NAMES_COMPONENT = r"(^|;)\s*component\s*:"
#: Checks of whole rows: table to (column named, SQL that is true of a row to refuse, what is said). All columns are text there.
CHECKS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "supporting_costs": (
        (
            "among",
            r"not regexp_matches(among, '^\s*(provider|model|model_version|variant|request_kind|team|tenant|feature|region)\s*:\s*\S')",
            "is not a property of requests and a pattern, such as feature:search* or request_kind:embedding",
        ),
        (
            "component",
            "lower(trim(component)) in ('vendor', 'training') or lower(component) like 'serving%'",
            "is a component that bills, servers and training have already; name what the cost is, such as gateway or vector_store",
        ),
    ),
    "training_runs": (("life", "try_cast(life as decimal(18,0)) <= 0", "is not above 0"),),
    "recipients": (
        ("locale", "not regexp_matches(locale, '^[a-z]{2,3}([_-][A-Z][a-z]{3})?([_-][A-Z]{2})?$')", "is no locale such as de_DE"),
    ),
    "teams": (("team", *_IS_BUCKET),),
    "owners": (("team", *_IS_BUCKET),),
    "resource_rates": (("rate", "try_cast(rate as double) < 0", "is negative"),),
    "people_rates": (
        ("rate_per_hour", "try_cast(rate_per_hour as double) < 0", "is negative"),
        ("currency", "length(trim(currency)) <> 3", "is not a currency code of three letters"),
    ),
    "budgets": (
        ("amount_per_month", "try_cast(amount_per_month as double) < 0", "is negative"),
        ("currency", "length(trim(currency)) <> 3", "is not a currency code of three letters"),
        (
            "scope_value",
            "(lower(trim(scope)) = 'all') <> (coalesce(trim(scope_value), '') = '')",
            "is named where scope is all, or missing where it is not",
        ),
    ),
    "internal_prices": (
        ("price", "try_cast(price as double) < 0 and unit <> 'percent'", "is negative"),
        ("price", "try_cast(price as double) < -100", "takes away more than the cost"),
        ("price", "abs(try_cast(price as double)) >= 1000000", "is not below a million"),
        ("price", "try_cast(price as decimal(38, 12)) <> try_cast(price as decimal(38, 6))", "has more than 6 decimals"),
        (
            "component",
            "unit = 'gpu_hour' and coalesce(nullif(lower(trim(component)), ''), 'gpu') <> 'gpu'",
            "has no GPU-hours: a price by the hour is of component gpu (or empty)",
        ),
        (
            "component",
            "unit = 'million_tokens' and not starts_with(coalesce(nullif(lower(trim(component)), ''), 'tokens_'), 'tokens_')",
            "has no tokens: a price by the million is of tokens_vendor, tokens_self_hosted, tokens_provisioned or tokens_* (or empty)",
        ),
        ("gpu_model", "unit = 'million_tokens' and trim(gpu_model) <> ''", "is named, and tokens are of no GPU; name the model"),
        ("model", "unit = 'gpu_hour' and trim(model) <> ''", "is named, and an hour of a GPU is of no model; name the gpu_model"),
        (
            "token_kind",
            "unit <> 'million_tokens' and trim(token_kind) <> ''",
            "is named, and only a price by million_tokens is of a kind of token; leave it empty",
        ),
        ("currency", "unit <> 'percent' and length(trim(coalesce(currency, ''))) <> 3", "is not a currency code of three letters"),
    ),
    "job_costs": (
        (
            "cost",
            rf"not regexp_full_match(lower(cost), '{_JOB_COST}(;{_JOB_COST})*;?\s*')",
            f"is not {', '.join(f'{word}:' for word in JOB_COST_WORDS)} and a name, or several of them with semicolons between",
        ),
    ),
    "cost_sharing": (
        ("step", f"not regexp_matches(trim(step), '^[1-{SHARING_STEPS}]$')", f"is no step from 1 to {SHARING_STEPS}"),
        (
            "cost",
            r"not regexp_matches(lower(cost), '^\s*(team|component)\s*:\s*\S')"
            rf" and not regexp_matches(lower(cost), '^\s*bucket\s*:\s*({'|'.join(SHARED_BUCKETS)})\s*$')",
            f"is not team:<team>, component:<component> or bucket: and one of {', '.join(SHARED_BUCKETS)}",
        ),
        (
            "cost",
            rf"regexp_matches(lower(cost), '^\s*team\s*:\s*({_BUCKETS})\s*$')",
            "is the name of a bucket, not of a team; write bucket:",
        ),
        (
            "cost",
            "method = 'by_resource' and lower(trim(cost)) like 'component%'",
            "is one component, and method by_resource shares each component of a cost by itself; use proportional",
        ),
        ("driver", "method = 'driver' and driver is null", "is missing; method driver shares by the driver of that name"),
        ("driver", "method <> 'driver' and driver is not null", "is named, which only method driver uses"),
        ("receivers", "method = 'weights' and receivers is null", "is missing; method weights takes team=weight;team=weight"),
        (
            "receivers",
            f"method = 'weights' and (not regexp_matches(receivers, '{_LISTED}') or not regexp_matches(receivers, '=[ 0-9.]*[1-9]'))",
            "is not team=weight;team=weight with weights of at most 6 decimals, not all of them 0",
        ),
        ("receivers", "method <> 'weights' and contains(receivers, '=')", "gives weights, which only method weights uses"),
        ("receivers", "method = 'kept' and receivers is not null", "is named, but method kept gives to nobody"),
        (
            "receivers",
            rf"regexp_matches(lower(receivers), '(^|;)\s*(bucket\s*:|(team\s*:\s*)?({_BUCKETS})\s*(=|;|$))')",
            "names a bucket, which pays nothing",
        ),
        (
            "receivers",
            f"method in ('proportional', 'by_resource', 'driver') and regexp_matches(lower(receivers), '{_NAMES_COMPONENT}')",
            "names a component, which only the methods weights and even can give to",
        ),
        (
            "receivers",
            "exists (select 1 from (select unnest(string_split(lower(rules.receivers), ';')) as item) as listed"
            f" where regexp_matches(item, '{_NAMES_COMPONENT}') and not exists (select 1 from rules as other where other.step = rules.step"
            " and regexp_replace(lower(trim(other.cost)), '\\s*:\\s*', ':')"
            " = regexp_replace(trim(split_part(item, '=', 1)), '\\s*:\\s*', ':')))",
            "names a component that no rule of the same step shares: a component cannot pay",
        ),
        (
            "within",
            "within <> 'everything' and (method in ('weights', 'driver') or (method = 'even' and receivers is not null))",
            "chooses nobody here: the receivers are those that the list or the driver names; leave it empty",
        ),
    ),
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
FIELDS = {
    "owners": {*LINE_FIELDS, *HOLDING_FIELDS},
    "supporting_costs": {*LINE_FIELDS, *HOLDING_FIELDS},
    "virtual_tags": set(LINE_FIELDS),
}
#: What no two rules may say for the same day.
ONE_IN_FORCE = {
    "teams": "team",
    "exchange_rates": "from_currency || ' to ' || to_currency",
    "policies": "policy || ' ' || coalesce(cluster, '') || ' ' || coalesce(pool, '')",
    "resource_rates": "split || ' ' || resource || ' ' || coalesce(gpu_model, '')",
    "required_tags": "tag",
    "budgets": "scope || ' ' || coalesce(scope_value, '') || ' ' || coalesce(cost, '')",
    "recipients": "recipient_kind || ' ' || recipient",
    "price_books": "book",
    "job_costs": "rule_id",
    "people_rates": "role",
    "model_aliases": "coalesce(trim(provider), '') || ' ' || trim(alias)",
    "comparable_models": "model || ' and ' || compared_with",
    "internal_prices": (
        "unit || ' ' || coalesce(trim(component), '') || ' ' || coalesce(trim(gpu_model), '') || ' ' || coalesce(trim(model), '')"
        " || ' ' || coalesce(case trim(token_kind) when 'embedding' then 'input' else trim(token_kind) end, '')"
    ),
    "accounts": (
        "account || ' ' || coalesce(trim(component), '') || ' ' || coalesce(trim(billed_by), '') || ' ' || coalesce(trim(bucket), '')"
        " || ' ' || coalesce(trim(cost_centre), '')"
    ),
    "cost_sharing": r"regexp_replace(trim(cost), '\s*:\s*', ':') || ' in step ' || trim(step)",
}
#: What a rule decides, in one spelling: a rule of another name that decides the same is its next version.
DECIDES = {table: f"lower({key})" for table, key in ONE_IN_FORCE.items()} | {
    "owners": "lower(trim(field)) || ' ' || trim(pattern)",
    "supporting_costs": "lower(trim(field)) || ' ' || trim(pattern)",
    "virtual_tags": "lower(trim(tag)) || ' ' || lower(trim(field)) || ' ' || trim(pattern)",
}
#: What such a key is called, where it is not one column.
SAME = {
    "exchange_rates": "pair of currencies",
    "model_aliases": "provider and alias",
    "comparable_models": "pair of models",
    "cost_sharing": "cost and step",
    "budgets": "scope and cost",
    "internal_prices": "unit, component, gpu_model, model and token_kind",
    "accounts": "account and patterns",
    "recipients": "recipient",
}
#: Rule files that decide no charge: what they say is looked at beside it.
NO_COST = (
    "required_tags",
    "job_costs",
    "people_rates",
    "model_aliases",
    "supporting_costs",
    "training_runs",
    "comparable_models",
    "budgets",
    "internal_prices",
    "accounts",
    "recipients",
)
#: Rule files that say how something is shown: no day is built again when they change.
ONLY_SHOWN = ("accounts", "recipients")
