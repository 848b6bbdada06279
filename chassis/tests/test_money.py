"""An amount survives the way to JSON and back, and what is no amount of its currency is refused."""

from datetime import date

import iso4217
import msgspec
import pytest
from babel.core import get_global
from babel.numbers import get_currency_precision
from hypothesis import given
from hypothesis import strategies as st

from chassis.problems import Invalid
from chassis.values.money import MINOR_MAX, Money, digits_of, money

_CURRENCIES = sorted(c.code for c in iso4217.Currency if c.exponent is not None)
_currencies = st.sampled_from(_CURRENCIES)

# ISO 4217, list one: all whose minor unit is not a hundredth.
_NO_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
_TEN_THOUSANDTHS = "CLF UYW"


@given(st.integers(-MINOR_MAX, MINOR_MAX), _currencies)
def test_minor_units_come_back_as_they_went(minor: int, currency: str) -> None:
    written = msgspec.json.encode(money(minor, currency))
    assert msgspec.json.decode(written, type=Money).minor() == minor


@given(st.integers(-MINOR_MAX, MINOR_MAX), _currencies)
def test_an_amount_is_written_with_the_decimals_of_its_currency(minor: int, currency: str) -> None:
    _, _, decimals = money(minor, currency).amount.partition(".")
    assert len(decimals) == digits_of(currency)


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (4999, "USD", "49.99"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (0, "USD", "0.00"),
        (7, "JPY", "7"),
        (1, "KWD", "0.001"),
        (5_000, "UGX", "5000"),
        (5_000, "HUF", "50.00"),
        (12_345, "IQD", "12.345"),
        (1, "UYW", "0.0001"),
    ],
)
def test_amounts_read_as_people_write_them(minor: int, currency: str, amount: str) -> None:
    assert money(minor, currency) == Money(amount, currency)


def test_the_minor_units_are_those_of_iso_4217() -> None:
    by_digits = {0: _NO_MINOR_UNIT, 3: _THOUSANDTHS, 4: _TEN_THOUSANDTHS}
    for digits, codes in by_digits.items():
        assert " ".join(code for code in _CURRENCIES if digits_of(code) == digits) == codes
    assert {digits_of(code) for code in _CURRENCIES} == {2, *by_digits}


def test_cldr_differs_only_where_it_shows_none_of_the_decimals_that_there_are() -> None:
    """CLDR says what people write, ISO 4217 what banks and providers exchange. No other difference is expected."""
    differing = [code for code in _CURRENCIES if get_currency_precision(code) != digits_of(code)]
    assert all(get_currency_precision(code) == 0 for code in differing)
    assert " ".join(differing) == "AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK SOS SYP YER"


def test_what_is_legal_tender_anywhere_is_a_currency() -> None:
    """CLDR knows from when and to when a currency is tender, so it shows when the table has grown old."""
    published = iso4217.__published__
    tender = {
        code
        for used in get_global("territory_currencies").values()
        for code, start, end, is_tender in used
        if is_tender and end is None and (start is None or date(*start) <= published)
    }
    assert tender
    assert tender <= set(_CURRENCIES)


@pytest.mark.parametrize("code", ["ABC", "ZZZ", "XXX", "XTS", "XAU", "XDR", "DEM", "HRK"])
def test_a_code_that_is_no_currency_is_refused_and_a_stored_one_is_still_shown(code: str) -> None:
    with pytest.raises(Invalid, match=f"{code} is no currency"):
        Money("1.00", code).minor()
    assert money(100, code) == Money("1.00", code)


def test_fewer_decimals_than_the_currency_has_are_filled_up() -> None:
    assert Money("49.9", "USD").minor() == 4990
    assert Money("49", "USD").minor() == 4900


@pytest.mark.parametrize(
    "amount",
    ["", ".", "1.", ".5", "01.00", "1,00", "1e3", "+1", " 1", "1 ", "--1", "NaN", "1.999", "٣.00", "1.00\n", "1" * 19],
)
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(Invalid):
        Money(amount, "USD").minor()


def test_a_fraction_of_a_currency_without_minor_unit_is_refused() -> None:
    with pytest.raises(Invalid, match="up to 0 decimals"):
        Money("1.5", "JPY").minor()


def test_more_than_can_be_summed_safely_is_refused() -> None:
    assert Money("9999999999999.99", "USD").minor() == MINOR_MAX
    with pytest.raises(Invalid, match="more than can be handled"):
        Money("10000000000000.00", "USD").minor()


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": 49.99, "currency": "USD"}',
        b'{"amount": "1", "currency": "usd"}',
        b'{"amount": "1", "currency": "USD", "x": 1}',
    ],
)
def test_json_of_another_shape_is_no_money(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=Money)
