"""What a month's statements are made of, as Parquet files in one folder: written at the close and kept, or written anew for a draft."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from pathlib import Path

import duckdb

from tollbook import __version__
from tollbook.errors import TollbookError
from tollbook.finance.currencies import minor_units
from tollbook.sources.typing import text

MANIFEST = "manifest.json"

_MONTH = "usage_date >= $period and usage_date < $period + interval 1 month"
# How much was used, by who is charged for it: GPU-hours (of what nobody held, by layer) and tokens.
_USAGE = """
    from (
        select
            case when is_held then team end as team, case when is_held then cost_centre end as cost_centre,
            case when is_held then tenant end as tenant, case when not is_held then layer end as bucket, 'gpu' as component, gpu_model, model,
            sum(case when is_held then held_gpu_hours else gpu_hours end::decimal(38, 9)) as quantity
        from engineering.fct_gpu_hours
        where {month}
        group by all
        union all
        select
            team, cost_centre, tenant, null, case when serving_cost is null then 'tokens_vendor' else 'tokens_self_hosted' end, null, model,
            sum(token_count)
        from product.fct_token_costs
        where {month}
        group by all
    )
    where quantity > 0
    order by all
"""
#: What explains a month: the mart, and which of its rows are the month's.
OF_MONTH = {
    "shared_costs": ("finance.fct_shared_costs", _MONTH),
    "gpu_hours": ("engineering.fct_gpu_hours", _MONTH),
    "token_costs": ("product.fct_token_costs", _MONTH),
    "charges": (
        "finance.fct_charges",
        "billing_period = $period or (charge_date >= $period and charge_date < $period + interval 1 month)",
    ),
}
_KEPT = {name: f"from {mart} where {rows}" for name, (mart, rows) in OF_MONTH.items()}
#: The files and what is in them; postings are those of the accounting period, the rest is of the usage days they speak of.
FILES = {
    "postings": "from ledger.postings where accounting_period = $period and recorded_at <= $known_at order by posting_id",
    "postings_before": "from ledger.postings where accounting_period = $period - interval 1 month and recorded_at <= $known_at order by posting_id",
    "allocation": (
        "from intermediate.int_costs__detailed where usage_date in (select usage_date from ledger.postings"
        " where accounting_period = $period and recorded_at <= $known_at and bucket is not null)"
    ),
    "shared_costs": f"{_KEPT['shared_costs']} order by all",
    "gpu_hours": _KEPT["gpu_hours"],
    "token_costs": _KEPT["token_costs"],
    "usage": _USAGE.format(month=_MONTH),
    "usage_before": _USAGE.format(month="usage_date >= $period - interval 1 month and usage_date < $period"),
    "tenant_costs": f"from product.fct_tenant_costs where {_MONTH} order by all",
    "jobs": "from engineering.fct_jobs where last_ended_at >= $period and last_ended_at < $period + interval 1 month",
    "charges": _KEPT["charges"],
    "invoices": "from finance.fct_invoice_tie_out where billing_period = $period order by all",
    "bridge": "from quality.fct_bridge where billing_period = $period order by all",
    "teams": "from config.teams order by all",
    "budgets": "from config.budgets order by all",
    # those of earlier months, too: what they accrued is taken back in this one
    "waivers": "from ledger.waivers where accounting_period <= $period and recorded_at <= $known_at order by all",
    "rule_versions": "from meta.rule_versions order by all",
}
#: What a statement is explained by, and none is made of: a draft needs none of it.
EVIDENCE = ("allocation", "charges")


def freeze(db: duckdb.DuckDBPyConnection, period: date, known_at: datetime, currency: str, folder: Path, evidence: bool = True) -> dict:
    """Write ``FILES`` and a manifest of their rows and hashes to ``folder`` (made, must be empty); return the manifest.

    ``period`` is the first of a month; what the ledger recorded after ``known_at`` is left out, and so is ``EVIDENCE`` where it is not wanted.
    """
    folder.mkdir(parents=True)
    files = {}
    for name, query in FILES.items():
        if name in EVIDENCE and not evidence:
            continue
        target = folder / f"{name}.parquet"
        used = {key: value for key, value in (("period", period), ("known_at", known_at)) if f"${key}" in query}
        typed = query.replace("$period", "$period::date").replace("$known_at", "$known_at::timestamp")
        (rows,) = db.execute(f"copy ({typed}) to {text(str(target))} (format parquet, compression zstd)", used or None).fetchone()
        files[target.name] = {"rows": rows, "sha256": _hash(target)}
    manifest = {
        "period": f"{period:%Y-%m}",
        "known_at": known_at.isoformat(),
        "currency_code": currency,
        # what a currency has may be counted otherwise one day
        "minor_units": minor_units(currency),
        "tollbook": __version__,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    return manifest


def manifest_of(folder: Path, expected: str | None = None) -> dict:
    """The manifest of a frozen month; ``expected`` is the hash that the ledger has of it.

    Raises:
        TollbookError: there is none, a file is not what was written, or the manifest is not the one that the month was closed with.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise TollbookError(f"{folder} keeps no month: {error}. Bring it back from a backup.") from error
    if expected is not None and content_hash(folder) != expected:
        raise TollbookError(
            f"{folder} is not what the month was closed with: the ledger has another hash of it. Bring it back from a backup."
        )
    changed = [name for name, file in manifest["files"].items() if not (folder / name).is_file() or _hash(folder / name) != file["sha256"]]
    if changed:
        raise TollbookError(f"{folder} was changed since it was written: {', '.join(changed)}. Bring it back from a backup.")
    return manifest


def content_hash(folder: Path) -> str:
    """The hash of all that is kept of a month: that of its manifest."""
    return _hash(folder / MANIFEST)


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
