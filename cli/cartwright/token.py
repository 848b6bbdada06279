"""`cartwright token`: an access token for scripts, of an account that is made when there is none.

The passwords of the accounts made here are kept in the data folder, so that it works a second time. Those of a system
elsewhere follow from what this machine knows of it.
"""

import json
import secrets
from pathlib import Path

import msgspec

from cartwright.launcher import api
from cartwright.launcher.api import Api, require
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import Layout
from cartwright.launcher.lock import only_one
from cartwright.launcher.private_files import write_private
from cartwright.launcher.remote_system import RemoteSystem
from cartwright.launcher.system import System


def token(data: Path, email: str, *, admin: bool, url: str | None = None) -> str:
    """An access token of the account with this e-mail address, which becomes an administrator's with `admin`.

    With `url`, `data` is the file that tells of the system whose gateway is there.
    """
    system = api.open_running(data, url)
    if email == system.administrator_email:
        return _token_of(api.administrator(system))
    password = (
        _password_of_remote_system(system, email) if isinstance(system, RemoteSystem) else _password_here(system, email)
    )
    account = api.gateway(system).signed_in(email, password)
    if admin:
        _make_administrator(system, account)
        # The roles are in the token, so that there has to be a new one.
        account = account.signed_in(email, password)
    return _token_of(account)


def _password_here(system: System, email: str) -> str:
    with only_one(system.layout):
        accounts = _accounts(system.layout)
        if email not in accounts:
            password = secrets.token_urlsafe(18)
            _register(api.gateway(system), email, password)
            write_private(system.layout.accounts, json.dumps(accounts | {email: password}))
            return password
        return accounts[email]


def _password_of_remote_system(system: RemoteSystem, email: str) -> str:
    password = system.password_of(email)
    answer = api.gateway(system).ask_for_tokens(grant_type="password", username=email, password=password)
    # The answer to a wrong password and to an account that is not there: OAuth 2 has 400 for both.
    if answer.status == 400:
        _register(api.gateway(system), email, password)
    return password


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


def _make_administrator(system: System | RemoteSystem, account: Api) -> None:
    profile = account.get("/users/me")
    require(profile, "The account could not be read")
    answer = api.administrator(system).call(
        "PUT", f"/users/{profile.json['id']}/roles", {"roles": ["customer", "admin"]}
    )
    require(answer, "The account could not be made an administrator's")


def _token_of(account: Api) -> str:
    assert account.access_token is not None, "who is signed in has a token"
    return account.access_token
