"""Currencies: to how many decimals money is stated, booked and disputed."""

from __future__ import annotations

from decimal import Decimal


def minor_units(currency: str) -> int:
    """How many decimals an amount of ``currency`` has: 2 of dollars, none of yen, 3 of dinars; 2 where the code is not known."""
    # the languages of the world take a while to import
    from babel.numbers import get_currency_precision

    return get_currency_precision(currency)


def coins(amount: Decimal, currency: str | None) -> str:
    """An amount in whole minor units of its currency as people read it, such as 1,234.50 of dollars and 1,235 of yen."""
    return f"{amount:,.{minor_units(currency or '')}f}"
