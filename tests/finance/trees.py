"""Printed trees as text, and whether their levels add up."""

from __future__ import annotations

import re
from decimal import Decimal

from rich.console import Console
from rich.tree import Tree

_AMOUNT = re.compile(r": (-?[\d,]+\.\d+) [A-Z]{3}(?: = this (-?[\d,.]+) [A-Z]{3} \+ .* (-?[\d,.]+) [A-Z]{3})?$")
#: A second look at the same cost, not parts of it.
_OTHER_VIEWS = (
    "posted, ",
    "bill rows",
    "why (",
    "goes to who asked",
    "of it and what stands beside it",
    "keys lead from here",
    "who pays",
    "what ",
)


def labels(tree: Tree) -> list[str]:
    """All labels, top down, without markup."""
    return [str(tree.label), *(label for child in tree.children for label in labels(child))]


def printed(tree: Tree) -> str:
    """As a wide terminal shows it."""
    console = Console(width=300)
    with console.capture() as said:
        console.print(tree)
    return said.get()


def amount(label: str) -> Decimal | None:
    """What a label says its level comes to."""
    found = _AMOUNT.search(label)
    return Decimal(found[1].replace(",", "")) if found else None


def levels_that_add_up(tree: Tree) -> int:
    """How many levels are the sum of their parts; fails at one that is not."""
    count = 0
    said = amount(str(tree.label))
    if (found := _AMOUNT.search(str(tree.label))) and found[2]:
        assert sum(Decimal(part.replace(",", "")) for part in found.groups()[1:]) == said, tree.label
    parts = [amount(str(child.label)) for child in tree.children if not str(child.label).startswith(_OTHER_VIEWS)]
    parts = [part for part in parts if part is not None]
    if said is not None and parts:
        assert sum(parts) == said, (tree.label, parts)
        count += 1
    return count + sum(levels_that_add_up(child) for child in tree.children)
