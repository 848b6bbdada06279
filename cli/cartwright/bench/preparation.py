"""Puts into a fresh system what a load needs: goods that do not run out, and buyers who are signed in."""

import asyncio
import secrets
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import aiohttp

from cartwright.bench.product_names import name_of
from cartwright.bench.requests import Shop
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.system import System

PRODUCTS = 1_000
BUYERS = 32
STOCK = 2_000_000_000
AT_ONCE = 16
# More would only wait in the queue of users.
PASSWORDS_AT_ONCE = 2
CALL_S_MAX = 60.0
ResultT = TypeVar("ResultT")


async def prepare_shop(system: System) -> Shop:
    """Over the gateway, as anybody would. Raises CannotGoOn when something is refused."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S_MAX)) as http:
        shop_client = _ShopClient(http, f"http://{LOOPBACK}:{system.ports.gateway}/api")
        credentials = system.credentials
        administrator = await shop_client.sign_in(credentials.administrator_email, credentials.administrator)
        products = await _few(
            AT_ONCE, (shop_client.create_product(administrator, number) for number in range(PRODUCTS + 1))
        )
        buyers = await _few(PASSWORDS_AT_ONCE, (shop_client.register() for _ in range(BUYERS)))
        tokens = await _few(PASSWORDS_AT_ONCE, (shop_client.sign_in(*buyer) for buyer in buyers))
    return Shop(tokens=tokens, products=products[1:], hot_product=products[0], buyers=buyers)


async def sign_in_again(system: System, shop: Shop) -> list[str]:
    """New tokens for the buyers: one is good for a quarter of an hour, and a long bench takes longer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S_MAX)) as http:
        shop_client = _ShopClient(http, f"http://{LOOPBACK}:{system.ports.gateway}/api")
        return await _few(PASSWORDS_AT_ONCE, (shop_client.sign_in(*buyer) for buyer in shop.buyers))


class _ShopClient:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def register(self) -> tuple[str, str]:
        email, password = f"bench-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(18)
        await self._post("/users", json={"email": email, "name": "Ada Lovelace", "password": password})
        return email, password

    async def sign_in(self, email: str, password: str) -> str:
        form = {"grant_type": "password", "username": email, "password": password}
        return (await self._post("/auth/token", data=form))["access_token"]

    async def create_product(self, token: str, number: int) -> str:
        product = {
            "sku": f"BENCH-{number}",
            "name": name_of(number),
            "price": {"amount": "49.99", "currency": "USD"},
            "stock": STOCK,
        }
        return (await self._post("/products", json=product, headers={"Authorization": f"Bearer {token}"}))["id"]

    async def _post(self, path: str, **request: object) -> dict[str, str]:
        async with self._http.post(f"{self._url}{path}", **request) as answer:  # type: ignore[arg-type]
            content: dict[str, str] = await answer.json(content_type=None)
            if answer.status >= 300:
                raise CannotGoOn(f"POST {path} was answered {answer.status}: {content}")
            return content


async def _few(at_once: int, works: Iterable[Awaitable[ResultT]]) -> list[ResultT]:
    free = asyncio.Semaphore(at_once)

    async def one(work: Awaitable[ResultT]) -> ResultT:
        async with free:
            return await work

    return list(await asyncio.gather(*(one(work) for work in works)))
