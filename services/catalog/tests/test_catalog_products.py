"""The changes of administrators, and the events of catalog about them."""

import asyncio
from typing import Any

import pytest
from services.catalog.tests.conftest import Service
from uuid_utils.compat import uuid7

pytestmark = pytest.mark.asyncio(loop_scope="module")
PRICE = {"amount": "10.00", "currency": "USD"}
WRITES = [
    ("POST", "/products"),
    ("PATCH", "/products/{id}"),
    ("DELETE", "/products/{id}"),
    ("POST", "/categories"),
    ("POST", "/products/{id}/stock-adjustments"),
    ("GET", "/products/{id}/stock-adjustments"),
    ("POST", "/products/{id}/reserve"),
    ("POST", "/products/{id}/release"),
]
INTERNAL = [("POST", "/reservations"), ("POST", "/reservations/release"), ("POST", "/products/lookup")]


@pytest.mark.parametrize(("method", "path"), WRITES + INTERNAL)
async def test_only_permitted_callers_are_admitted(service: Service, method: str, path: str) -> None:
    is_internal = (method, path) in INTERNAL
    path = path.format(id=uuid7())
    assert (await service.call(method, path, json={})).status_code == 401
    assert (await service.call(method, path, by="customer", json={})).status_code == 403
    assert (await service.call(method, path, by="payments", json={})).status_code == 403
    assert (await service.call(method, path, headers={"authorization": "Bearer made-up"}, json={})).status_code == 401
    if is_internal:
        assert (await service.call(method, path, by="admin", json={})).status_code == 403


async def test_a_change_makes_the_next_version_and_one_event(service: Service) -> None:
    product = await service.product(name="Lamp", stock=3)
    path = f"/products/{product['id']}"
    change = {"name": "Better lamp", "price": {"amount": "12.50", "currency": "USD"}, "attributes": {"watts": 5}}
    for _ in range(2):
        changed = await service.call("PATCH", path, by="admin", json=change)
        assert changed.status_code == 200
        assert changed.json() == {**product, **change, "version": 2, "updated_at": changed.json()["updated_at"]}
    assert (await service.client.get(path)).json() == changed.json()
    assert [kind for kind, _ in await service.events_of(product["id"])] == [
        "product.created",
        "stock.adjusted",
        "product.updated",
    ]


async def test_a_deleted_product_is_not_found_and_its_sku_is_free(service: Service) -> None:
    product = await service.product(stock=3)
    path = f"/products/{product['id']}"
    for _ in range(2):
        assert (await service.call("DELETE", path, by="admin")).status_code == 204
    gone, never = await service.client.get(path), await service.client.get(f"/products/{uuid7()}")
    assert gone.status_code == never.status_code == 404
    assert {**gone.json(), "correlation_id": ""} == {**never.json(), "correlation_id": ""}
    assert (await service.call("PATCH", path, by="admin", json={"name": "x"})).status_code == 404
    assert (await service.events_of(product["id"]))[-1] == (
        "product.deleted",
        {"product_id": product["id"], "version": 2},
    )
    order = {"order_id": str(uuid7()), "quantity": 1}
    assert (await service.call("POST", f"{path}/reserve", by="orders", json=order)).status_code == 404
    assert (await service.product(sku=product["sku"]))["id"] != product["id"]
    assert (await service.call("DELETE", f"/products/{uuid7()}", by="admin")).status_code == 404


async def test_a_sku_belongs_to_one_product(service: Service) -> None:
    product, other = await service.product(), await service.product()
    body = {"sku": product["sku"], "name": "Copy", "price": PRICE}
    taken = await service.call("POST", "/products", by="admin", json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "sku_taken")
    renamed = await service.call("PATCH", f"/products/{other['id']}", by="admin", json={"sku": product["sku"]})
    assert (renamed.status_code, renamed.json()["code"]) == (409, "sku_taken")


