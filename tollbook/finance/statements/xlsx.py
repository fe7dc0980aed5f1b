"""A statement as a workbook: real numbers and dates in the recipient's formats, sums as formulas, text never anything but text."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_range
from xlsxwriter.worksheet import Worksheet

from tollbook.finance.statements.layout import Column, Document, Table
from tollbook.finance.statements.wording import shown

#: What a cell can hold.
_LONGEST = 32_767
_SHEETS = ("summary", "breakdown", "changes", "lines", "units", "evidence")
_LANDSCAPE = ("changes", "lines", "evidence")
_INK, _PALE, _RULE = "#1F3A4D", "#EEF2F5", "#9AA9B5"


def write(document: Document, file: Path) -> None:
    """Write the workbook; of the same statement in the same words every byte is the same."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    with xlsxwriter.Workbook(str(file), options) as workbook:
        known_at = datetime.fromisoformat(document.statement.content["known_at"]).replace(microsecond=0)
        workbook.set_properties(
            {
                "title": f"{document.title} {shown(document.statement.statement_id)}"[:255],
                "comments": document.statement.content_hash,
                "created": known_at,
            }
        )
        _Book(workbook, document).write()


class _Book:
    def __init__(self, workbook: xlsxwriter.Workbook, document: Document):
        self.workbook = workbook
        self.document = document
        self.words = document.words
        self._span = 0
        self._notes: list[tuple[Worksheet, int, int, str, str]] = []
        self._formats: dict[tuple[tuple[str, ...], int], Format] = {}
        self._widths: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(lambda: 6.0))

    def write(self) -> None:
        """All sheets that have a table."""
        for name in _SHEETS:
            tables = [table for table in self.document.tables if table.sheet == name]
            if not tables:
                continue
            sheet = self.workbook.add_worksheet(self.words("sheets", name)[:31])
            self._span = max(5, *(len(table.columns) for table in tables))
            self._widths["summary"][1] = 22
            row = self._head(sheet) if name == "summary" else self._running_head(sheet)
            for table in tables:
                row = self._table(sheet, name, table, row)
            self._write_notes(sheet, name)
            self._set_up(sheet, name)

    def _head(self, sheet: Worksheet) -> int:
        document = self.document
        self._text(sheet, 0, 0, document.title, "title")
        row = 1
        if document.statement.is_draft:
            self._text(sheet, row, 0, self.words("draft"), "draft")
            row += 1
        for line in (document.name, *document.address):
            self._text(sheet, row, 0, line)
            row += 1
        row += 1
        for name, value in document.facts:
            self._text(sheet, row, 0, name, "muted")
            self._wide(sheet, row, 1, value, "text")
            row += 1
        self._text(sheet, row, 0, self.words("made_by", version=document.statement.content["tollbook"]), "muted")
        row += 1
        for note in document.notes:
            self._wide(sheet, row, 0, note, "note")
            row += 1
        return row + 1

    def _running_head(self, sheet: Worksheet) -> int:
        draft = f"  {self.words('draft')}" if self.document.statement.is_draft else ""
        self._text(sheet, 0, 0, f"{self.document.statement.statement_id}  {self.document.name}{draft}", "draft" if draft else "muted")
        return 2

    def _table(self, sheet: Worksheet, name: str, table: Table, row: int) -> int:
        widths = self._widths[name]
        self._text(sheet, row, 0, table.title, "heading")
        head = row + 1
        for place, column in enumerate(table.columns):
            self._text(sheet, head, place, column.title, ("column_indented" if place else "column") if column.is_left else "column_right")
            widths[place] = max(widths[place], min(len(column.title) + 3, 24))
        first = head + 1
        for number, cells in enumerate(table.rows, first):
            for place, (column, value) in enumerate(zip(table.columns, cells, strict=True)):
                self._cell(sheet, number, place, column, value)
                widths[place] = max(widths[place], _width(column.kind, value))
        row = first + len(table.rows)
        totals = table.totals
        if totals:
            self._text(sheet, row, 0, self.words("total"), "total")
            for place, value in enumerate(totals):
                if value is not None:
                    formula = f"=SUM({xl_range(first, place, row - 1, place)})"
                    sheet.write_formula(row, place, formula, self._format("money", "sum"), float(value))
                elif place:
                    sheet.write_blank(row, place, None, self._format("total"))
            row += 1
        if name == "lines":
            sheet.autofilter(head, 0, first + len(table.rows) - 1, len(table.columns) - 1)
            sheet.freeze_panes(first, 0)
            sheet.repeat_rows(head)
        if table.note:
            self._wide(sheet, row, 0, table.note, "note")
            row += 1
        return row + 1

    def _cell(self, sheet: Worksheet, row: int, place: int, column: Column, value: Any) -> None:
        kind = column.kind
        if value is None:
            return
        if kind == "text":
            self._text(sheet, row, place, str(value), "text" if place == 0 else "indented")
        elif kind in ("month", "day"):
            sheet.write_datetime(row, place, value, self._format(kind, "left"))
        else:
            sheet.write_number(row, place, float(value), self._format(kind, digits=column.digits))

    def _text(self, sheet: Worksheet, row: int, place: int, value: str, style: str = "text") -> None:
        """Text as text: a value that begins like a formula stays what it is."""
        sheet.write_string(row, place, shown(value)[:_LONGEST], self._format(style))

    def _wide(self, sheet: Worksheet, row: int, place: int, value: str, style: str) -> None:
        """Text over the columns of the sheet, in as many lines as it takes."""
        self._notes.append((sheet, row, place, shown(value)[:_LONGEST], style))

    def _write_notes(self, sheet: Worksheet, name: str) -> None:
        for _, row, place, value, style in (note for note in self._notes if note[0] is sheet):
            room = sum(self._widths[name][column] for column in range(place, self._span))
            sheet.merge_range(row, place, row, self._span - 1, "", self._format(style, "wrapped"))
            sheet.write_string(row, place, value, self._format(style, "wrapped"))
            sheet.set_row(row, 13.5 * (1 + int(len(value) // room)))

    def _format(self, *names: str, digits: int = 2) -> Format:
        if (names, digits) not in self._formats:
            look: dict[str, Any] = {"font_name": "Calibri", "font_size": 10}
            for name in names:
                look |= _LOOKS[name] if name in _LOOKS else {"num_format": self.words.cell_format(name, digits)}
            self._formats[names, digits] = self.workbook.add_format(look)
        return self._formats[names, digits]

    def _set_up(self, sheet: Worksheet, name: str) -> None:
        for place, width in self._widths[name].items():
            sheet.set_column(place, place, width)
        sheet.set_paper(9)
        sheet.hide_gridlines(2)
        sheet.fit_to_pages(1, 0)
        if name in _LANDSCAPE:
            sheet.set_landscape()
        # an ampersand begins a code there
        said = shown(self.document.statement.statement_id)[:80].replace("&", "&&")
        sheet.set_footer(f"&L&8 {said}&R&8 " + self.words("page", page="&P", pages="&N"))
        if self.document.statement.is_draft:
            sheet.set_header(f"&R&B{self.words('draft')}")


def _width(kind: str, value: Any) -> float:
    if kind == "text":
        return min(len(str(value or "")) + 2, 44)
    return {"money": 16, "month": 16, "count": len(f"{value or 0:,}") + 2}.get(kind, 13)


_LOOKS: dict[str, dict[str, Any]] = {
    "text": {},
    "indented": {"indent": 1},
    "left": {"align": "left", "indent": 1},
    "wrapped": {"text_wrap": True, "valign": "top"},
    "title": {"bold": True, "font_size": 15, "font_color": _INK},
    "heading": {"bold": True, "font_size": 12, "font_color": _INK},
    "muted": {"font_color": "#5F6F7B"},
    "note": {"font_color": "#5F6F7B", "italic": True, "font_size": 9},
    "draft": {"bold": True, "font_size": 14, "font_color": "#B3261E"},
    "column": {"bold": True, "bg_color": _PALE, "bottom": 1, "bottom_color": _RULE},
    "column_indented": {"bold": True, "bg_color": _PALE, "bottom": 1, "bottom_color": _RULE, "indent": 1},
    "column_right": {"bold": True, "bg_color": _PALE, "bottom": 1, "bottom_color": _RULE, "align": "right"},
    "total": {"bold": True, "top": 1, "top_color": _INK},
    "sum": {"bold": True, "top": 1, "top_color": _INK},
}
