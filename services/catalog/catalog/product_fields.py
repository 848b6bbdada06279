"""The fields of a new product as text: their form, their bounds, and their normal form.

A request and the file of the demo shop have the same fields.
"""

from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

from catalog.domain.product import NewProduct
from chassis.problems import Invalid
from chassis.values import visible_text
from chassis.values.money import Money
from chassis.values.visible_text import NAME_CHARACTERS_MAX

QUANTITY_MAX = 2**31 - 1
DESCRIPTION_CHARACTERS_MAX = 10_000
CATEGORY_CHARACTERS_MAX = 80
ATTRIBUTES_BYTES_MAX = 8 * 1024
ATTRIBUTES_DEPTH_MAX = 5
NUMBER_MAX = 2**53 - 1
"""JSON readers do not agree on larger numbers."""

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"\S")]
Sku = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?!\n)$", description="Unique", examples=["USB-C-HUB"])
]
Description = Annotated[str, Meta(max_length=DESCRIPTION_CHARACTERS_MAX)]
CategoryName = Annotated[
    str,
    Meta(min_length=1, max_length=CATEGORY_CHARACTERS_MAX, pattern=r"^\S(.*\S)?(?!\n)$", examples=["Keyboards"]),
]
Attributes = Annotated[dict[str, Any], Meta(description="Any JSON object of up to 8 KiB, nested up to 5 deep.")]


class ProductFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a new product. `stock` is the initial quantity."""

    sku: Sku
    name: Name
    description: Description = ""
    category: CategoryName | None = None
    price: Money
    attributes: Attributes = {}
    stock: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)] = 0

    def normalized(self) -> Self:
        """The same fields with their texts in NFC. Raises `Invalid` for values that no product can have."""
        price_minor_of(self.price)
        check_attributes(self.attributes)
        return msgspec.structs.replace(
            self,
            name=visible_text.name(self.name),
            category=None if self.category is None else normal_category_name(self.category, member="category"),
            description=normal_description(self.description),
        )

    def new_product(self) -> NewProduct:
        """The product of normalized fields."""
        return NewProduct(
            sku=self.sku,
            name=self.name,
            description=self.description,
            category=self.category,
            price_minor=price_minor_of(self.price),
            currency=self.price.currency,
            attributes=self.attributes,
            stock=self.stock,
        )


def normal_description(text: str) -> str:
    """The description in NFC. Raises `InvalidText`."""
    return visible_text.lines(text, member="description", characters_max=DESCRIPTION_CHARACTERS_MAX)


def normal_category_name(text: str, *, member: str = "name") -> str:
    """The name of a category in NFC. Raises `InvalidName`."""
    return visible_text.name(text, member=member, characters_max=CATEGORY_CHARACTERS_MAX)


def price_minor_of(price: Money) -> int:
    """The price in minor units. Raises `Invalid` for an amount that its currency does not have, and for one below 1."""
    minor = price.minor()
    if minor <= 0:
        raise Invalid("price: has to be more than zero.")
    return minor


def check_attributes(attributes: dict[str, Any]) -> None:
    """Raises `Invalid` for attributes that are too large or too deep, or that hold a number above `NUMBER_MAX`."""
    _check_value(attributes, ATTRIBUTES_DEPTH_MAX)
    if len(msgspec.json.encode(attributes)) > ATTRIBUTES_BYTES_MAX:
        raise Invalid(f"attributes: take more than {ATTRIBUTES_BYTES_MAX} bytes.")


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth == 0:
            raise Invalid(f"attributes: nested more than {ATTRIBUTES_DEPTH_MAX} deep.")
        for item in value.values() if isinstance(value, dict) else value:
            _check_value(item, depth - 1)
    elif isinstance(value, int | float) and abs(value) > NUMBER_MAX:
        raise Invalid(f"attributes: a number is beyond {NUMBER_MAX}.")
