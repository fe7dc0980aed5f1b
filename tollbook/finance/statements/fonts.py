"""Fonts of the PDF: what is installed, the one that ReportLab brings where nothing is, and a visible mark for what none of them has."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from tollbook.errors import ConfigError
from tollbook.finance.statements.wording import shown

#: Regular and bold, the first that is there sets the page; for what it lacks the others are asked. ReportLab knows where systems keep them.
_FAMILIES = (
    ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("Vera.ttf", "VeraBd.ttf"),
)
#: A TrueType file for scripts that these lack, such as Chinese or Japanese.
VARIABLE = "TOLLBOOK_FONT"
MARK = "□"


@cache
def families() -> list[tuple[str, str, frozenset[int]]]:
    """The fonts that are there: names of regular and bold, and the characters that they have.

    Raises:
        ConfigError: ``TOLLBOOK_FONT`` names no TrueType file.
    """
    found = []
    more = os.environ.get(VARIABLE)
    for regular, bold in (*_FAMILIES, *([(more, more)] if more else [])):
        names = [Path(file).stem for file in (regular, bold)]
        try:
            for name, file in zip(names, (regular, bold), strict=True):
                pdfmetrics.registerFont(TTFont(name, file))
        except (TTFError, OSError) as error:
            if regular == more:
                raise ConfigError(f"{VARIABLE}={more}: no TrueType font that can be used: {error}") from error
            continue
        has = [frozenset(pdfmetrics.getFont(name).face.charToGlyph) for name in names]
        found.append((names[0], names[1], has[0] & has[1]))
    return found


def base(bold: bool = False) -> str:
    """The name of the font of the page."""
    return families()[0][bold]


def marked(value: str, bold: bool = False) -> str:
    """Text as markup of a paragraph: nothing in it is markup, and each character is in a font that has it, or is ``MARK``."""
    value = shown(value)
    known = families()
    if _all_in(value, known[0][2]):
        return escape(value)
    runs: list[tuple[int | None, str]] = []
    for character in value:
        place = next((place for place, family in enumerate(known) if ord(character) in family[2]), None)
        if runs and runs[-1][0] == place:
            runs[-1] = (place, runs[-1][1] + character)
        else:
            runs.append((place, character))
    return "".join(_run(place, run, bold) for place, run in runs)


def is_plain(value: str) -> bool:
    """Whether the font of the page has all of it."""
    return _all_in(value, families()[0][2])


def lacks_glyphs(value: str) -> bool:
    """Whether no font here has some character of it."""
    return not is_plain(shown(value)) and not _all_in(shown(value), frozenset().union(*(family[2] for family in families())))


def _run(place: int | None, run: str, bold: bool) -> str:
    if place is None:
        mark = MARK if any(ord(MARK) in family[2] for family in families()) else "?"
        return marked(mark * len(run), bold)
    return escape(run) if place == 0 else f'<font name="{families()[place][bold]}">{escape(run)}</font>'


def _all_in(value: str, characters: frozenset[int]) -> bool:
    return characters.issuperset(map(ord, value))
