"""`cartwright token`: an access token for scripts, of an account that is made when there is none.

The passwords of the accounts made here are kept in the data folder, so that it works a second time.
"""

import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from cartwright.embedded import processes
from cartwright.embedded.layout import LOOPBACK, Layout
from cartwright.embedded.lock import only_one
from cartwright.embedded.private_files import write_private
from cartwright.embedded.system import System, open_system
from cartwright.errors import CannotGoOn, NoSuchSystem

CALL_SECONDS_MAX = 30


def token(data: Path, email: str, *, admin: bool) -> str:
    """An access token of the account with this e-mail address, which becomes an administrator's with `admin`."""
    system = open_system(data)
    if not processes.is_supervised(system.layout.data):
        raise NoSuchSystem(f"The system at {data} does not run. Start it: cartwright up --data {data}")
    gateway = Gateway(system)
    if email == system.credentials.administrator_email:
        return gateway.sign_in(email, system.credentials.administrator)
    with only_one(system.layout):
        password = _password(system.layout, gateway, email)
    access_token = gateway.sign_in(email, password)
    if not admin:
        return access_token
    gateway.make_administrator(gateway.user_id(access_token))
    # The roles are in the token, so that there has to be a new one.
    return gateway.sign_in(email, password)


def _password(layout: Layout, gateway: "Gateway", email: str) -> str:
    accounts = _accounts(layout)
    if email not in accounts:
        password = secrets.token_urlsafe(18)
        gateway.register(email, password)
        write_private(layout.accounts, json.dumps(accounts | {email: password}))
        return password
    return accounts[email]


def _accounts(layout: Layout) -> dict[str, str]:
    try:
        return msgspec.json.decode(layout.accounts.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}


class Gateway:
    """The few calls that an account takes."""

    def __init__(self, system: System) -> None:
        self._api = f"http://{LOOPBACK}:{system.ports.gateway}/api"
        self._credentials = system.credentials

    def register(self, email: str, password: str) -> None:
        name = email.partition("@")[0]
        status, answer = self._call("POST", "/users", {"email": email, "password": password, "name": name})
        if status == 409:
            raise CannotGoOn(
                f"{email} has an account that was not made by this command: its password is not known here."
            )
        _require(status, answer, f"An account for {email} could not be made")

    def sign_in(self, email: str, password: str) -> str:
        form = urllib.parse.urlencode({"grant_type": "password", "username": email, "password": password})
        status, answer = self._call("POST", "/auth/token", form)
        _require(status, answer, f"{email} could not sign in")
        return str(answer["access_token"])

    def user_id(self, access_token: str) -> str:
        status, answer = self._call("GET", "/users/me", access_token=access_token)
        _require(status, answer, "The account could not be read")
        return str(answer["id"])

    def make_administrator(self, user_id: str) -> None:
        administrator = self.sign_in(self._credentials.administrator_email, self._credentials.administrator)
        status, answer = self._call("PUT", f"/users/{user_id}/roles", {"roles": ["customer", "admin"]}, administrator)
        _require(status, answer, "The account could not be made an administrator's")

    def _call(
        self, method: str, path: str, body: dict[str, Any] | str | None = None, access_token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        content = None
        if isinstance(body, str):
            headers["Content-Type"], content = "application/x-www-form-urlencoded", body.encode()
        elif body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(body).encode()
        request = urllib.request.Request(f"{self._api}{path}", content, headers, method=method)  # noqa: S310 - http, ours.
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS_MAX) as answer:  # noqa: S310
                return answer.status, _decode(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _decode(error.read())
        except OSError as error:
            raise CannotGoOn(f"The gateway at {self._api} does not answer: {error}. See: cartwright status") from error


def _decode(content: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(content) if content else {}
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _require(status: int, answer: dict[str, Any], what: str) -> None:
    if status >= 400:
        raise CannotGoOn(f"{what}: {status} {answer.get('detail') or answer.get('title') or ''}")
