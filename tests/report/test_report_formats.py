"""Numbers are written so that none of them says zero or all when it is not."""

from decimal import Decimal

import pytest

from tollbook.report.formats import amount, counted, difference, exact, rate, ratio, total


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (Decimal(0), "0.00"),
        (Decimal("1234567.895"), "1,234,567.90"),
        (Decimal("-1234.5"), "-1,234.50"),
        (Decimal("0.005"), "<0.01"),
        (Decimal("0.006"), "0.01"),
        (Decimal("-0.001"), ">-0.01"),
        (Decimal("0.004"), "<0.01"),
        (Decimal("-0.004"), ">-0.01"),
        (0.25, "0.25"),
    ],
)
def test_amount(value, written):
    assert amount(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (Decimal("0E-20"), "0.00"),
        (Decimal("1234.5"), "1,234.50"),
        (Decimal("0.00000000000000000001"), "0.00000000000000000001"),
        (Decimal("123456789012345678.12345678901234567891"), "123,456,789,012,345,678.12345678901234567891"),
    ],
)
def test_exact_keeps_every_digit(value, written):
    assert exact(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "–"), (0, "0.0 %"), (0.0004, "<0.1 %"), (0.98, "98.0 %"), (0.99999, ">99.9 %"), (1, "100.0 %")],
)
def test_ratio_is_all_or_nothing_only_when_it_is(value, written):
    assert ratio(value) == written


def test_rate_has_four_decimals():
    assert rate(Decimal("2.49876")) == "2.4988"
    assert rate(0.00001) == "<0.0001"


def test_sums_are_exact_and_unknown_is_not_zero():
    large, tiny = Decimal("123456789012345678"), Decimal("0.00000000000000000001")
    assert total([large, None, tiny]) == Decimal("123456789012345678.00000000000000000001")
    assert difference(total([large, tiny]), large) == tiny
    assert total([None]) is None
    assert difference(None, large) is None


def test_counted():
    assert counted(1, "warning") == "1 warning"
    assert counted(1200, "warning") == "1,200 warnings"
