"""Updates the copies of addresses and preferences from the events of users."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from chassis.values import email_address
from notifications.consumed_events import UserChanged, UserDeleted
from notifications.domain.recipient import Recipient
from notifications.store import notifications, recipients
from notifications.store.recipients import Replaced

TYPES = ("user.registered", "user.updated", "user.deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange:
    """The address of an account was replaced."""

    user_id: UUID
    version: int
    former_address: str
    correlation_id: str
    traceparent: str | None


async def update_recipients(connection: Connection, events: Sequence[Envelope]) -> list[AddressChange]:
    """Store the newest version of each recipient, and drop the personal data of deleted accounts.

    Returns the changes of addresses, in the order of their versions.
    """
    versions: dict[UUID, list[tuple[Recipient, Envelope]]] = {}
    for event in events:
        if (recipient := _recipient(event)) is not None:
            versions.setdefault(recipient.user_id, []).append((recipient, event))
    for of_user in versions.values():
        of_user.sort(key=lambda version: version[0].version)
    replaced = await recipients.keep_newest(connection, [of_user[-1][0] for of_user in versions.values()])
    changes: list[AddressChange] = []
    deleted: list[UUID] = []
    addresses: list[str] = []
    for user_id, before in replaced.items():
        if versions[user_id][-1][0].deleted:
            deleted.append(user_id)
            addresses += [] if before is None else [before.email]
        else:
            changes += _address_changes(versions[user_id], before)
    if deleted:
        await notifications.forget(connection, deleted, addresses)
    return changes


def _address_changes(
    versions: Sequence[tuple[Recipient, Envelope]], before: Replaced | None
) -> Iterator[AddressChange]:
    address = None if before is None else before.email
    for recipient, event in versions:
        if before is not None and recipient.version <= before.version:
            continue
        if address is not None and not email_address.same_mailbox(address, recipient.email):
            yield AddressChange(
                user_id=recipient.user_id,
                version=recipient.version,
                former_address=address,
                correlation_id=event.correlationid,
                traceparent=event.traceparent,
            )
        address = recipient.email


def _recipient(event: Envelope) -> Recipient | None:
    if event.type in ("user.registered", "user.updated"):
        user = envelope.read(event, UserChanged)
        return Recipient(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            order_emails=user.preferences.order_emails,
            payment_emails=user.preferences.payment_emails,
            version=user.version,
        )
    if event.type == "user.deleted":
        deletion = envelope.read(event, UserDeleted)
        return Recipient(
            user_id=deletion.user_id,
            email="",
            name="",
            order_emails=False,
            payment_emails=False,
            version=deletion.version,
            deleted=True,
        )
    return None
