"""Money: integer minor units inside, a decimal string with its currency (ISO 4217) in JSON. Never a float.

Currencies and their decimals are those of ISO 4217's own table, not of CLDR: docs/decisions/0028.
"""

import re
from typing import Annotated

import iso4217
import msgspec

from chassis.problems import Invalid

MINOR_MAX = 10**15 - 1
"""The largest amount, in minor units. It and its sums stay far below 2^63, and below 2^53 for readers in JavaScript."""

_DIGITS = {
    code: int(str(row["CcyMnrUnts"])) for code, row in iso4217.raw_table.items() if str(row["CcyMnrUnts"]).isdigit()
}
"""The decimals of each currency. Metals, units of account, and the codes for tests and for none have no minor unit in
ISO's table, so they are no currencies here."""
_DIGITS_OF_UNKNOWN = 2
_AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?")

# In Python `$` also stands before a last line break, which is no part of a code.
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}(?!\n)$", description="ISO 4217 code", examples=["USD"])]


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount as it stands in JSON: `{"amount": "49.99", "currency": "USD"}`."""

    amount: Annotated[str, msgspec.Meta(max_length=20, description="A decimal, as text", examples=["49.99"])]
    currency: Currency

    def minor(self) -> int:
        """The amount in minor units (4999 for 49.99 USD).

        Raises `Invalid` when the code is no currency, or when it is no amount of that currency.
        """
        if not is_currency(self.currency):
            raise Invalid(f"{self.currency} is no currency of ISO 4217.")
        match = _AMOUNT.fullmatch(self.amount)
        digits = digits_of(self.currency)
        whole, _, fraction = self.amount.partition(".")
        if match is None or len(fraction) > digits:
            raise Invalid(f"{self.amount!r} is no amount of {self.currency}: it takes up to {digits} decimals.")
        value = int(whole + fraction.ljust(digits, "0"))
        if abs(value) > MINOR_MAX:
            raise Invalid(f"{self.amount} {self.currency} is more than can be handled here.")
        return value


def money(minor: int, currency: str) -> Money:
    """`Money` for an amount in minor units: `money(4999, "USD")` is 49.99 USD."""
    digits = digits_of(currency)
    if digits == 0:
        return Money(str(minor), currency)
    sign, value = ("-", -minor) if minor < 0 else ("", minor)
    text = str(value).rjust(digits + 1, "0")
    return Money(f"{sign}{text[:-digits]}.{text[-digits:]}", currency)


def is_currency(code: str) -> bool:
    """Whether something can be sold in it: an ISO 4217 code that is in use and has a minor unit."""
    return code in _DIGITS


def digits_of(currency: str) -> int:
    """How many decimals an amount is written with. A stored code that is no currency, or none any more, has two."""
    return _DIGITS.get(currency, _DIGITS_OF_UNKNOWN)
