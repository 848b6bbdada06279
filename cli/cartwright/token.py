"""`cartwright token`: an access token for scripts, of an account that is made when there is none.

The passwords of the accounts made here are kept in the data folder, so that it works a second time.
"""

import json
import secrets
from pathlib import Path

import msgspec

from cartwright import api
from cartwright.api import Api, require
from cartwright.embedded.layout import Layout
from cartwright.embedded.lock import only_one
from cartwright.embedded.private_files import write_private
from cartwright.embedded.system import System
from cartwright.errors import CannotGoOn


def token(data: Path, email: str, *, admin: bool) -> str:
    """An access token of the account with this e-mail address, which becomes an administrator's with `admin`."""
    system = api.open_running(data)
    if email == system.credentials.administrator_email:
        return _token_of(api.administrator(system))
    with only_one(system.layout):
        password = _password(system, email)
    account = api.gateway(system).signed_in(email, password)
    if admin:
        _make_administrator(system, account)
        # The roles are in the token, so that there has to be a new one.
        account = account.signed_in(email, password)
    return _token_of(account)


def _password(system: System, email: str) -> str:
    accounts = _accounts(system.layout)
    if email not in accounts:
        password = secrets.token_urlsafe(18)
        _register(api.gateway(system), email, password)
        write_private(system.layout.accounts, json.dumps(accounts | {email: password}))
        return password
    return accounts[email]


def _accounts(layout: Layout) -> dict[str, str]:
    try:
        return msgspec.json.decode(layout.accounts.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}


def _register(gateway: Api, email: str, password: str) -> None:
    answer = gateway.post("/users", {"email": email, "password": password, "name": email.partition("@")[0]})
    if answer.status == 409:
        raise CannotGoOn(f"{email} has an account that was not made by this command: its password is not known here.")
    require(answer, f"An account for {email} could not be made")


def _make_administrator(system: System, account: Api) -> None:
    profile = account.get("/users/me")
    require(profile, "The account could not be read")
    answer = api.administrator(system).call(
        "PUT", f"/users/{profile.json['id']}/roles", {"roles": ["customer", "admin"]}
    )
    require(answer, "The account could not be made an administrator's")


def _token_of(account: Api) -> str:
    assert account.access_token is not None, "who is signed in has a token"
    return account.access_token
