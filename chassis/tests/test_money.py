"""An amount survives the way to JSON and back, and what is no amount of its currency is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.money import MINOR_MAX, Money, digits_of, money
from chassis.problems import Invalid

_currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLP"])


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
    ],
)
def test_amounts_read_as_people_write_them(minor: int, currency: str, amount: str) -> None:
    assert money(minor, currency) == Money(amount, currency)


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
