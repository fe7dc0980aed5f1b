"""A statement as a PDF on A4: the head once, tables that go on over pages with their headings, and the number and page on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from reportlab import rl_config
from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, CondPageBreak, Flowable, Frame, KeepTogether, PageTemplate, Paragraph, Spacer, TableStyle
from reportlab.platypus import Table as DrawnTable

from tollbook.finance.statements import fonts
from tollbook.finance.statements.layout import Column, Document, Table
from tollbook.finance.statements.wording import shown

# streams as bytes: files are a fifth smaller than as letters
rl_config.useA85 = 0

_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_INK, _MUTED, _PALE, _RULE, _ALARM, _BEFORE = map(HexColor, ("#1F3A4D", "#5F6F7B", "#EEF2F5", "#C9D3DA", "#B3261E", "#B9C6CF"))
#: A name longer than this is cut in the PDF, with a mark; the workbook has all of it.
_LONGEST = 160
_PADDING = 3


def write(document: Document, file: Path) -> None:
    """Write the PDF; of the same statement in the same words and fonts every byte is the same."""
    draft = document.words("draft") if document.statement.is_draft else None

    class Numbered(_Numbered):
        words = document.words
        left = _line(f"{document.statement.statement_id}  ·  {document.name}", 100)
        right = f"{document.words('made_by', version=document.statement.content['tollbook'])}  ·  {document.statement.content_hash[:16]}"
        watermark = draft

    template = BaseDocTemplate(
        str(file),
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        title=f"{document.title} {shown(document.statement.statement_id)}",
        author="Tollbook",
        subject=document.statement.content_hash,
        lang=str(document.words.locale).replace("_", "-"),
        invariant=1,
        pageCompression=1,
    )
    frame = Frame(_MARGIN, 20 * mm, _WIDTH, A4[1] - 40 * mm, 0, 0, 0, 0)
    template.addPageTemplates(PageTemplate("page", [frame]))
    template.build(list(_Story(document).flowables()), canvasmaker=Numbered)


class _Numbered(Canvas):
    """A canvas that knows at the end how many pages there are, and writes head and foot then."""

    words: Any
    left: str
    right: str
    watermark: str | None

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self._margins(number, len(self._pages))
            super().showPage()
        super().save()

    def _margins(self, page: int, pages: int) -> None:
        if self.watermark:
            self.saveState()
            self.setFillColor(_ALARM, alpha=0.09)
            self.setFont(fonts.base(bold=True), 96)
            self.translate(A4[0] / 2, A4[1] / 2)
            self.rotate(52)
            self.drawCentredString(0, -30, self.watermark)
            self.restoreState()
        self.setStrokeColor(_RULE)
        self.setLineWidth(0.5)
        self.line(_MARGIN, 15 * mm, A4[0] - _MARGIN, 15 * mm)
        for text, y, x, align in (
            (self.left, 10.5 * mm, _MARGIN, "left"),
            (self.right, 6.5 * mm, _MARGIN, "left"),
            (self.words("page", page=page, pages=pages), 10.5 * mm, A4[0] - _MARGIN, "right"),
            (self.watermark or "", A4[1] - 12 * mm, A4[0] - _MARGIN, "alarm"),
        ):
            style = ParagraphStyle(
                "margin",
                fontName=fonts.base(bold=align == "alarm"),
                fontSize=11 if align == "alarm" else 7.5,
                textColor=_ALARM if align == "alarm" else _MUTED,
                alignment=0 if align == "left" else TA_RIGHT,
            )
            paragraph = Paragraph(fonts.marked(text), style)
            _, height = paragraph.wrap(_WIDTH * (0.8 if align == "left" else 1), 20 * mm)
            paragraph.drawOn(self, _MARGIN if align == "left" else x - _WIDTH, y - height + style.leading - 9)


class _Story:
    """What flows over the pages."""

    def __init__(self, document: Document):
        self.document = document
        self.words = document.words
        regular, bold = fonts.base(), fonts.base(bold=True)
        self.text = ParagraphStyle("text", fontName=regular, fontSize=8, leading=10, textColor=HexColor("#1B1F23"), splitLongWords=1)
        self.right = ParagraphStyle("right", parent=self.text, alignment=TA_RIGHT)
        self.strong = ParagraphStyle("strong", parent=self.text, fontName=bold)
        self.strong_right = ParagraphStyle("strong_right", parent=self.strong, alignment=TA_RIGHT)
        self.title = ParagraphStyle("title", fontName=bold, fontSize=16, leading=20, textColor=_INK)
        self.name = ParagraphStyle("name", parent=self.text, fontSize=10.5, leading=13.5)
        self.heading = ParagraphStyle("heading", fontName=bold, fontSize=10.5, leading=14, textColor=_INK, spaceAfter=2)
        self.note = ParagraphStyle("note", parent=self.text, fontSize=7.5, leading=9.5, textColor=_MUTED)
        self.amount = ParagraphStyle("amount", fontName=bold, fontSize=18, leading=22, textColor=_INK, alignment=TA_RIGHT)

    def flowables(self) -> Iterable[Flowable]:
        """Head, notes, tables."""
        yield from self._head()
        for table in self.document.tables:
            yield CondPageBreak(32 * mm)
            yield from self._table(table, self._chart() if table.title == self.words("tables", "component") else [])

    def _head(self) -> Iterable[Flowable]:
        document = self.document
        yield Paragraph(fonts.marked(document.title, bold=True), self.title)
        yield Spacer(0, 3 * mm)
        address = [Paragraph(fonts.marked(_line(line)), self.name) for line in (document.name, *document.address)]
        total = document.statement.stated_amount
        amount = [
            Paragraph(
                fonts.marked(self.words("this_month", document.statement.recipient_kind)),
                ParagraphStyle("label", parent=self.note, alignment=TA_RIGHT),
            ),
            Paragraph(fonts.marked(self.words.money_with_currency(total), bold=True), self.amount),
        ]
        yield DrawnTable([[address, amount]], [_WIDTH * 0.58, _WIDTH * 0.42], style=_BARE)
        yield Spacer(0, 3 * mm)
        facts = [
            [Paragraph(fonts.marked(name), self.note), Paragraph(fonts.marked(_line(value, 400)), self.text)]
            for name, value in document.facts
        ]
        yield DrawnTable(facts, [34 * mm, _WIDTH - 34 * mm], style=_FACTS)
        yield Spacer(0, 2.5 * mm)
        for note in [*document.notes, *([self.words("missing_glyphs")] if self._has_marks() else [])]:
            yield Paragraph(fonts.marked(note), self.note)

    def _table(self, table: Table, after: Sequence[Flowable]) -> Iterable[Flowable]:
        widths = self._widths(table)
        header = [
            Paragraph(fonts.marked(column.title, bold=True), self.strong if column.is_left else self.strong_right)
            for column in table.columns
        ]
        body = [
            [self._cell(column, value, width) for column, value, width in zip(table.columns, row, widths, strict=True)]
            for row in table.rows
        ]
        style = [*_LOOK, *[("ALIGN", (place, 0), (place, -1), "RIGHT") for place, column in enumerate(table.columns) if not column.is_left]]
        style.append(("FONT", (0, 1), (-1, -1), fonts.base(), self.text.fontSize, self.text.leading))
        if table.totals:
            last = ["" if value is None else self._plain(column, value) for column, value in zip(table.columns, table.totals, strict=True)]
            last[0] = self.words("total")
            body.append(last)
            style += [
                ("FONTNAME", (0, -1), (-1, -1), fonts.base(bold=True)),
                ("ALIGN", (0, -1), (0, -1), "LEFT"),
                ("LINEABOVE", (0, -1), (-1, -1), 0.8, _INK),
            ]
        drawn = DrawnTable([header, *body], widths, repeatRows=1, style=TableStyle(style), spaceBefore=0)
        heading = [Spacer(0, 5 * mm), Paragraph(fonts.marked(table.title, bold=True), self.heading)]
        note = [Paragraph(fonts.marked(table.note), self.note)] if table.note else []
        # a short table stays in one piece
        if len(body) <= 12:
            yield KeepTogether([*heading, drawn, *note, *after])
        else:
            yield from (*heading, drawn, *note, *after)

    def _widths(self, table: Table) -> list[float]:
        """The columns' shares of the page, but dates and figures in one line; words give way."""
        whole = sum(column.width for column in table.columns)
        widths = [column.width / whole * _WIDTH for column in table.columns]
        fixed: dict[int, float] = {}
        for place, column in enumerate(table.columns):
            if column.kind != "text":
                cells = [row[place] for row in table.rows] + ([table.totals[place]] if table.totals else [])
                said = {self._plain(column, value) for value in cells if value is not None}
                needed = max((stringWidth(one, fonts.base(bold=True), self.text.fontSize) for one in said), default=0) + 2 * _PADDING + 2
                if needed > widths[place]:
                    fixed[place] = needed
        room = sum(width for place, width in enumerate(widths) if place not in fixed)
        shrunk = (_WIDTH - sum(fixed.values())) / room if room else 1
        return [fixed.get(place, width * shrunk) for place, width in enumerate(widths)]

    def _cell(self, column: Column, value: Any, width: float) -> str | Paragraph:
        if value is None:
            return ""
        if column.kind != "text":
            return self._plain(column, value)
        said = _line(str(value))
        if fonts.is_plain(said) and stringWidth(said, fonts.base(), self.text.fontSize) <= width - 2 * _PADDING:
            return said
        return Paragraph(fonts.marked(said), self.text)

    def _plain(self, column: Column, value: Any) -> str:
        words = self.words
        say = {
            "money": words.money,
            "rate": words.rate,
            "number": lambda number: words.number(number, column.digits),
            "count": lambda number: words.number(Decimal(number), 0),
            "percent": words.percent,
            "month": lambda day: words.month(day, short=True),
            "day": words.day,
        }[column.kind]
        return say(value)

    def _chart(self) -> list[Flowable]:
        """The largest components as bars, last month's pale below this month's."""
        bars = self.document.bars
        step, left, right = 15, 130, 80
        largest = max((max(abs(now), abs(before or 0)) for _, before, now in bars), default=0)
        if not largest:
            return []
        drawing = Drawing(_WIDTH, step * len(bars) + 6)
        room = _WIDTH - left - right
        has_negative = any(now < 0 or (before or 0) < 0 for _, before, now in bars)
        zero = left + (room / 2 if has_negative else 0)
        scale = float(largest) / (room / 2 if has_negative else room)
        for place, (name, before, now) in enumerate(bars):
            y = step * (len(bars) - place) - step + 6
            for amount, offset, height, colour in ((before, 0, 3, _BEFORE), (now, 4, 6, _INK)):
                if amount:
                    length = float(abs(amount)) / scale
                    drawing.add(Rect(zero if amount > 0 else zero - length, y + offset, length, height, fillColor=colour, strokeColor=None))
            said = "".join(character if fonts.is_plain(character) else "?" for character in _line(name, 26))
            for text, x, anchor in ((said, left - 6, "end"), (self.words.money(now), _WIDTH, "end")):
                drawing.add(String(x, y + 3, text, fontName=fonts.base(), fontSize=7.5, fillColor=_MUTED, textAnchor=anchor))
        drawing.add(Line(zero, 2, zero, step * len(bars) + 6, strokeColor=_RULE, strokeWidth=0.5))
        return [Spacer(0, 3 * mm), drawing, *([self._legend()] if bars[0][1] is not None else [])]

    def _legend(self) -> Flowable:
        named = ((_INK, self.words("columns", "now")), (_BEFORE, self.words("columns", "before")))
        said = (f'<font color="{_hex(colour)}">{fonts.marked("■")}</font> {fonts.marked(name)}' for colour, name in named)
        return Paragraph("&nbsp;&nbsp; ".join(said), self.note)

    def _has_marks(self) -> bool:
        texts = [self.document.name, *self.document.address, *(value for _, value in self.document.facts)]
        cells = (cell for table in self.document.tables for row in table.rows for cell in row if isinstance(cell, str))
        return any(fonts.lacks_glyphs(text) for text in (*texts, *cells))


def _hex(colour: HexColor) -> str:
    return f"#{colour.hexval()[2:]}"


def _line(value: str, longest: int = _LONGEST) -> str:
    value = shown(value)
    return value if len(value) <= longest else value[: longest - 1] + "…"


_BARE = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)])
_FACTS = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ("LINEABOVE", (0, 0), (-1, 0), 0.8, _INK),
        ("LINEBELOW", (0, -1), (-1, -1), 0.8, _INK),
    ]
)
_LOOK = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("BACKGROUND", (0, 0), (-1, 0), _PALE),
    ("LINEBELOW", (0, 0), (-1, 0), 0.5, _INK),
    ("LINEBELOW", (0, 1), (-1, -1), 0.25, _RULE),
    ("LEFTPADDING", (0, 0), (-1, -1), _PADDING),
    ("RIGHTPADDING", (0, 0), (-1, -1), _PADDING),
    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]
