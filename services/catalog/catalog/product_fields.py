"""What a product may be, beyond the form of its messages."""

from typing import Any, TypeVar

import msgspec

from catalog.messages import (
    CATEGORY_CHARACTERS_MAX,
    DESCRIPTION_CHARACTERS_MAX,
    ChangeProduct,
    CreateProduct,
)
from chassis.problems import Invalid
from chassis.values import visible_text
from chassis.values.money import Money

ATTRIBUTES_BYTES_MAX = 8 * 1024
ATTRIBUTES_DEPTH_MAX = 5
NUMBER_MAX = 2**53 - 1
"""Larger numbers are not the same to every reader of JSON."""
RequestT = TypeVar("RequestT", bound=CreateProduct | ChangeProduct)


def with_visible_text(request: RequestT) -> RequestT:
    """The request with its names and its description in NFC. Raises `InvalidName` or `InvalidText`."""
    accepted = {}
    if isinstance(request.name, str):
        accepted["name"] = visible_text.name(request.name)
    if isinstance(request.category, str):
        accepted["category"] = category_name(request.category, member="category")
    if isinstance(request.description, str):
        accepted["description"] = visible_text.lines(
            request.description, member="description", characters_max=DESCRIPTION_CHARACTERS_MAX
        )
    return msgspec.structs.replace(request, **accepted)


def category_name(given: str, *, member: str = "name") -> str:
    """The name of a category in NFC. Raises `InvalidName`."""
    return visible_text.name(given, member=member, characters_max=CATEGORY_CHARACTERS_MAX)


def refuse_unacceptable_price(price: Money) -> None:
    """Raises `Invalid` for what is no amount, and for one that is not above zero."""
    if price.minor() <= 0:
        raise Invalid("price: has to be more than zero.")


def refuse_unacceptable_attributes(attributes: dict[str, Any]) -> None:
    """Raises `Invalid` for attributes that are too large, too deep, or hold a number that not everybody can read."""
    _refuse_unacceptable_value(attributes, ATTRIBUTES_DEPTH_MAX)
    if len(msgspec.json.encode(attributes)) > ATTRIBUTES_BYTES_MAX:
        raise Invalid(f"attributes: take more than {ATTRIBUTES_BYTES_MAX} bytes.")


def _refuse_unacceptable_value(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth == 0:
            raise Invalid(f"attributes: nested more than {ATTRIBUTES_DEPTH_MAX} deep.")
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_unacceptable_value(item, depth - 1)
    elif isinstance(value, int | float) and abs(value) > NUMBER_MAX:
        raise Invalid(f"attributes: a number is beyond {NUMBER_MAX}.")
