"""The actor of an act: the person or the service that did it, as a string that the journal and the envelope carry.

    user:<id>       a person, for himself or herself
    operator:<id>   a person who acts with the role admin, or by the operations endpoints
    service:<name>  a service by itself: a consumer, a worker, a call to another service
    unknown         written before actors were kept, or by a replica of that version

The guards of `chassis.security.access` set it for requests, the application sets it for background work, and a new
event takes it from `context.actor()`.
"""

from uuid import UUID

UNKNOWN = "unknown"
_OPERATOR = "operator"


def user(user_id: UUID) -> str:
    return f"user:{user_id}"


def operator(user_id: UUID) -> str:
    return f"{_OPERATOR}:{user_id}"


def service(name: str) -> str:
    return f"service:{name}"


def without_operator_id(actor: str | None) -> str | None:
    """As a customer may see it: that it was an operator, not which one."""
    return _OPERATOR if actor is not None and actor.startswith(f"{_OPERATOR}:") else actor
