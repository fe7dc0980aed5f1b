"""What tests of loads and builds say alike: a workspace of written files, nights without words, and all marts at once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tollbook import pipeline
from tollbook.warehouse.publication import SCHEMAS
from tollbook.workspace import Workspace

#: The columns that every cost and usage file has here; a test adds its own behind them.
FOCUS = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceCategory,ResourceId"
)
#: What the sources that many tests have are, by name; each is delivered as CSV in a landing folder of its name.
KINDS = {
    "bill": "format: focus",
    "books": "table: prices",
    "dcgm": "table: gpu_samples",
    "disks": "table: attachments",
    "drivers": "table: usage_drivers",
    "fleet": "table: capacity",
    "gateway": "table: requests",
    "pods": "table: holdings",
    "register": "table: assets",
    "running": "table: asset_costs",
    "slices": "table: gpu_instances",
    "usage": "table: resource_usage",
}
#: What tells of deliveries, by the moment and the order in which they came.
OF_DELIVERIES = ("quality.fct_deliveries", "quality.fct_quarantine")


def quiet(_):
    """Say nothing."""


def settings_of(*names: str, **tables: str) -> str:
    """The text of tollbook.yml: in dollars, with these sources of ``KINDS`` and sources of these tables (name to table)."""
    kinds = {name: KINDS[name] for name in names} | {name: f"table: {table}" for name, table in tables.items()}
    sources = "".join(f"  - {{name: {name}, {kind}, path: landing/{name}/*.csv}}\n" for name, kind in kinds.items())
    return f"currency: USD\nsources:\n{sources}"


def write_workspace(root: Path, settings: str, files: dict[str, str | bytes] | None = None) -> Workspace:
    """A workspace of the text of tollbook.yml and files (path to text or bytes)."""
    for name, content in {"tollbook.yml": settings, **(files or {})}.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Workspace.open(root)


def night(workspace: Workspace, **options) -> int:
    """Load and build; how many days were built."""
    pipeline.load(workspace, tell=quiet)
    return pipeline.build(workspace, tell=quiet, **options)


def clean_night(workspace: Workspace) -> Workspace:
    """The workspace, loaded without a failure or a row in quarantine, and built."""
    for report in pipeline.load(workspace, tell=quiet):
        assert (report.failures, report.quarantined) == ([], 0)
    pipeline.build(workspace, tell=quiet)
    return workspace


def charged_on(workspace: Workspace, day: str, where: str = "true") -> dict[str, Decimal]:
    """What each team is charged for a day."""
    with workspace.connect(read_only=True) as db:
        return dict(
            db.execute(
                "select team, sum(charged_cost) from intermediate.int_chargeback_days"
                f" where usage_date = date '{day}' and ({where}) group by team"
            ).fetchall()
        )


def rows_of_marts(workspace: Workspace, but: tuple[str, ...] = ()) -> dict[str, list[tuple]]:
    """The rows of every mart but these, and of what is to be posted, in an order that does not depend on how they are stored."""
    with workspace.connect(read_only=True) as db:
        marts = db.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
            f" where table_catalog = current_catalog() and table_schema in {SCHEMAS} order by all"
        ).fetchall()
        marts += [("intermediate.int_chargeback_days",), ("intermediate.int_chargeback",)]  # what the ledger will be asked to post
        assert set(but) <= {mart for (mart,) in marts}, f"no marts: {but}"
        return {mart: db.execute(f"select * from {mart} order by all").fetchall() for (mart,) in marts if mart not in but}


def assert_same_marts(before: dict[str, list[tuple]], after: dict[str, list[tuple]], seen: tuple[str, ...] = ()) -> None:
    """Every mart has the same rows in both; those in ``seen`` have any."""
    assert before.keys() == after.keys()
    assert [mart for mart in seen if not before[mart]] == [], "these marts have no rows to compare"
    for mart, rows in before.items():
        assert rows == after[mart], mart
