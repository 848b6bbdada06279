"""A real Envoy before small fake services: each answers with what it was asked, or as a test tells it to."""

import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from cartwright.launcher.envoy import SERVICES, Address, Gateway, Limits, command, render

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 15

# Short, so that what takes seconds in earnest takes a moment here.
QUICK = Limits(headers_s=0.5, body_s=1, answer_s=1, stream_idle_s=2, keys_s=1)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeService:
    """Answers every request with an echo of it, and remembers it; `answer` replaces the echo.

    `readiness` is the status with which it answers /ready, where None is not at all.
    """

    name: str
    port: int
    stop: Callable[[], None]
    requests: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    readiness: int | None = 200


def start_service(name: str, jwks: Callable[[], str] | None = None, port: int = 0) -> FakeService:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        server_version = "uvicorn"

        def respond(self) -> None:
            if jwks is not None and self.path == "/.well-known/jwks.json" and "x-request-id" not in self.headers:
                return send(self, 200, jwks())  # Envoy itself asks; a client's request carries an id.
            if self.path == "/ready":
                wait_for(lambda: service.readiness is not None, 60)
                return send(self, service.readiness or 200, "{}")
            length = int(self.headers.get("content-length", 0))
            echo = {
                "service": name,
                "method": self.command,
                "path": self.path,
                "headers": {key.lower(): value for key, value in self.headers.items()},
                "body": self.rfile.read(length).decode(errors="replace") if length else "",
            }
            if self.headers.get("transfer-encoding") == "chunked":
                echo["body"] = read_chunks(self).decode(errors="replace")
            service.requests.append(echo)
            if service.answer is not None:
                return service.answer(self)
            return send(self, 200, json.dumps(echo))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815 - http.server's names.

        def log_message(self, *_: object) -> None:
            """Keep the test's output for the test."""

    connections: list[socket.socket] = []

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def get_request(self) -> tuple[socket.socket, Any]:
            connection, address = super().get_request()
            connections.append(connection)
            return connection, address

        def handle_error(self, *_: object) -> None:
            """Clients that go away early are part of these tests."""

    server = Server((LOOPBACK, port), Handler)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        for connection in connections:  # A process that dies takes its open connections with it.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    service = FakeService(name=name, port=server.server_address[1], stop=stop)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return service


def send(handler: BaseHTTPRequestHandler, status: int, body: str, content_type: str = "application/json") -> None:
    payload = body.encode()
    handler.send_response(status)
    handler.send_header("content-type", content_type)
    handler.send_header("content-length", str(len(payload)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(payload)


def read_chunks(handler: BaseHTTPRequestHandler) -> bytes:
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


@dataclass
class TokenIssuer:
    """Signs access tokens as users does, and publishes the key."""

    key: ECKey = field(
        default_factory=lambda: ECKey.generate_key("P-256", {"kid": "first", "use": "sig", "alg": "ES256"})
    )
    published: list[ECKey] = field(default_factory=list)
    times_asked: int = 0

    def __post_init__(self) -> None:
        self.published.append(self.key)

    def jwks(self) -> str:
        self.times_asked += 1
        return json.dumps(KeySet(list(self.published)).as_dict(private=False))

    def token(
        self, sub: str = "0198c5f0-0000-7000-8000-000000000001", key: ECKey | None = None, **claims: object
    ) -> str:
        key = key or self.key
        now = int(time.time())
        usual = {"iss": "cartwright", "aud": "cartwright", "sub": sub, "roles": ["customer"], "typ": "access"}
        payload = {**usual, "iat": now, "exp": now + 900, **claims}
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": key.kid}, payload, key)


@dataclass
class RunningGateway:
    port: int
    admin_port: int
    services: dict[str, FakeService]
    issuer: TokenIssuer
    folder: Path
    process: subprocess.Popen[bytes]
    tls: ssl.SSLContext | None = None
    """By which these clients know it, where it serves TLS."""

    def ask(self, method: str, path: str, *, token: str | None = None, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own; the path goes out exactly as given."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        connection = (
            http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
            if self.tls is None
            else http.client.HTTPSConnection(LOOPBACK, self.port, timeout=10, context=self.tls)
        )
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()

    def ask_signed_in(self, method: str, path: str, **options: Any) -> Answer:
        return self.ask(method, path, token=self.issuer.token(), **options)

    def connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), timeout=10)

    def say(self, request: bytes) -> bytes:
        """Send bytes as they are, and read one answer: all of its stated length, or until the gateway closes."""
        heard = b""
        with self.connect() as connection:
            connection.sendall(request)
            while not is_whole(heard) and (more := connection.recv(65_536)):
                heard += more
        return heard

    def access_log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "stdout").read_text().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        """What reached any of the services."""
        return [request for service in self.services.values() for request in service.requests]

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/health").status == 200
        except OSError:
            return False

    def forget(self) -> None:
        for service in self.services.values():
            service.requests.clear()
            service.answer = None


