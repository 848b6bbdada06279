"""What a stranger sends costs little work: inputs are bounded before any work that is more than linear."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.params import JSONBody

from cartwright.testkit.service import NothingRevoked
from chassis.problems import DETAIL_CHARACTERS_MAX, Invalid
from chassis.security import access
from chassis.security.tokens import Caller, TokenVerifier, UserKeys
from chassis.web.application import BODY_BYTES_MAX, application

Serve = Callable[[Litestar], Awaitable[httpx.AsyncClient]]


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=100)]


@post("/things", guards=[access.public])
async def make(data: JSONBody[Thing]) -> Thing:
    return data


@get("/things", guards=[access.public])
async def refuse_at_length() -> None:
    raise Invalid("x" * 100_000)


class CountingVerifier(TokenVerifier):
    """Counts the tokens that it is asked to check."""

    asked = 0

    async def verify(self, token: str) -> Caller:
        self.asked += 1
        return await super().verify(token)


@pytest.fixture
def verifier(service_jwks: str) -> CountingVerifier:
    async def fetch() -> dict[str, Any]:
        return {"keys": []}

    return CountingVerifier(
        service="things",
        issuer="cartwright",
        user_keys=UserKeys(fetch),
        rights=NothingRevoked(),
        service_keys=service_jwks,
    )


@pytest.fixture
async def client(verifier: CountingVerifier, serve: Serve) -> httpx.AsyncClient:
    async def is_healthy() -> bool:
        return True

    return await serve(
        application(
            name="things",
            description="Of the tests.",
            routes=[make, refuse_at_length],
            parts=[],
            verifier=verifier,
            is_healthy=is_healthy,
        )
    )


async def test_a_request_with_many_tokens_has_at_most_one_checked(
    client: httpx.AsyncClient, verifier: CountingVerifier
) -> None:
    before = verifier.asked
    answer = await client.get("/things", headers=[("authorization", f"Bearer {number}") for number in range(90)])
    assert answer.status_code == 401, answer.text
    assert verifier.asked - before <= 1


@pytest.mark.parametrize(
    "body",
    [
        '{"' + "a" * (BODY_BYTES_MAX - 10) + '":1}',
        '{"name":"x","name' + "a" * 30_000 + '":1,"name' + "a" * 30_000 + '":1}',
    ],
)
async def test_a_refusal_does_not_repeat_all_that_was_sent(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post("/things", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert len(answer.json()["detail"]) <= DETAIL_CHARACTERS_MAX
    assert len(answer.content) < 2 * DETAIL_CHARACTERS_MAX


async def test_a_detail_that_was_cut_says_so(client: httpx.AsyncClient) -> None:
    detail = (await client.get("/things")).json()["detail"]
    assert re.fullmatch(r"x+…", detail)
    assert len(detail) == DETAIL_CHARACTERS_MAX
