"""Bad orders: a clear problem, no effect, never a 5xx. The list is that of the product's promises."""

import json
from typing import Any
from uuid import uuid4

import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog

PRODUCT = "0198c2a0-1111-7aaa-8bbb-00000000dead"


def order_of(quantity: str) -> str:
    return f'{{"items": [{{"product_id": "{PRODUCT}", "quantity": {quantity}}}]}}'


def order_with(**more: Any) -> str:
    return json.dumps({"items": [{"product_id": PRODUCT, "quantity": 1}], **more})


def order_of_items(items: Any) -> str:
    return json.dumps({"items": items})


INVALID = {
    **{
        f"quantity {quantity}": order_of(quantity)
        for quantity in ["0", "-1", "1.5", "1.0", "1e308", "true", '"2"', "null", "2147483648", "18446744073709551616"]
    },
    "quantity missing": order_of_items([{"product_id": PRODUCT}]),
    "no items": order_of_items([]),
    "neither items nor cart": "{}",
    "items and cart": order_with(from_cart=True),
    "more than a hundred items": order_of_items([{"product_id": str(uuid4()), "quantity": 1} for _ in range(101)]),
    "an item that is no object": order_of_items([1]),
    "items that are no list": order_of_items({"product_id": PRODUCT, "quantity": 1}),
    "the root an array": "[]",
    "the root a text": '"order"',
    **{
        f"the unknown field {field}": order_with(**{field: "x"})
        for field in ["status", "total", "user_id", "role", "id"]
    },
    "an unknown field in an item": order_of_items([{"product_id": PRODUCT, "quantity": 1, "unit_price": "0.01"}]),
    "an id that is no UUID": order_of_items([{"product_id": "1", "quantity": 1}]),
    "an id that is a number": order_of_items([{"product_id": 1, "quantity": 1}]),
    "a product that never was": order_of_items([{"product_id": PRODUCT, "quantity": 1}]),
    "the same product twice": order_of_items([{"product_id": PRODUCT, "quantity": 1}] * 2),
    "the same product twice in another case": order_of_items(
        [{"product_id": PRODUCT, "quantity": 1}, {"product_id": PRODUCT.upper(), "quantity": 1}]
    ),
    "an expected total without a currency": order_with(expected_total={"amount": "1.00"}),
    "an expected total in no currency": order_with(expected_total={"amount": "1.00", "currency": "usd"}),
    "an expected total in an unknown currency": order_with(expected_total={"amount": "1.00", "currency": "ABC"}),
    "an expected total in a code for none": order_with(expected_total={"amount": "1.00", "currency": "XXX"}),
    "an expected total that is a number": order_with(expected_total={"amount": 1.0, "currency": "USD"}),
    "an expected total with too many decimals": order_with(expected_total={"amount": "1.001", "currency": "USD"}),
    "an expected total that overflows": order_with(expected_total={"amount": "9" * 15, "currency": "USD"}),
    "U+0000 in text": order_with(payment_method="pm\x00"),
    "an empty payment method": order_with(payment_method=""),
    "an over-long payment method": order_with(payment_method="x" * 201),
}
MALFORMED = {
    "NaN": order_of("NaN"),
    "Infinity": order_of("Infinity"),
    "-Infinity": order_of("-Infinity"),
    "cut-off JSON": order_of("1")[:-3],
    "an empty body": "",
    "blanks": "  ",
    "invalid UTF-8": b'{"items": "\xff"}',
    "duplicate keys": order_of('1, "quantity": 2'),
    "nesting over 32": '{"items": ' + "[" * 40 + "]" * 40 + "}",
    "deep nesting": "[" * 30_000,
    "two documents": order_of("1") * 2,
}


async def test_bad_orders_are_told_clearly_and_have_no_effect(buyer: Buyer, catalog: FakeCatalog, rows: Any) -> None:
    wrong: list[str] = []
    for name, body in [*INVALID.items(), *MALFORMED.items()]:
        raw = body.encode() if isinstance(body, str) else body
        status, problem, headers = await buyer.call("POST", "/orders", raw=raw)
        expected = 422 if name in INVALID else 400
        if status != expected or not headers["Content-Type"].startswith("application/problem+json"):
            wrong.append(f"{name}: {status} {problem}")
        elif not {"type", "title", "status", "detail", "code", "correlation_id"} <= set(problem):
            wrong.append(f"{name}: no whole problem: {problem}")

    assert not wrong, "\n".join(wrong)
    assert catalog.reservations == {}
    assert await rows("SELECT id FROM orders WHERE status <> 'refused'") == []


async def test_a_body_of_another_type_is_told(buyer: Buyer) -> None:
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"]:
        status, problem, _ = await buyer.call(
            "POST", "/orders", raw=order_with().encode(), headers={"content-type": content_type}
        )
        assert (status, problem["code"]) == (415, "unsupported_type"), content_type


async def test_a_body_over_64_kib_is_too_large_with_and_without_a_length(buyer: Buyer) -> None:
    large = order_with(payment_method="x" * 70_000).encode()

    async def in_chunks() -> Any:
        for start in range(0, len(large), 8_192):
            yield large[start : start + 8_192]

    assert (await buyer.call("POST", "/orders", raw=large))[0] == 413
    assert (await buyer.call("POST", "/orders", raw=in_chunks()))[0] == 413


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/orders"), ("PUT", "/orders"), ("POST", "/cart")])
async def test_another_method_is_told(buyer: Buyer, method: str, path: str) -> None:
    status, problem, headers = await buyer.call(method, path)

    assert (status, problem["code"]) == (405, "method_not_allowed")
    assert headers["Allow"]


async def test_an_order_needs_a_signed_in_user(buyer: Buyer, service_token: Any) -> None:
    for token in ["", "x", "x.y.z", buyer.token[:-4] + "AAAA"]:
        buyer.token = token
        status, problem, headers = await buyer.call("POST", "/orders", raw=order_with().encode())
        assert (status, problem["code"]) == (401, "unauthenticated")
        assert headers["WWW-Authenticate"].startswith("Bearer")
    buyer.token = service_token("catalog", "orders")
    assert (await buyer.call("POST", "/orders", raw=order_with().encode()))[0] == 403


@pytest.mark.parametrize(
    "body", [order_of("0"), '{"quantity": 0}', '{"quantity": "1"}', '{"quantity": 1, "x": 1}', "[]"]
)
async def test_bad_quantities_do_not_go_into_a_cart(buyer: Buyer, catalog: FakeCatalog, body: str) -> None:
    assert (await buyer.call("PUT", f"/cart/items/{catalog.add(1)}", raw=body.encode()))[0] == 422


async def test_a_path_that_holds_no_id_is_not_found(buyer: Buyer) -> None:
    for path in ["/orders/1", "/orders/null", "/orders/%00", "/orders/" + "x" * 2_000]:
        assert (await buyer.call("GET", path))[0] == 404, path
