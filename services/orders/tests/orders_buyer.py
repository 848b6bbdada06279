"""A buyer, as the tests of the orders service use one."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp


@dataclass
class Buyer:
    """A signed-in user, with their requests to the service."""

    id: UUID
    base_url: str
    session: aiohttp.ClientSession
    token: str

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers of the answer."""
        sent = {"authorization": f"Bearer {self.token}", **(headers or {})}
        if raw is not None:
            sent.setdefault("content-type", "application/json")
        async with self.session.request(
            method, self.base_url + path, json=body, data=raw, headers=sent, timeout=aiohttp.ClientTimeout(total=15)
        ) as answer:
            decoded = await answer.json(content_type=None) if answer.content_length != 0 else None
            return answer.status, decoded, dict(answer.headers)

    async def buy(
        self, *items: tuple[UUID, int], key: str | None = None, **more: Any
    ) -> tuple[int, Any, dict[str, str]]:
        headers = {} if key is None else {"idempotency-key": key}
        body = {"items": [{"product_id": str(product), "quantity": quantity} for product, quantity in items], **more}
        return await self.call("POST", "/orders", body, headers=headers)

    async def wait_for_status(self, order_id: str, *wanted: str) -> dict[str, Any]:
        async with asyncio.timeout(15):
            while True:
                _, order, _ = await self.call("GET", f"/orders/{order_id}")
                if order["status"] in wanted:
                    return dict(order)
                await asyncio.sleep(0.05)
