"""What the login of each service may do at the broker: publish its own events, and take from its own queue.

Signatures show where an event comes from (`chassis.messaging.signed_broker`). These logins keep a service that was
broken into from filling, reading or removing what is not its own; the operator's login may do everything.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from cartwright.launcher.layout import SERVICES_WITH_DATABASE

OPERATOR = "cartwright"
VHOST = "/"
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "users": ("user",),
    "catalog": ("product", "stock"),
    "orders": ("order",),
    "payments": ("payment",),
    "notifications": ("email", "notification"),
    "audit": (),
}
"""The first parts of the types of the events that each service owns (contracts/events)."""
SAID_BY_ALL = "operator.acted"
HISTORY_ARGUMENTS = {
    "x-queue-type": "stream",
    "x-max-length-bytes": 2 * 1024**3,
    "x-max-age": "3D",
    "x-stream-max-segment-size-bytes": 64 * 1024**2,
}
"""As `chassis.messaging.brokers.rabbitmq.topology` makes it. The command also runs without it; a test compares."""
LOGINS = SERVICES_WITH_DATABASE
"""A service's login has its name, and so has the group by which it takes events."""


def nats_subjects(service: str, stream: str) -> tuple[list[str], list[str]]:
    """What the login may publish to, and subscribe to: of JetStream's API, what `chassis.messaging.brokers.nats` calls.

    A service may make the stream, when the server has none, and make room in it when it is full; it may not change or
    delete it, nor read a message but by its own consumer.
    """
    publish = [
        *(f"{stream}.{family}.*" for family in FAMILIES[service]),
        f"{stream}.{SAID_BY_ALL}",
        f"$JS.API.STREAM.CREATE.{stream}",
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.PURGE.{stream}",
        f"$JS.API.CONSUMER.LIST.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.{service}",
        f"$JS.API.CONSUMER.CREATE.{stream}.{service}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{service}",
        f"$JS.API.CONSUMER.INFO.{stream}.{service}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{service}",
        f"$JS.ACK.{stream}.{service}.>",
    ]
    return publish, [f"_INBOX.{service}.>"]


def rabbit_definitions(exchange: str, operator_password: str, passwords: Mapping[str, str]) -> dict[str, Any]:
    """What a RabbitMQ node imports at each start: the logins, their permissions, and what no service may make itself.

    That is the exchange, the exchange of dead letters and the history (`chassis.messaging.brokers.rabbitmq.topology`).
    A service makes its own queue, its quarantine and what belongs to them. It may read the history, which
    fills the queue of a group that comes late.
    """
    users = {OPERATOR: operator_password, **passwords}
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": name,
                "password_hash": _rabbit_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"] if name == OPERATOR else [],
            }
            for name, password in users.items()
        ],
        "permissions": [
            {"user": OPERATOR, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"},
            *({"user": service, "vhost": VHOST, **_rabbit_permissions(service, exchange)} for service in passwords),
        ],
        "topic_permissions": [
            {"user": service, "vhost": VHOST, "exchange": exchange, "write": _routing_keys(service), "read": ".*"}
            for service in passwords
        ],
        "exchanges": [
            {"name": name, "vhost": VHOST, "type": type_, "durable": True, "auto_delete": False, "internal": False,
             "arguments": {}}
            for name, type_ in ((exchange, "topic"), (f"{exchange}.dead", "direct"))
        ],
        "queues": [
            {"name": exchange, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": HISTORY_ARGUMENTS}
        ],
        "bindings": [
            {"source": exchange, "vhost": VHOST, "destination": exchange, "destination_type": "queue",
             "routing_key": "#", "arguments": {}}
        ],
    }  # fmt: skip


def _rabbit_permissions(service: str, exchange: str) -> dict[str, str]:
    own = rf"{re.escape(exchange)}\.{service}(\.dead|\.filled)?"
    shared = rf"{re.escape(exchange)}(\.dead)?"
    return {"configure": f"^{own}$", "write": f"^({own}|{shared})$", "read": f"^({own}|{shared})$"}


def _routing_keys(service: str) -> str:
    families = "".join(rf"{family}\.[a-z_]+|" for family in FAMILIES[service])
    return rf"^({families}{re.escape(SAID_BY_ALL)}|mark\.{service})$"


def _rabbit_hash(password: str) -> str:
    # The salt follows from the password, which is random itself: so the file stays the same from start to start.
    salt = hashlib.sha256(password.encode()).digest()[:4]
    return b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
