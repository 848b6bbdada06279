"""The request that a handler gets, and the user who sent it."""

from typing import Any, TypeAlias
from uuid import UUID

from litestar import Request

from chassis.security.tokens import Caller

CallerRequest: TypeAlias = Request[Caller, Any, Any]
"""A request whose `user` is the caller: the guard of the route has authenticated it, or it is anonymous."""


def user_id_of(request: CallerRequest) -> UUID:
    """The id of the user who calls. The guard of the route has to refuse services and anonymous callers."""
    assert request.user.user_id is not None, "the guard of the route admits only users"
    return request.user.user_id
