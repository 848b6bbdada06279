"""The events of users: what others may know of a person, told in the transaction of the change."""

from uuid import UUID

from chassis import actor, context
from chassis.journal import Event
from users.account import Account
from users.messages import UserData, UserDeletedData


def registered(account: Account) -> Event:
    # A registration comes without a token: the person who is registered has asked for it.
    by = context.actor() or actor.user(account.id)
    return Event(type="user.registered", subject=str(account.id), data=_data_of(account), actor=by)


def updated(account: Account) -> Event:
    return Event(type="user.updated", subject=str(account.id), data=_data_of(account))


def deleted(account_id: UUID, version: int) -> Event:
    return Event(
        type="user.deleted", subject=str(account_id), data=UserDeletedData(user_id=account_id, version=version)
    )


def _data_of(account: Account) -> UserData:
    return UserData(
        user_id=account.id,
        email=account.email,
        name=account.name,
        preferences=account.preferences,
        version=account.version,
    )
