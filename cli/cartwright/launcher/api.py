"""Speaks to a running system as any client does: over the gateway, with nothing but what is documented."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from cartwright.launcher import processes
from cartwright.launcher.errors import CannotGoOn, NoSuchSystem
from cartwright.launcher.remote_system import RemoteSystem, read_remote_system
from cartwright.launcher.system import System, open_system

CALL_SECONDS_MAX = 30


@dataclass(frozen=True)
class Answer:
    """`headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, where it is a JSON object; otherwise an empty one."""
        try:
            decoded = json.loads(self.content)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}

    @property
    def correlation_id(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def detail(self) -> str:
        """What a problem says to people."""
        return str(self.json.get("detail") or self.json.get("title") or "")


class Api:
    """The calls of one client, who is signed in when there is an access token."""

    def __init__(self, url: str, access_token: str | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.access_token = access_token
        self._tls = tls
        # A proxy of the environment has no business between this machine and itself.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), *([] if tls is None else [urllib.request.HTTPSHandler(context=tls)])
        )

    def with_token(self, access_token: str) -> "Api":
        return Api(self.url, access_token, tls=self._tls)

    @property
    def url_path(self) -> str:
        """What stands before each path on the way to this client's server."""
        return urllib.parse.urlsplit(self.url).path

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.call("POST", path, body, headers)

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """`body` is sent as JSON; bytes are sent as they are. Raises CannotGoOn when the server does not answer."""
        sent = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", content, sent | dict(headers or {}), method=method)  # noqa: S310 - http, ours.
        try:
            with self._opener.open(request, timeout=CALL_SECONDS_MAX) as answer:
                return Answer(answer.status, _lowered(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lowered(error.headers), error.read())
        except OSError as error:
            raise CannotGoOn(f"{self.url} does not answer: {error}. See: cartwright status") from error

    def ask_for_tokens(self, **form: str) -> Answer:
        """The OAuth 2 token endpoint, with `grant_type` and what that one needs."""
        return self.post(
            "/auth/token",
            urllib.parse.urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )

    def signed_in(self, email: str, password: str) -> "Api":
        answer = self.ask_for_tokens(grant_type="password", username=email, password=password)
        require(answer, f"{email} could not sign in")
        return self.with_token(str(answer.json["access_token"]))


def open_running(data: Path, url: str | None = None) -> System | RemoteSystem:
    """The system that runs at this data folder, or the one that this file tells of, with its gateway at `url`.

    Raises NoSuchSystem where none does, and CannotGoOn for a file that tells of none.
    """
    if url is not None or data.is_file():
        return read_remote_system(data, url)
    return open_running_here(data)


def open_running_here(data: Path) -> System:
    """The system that runs at this data folder. Raises NoSuchSystem where none does."""
    system = open_system(data)
    if not processes.is_supervised(system.layout.data):
        raise NoSuchSystem(f"The system at {data} does not run. Start it: cartwright up --data {data}")
    return system


def gateway(system: System | RemoteSystem) -> Api:
    url = system.gateway_url if isinstance(system, RemoteSystem) else system.gateway_address
    return Api(f"{url}/api", tls=system.gateway_tls)


def administrator(system: System | RemoteSystem) -> Api:
    """The first administrator, signed in with the password that the start has made."""
    return gateway(system).signed_in(system.administrator_email, system.administrator_password)


def require(answer: Answer, what: str) -> None:
    """Raises CannotGoOn with `what` failed, and why, for an answer that is a refusal."""
    if answer.status >= 400:
        raise CannotGoOn(f"{what}: {answer.status} {answer.detail}")


def _lowered(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
