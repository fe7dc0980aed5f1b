"""``checks.html``: what every check saw and said, on one page that needs no network (the index of Data Docs does)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tollbook.quality.results import CheckResult

_ORDER = {"error": 0, "warn": 1, "pass": 2}
_EDGES = {"arrival": "What arrived", "departure": "What leaves"}


def write_checks_page(results: Sequence[CheckResult], target: Path, docs_dir: Path) -> None:
    """Write the summary of ``results`` to ``target``, with links to each edge's validation page in ``docs_dir``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    edges = [edge for edge in _EDGES if any(one.edge == edge for one in results)]
    edges += sorted({one.edge for one in results} - set(edges))
    environment = Environment(
        loader=PackageLoader("tollbook.quality", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("checks.html.j2").render(
        counts={status: sum(one.status == status for one in results) for status in _ORDER},
        checked_at=max((one.checked_at for one in results), default=None),
        attention=sorted((one for one in results if one.status != "pass"), key=lambda one: _ORDER[one.status]),
        edges=[
            {
                "title": _EDGES.get(edge, edge),
                "link": _validation_page(docs_dir / edge, target.parent),
                "results": [one for one in results if one.edge == edge],
            }
            for edge in edges
        ],
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(target)


def _validation_page(edge_docs: Path, start: Path) -> str | None:
    pages = sorted(edge_docs.glob("validations/**/*.html"), key=lambda page: page.stat().st_mtime)
    return quote(Path(os.path.relpath(pages[-1], start)).as_posix()) if pages else None