def is_whole(answer: bytes) -> bool:
    fields, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", fields)
    return length is not None and len(body) >= int(length[1])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], object], limit_s: float = 10) -> Any:
    deadline = time.monotonic() + limit_s
    while not (met := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return met


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session")
def quick_limits() -> Callable[..., Limits]:
    """The limits of these tests, with changes."""
    return lambda **changes: replace(QUICK, **changes)


@pytest.fixture(scope="session")
def start_fake() -> Callable[..., FakeService]:
    return start_service


@pytest.fixture(scope="session")
def reply() -> Callable[..., None]:
    return send


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningGateway]]:
    """Start an Envoy and its services; options are those of `Gateway`, on quick limits and without rate limits."""
    started: list[RunningGateway] = []
    held_sockets: list[socket.socket] = []

    def unused_port() -> int:
        """One at which nothing listens, and which nothing else can take as long as the gateway runs."""
        held_sockets.append(socket.socket())
        held_sockets[-1].bind((LOOPBACK, 0))
        return int(held_sockets[-1].getsockname()[1])

    def start(
        *,
        missing: tuple[str, ...] = (),
        replicas: dict[str, list[FakeService]] | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ) -> RunningGateway:
        issuer = TokenIssuer()
        services = {
            name: start_service(name, issuer.jwks if name == "users" else None)
            for name in SERVICES
            if name not in missing
        }
        listen, admin = Address(LOOPBACK, free_port()), Address(LOOPBACK, free_port())
        upstreams = {
            name: [Address(LOOPBACK, services[name].port if name in services else unused_port())] for name in SERVICES
        }
        for name, fakes in (replicas or {}).items():
            upstreams[name] = [Address(LOOPBACK, fake.port) for fake in fakes]
        usual = Gateway(
            listen=listen,
            admin=admin,
            upstreams=upstreams,
            rate_limit=None,
            limits=QUICK,
        )
        folder = tmp_path_factory.mktemp("envoy")
        configuration = folder / "envoy.yaml"
        configuration.write_text(render(replace(usual, **options)))
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(command(configuration), stdout=stdout, stderr=stderr)
        gateway = RunningGateway(listen.port, admin.port, services, issuer, folder, process, tls)
        started.append(gateway)
        wait_for(lambda: process.poll() is not None or gateway.is_up(), START_TIMEOUT_S)
        assert process.poll() is None, (folder / "stderr").read_text()
        return gateway

    yield start
    for gateway in started:
        gateway.process.terminate()
    for gateway in started:
        gateway.process.wait(timeout=10)
        for service in gateway.services.values():
            service.stop()
    for held in held_sockets:
        held.close()


@pytest.fixture(scope="module")
def shared_gateway(start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    return start_gateway()


@pytest.fixture
def gateway(shared_gateway: RunningGateway) -> Iterator[RunningGateway]:
    """The module's gateway, with services that remember nothing of earlier tests."""
    shared_gateway.forget()
    yield shared_gateway
    shared_gateway.forget()
