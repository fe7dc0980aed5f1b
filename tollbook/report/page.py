"""``published/report.html``: one page that needs nothing but itself, the summary as pictures and tables."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from tollbook.report import bills, charts, evidence, figures, money, tables
from tollbook.report.formats import UNKNOWN, amount, counted, difference, exact, moment, month, ratio
from tollbook.report.money import Money
from tollbook.report.summary import LOOK_NEXT

_HERE = files("tollbook.report")


def write_report(published_db: Path, target: Path) -> Path:
    """Write the page about the marts in ``published_db`` to ``target``, whole or not at all; return ``target``.

    Raises:
        TollbookError: nothing is published there, or its marts mix currencies.
    """
    page = render(published_db)
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", suffix=".tmp", delete=False) as draft:
        try:
            draft.write(page)
            draft.flush()
            os.fsync(draft.fileno())
            # a temporary file is its maker's alone; the page is for everyone who may read the folder
            os.chmod(draft.name, 0o644)
            os.replace(draft.name, target)
        except BaseException:
            os.unlink(draft.name)
            raise
    return target


def render(published_db: Path) -> str:
    """The page as text."""
    with figures.published(published_db) as db:
        spent = money.read(db)
        sections = {
            "flow": charts.flow(db, spent),
            "gpu_hours": charts.gpu_hours(db),
            "gpu_rates": charts.gpu_rates(db, spent.currency),
            "token_rates": charts.token_rates(db, spent.currency),
            "money": tables.money(spent),
            "chargeback": tables.chargeback(db, spent),
            "shared": tables.shared(db, spent.currency),
            "gpu_costs": tables.gpu_costs(db, spent.currency),
            "token_costs": tables.token_costs(db, spent.currency),
            "invoices": bills.invoices(db),
            "commitments": bills.commitments(db, spent.currency),
            "sources": evidence.sources(db),
            "failures": evidence.failures(db),
            "quarantine": evidence.quarantine(db),
            "checks": evidence.checks(db),
            "tag_coverage": evidence.tag_coverage(db, spent.currency),
            "proof": evidence.proof(db, spent.currency),
            "reconciliation": evidence.reconciliation(db, spent.currency),
            "bridge": evidence.bridge(db, spent.currency),
        }
        publication = figures.publication(db)
        missing = figures.missing_marts(db)

    drawn = {
        chart.name: json.loads(chart.figure.to_json())
        for chart in sections.values()
        if isinstance(chart, charts.Chart) and chart.figure is not None
    }
    script, library = (_HERE / "page.js").read_text(), get_plotlyjs() if drawn else ""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tollbook.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        sections,
        publication=publication,
        published_at=moment(publication.get("published_at")),
        headline=_headline(spent, sections["proof"]),
        state=figures.standing(publication),
        periods=_periods(spent),
        currency=spent.currency,
        look_next=LOOK_NEXT,
        missing=missing,
        figures=drawn,
        style=Markup((_HERE / "page.css").read_text()),
        script=Markup(script),
        # the library is three times smaller packed; page.js unpacks it
        library=Markup(base64.b64encode(gzip.compress(library.encode(), mtime=0)).decode()),
        library_version=get_plotlyjs_version(),
        # nothing is fetched, and no script runs but these two, whatever a name in a bill says
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src {_allowed(script)} {_allowed(library)}",
    )


def _idle(of: Money) -> dict[str, Any]:
    """What idle cost before it was shared out, and what became of it."""
    before, left = of.before_sharing.get("idle", Decimal(0)) if not of.is_empty else None, of.whole("idle")
    part, given = of.part_of_charge(before), difference(before, left)
    also = f"{ratio(part)} of the charge" if part is not None else "no charge yet"
    if given:
        also += f"; {amount(given)} of it shared out, {amount(left)} left"
    return {"name": "Idle", "value": amount(before if left is not None else None), "also": also, "role": ""}


def _headline(of: Money, proof: tables.Table) -> list[dict[str, Any]]:
    """The figures at the top: what, how much, and beside it what that means."""
    ties = [row.role == "good" for row in proof.rows]
    difference = of.whole("difference")

    def tile(name: str, line: str, also: str) -> dict[str, Any]:
        return {"name": name, "value": amount(of.whole(line)), "also": also, "role": ""}

    def share(line: str) -> str:
        return f"{ratio(of.share(line))} of the charge" if of.share(line) is not None else "no charge yet"

    return [
        tile("Billed", "billed", "what was invoiced"),
        tile("To charge", "to_charge", "what the period used"),
        tile("Allocated", "allocated", share("allocated")),
        _idle(of),
        tile("Unowned", "unowned", share("unowned")),
        {
            "name": "Left unexplained",
            "value": exact(difference) if difference is not None else UNKNOWN,
            "also": f"{sum(ties)} of {counted(len(ties), 'proof')} {'tie' if len(ties) != 1 else 'ties'}"
            if ties
            else "nothing is reconciled",
            "role": "" if not ties else "good" if all(ties) and of.adds_up else "bad",
        },
    ]


def _periods(of: Money) -> str:
    if of.is_empty:
        return "no billing period"
    first, last = of.shown[-1], of.shown[0]
    return f"billing period {month(last)}" if first == last else f"billing periods {month(first)} to {month(last)}"


def _allowed(script: str) -> str:
    """A script's source expression in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
