"""What every service answers alike: guards, problems, ids, deadlines, readiness, and its own description."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from importlib import metadata
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from litestar import Litestar, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.testing import AsyncTestClient

from cartwright.testkit.service import NothingRevoked
from chassis import context, problems
from chassis.problems import Refusal
from chassis.security import access
from chassis.security.tokens import TokenVerifier, UserKeys
from chassis.web.application import BODY_BYTES_MAX, INTERNAL_BODY_BYTES_MAX, application, version_of
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Page
from chassis.web.query_parameters import Instant, instant_of

# One application for all of them: none leaves anything behind.
pytestmark = pytest.mark.asyncio(loop_scope="module")

Client = AsyncTestClient[Litestar]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=100)]


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=100_000)]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class SoldOut(problems.Conflict):
    code, title = "sold_out", "It is sold out."


@post("/things", guards=[access.public])
async def make(data: JSONBody[Thing], key: IdempotencyKey = None) -> Thing:
    accepted_key(key)
    return data


@post("/batch", guards=[access.services("storefront")], request_max_body_size=INTERNAL_BODY_BYTES_MAX)
async def make_many(data: JSONBody[list[Thing]]) -> list[Thing]:
    return data


@get("/things", guards=[access.public])
async def list_things(limit: Limit = 20) -> int:
    return limit


@get("/pages", guards=[access.public])
async def list_pages(limit: Limit = 20, cursor: Cursor = None) -> Page[Thing]:
    return Page([], cursor)


@get("/moments", guards=[access.public])
async def list_moments(since: Instant = None, until: Instant = None) -> list[datetime | None]:
    return [instant_of(since, "since"), instant_of(until, "until")]


@get("/page", guards=[access.anyone], include_in_schema=False)
async def show_page(q: FromQuery[str] = "") -> str:
    return q


@get("/context", guards=[access.anyone])
async def tell_context() -> dict[str, Any]:
    return {"id": context.correlation_id(), "trace": context.traceparent(), "left": context.seconds_left()}


@get("/person", guards=[access.signed_in])
async def for_people() -> str:
    return "person"


@get("/administrator", guards=[access.administrator])
async def for_administrators() -> str:
    return "administrator"


@get("/sold-out", guards=[access.public])
async def refuse() -> None:
    raise SoldOut("Two are left.", available=2)


@get("/bug", guards=[access.public])
async def meet_a_bug() -> None:
    raise RuntimeError("password=hush")


@get("/refusals/{name:str}", guards=[access.public])
async def refuse_with(name: FromPath[str]) -> None:
    raise next(refusal for refusal in _tree(Refusal) if refusal.__name__ == name)


ROUTES = [
    make,
    make_many,
    list_things,
    list_pages,
    list_moments,
    show_page,
    tell_context,
    for_people,
    for_administrators,
    refuse,
    meet_a_bug,
    refuse_with,
]


def _tree(root: type[Refusal]) -> list[type[Refusal]]:
    """The chassis's own refusals: those of services are in the same process when all tests run together."""
    below = [refusal for child in root.__subclasses__() for refusal in _tree(child)]
    return [root, *below] if root.__module__.startswith("chassis") else below


