"""Words, numbers, money and dates of a statement in its recipient's language and locale."""

from __future__ import annotations

import locale as system_locale
import re
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import format_compact_currency, format_currency, format_decimal, format_percent, get_currency_symbol

from tollbook.errors import ConfigError

DEFAULT = "en_US"
_FALLBACK = "en"
#: Characters that are no text, or that turn the reading order of what follows, so that it reads as something else.
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")


class Wording:
    """How a statement in ``locale`` says things.

    Raises:
        ConfigError: no such locale is known.
    """

    def __init__(self, locale: str, currency: str, digits: int):
        try:
            self.locale = Locale.parse(locale.replace("-", "_"))
        except (UnknownLocaleError, ValueError) as error:
            raise ConfigError(f"no locale `{locale}` is known; give one such as en_US, en_GB, de_DE or fr_FR.") from error
        self.currency = currency
        self.digits = digits
        self._words = _catalogue().get(self.locale.language, {})

    def __call__(self, *keys: str, **values: Any) -> str:
        """The words under ``keys``; what the catalogue does not have is its own name, with spaces for underscores."""
        found = _under(self._words, keys)
        said = found if found is not None else _under(_catalogue()[_FALLBACK], keys)
        return keys[-1].replace("_", " ") if said is None else said.format(**values)

    def has(self, *keys: str) -> bool:
        """Whether there are words under ``keys``."""
        return _under(_catalogue()[_FALLBACK], keys) is not None

    def money(self, amount: Decimal) -> str:
        """An amount without its currency, which stands above the table."""
        return format_decimal(amount, self._figures(self.digits), locale=self.locale)

    def money_with_currency(self, amount: Decimal) -> str:
        pattern = self._currency_pattern(self.digits)
        return format_currency(amount, self.currency, locale=self.locale, format=pattern, currency_digits=False)

    def compact_money(self, amount: Decimal) -> str:
        return format_compact_currency(amount, self.currency, locale=self.locale, fraction_digits=1)

    def number(self, value: Decimal, digits: int) -> str:
        """A number with ``digits`` decimals."""
        return format_decimal(value, self._figures(digits), locale=self.locale)

    def rate(self, value: Decimal) -> str:
        """A cost per unit, with four digits."""
        return format_decimal(value, self._figures(4), locale=self.locale)

    def percent(self, ratio: float | Decimal, signed: bool = False) -> str:
        return ("+" if signed and ratio > 0 else "") + format_percent(ratio, self._percent_pattern(), locale=self.locale)

    def day(self, day: date) -> str:
        return format_date(day, "medium", locale=self.locale)

    def month(self, day: date, short: bool = False) -> str:
        return format_skeleton("yMMM" if short else "yMMMM", day, locale=self.locale)

    def moment(self, moment: datetime) -> str:
        return format_datetime(moment, "medium", locale=self.locale) + " UTC"

    def cell_format(self, kind: str, digits: int = 2) -> str:
        """The number format of a workbook's cells of a kind (money, rate, count, percent, day, month; number with ``digits``) in this locale."""
        code = f"{self.language_code:X}"
        if kind in ("money", "rate"):
            sign = f"[${_NOT_SHOWN.sub('', get_currency_symbol(self.currency, locale=self.locale))}-{code}]"
            positive = self._currency_pattern(self.digits if kind == "money" else 4).split(";")[0]
            # spaces of other kinds are none to a format code
            return re.sub(r"[^#0,.¤ -]", "", re.sub(r"\s", " ", positive)).replace("¤", sign)
        if kind == "month":
            return f"[$-{code}]mmmm yyyy"
        if kind == "day":
            pattern = self.locale.date_formats["short"].pattern.replace("\u200f", "")
            return f"[$-{code}]" + re.sub("y+", "yyyy", re.sub("M+", "mm", re.sub("d+", "dd", re.sub("[^yMd./ -]", "", pattern))))
        return {"number": "#,##0" + ("." + "0" * digits if digits else ""), "count": "#,##0", "percent": "0.0%"}[kind]

    @property
    def language_code(self) -> int:
        """What a workbook calls the locale; that of American English where it has no name for it."""
        names = _language_codes()
        wanted = str(self.locale)
        first = next((code for name, code in names.items() if name.split("_")[0] == self.locale.language), names[DEFAULT])
        return names.get(wanted, first)

    def _figures(self, digits: int) -> str:
        """The pattern of an amount: figures grouped as the locale does, with ``digits`` decimals."""
        grouped = re.search("[#,0]+", self.locale.currency_formats["standard"].pattern).group()
        return grouped + ("." + "0" * digits if digits else "")

    def _currency_pattern(self, digits: int) -> str:
        return re.sub(r"[#,0]+(\.[0#]+)?", self._figures(digits), self.locale.currency_formats["standard"].pattern)

    def _percent_pattern(self) -> str:
        return self.locale.percent_formats[None].pattern.replace("#,##0", "#,##0.0")


def shown(value: str) -> str:
    """Text as it is shown: what is not to be seen, and would hide or turn other text, is a visible mark."""
    return _NOT_SHOWN.sub("\ufffd", value)


@cache
def _catalogue() -> dict[str, dict]:
    return yaml.safe_load((Path(__file__).parent / "words.yml").read_text(encoding="utf-8"))


@cache
def _language_codes() -> dict[str, int]:
    return {name: code for code, name in sorted(system_locale.windows_locale.items(), reverse=True)}


def _under(words: Any, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        words = words.get(key) if isinstance(words, dict) else None
    return words if isinstance(words, str) else None
