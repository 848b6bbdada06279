"""The events of users: their data, and how each domain event becomes one.

They are appended to the journal in the transaction of the change.
"""

from collections.abc import Iterable
from typing import TypeAlias, assert_never
from uuid import UUID

import msgspec

from chassis import actor, context
from chassis.messaging.journal import Event
from users.domain.account import (
    Account,
    AccountDeleted,
    AccountEvent,
    AccountRegistered,
    AccountUpdated,
    Preferences,
    Role,
    RolesChanged,
)
from users.domain.session import SessionEnd, SessionRevoked

DomainEvent: TypeAlias = AccountEvent | SessionRevoked

REGISTERED = "user.registered"
UPDATED = "user.updated"
ROLES_CHANGED = "user.roles_changed"
SESSION_REVOKED = "user.session_revoked"
DELETED = "user.deleted"
REVOCATIONS = (ROLES_CHANGED, SESSION_REVOKED, DELETED)
"""The types that revoke access tokens. `read_revocations` reads them from the journal."""


class UserData(msgspec.Struct, kw_only=True):
    """user.registered, user.updated."""

    user_id: UUID
    email: str
    name: str
    preferences: Preferences
    version: int


class RolesChangedData(msgspec.Struct, kw_only=True):
    """user.roles_changed. Revokes the access tokens of earlier versions of the account."""

    user_id: UUID
    roles: list[Role]
    version: int


class SessionRevokedData(msgspec.Struct, kw_only=True):
    """user.session_revoked. Revokes the access tokens of the session."""

    user_id: UUID
    session_id: UUID
    reason: SessionEnd


class UserDeletedData(msgspec.Struct, kw_only=True):
    """user.deleted. Revokes the access tokens of the account."""

    user_id: UUID
    version: int


def journal_events(domain_events: Iterable[DomainEvent]) -> list[Event]:
    """For `journal.append`, in the same order."""
    return [_journal_event(event) for event in domain_events]


def _journal_event(event: DomainEvent) -> Event:
    match event:
        case AccountRegistered(account):
            # A registration carries no access token: its actor is the new user.
            by = context.actor() or actor.user(account.id)
            return Event(type=REGISTERED, subject=str(account.id), data=_user_data(account), actor=by)
        case AccountUpdated(account):
            return Event(type=UPDATED, subject=str(account.id), data=_user_data(account))
        case RolesChanged(account):
            roles_changed = RolesChangedData(user_id=account.id, roles=list(account.roles), version=account.version)
            return Event(type=ROLES_CHANGED, subject=str(account.id), data=roles_changed)
        case AccountDeleted(account_id, version):
            return Event(
                type=DELETED, subject=str(account_id), data=UserDeletedData(user_id=account_id, version=version)
            )
        case SessionRevoked(account_id, session_id, reason):
            # Neither request carries an access token. A valid refresh token identifies its user, a reused one does not.
            by = actor.user(account_id) if reason == "signed_out" else actor.service("users")
            revoked = SessionRevokedData(user_id=account_id, session_id=session_id, reason=reason)
            return Event(type=SESSION_REVOKED, subject=str(account_id), data=revoked, actor=by)
        case _ as unreachable:
            assert_never(unreachable)


def _user_data(account: Account) -> UserData:
    return UserData(
        user_id=account.id,
        email=account.email,
        name=account.name,
        preferences=account.preferences,
        version=account.version,
    )
