"""The events of users: what others may know of a person, told in the transaction of the change."""

from uuid import UUID

import msgspec

from chassis import actor, context
from chassis.messaging.journal import Event
from users.domain.account import Account, Preferences, Role
from users.domain.session import SessionEnd

ROLES_CHANGED = "user.roles_changed"
SESSION_REVOKED = "user.session_revoked"
DELETED = "user.deleted"
REVOCATIONS = (ROLES_CHANGED, SESSION_REVOKED, DELETED)
"""Each of them takes access tokens back: the feed of revocations is read from the journal."""


class UserData(msgspec.Struct, kw_only=True):
    """user.registered, user.updated."""

    user_id: UUID
    email: str
    name: str
    preferences: Preferences
    version: int


class RolesChangedData(msgspec.Struct, kw_only=True):
    """user.roles_changed. Access tokens of earlier versions of the account are revoked."""

    user_id: UUID
    roles: list[Role]
    version: int


class SessionRevokedData(msgspec.Struct, kw_only=True):
    """user.session_revoked. The access tokens of the session are revoked."""

    user_id: UUID
    session_id: UUID
    reason: SessionEnd


class UserDeletedData(msgspec.Struct, kw_only=True):
    """user.deleted."""

    user_id: UUID
    version: int


def registered(account: Account) -> Event:
    # A registration comes without a token: the person who is registered has asked for it.
    by = context.actor() or actor.user(account.id)
    return Event(type="user.registered", subject=str(account.id), data=_data_of(account), actor=by)


def updated(account: Account) -> Event:
    return Event(type="user.updated", subject=str(account.id), data=_data_of(account))


def roles_changed(account: Account) -> Event:
    return Event(
        type=ROLES_CHANGED,
        subject=str(account.id),
        data=RolesChangedData(user_id=account.id, roles=list(account.roles), version=account.version),
    )


def session_revoked(account_id: UUID, session_id: UUID, reason: SessionEnd) -> Event:
    # No access token is needed for either. A refresh token stands for its person, one that is used twice for nobody.
    by = actor.user(account_id) if reason == "signed_out" else actor.service("users")
    return Event(
        type=SESSION_REVOKED,
        subject=str(account_id),
        data=SessionRevokedData(user_id=account_id, session_id=session_id, reason=reason),
        actor=by,
    )


def deleted(account_id: UUID, version: int) -> Event:
    return Event(type=DELETED, subject=str(account_id), data=UserDeletedData(user_id=account_id, version=version))


def _data_of(account: Account) -> UserData:
    return UserData(
        user_id=account.id,
        email=account.email,
        name=account.name,
        preferences=account.preferences,
        version=account.version,
    )
