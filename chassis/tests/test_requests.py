"""Handlers get the user who calls, and services are never taken for users."""

from uuid import UUID

import pytest
from litestar.testing import RequestFactory

from chassis.security.tokens import ANONYMOUS, Caller
from chassis.web.requests import CallerRequest, user_id_of

USER = UUID("01890000-0000-7000-8000-000000000001")


def _request(caller: Caller) -> CallerRequest:
    return RequestFactory().get(user=caller)


def test_the_user_of_a_request_is_the_caller() -> None:
    assert user_id_of(_request(Caller(user_id=USER))) == USER


def test_a_request_of_no_user_has_no_user_id() -> None:
    for caller in (ANONYMOUS, Caller(service="orders")):
        with pytest.raises(AssertionError, match="admits only users"):
            user_id_of(_request(caller))
