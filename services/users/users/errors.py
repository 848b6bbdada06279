"""What the users service refuses, with stable codes. Those of the token endpoint carry OAuth's `error` as well."""

import math
from typing import Any

from chassis.problems import Conflict, Invalid, NotFound, Refusal, Unauthenticated


class EmailTaken(Conflict):
    code, title = "email_taken", "There is an account with this e-mail address already."


class LastAdministrator(Conflict):
    code, title = "last_administrator", "This is the last administrator: make another one first."


class InvalidEmail(Invalid):
    code, title = "invalid_email", "This is no e-mail address that can be written to."


class WeakPassword(Invalid):
    code, title = "weak_password", "This password is among those that are tried first. Choose another."


class UnknownUser(NotFound):
    code, title = "user_not_found", "There is no such user."


class AccountGone(Unauthenticated):
    """The token is good, and its account has been deleted since."""

    code, title = "account_gone", "The account of this access token is no more."


class OAuthRefusal(Refusal):
    """The root of what the token endpoint refuses (RFC 6749, section 5.2)."""

    def __init__(self, detail: str | None = None, **extras: Any) -> None:
        super().__init__(detail, error=self.code, error_description=detail or self.title, **extras)


class InvalidGrant(OAuthRefusal):
    code, title = "invalid_grant", "The e-mail address and password, or the refresh token, are not accepted."


class InvalidRequest(OAuthRefusal):
    code, title = "invalid_request", "The request lacks a parameter or holds one twice."


class UnsupportedGrantType(OAuthRefusal):
    code, title = "unsupported_grant_type", "The grant_type has to be password or refresh_token."


class TooManyAttempts(OAuthRefusal):
    status, code, title = 429, "too_many_attempts", "Too many attempts to sign in have failed: wait before the next."

    def __init__(self, wait_s: float = 1.0) -> None:
        super().__init__()
        self.retry_after_s = max(1, math.ceil(wait_s))