async def test_a_product_has_an_existing_category_or_none(service: Service) -> None:
    name = f"Category {uuid7()}"
    created = await service.call("POST", "/categories", by="admin", json={"name": name})
    assert created.status_code == 201
    again = await service.call("POST", "/categories", by="admin", json={"name": name.upper()})
    assert (again.status_code, again.json()["code"]) == (409, "category_exists")
    product = await service.product(category=name.lower())
    assert product["category"] == name
    path = f"/products/{product['id']}"
    assert (await service.call("PATCH", path, by="admin", json={"category": None})).json()["category"] is None
    unknown = await service.call("PATCH", path, by="admin", json={"category": "Nowhere"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_category")
    listed = (await service.client.get("/categories", params={"limit": 100})).json()["items"]
    assert created.json() in listed


async def test_each_adjustment_of_the_stock_has_a_ledger_entry_with_its_reason(service: Service) -> None:
    product = await service.product(stock=5)
    path = f"/products/{product['id']}/stock-adjustments"
    restock = await service.call("POST", path, by="admin", json={"quantity": 25, "reason": "restock"})
    assert (restock.status_code, restock.json()["available"]) == (201, 30)
    broken = await service.call("POST", path, by="admin", json={"quantity": -30, "reason": "broken"})
    assert broken.json()["available"] == 0
    low = await service.call("POST", path, by="admin", json={"quantity": -1, "reason": "broken"})
    assert (low.status_code, low.json()["code"], low.json()["available"]) == (409, "stock_too_low", 0)
    first = (await service.call("GET", path, by="admin", params={"limit": 2})).json()
    second = (await service.call("GET", path, by="admin", params={"cursor": first["next_cursor"]})).json()
    entries = [(entry["quantity"], entry["reason"]) for entry in first["items"] + second["items"]]
    assert entries == [(-30, "broken"), (25, "restock"), (5, "initial")]
    assert second["next_cursor"] is None
    adjusted = [data for kind, data in await service.events_of(product["id"]) if kind == "stock.adjusted"]
    assert [(data["quantity"], data["available"]) for data in adjusted] == [(5, 5), (25, 30), (-30, 0)]


async def test_stock_that_an_order_holds_cannot_be_taken_out(service: Service) -> None:
    product = await service.product(stock=5)
    path = f"/products/{product['id']}"
    await service.call("POST", f"{path}/reserve", by="orders", json={"order_id": str(uuid7()), "quantity": 4})
    adjustment = {"quantity": -2, "reason": "broken"}
    low = await service.call("POST", f"{path}/stock-adjustments", by="admin", json=adjustment)
    assert (low.status_code, low.json()["available"]) == (409, 1)


async def creating(service: Service, what: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The path and two different bodies that create a thing of this kind."""
    match what:
        case "product":
            body = {"sku": f"S-{uuid7()}", "name": "Lamp", "price": PRICE, "stock": 4}
            return "/products", body, {**body, "stock": 5}
        case "category":
            return "/categories", {"name": f"C {uuid7()}"}, {"name": f"C {uuid7()}"}
        case _:
            product = await service.product(stock=0)
            return (
                f"/products/{product['id']}/stock-adjustments",
                {"quantity": 4, "reason": "restock"},
                {"quantity": 5, "reason": "restock"},
            )


@pytest.mark.parametrize("what", ["product", "category", "adjustment"])
async def test_a_key_creates_once_also_in_concurrent_requests(service: Service, what: str) -> None:
    path, body, other = await creating(service, what)
    headers = {"idempotency-key": f"key {uuid7()}"}
    answers = await asyncio.gather(
        *(service.call("POST", path, by="admin", json=body, headers=headers) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert all(answer.json() == answers[0].json() for answer in answers)
    used = await service.call("POST", path, by="admin", json=other, headers=headers)
    assert (used.status_code, used.json()["code"]) == (422, "key_used_again")
    if what == "adjustment":
        assert answers[0].json()["available"] == 4
        assert await service.stock_of(answers[0].json()["product_id"]) == 4
    for key in ("", " ", "k" * 256):
        empty = await service.call("POST", path, by="admin", json=body, headers={"idempotency-key": key})
        assert empty.status_code == 400


async def test_an_adjustments_key_is_for_one_product(service: Service) -> None:
    headers = {"idempotency-key": f"key {uuid7()}"}
    body = {"quantity": 4, "reason": "restock"}
    products = [await service.product(stock=0) for _ in range(2)]
    answers = await asyncio.gather(
        *(
            service.call("POST", f"/products/{product['id']}/stock-adjustments", by="admin", json=body, headers=headers)
            for product in products
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert sorted([await service.stock_of(product["id"]) for product in products]) == [0, 4]


async def test_products_are_looked_up_by_other_services(service: Service) -> None:
    product, deleted = await service.product(stock=3), await service.product()
    await service.call("DELETE", f"/products/{deleted['id']}", by="admin")
    body = {"ids": [deleted["id"], str(uuid7()), product["id"]]}
    for caller in ("orders", "storefront"):
        answer = await service.call("POST", "/products/lookup", by=caller, json=body)
        shown = {name: product[name] for name in ("id", "sku", "name", "price", "stock")}
        assert answer.json() == {"items": [shown]}


async def test_a_location_leads_to_the_product(service: Service) -> None:
    body = {"sku": f"S-{uuid7()}", "name": "Lamp", "price": PRICE}
    created = await service.call("POST", "/products", by="admin", json=body)
    assert (await service.client.get(created.headers["location"])).json() == created.json()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"led": 1}, {"led": True}),
        ({"led": 0}, {"led": False}),
        ({"led": True}, {"led": 1}),
        ({"led": [1, {"of": 0}]}, {"led": [1, {"of": False}]}),
        ({"led": 0}, {"led": None}),
        ({"led": ""}, {"led": None}),
        ({"led": None}, {}),
        ({"led": 1}, {"led": "1"}),
        ({"led": []}, {"led": {}}),
        ({"led": [1, 2]}, {"led": [2, 1]}),
        ({"led": "\u00e9"}, {"led": "e\u0301"}),
    ],
)
async def test_a_change_of_attributes_to_another_json_value_is_a_change(
    service: Service, before: dict[str, Any], after: dict[str, Any]
) -> None:
    product = await service.product(attributes=before)
    path = f"/products/{product['id']}"
    changed = (await service.call("PATCH", path, by="admin", json={"attributes": after})).json()
    assert (repr(changed["attributes"]), changed["version"]) == (repr(after), 2)
    assert repr((await service.client.get(path)).json()["attributes"]) == repr(after)
    assert [kind for kind, _ in await service.events_of(product["id"])][-1] == "product.updated"


@pytest.mark.parametrize(
    ("before", "after"), [({"w": 1}, {"w": 1.0}), ({"w": 0}, {"w": -0.0}), ({"a": 1, "b": [2]}, {"b": [2], "a": 1})]
)
async def test_another_notation_of_the_same_json_value_is_no_change(
    service: Service, before: dict[str, Any], after: dict[str, Any]
) -> None:
    product = await service.product(attributes=before)
    path = f"/products/{product['id']}"
    assert (await service.call("PATCH", path, by="admin", json={"attributes": after})).json()["version"] == 1


async def test_another_notation_of_the_same_price_is_no_change(service: Service) -> None:
    product = await service.product(price={"amount": "10.50", "currency": "USD"})
    path = f"/products/{product['id']}"
    for amount in ("10.5", "10.50"):
        body = {"price": {"amount": amount, "currency": "USD"}}
        assert (await service.call("PATCH", path, by="admin", json=body)).json() == product


async def test_a_product_that_was_changed_since_it_was_read_is_not_overwritten(service: Service) -> None:
    created = await service.product(stock=3)
    path = f"/products/{created['id']}"
    read = await service.client.get(path)
    tag = {"if-match": read.headers["etag"]}
    changed = await service.call("PATCH", path, by="admin", json={"name": "One"}, headers=tag)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    for method, body in (("PATCH", {"name": "Other"}), ("PATCH", {"name": "One"}), ("DELETE", None)):
        refused = await service.call(method, path, by="admin", json=body, headers=tag)
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed"), refused.text
        assert refused.json()["version"] == 2
    assert (await service.client.get(path)).json() == changed.json()
    for header in ("*", f'"7", {changed.headers["etag"]}'):
        again = await service.call("PATCH", path, by="admin", json={"name": "One"}, headers={"if-match": header})
        assert again.status_code == 200, again.text
    malformed = await service.call("PATCH", path, by="admin", json={"name": "x"}, headers={"if-match": "2"})
    assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed")
    gone = await service.call("DELETE", path, by="admin", headers={"if-match": '"2"'})
    assert gone.status_code == 204
    never = await service.call("PATCH", path, by="admin", json={"name": "x"}, headers={"if-match": '"2"'})
    assert never.status_code == 404


async def test_of_concurrent_changes_to_one_version_one_succeeds_and_stock_makes_no_version(service: Service) -> None:
    product = await service.product(stock=3)
    path = f"/products/{product['id']}"
    order = {"order_id": str(uuid7()), "quantity": 1}
    assert (await service.call("POST", f"{path}/reserve", by="orders", json=order)).status_code < 300
    tag = {"if-match": '"1"'}
    answers = await asyncio.gather(
        *(service.call("PATCH", path, by="admin", json={"name": f"N{n}"}, headers=tag) for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (await service.client.get(path)).json() == won


async def test_the_openapi_document_describes_the_entity_tag(service: Service) -> None:
    operations = (await service.client.get("/openapi.json")).json()["paths"]["/products/{product_id}"]
    assert "ETag" in operations["get"]["responses"]["200"]["headers"]
    assert "if-match" in [parameter["name"] for parameter in operations["patch"]["parameters"]]
    assert "412" in operations["patch"]["responses"]
