"""The refusals of users, with stable codes. Those of the token endpoint also carry OAuth's `error`."""

import math
from typing import Any

from chassis.problems import Conflict, Invalid, NotFound, Refusal, Unauthenticated


class EmailTaken(Conflict):
    code, title = "email_taken", "Another account has this e-mail address."


class LastAdministrator(Conflict):
    code, title = "last_administrator", "This is the last administrator: appoint another one first."


class InvalidEmail(Invalid):
    code, title = "invalid_email", "This e-mail address is not valid."


class WeakPassword(Invalid):
    code, title = "weak_password", "This password is too common or too easy to guess. Choose another one."


class UnknownUser(NotFound):
    code, title = "user_not_found", "This user does not exist."


class AccountGone(Unauthenticated):
    """The access token is valid, but its account was deleted after it was issued."""

    code, title = "account_gone", "The account of this access token was deleted."


class OAuthRefusal(Refusal):
    """The root of the token endpoint's refusals (RFC 6749, section 5.2)."""

    def __init__(self, detail: str | None = None, **extras: Any) -> None:
        super().__init__(detail, error=self.code, error_description=detail or self.title, **extras)


class InvalidGrant(OAuthRefusal):
    code, title = "invalid_grant", "The e-mail address and password, or the refresh token, are not valid."


class InvalidRequest(OAuthRefusal):
    code, title = "invalid_request", "The request lacks a parameter or repeats one."


class UnsupportedGrantType(OAuthRefusal):
    code, title = "unsupported_grant_type", "The grant_type has to be password or refresh_token."


class TooManyAttempts(OAuthRefusal):
    status, code, title = 429, "too_many_attempts", "Too many sign-in attempts have failed: wait before the next one."

    def __init__(self, wait_s: float = 1.0) -> None:
        super().__init__()
        self.retry_after_s = max(1, math.ceil(wait_s))
