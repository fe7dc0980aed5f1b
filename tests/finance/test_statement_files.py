"""Statements as files: what a workbook and a PDF show, in whatever language, and that nothing in them acts."""

import re
import shutil
import subprocess
import zipfile
from datetime import date
from decimal import Decimal

import openpyxl
import pypdf
import pytest

from tests.programs import need
from tests.statement_months import AUGUST, SEPTEMBER, add, charge, close, month_of
from tollbook.errors import ConfigError
from tollbook.finance import statements
from tollbook.finance.statements import fonts
from tollbook.finance.statements.wording import Wording, shown

HYPERLINK = '=HYPERLINK("http://x","y")'
NASTY = [HYPERLINK, "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "https://example.com/x", "mailto:a@example.com", "{=1}", "1e5", "<b>bold</b> & <",
         "\x00\x07bell", "a\u202egpj.exe", "\ufeffmark", "Łódź Ελλάδα", "東京", "n" * 3000, "'quoted"]  # fmt: skip


def issue(workspace, folder, **options):
    return statements.issue(workspace, SEPTEMBER, folder, workspace.root / "out", tell=lambda _: None, **options)


def text_of(file):
    return [page.extract_text() for page in pypdf.PdfReader(file).pages]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A statement with names that would act, hide or turn what follows, and enough lines for several pages; the month before, too."""
    charges = [charge(f"{number + 1}.234567", project=name, service_name=name) for number, name in enumerate(NASTY)]
    charges += [charge("1.005", project=f"project {number:03}", component="gpu", gpu_model="H100") for number in range(80)]
    charges += [
        charge("-1234567.895", component=HYPERLINK),
        charge("5.5", date(2026, 8, 3), accounting_period=SEPTEMBER, reason="late_bill"),
    ]
    charges += [charge("40", AUGUST, component="gpu", gpu_model="H100"), charge("1", team="../x", cost_centre="=1+1/../x")]
    month = month_of(tmp_path_factory.mktemp("nasty"), charges)
    for day, hours in ((AUGUST, 10.0), (SEPTEMBER, 25.0)):
        add(month, "engineering.fct_gpu_hours", usage_date=day, team="a", cost_centre="CC-A", is_held=True, gpu_model="H100",
            held_gpu_hours=hours, gpu_hours=hours, allocated_cost=Decimal(1))  # fmt: skip
    return month, close(month)


@pytest.fixture(scope="module")
def issued(nasty):
    return {one.recipient: one for one in issue(*nasty)}


def test_text_in_a_workbook_is_never_a_formula_or_a_link(issued):
    found = []
    for one in issued.values():
        book = openpyxl.load_workbook(one.files[0])
        for sheet in book:
            assert not sheet._hyperlinks
            for row in sheet.iter_rows():
                for cell in row:
                    assert cell.hyperlink is None
                    # the only formulas are sums of numbers above
                    assert cell.data_type != "f" or re.fullmatch(r"=SUM\(([A-Z]+)\d+(:\1\d+)?\)", cell.value), cell.value
                    if cell.data_type == "s":
                        found.append(cell.value)
    for name in (HYPERLINK, "+1+1", "-2+3", "@SUM(A1)", "{=1}", "1e5", "https://example.com/x", "=1+1/../x", "n" * 3000, "東京", "'quoted"):
        assert name in found, name
    assert "\ufffd=1" in found and "a\ufffdgpj.exe" in found and "\ufffd\ufffdbell" in found


def test_sums_of_a_workbook_are_those_of_the_statement(issued):
    statement = issued["CC-A"]
    cached = openpyxl.load_workbook(statement.files[0], data_only=True)
    assert cached.sheetnames == ["Summary", "Breakdown", "Changes", "Lines", "Unit costs", "Evidence"]
    check_sums(statement, statement.files[0])


def check_sums(statement, file):
    """Every sum is the statement's total (or last month's, or a difference), of the cells that it sums; no cell is an error."""
    values, formulas = openpyxl.load_workbook(file, data_only=True), openpyxl.load_workbook(statement.files[0])
    total, before = statement.stated_amount, Decimal(statement.content["stated_before"] or 0)
    seen = []
    for sheet in formulas:
        for row in sheet.iter_rows():
            for cell in row:
                value = values[sheet.title][cell.coordinate].value
                assert not (isinstance(value, str) and re.match("#[A-Z/0]+[!?]|Err:", value)), (sheet.title, cell.coordinate, value)
                if cell.data_type == "f":
                    first, *_, last = re.findall(r"\d+", cell.value) * 2
                    above = [values[sheet.title][f"{cell.column_letter}{number}"].value for number in range(int(first), int(last) + 1)]
                    assert round(value, 2) == round(sum(one or 0 for one in above), 2), (sheet.title, cell.coordinate)
                    seen.append(Decimal(str(round(value, 2))))
    # summary, breakdowns by component and project at least, changes, lines, bills and rules
    assert seen.count(total) >= 7 and before in seen and total - before in seen


def test_libreoffice_recalculates_the_same(issued, tmp_path):
    need({"soffice": "libreoffice-calc-nogui"})
    # without the sums that were written, so that it must work them out
    (tmp_path / "in").mkdir()
    files = [without_sums(one.files[0], tmp_path / "in") for one in issued.values()]
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    convert = ["soffice", profile, "--headless", "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(tmp_path), *map(str, files)]
    subprocess.run(convert, check=True, capture_output=True, timeout=300)
    for one in issued.values():
        check_sums(one, tmp_path / one.files[0].name)


def without_sums(file, folder):
    """A copy of a workbook whose formulas have no values."""
    with zipfile.ZipFile(file) as given, zipfile.ZipFile(folder / file.name, "w") as written:
        for name in given.namelist():
            written.writestr(name, re.sub(rb"(<f>[^<]*</f>)<v>[^<]*</v>", rb"\1", given.read(name)))
    return folder / file.name


def test_a_pdf_shows_the_statement_with_number_and_page_on_each(issued):
    statement = issued["CC-A"]
    pages = text_of(statement.files[1])
    assert len(pages) >= 4
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page and statement.statement_id in page
        assert statement.content_hash[:16] in page and "DRAFT" not in page
    everything = "\n".join(pages)
    assert f"-${-statement.stated_amount:,.2f}" in pages[0]
    assert everything.count(f"{statement.stated_amount:,.2f}") >= 9
    assert statement.content_hash in pages[0]
    # the heading of the lines is on each of their pages
    assert sum("Billed by" in page and "Project" in page for page in pages) >= 2
    for name in ("project 079", "Usage of the month", "Adjustment, August 2026: bill came late", "GPU-hours 10.0 → 25.0"):
        assert name in everything, name


def test_markup_and_marks_in_names_are_shown_as_they_are(issued):
    everything = "\n".join(text_of(issued["CC-A"].files[1])).replace("\n", "")
    assert "<b>bold</b> & <" in everything and "Łódź" in everything and "=HYPERLINK(" in everything
    assert "gpj.exe" in everything and "\u202e" not in everything and "\x00" not in everything
    everywhere = [family[2] for family in fonts.families()]
    for word in ("Ελλάδα", "東京"):
        known = all(any(ord(character) in has for has in everywhere) for character in word)
        assert (word in everything) == known
    if fonts.lacks_glyphs("東京"):
        assert fonts.MARK * 2 in everything and "no installed font has" in everything


def test_of_the_same_statement_every_byte_is_the_same(nasty, issued):
    before = {file.name: file.read_bytes() for one in issued.values() for file in one.files}
    after = {file.name: file.read_bytes() for one in issue(*nasty) for file in one.files}
    assert after == before


def test_a_draft_says_so_on_each_page_and_sheet(nasty):
    month, folder = nasty
    (one,) = statements.issue(month, SEPTEMBER, folder, month.root / "drafts", draft=True, recipients=["CC-A"], tell=lambda _: None)
    assert all("DRAFT" in page for page in text_of(one.files[1]))
    for sheet in openpyxl.load_workbook(one.files[0]):
        assert "DRAFT" in str([cell.value for row in sheet.iter_rows(max_row=3) for cell in row])


def test_a_statement_is_in_the_recipients_language_and_numbers(nasty):
    month, folder = nasty
    (one,) = statements.issue(month, SEPTEMBER, folder, month.root / "german", locale="de_DE", recipients=["CC-A"], tell=lambda _: None)
    everything = "\n".join(text_of(one.files[1]))
    amount = f"{-one.stated_amount:,.2f}".translate(str.maketrans(",.", ".,"))
    assert f"-{amount}" in everything and "Kostenabrechnung" in everything and "Kostenstelle" in everything
    assert "Berichtigung, August 2026: verspätete Rechnung" in everything and "Seite 1 von" in everything
    book = openpyxl.load_workbook(one.files[0])
    assert book.sheetnames == ["Übersicht", "Aufteilung", "Veränderung", "Posten", "Stückkosten", "Nachweis"]
    formats = {cell.number_format for row in book["Posten"].iter_rows() for cell in row if cell.value is not None}
    assert {"#,##0.00 [$$-407]", "[$-407]mmmm yyyy"} <= formats
    months = [cell.value for cell in book["Posten"]["C"] if cell.is_date]
    assert {value.date() for value in months} == {SEPTEMBER, AUGUST}


def test_yen_have_no_cents(tmp_path):
    month = month_of(tmp_path, [charge("1000.4"), charge("0.4", component="b"), charge("0.4", component="c")], currency="JPY")
    (one,) = issue(month, close(month), locale="ja_JP")
    assert (one.stated_amount, [row["stated_amount"] for row in one.content["lines"]]) == (
        Decimal("1001"), ["1000", "1", "0"],
    )  # fmt: skip
    book = openpyxl.load_workbook(one.files[0])
    assert "[$￥-411]#,##0" in {cell.number_format for row in book.worksheets[0].iter_rows() for cell in row}
    # there is no catalogue of Japanese words: they are English
    assert "1,001" in "".join(text_of(one.files[1])) and book.sheetnames[0] == "Summary"


@pytest.mark.parametrize("locale", ["de_DE", "fr_FR", "en_IN", "de_CH", "ar_EG", "fa_IR", "pl_PL", "zh_Hant_TW", "nb_NO"])
def test_every_locale_has_formats_that_a_workbook_takes(locale, tmp_path):
    words = Wording(locale, "EUR", 2)
    for kind in ("money", "rate", "month", "day"):
        assert re.fullmatch(r"[#0,. a-z/\-]*(\[\$[^\]]*-[0-9A-F]+\][#0,. a-z/\-]*)?", words.cell_format(kind)), words.cell_format(kind)
    month = month_of(tmp_path, [charge("-1234.5")])
    (one,) = issue(month, close(month), locale=locale, pdf=False)
    assert openpyxl.load_workbook(one.files[0]).worksheets


def test_a_locale_that_nobody_knows_is_an_error(nasty):
    with pytest.raises(ConfigError, match="no locale `xx_YY` is known"):
        issue(*nasty, locale="xx_YY")


def test_fonts_of_ones_own_show_what_the_others_lack(monkeypatch, tmp_path):
    fonts.families.cache_clear()
    try:
        monkeypatch.setenv(fonts.VARIABLE, str(tmp_path / "none.ttf"))
        with pytest.raises(ConfigError, match="TOLLBOOK_FONT"):
            fonts.families()
        import reportlab

        shutil.copy(f"{reportlab.__path__[0]}/fonts/Vera.ttf", tmp_path / "own.ttf")
        monkeypatch.setenv(fonts.VARIABLE, str(tmp_path / "own.ttf"))
        assert [name for name, *_ in fonts.families()][-1] == "own"
    finally:
        monkeypatch.undo()
        fonts.families.cache_clear()


def test_what_is_not_to_be_seen_is_a_visible_mark():
    assert shown("a\u202eb\x00c\u2066\td") == "a\ufffdb\ufffdc\ufffd\ufffdd"
    assert shown("Łódź, 東京 – ‘x’ é") == "Łódź, 東京 – ‘x’ é"
