"""The requests of each kind of load, as bytes: all that can be made beforehand is."""

import itertools
import random
import secrets
import urllib.parse
from collections.abc import Callable, Sequence

import msgspec

from cartwright.bench.product_names import NOUNS

PURCHASES = "purchases"
HOT_PURCHASES = "hot-purchases"
READS = "reads"
SIGN_INS = "sign-ins"
HISTORY = "history"
SEARCHES = "searches"
KINDS = (PURCHASES, HOT_PURCHASES, READS, SIGN_INS)

LINES_PREPARED_MAX = 200_000
"""So many lines of purchases are held ready; then not every product begins one."""


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """What a load finds at the gateway: signed in buyers, goods that do not run out, one product that all want."""

    tokens: list[str]
    products: list[str]
    hot_product: str
    buyers: list[tuple[str, str]] = []
    """Addresses and passwords, for those who sign in."""
    lines: int = 1
    """How many products each purchase is of."""


def requests_of(kind: str, shop: Shop) -> tuple[Callable[[], bytes], str]:
    """What makes the next request, and the status of an answer that is a success."""
    match kind:
        case "purchases":
            return _purchases(shop, shop.products), "201"
        case "hot-purchases":
            return _purchases(shop, [shop.hot_product]), "201"
        case "reads":
            return _reads(shop), "200"
        case "sign-ins":
            return _sign_ins(shop), "200"
        case "history":
            return _history(shop), "200"
        case "searches":
            return _searches(), "200"
    raise ValueError(f"no such load: {kind}")


def _purchases(shop: Shop, products: Sequence[str]) -> Callable[[], bytes]:
    """Each with a key of its own, by one buyer after the other, of products picked at random."""
    lines = min(shop.lines, len(products))
    dice = random.Random(1)  # noqa: S311 - a load is no secret.
    bodies = [
        _purchase_body([product, *_others(dice, products, product, lines - 1)])
        for product in products[:: max(len(products) * lines // LINES_PREPARED_MAX, 1)]
    ]
    heads = [
        f"POST /api/orders HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(bodies[0])}\r\nidempotency-key: ".encode()
        for token in shop.tokens
    ]
    assert len({len(body) for body in bodies}) == 1, "one head fits all"
    keys = (f"{secrets.token_hex(8)}-{number}\r\n\r\n".encode() for number in itertools.count())
    buyers = itertools.cycle(heads)
    return lambda: next(buyers) + next(keys) + dice.choice(bodies)


def _others(dice: random.Random, products: Sequence[str], product: str, count: int) -> list[str]:
    return [other for other in dice.sample(products, count + 1) if other != product][:count]


def _purchase_body(products: Sequence[str]) -> bytes:
    # Ids have one length, so bodies do.
    return msgspec.json.encode({"items": [{"product_id": product, "quantity": 1} for product in products]})


def _reads(shop: Shop) -> Callable[[], bytes]:
    """Of one product, picked at random."""
    requests = [f"GET /api/products/{product} HTTP/1.1\r\nhost: bench\r\n\r\n".encode() for product in shop.products]
    pick = random.Random(1).choice  # noqa: S311 - a load is no secret.
    return lambda: pick(requests)


def _sign_ins(shop: Shop) -> Callable[[], bytes]:
    """Of one buyer after the other, with the right password."""
    requests = itertools.cycle([_sign_in(email, password) for email, password in shop.buyers])
    return lambda: next(requests)


def _sign_in(email: str, password: str) -> bytes:
    form = urllib.parse.urlencode({"grant_type": "password", "username": email, "password": password}).encode()
    return (
        "POST /api/auth/token HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        f"content-length: {len(form)}\r\n\r\n"
    ).encode() + form


def _history(shop: Shop) -> Callable[[], bytes]:
    """The first page of one buyer after the other."""
    requests = itertools.cycle(
        [
            f"GET /api/orders HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n".encode()
            for token in shop.tokens
        ]
    )
    return lambda: next(requests)


def _searches() -> Callable[[], bytes]:
    """The first page of what is found by one word after the other."""
    requests = itertools.cycle(
        [f"GET /api/products?q={noun} HTTP/1.1\r\nhost: bench\r\n\r\n".encode() for noun in NOUNS]
    )
    return lambda: next(requests)