class Gate:
    """A part that is up once the test says so."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.stopped = False

    async def start(self) -> None:
        await self.opened.wait()

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture(scope="module")
def verifier(user_jwks: str, service_jwks: str) -> TokenVerifier:
    async def fetch() -> dict[str, Any]:
        return json.loads(user_jwks)  # type: ignore[no-any-return]

    return TokenVerifier(
        service="things",
        issuer="cartwright",
        user_keys=UserKeys(fetch),
        rights=NothingRevoked(),
        service_keys=service_jwks,
    )


def _build(
    verifier: TokenVerifier,
    gate: Gate,
    healthy: Callable[[], bool] = lambda: True,
    *,
    name: str = "things",
    routes: Sequence[Any] = ROUTES,
) -> Litestar:
    async def is_healthy() -> bool:
        return healthy()

    return application(
        name=name,
        description="Things.",
        routes=routes,
        parts=[gate],
        verifier=verifier,
        is_healthy=is_healthy,
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(verifier: TokenVerifier) -> AsyncIterator[Client]:
    gate = Gate()
    gate.opened.set()
    async with AsyncTestClient(_build(verifier, gate)) as client:
        await _answers(client, "/ready", 200)
        yield client


async def _answers(client: Client, path: str, status: int) -> None:
    async with asyncio.timeout(5):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0)


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:cartwright:problem:{code}"
    assert body["correlation_id"] == response.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body


async def test_it_has_no_plugin_for_shapes_that_no_service_uses(verifier: TokenVerifier) -> None:
    plugins = {type(plugin).__module__ for plugin in _build(verifier, Gate()).plugins}
    assert not [module for module in plugins if "pydantic" in module]


async def test_the_version_of_a_service_is_that_of_its_package(verifier: TokenVerifier) -> None:
    installed = metadata.version("cartwright-chassis")
    assert version_of("chassis") == installed
    assert _build(verifier, Gate(), name="chassis").openapi_schema.info.version == installed
    assert _build(verifier, Gate(), name="things").openapi_schema.info.version == "unknown"


# Readiness


async def test_a_service_that_starts_is_alive_but_not_ready_and_refuses_work(verifier: TokenVerifier) -> None:
    gate = Gate()
    async with AsyncTestClient(_build(verifier, gate)) as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 503
        refused = await client.get("/things")
        assert_problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        gate.opened.set()
        await _answers(client, "/ready", 200)
        assert (await client.get("/things")).status_code == 200
    assert gate.stopped


async def test_a_service_whose_database_is_away_is_alive_but_not_ready(verifier: TokenVerifier) -> None:
    gate, healthy = Gate(), [False]
    gate.opened.set()
    async with AsyncTestClient(_build(verifier, gate, lambda: healthy[0])) as client:
        await _answers(client, "/things", 200)
        assert (await client.get("/ready")).status_code == 503
        assert "\ncartwright_ready 0.0\n" in (await client.get("/metrics")).text
        healthy[0] = True
        assert (await client.get("/ready")).status_code == 200
        assert "\ncartwright_ready 1.0\n" in (await client.get("/metrics")).text


async def test_a_start_that_failed_for_good_says_why(verifier: TokenVerifier) -> None:
    class Broken(Gate):
        async def start(self) -> None:
            raise RuntimeError("migration 7 cannot be applied")

    async with AsyncTestClient(_build(verifier, Broken())) as client:
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["reason"]) == (503, "migration 7 cannot be applied")


# Ids and deadlines


async def test_the_request_id_goes_in_and_comes_out(client: Client) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await client.get("/context", headers={"x-request-id": "purchase-1", "traceparent": trace})
    assert answer.headers["x-request-id"] == "purchase-1"
    assert answer.json() == {"id": "purchase-1", "trace": trace, "left": None}


@pytest.mark.parametrize("given", ["a b", "x" * 129, "<script>", ""])
async def test_an_unacceptable_request_id_is_replaced(client: Client, given: str) -> None:
    answer = await client.get("/context", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] not in {"", given}


async def test_the_callers_deadline_is_known(client: Client) -> None:
    answer = await client.get("/context", headers={"x-deadline-ms": "1500"})
    assert 1 < answer.json()["left"] <= 1.5


async def test_work_for_a_caller_that_has_given_up_is_refused(client: Client) -> None:
    assert_problem(await client.get("/context", headers={"x-deadline-ms": "0"}), 503, "overloaded")


@pytest.mark.parametrize("given", ["soon", "-5", "1.5", "9" * 30, "٣"])
async def test_a_malformed_deadline_is_none(client: Client, given: str) -> None:
    answer = await client.get("/context", headers={"x-deadline-ms": given.encode()})
    assert answer.json()["left"] is None


# Problems


@pytest.mark.parametrize("refusal", _tree(Refusal), ids=lambda refusal: refusal.__name__)
async def test_every_refusal_is_a_problem_with_its_code(client: Client, refusal: type[Refusal]) -> None:
    answer = await client.get(f"/refusals/{refusal.__name__}")
    assert_problem(answer, refusal.status, refusal.code)
    expected = None if refusal.retry_after_s is None else str(refusal.retry_after_s)
    assert answer.headers.get("retry-after") == expected


async def test_no_two_refusals_share_a_code() -> None:
    codes = [refusal.code for refusal in _tree(Refusal)]
    assert len(codes) == len(set(codes))


async def test_a_refusal_may_tell_more(client: Client) -> None:
    body = assert_problem(await client.get("/sold-out"), 409, "sold_out")
    assert (body["detail"], body["available"]) == ("Two are left.", 2)


async def test_a_bug_is_a_problem_that_tells_nothing_of_the_inside(client: Client) -> None:
    answer = await client.get("/bug")
    assert_problem(answer, 500, "internal_error")
    assert "hush" not in answer.text


async def test_a_path_that_is_not_there_is_a_problem(client: Client) -> None:
    assert_problem(await client.get("/nowhere"), 404, "not_found")


async def test_a_method_that_is_not_there_is_a_problem(client: Client) -> None:
    answer = await client.delete("/things")
    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("content", "type_", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"", "application/json", 400, "malformed"),
        (b"", None, 400, "malformed"),
        (b'{"name": NaN}', "application/json", 400, "malformed"),
        (b'{"name": "a", "name": "b"}', "application/json", 400, "malformed"),
        (b'{"name": "\xff"}', "application/json", 400, "malformed"),
        (b"[" * 40 + b"]" * 40, "application/json", 400, "malformed"),
        (b"[]", "application/json", 422, "invalid"),
        (b'{"name": "a", "role": "admin"}', "application/json", 422, "invalid"),
        (b'{"name": "a", "count": 0}', "application/json", 422, "invalid"),
        (b'{"name": "a", "count": "2"}', "application/json", 422, "invalid"),
        (b'{"name": "a\\u0000"}', "application/json", 422, "invalid"),
        (b'{"name": "a"}', "text/plain", 415, "unsupported_type"),
        (b'{"name": "a"}', "application/json-patch+json", 415, "unsupported_type"),
        (b'{"name": "a"}', None, 415, "unsupported_type"),
        (b"name=a", "application/x-www-form-urlencoded", 415, "unsupported_type"),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415, "unsupported_type"),
        (b"\x81\xa4name\xa1a", "application/msgpack", 415, "unsupported_type"),
        (b'{"name": "' + b"a" * BODY_BYTES_MAX + b'"}', "application/json", 413, "body_too_large"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_a_problem(
    client: Client, content: bytes, type_: str | None, status: int, code: str
) -> None:
    headers = {} if type_ is None else {"content-type": type_}
    assert_problem(await client.post("/things", content=content, headers=headers), status, code)


async def test_a_body_that_is_too_large_is_a_problem_when_it_comes_in_chunks(client: Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(BODY_BYTES_MAX // 1_024):
            yield b"a" * 1_024
        yield b'"}'

    pieces = chunks()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/things", "headers": headers, "query_string": b""}
    await client.app(scope, receive, send)  # type: ignore[arg-type]
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("type_", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_taken(client: Client, type_: str) -> None:
    answer = await client.post("/things", content=b'{"name": "a"}', headers={"content-type": type_})
    assert (answer.status_code, answer.json()) == (201, {"name": "a", "count": 1})


@pytest.mark.parametrize("limit", ["0", "101", "x", "", "1.5", "-1", "9" * 30, "%00"])
async def test_a_parameter_that_cannot_be_accepted_is_a_problem(client: Client, limit: str) -> None:
    assert_problem(await client.get(f"/things?limit={limit}"), 422, "invalid")


@pytest.mark.parametrize("key", ["", " ", "a" * 256])
async def test_a_key_that_cannot_be_accepted_is_malformed(client: Client, key: str) -> None:
    answer = await client.post("/things", json={"name": "a"}, headers={"idempotency-key": key})
    assert_problem(answer, 400, "malformed")


# Guards


@pytest.fixture(scope="module")
def tokens(access_token: Callable[..., str], service_token: Callable[[str, str], str]) -> dict[str, str]:
    return {
        "a customer": access_token(user_id=str(uuid4())),
        "an administrator": access_token(user_id=str(uuid4()), roles=["customer", "admin"]),
        "the service that may": service_token("storefront", "things"),
        "a service that may not": service_token("payments", "things"),
        "a service that means another": service_token("storefront", "orders"),
        "one whose time is up": access_token(user_id=str(uuid4()), seconds=-1),
        "a stranger": access_token(user_id=str(uuid4()), issuer="stranger"),
        "noise": "noise",
    }


PEOPLE = {"a customer", "an administrator"}
SERVICES = {"the service that may", "a service that may not"}


@pytest.mark.parametrize(
    ("method", "path", "allowed", "forbidden"),
    [
        ("GET", "/things", {"nobody"} | PEOPLE | SERVICES, set()),
        ("GET", "/person", PEOPLE, SERVICES),
        ("GET", "/administrator", {"an administrator"}, {"a customer"} | SERVICES),
        ("POST", "/batch", {"the service that may"}, {"a service that may not"} | PEOPLE),
    ],
)
async def test_each_guard_lets_in_whom_it_names(
    client: Client, tokens: dict[str, str], method: str, path: str, allowed: set[str], forbidden: set[str]
) -> None:
    for who, token in {"nobody": "", **tokens}.items():
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await client.request(method, path, headers=headers, json=[] if method == "POST" else None)
        if who in allowed:
            assert answer.status_code in {200, 201}, who
        elif who in forbidden:
            assert_problem(answer, 403, "forbidden")
        else:
            assert_problem(answer, 401, "unauthenticated")
            # RFC 6750, section 3.1: a client without a token is told no error.
            assert answer.headers["www-authenticate"] == ('Bearer error="invalid_token"' if token else "Bearer")


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer noise", b"Bearer \xff"])
async def test_an_authorization_that_is_no_token_is_refused(client: Client, value: str | bytes) -> None:
    assert_problem(await client.get("/person", headers={"authorization": value}), 401, "unauthenticated")


async def test_a_header_alone_proves_no_identity(client: Client) -> None:
    answer = await client.get("/person", headers={"x-user-id": str(uuid4()), "x-roles": "admin"})
    assert_problem(answer, 401, "unauthenticated")


async def test_anyone_may_ask_for_health_with_whatever_token(client: Client) -> None:
    for path in ("/health", "/ready", "/metrics", "/openapi.json"):
        assert (await client.get(path, headers={"authorization": "Bearer noise"})).status_code == 200


async def test_a_route_without_a_guard_ends_the_start(verifier: TokenVerifier) -> None:
    @get("/open")
    async def forgotten() -> None: ...

    async def is_healthy() -> bool:
        return True

    with pytest.raises(AssertionError, match="/open names no guard"):
        application(
            name="things", description="", routes=[forgotten], parts=[], verifier=verifier,
            is_healthy=is_healthy,
        )  # fmt: skip


# Description and metrics


async def test_the_description_tells_problems_tokens_and_what_is_internal(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    make, batch = document["paths"]["/things"]["post"], document["paths"]["/batch"]["post"]
    assert list(make["responses"]) == ["201", "400", "413", "415", "422", "default"]
    assert list(batch["responses"]) == ["201", "400", "401", "403", "413", "415", "422", "default"]
    assert "security" not in make
    assert batch["security"] == [{"bearer": []}]
    assert "x-internal" not in make
    assert batch["x-internal"] is True
    problem = document["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"]
    assert problem == {"$ref": "#/components/schemas/Problem"}
    assert {"code", "correlation_id"} <= set(document["components"]["schemas"]["Problem"]["required"])
    assert not {"/health", "/ready", "/metrics"} & set(document["paths"])


async def test_the_name_of_a_generic_shape_holds_no_module(client: Client) -> None:
    answer = await client.get("/openapi.json")
    document = answer.json()
    assert set(document["components"]["schemas"]) == {"Page_Thing", "Problem", "Thing"}
    listed = document["paths"]["/pages"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert listed == {"$ref": "#/components/schemas/Page_Thing"}
    items = document["components"]["schemas"]["Page_Thing"]["properties"]["items"]["items"]
    assert items == {"$ref": "#/components/schemas/Thing"}
    assert "test_application" not in answer.text


async def test_two_shapes_that_would_have_one_name_end_the_start(verifier: TokenVerifier) -> None:
    def shape(module: str) -> type[msgspec.Struct]:
        return msgspec.defstruct("Twin", [("name", str)], module=module)

    first, second = shape("things.first"), shape("things.second")

    @get("/first", guards=[access.public])
    async def list_first() -> Page[first]:  # type: ignore[valid-type]
        return Page([], None)

    @get("/second", guards=[access.public])
    async def list_second() -> Page[second]:  # type: ignore[valid-type]
        return Page([], None)

    with pytest.raises(AssertionError, match="Page_Twin"):
        _build(verifier, Gate(), routes=[list_first, list_second])


async def test_requests_are_measured_by_their_route(client: Client) -> None:
    await client.get("/refusals/Conflict")
    metrics = (await client.get("/metrics")).text
    assert 'path="/refusals/{name}"' in metrics
    assert "/refusals/Conflict" not in metrics


async def test_what_has_no_route_is_counted_without_the_names_that_its_sender_chose(client: Client) -> None:
    await client.request("SURPRISE", "/secret-place")
    metrics = (await client.get("/metrics")).text
    assert 'method="",path="",status="404"' in metrics
    assert "SURPRISE" not in metrics
    assert "/secret-place" not in metrics


@pytest.mark.parametrize(
    ("method", "address", "parameter"),
    [
        ("GET", "/things?limits=5", "limits"),
        ("GET", "/things?Limit=5", "Limit"),
        ("GET", "/things?limit=5&page=2", "page"),
        ("GET", "/things?limit=5&limit=6", "limit"),
        ("GET", "/things?limit=5&limit=5", "limit"),
        ("GET", "/things?limit%00=5", "limit\x00"),
        ("GET", "/things?x", "x"),
        ("GET", "/things?=5", ""),
        ("GET", "/context?access_token=x", "access_token"),
        ("POST", "/things?dry_run=true", "dry_run"),
        ("GET", "/things?" + "x" * 500, "x" * 100),
    ],
)
async def test_a_query_parameter_that_is_not_declared_or_given_twice_is_refused(
    client: Client, method: str, address: str, parameter: str
) -> None:
    answer = await client.request(method, address, json={"name": "lamp"} if method == "POST" else None)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert answer.json()["parameter"] == parameter


async def test_declared_parameters_may_come_in_any_order_and_be_left_out(client: Client) -> None:
    for query in ("", "?", "?&", "?limit=5"):
        assert (await client.get(f"/things{query}")).status_code == 200
    until_first = await client.get("/moments?until=2026-01-01T00:00:00Z&since=2025-01-01T00:00:00-08:00")
    assert until_first.json() == ["2025-01-01T00:00:00-08:00", "2026-01-01T00:00:00Z"]


async def test_pages_for_browsers_ignore_the_parameters_of_trackers(client: Client) -> None:
    assert (await client.get("/page?utm_source=mail&q=lamp")).text == "lamp"
    assert (await client.get("/health?probe=1")).status_code == 200


async def test_who_may_not_call_is_told_so_before_the_parameters_are_looked_at(client: Client) -> None:
    assert (await client.get("/person?unknown=1")).status_code == 401
    assert (await client.get("/nowhere?unknown=1")).status_code == 404


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-01T00:00:00",
        "2026-01-01",
        "1767225600",
        "yesterday",
        "",
        "2026-01-01T00:00:00 02:00",
        "2026-01-01T00:00:00Z" + " " * 40,
    ],
)
async def test_a_moment_without_a_zone_is_refused(client: Client, moment: str) -> None:
    for name in ("since", "until"):
        answer = await client.get("/moments", params={name: moment})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
        assert name in answer.json()["detail"]


async def test_a_moment_is_documented_as_one(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    since = next(item for item in document["paths"]["/moments"]["get"]["parameters"] if item["name"] == "since")
    assert since["schema"]["format"] == "date-time" or any(
        part.get("format") == "date-time" for part in since["schema"].get("oneOf", [])
    )
