"""Refusals: what a service says when it will not do what was asked, as a small tree with stable codes.

Use cases raise them; the edge turns the whole tree into RFC 9457 problems (`application/problem+json`). Clients
decide by `code`, which never changes; `title` and `detail` are for people.
"""

from typing import Any, ClassVar

import structlog
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin

from chassis import context

DETAIL_CHARACTERS_MAX = 500
"""A detail may quote what was sent, and must not send all of it back."""
_log = structlog.get_logger()


class Refusal(Exception):
    """The root of the tree. `extras` are further members of the problem, such as the stock that is left."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The request was refused."
    retry_after_s: int | None = None

    def __init__(self, detail: str | None = None, **extras: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extras = extras


class Malformed(Refusal):
    status, code, title = 400, "malformed", "The request could not be read."


class KeyRequired(Malformed):
    code, title = "idempotency_key_required", "This request moves money, so it needs an Idempotency-Key."


class Unauthenticated(Refusal):
    """`challenge` is the header field `WWW-Authenticate` (RFC 6750, section 3)."""

    status, code, title = 401, "unauthenticated", "A valid access token is needed."
    challenge: str = "Bearer"


class TokenRevoked(Unauthenticated):
    code, title = "token_revoked", "This access token was revoked: refresh it, or sign in again."


class Forbidden(Refusal):
    status, code, title = 403, "forbidden", "This is not allowed to you."


class NotFound(Refusal):
    status, code, title = 404, "not_found", "There is no such thing."


class Conflict(Refusal):
    status, code, title = 409, "conflict", "The request does not fit the present state."


class TooLarge(Refusal):
    status, code, title = 413, "body_too_large", "The request body is too large."


class UnsupportedType(Refusal):
    status, code, title = 415, "unsupported_type", "The request body has to be application/json."


class Invalid(Refusal):
    status, code, title = 422, "invalid", "The request has a value that cannot be accepted."


class KeyInProgress(Conflict):
    code, title = "key_in_progress", "The first request with this Idempotency-Key has not been answered yet."
    retry_after_s = 1


class KeyUsedAgain(Invalid):
    code, title = "key_used_again", "This Idempotency-Key was used with another request body."


class Unavailable(Refusal):
    """Nothing was done, since something that is needed is down. Asking again later may work."""

    status, code, title = 503, "unavailable", "Something that this needs is not available at the moment."
    retry_after_s = 1


class Overloaded(Unavailable):
    code, title = "overloaded", "Too much is waiting already."


class OutcomeUnknown(Refusal):
    """A peer was asked and no answer came: it may have acted or not. Never to be treated as failed."""

    status, code, title = 504, "outcome_unknown", "No answer came in time: it may have happened or not."
    retry_after_s = 1


_CODES_BY_STATUS = {
    400: Malformed.code,
    401: Unauthenticated.code,
    403: Forbidden.code,
    404: NotFound.code,
    405: "method_not_allowed",
    408: "timeout",
    409: Conflict.code,
    413: TooLarge.code,
    415: UnsupportedType.code,
    422: Invalid.code,
    429: "rate_limited",
    503: Unavailable.code,
}


def problem(
    *, status: int, code: str, title: str, detail: str, extras: dict[str, Any] | None = None
) -> ProblemDetailsException:
    """An RFC 9457 problem with this product's own members `code` and `correlation_id`."""
    if len(detail) > DETAIL_CHARACTERS_MAX:
        detail = detail[: DETAIL_CHARACTERS_MAX - 1] + "…"
    return ProblemDetailsException(
        status_code=status,
        type_=f"urn:cartwright:problem:{code}",
        title=title,
        detail=detail,
        extra={"code": code, "correlation_id": context.correlation_id(), **(extras or {})},
    )


def refusal_to_problem(refusal: Refusal) -> ProblemDetailsException:
    answer = problem(
        status=refusal.status, code=refusal.code, title=refusal.title, detail=refusal.detail, extras=refusal.extras
    )
    headers: dict[str, str] = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    if isinstance(refusal, Unauthenticated):
        headers["www-authenticate"] = refusal.challenge
    answer.headers = headers or None
    return answer


def _framework_to_problem(error: HTTPException) -> ProblemDetailsException:
    if isinstance(error, NotAuthorizedException):
        return refusal_to_problem(Unauthenticated())
    status, detail, extras = error.status_code, error.detail, {}
    if status == 400 and isinstance(error.extra, list) and error.extra:
        # The framework answers 400 for a parameter that was read but is not acceptable; that is 422 here.
        status, extras = 422, {"errors": error.extra}
        detail = "; ".join(f"{item.get('key', 'request')}: {item.get('message', '')}" for item in error.extra)
    title = "The request was refused." if status < 500 else "Something went wrong here."
    answer = problem(
        status=status, code=_CODES_BY_STATUS.get(status, "refused"), title=title, detail=detail, extras=extras
    )
    answer.headers = dict(error.headers) if error.headers else None
    return answer


def _bug_to_problem(error: Exception) -> ProblemDetailsException:
    _log.error("a bug ended a request", exc_info=error)
    return problem(
        status=500,
        code="internal_error",
        title="Something went wrong here.",
        detail="The mistake is on this side. It has been logged under the correlation id.",
    )


def plugin() -> ProblemDetailsPlugin:
    """The plug-in that answers every refusal, framework error and bug as a problem."""
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(
            exception_to_problem_detail_map={
                Refusal: refusal_to_problem,
                HTTPException: _framework_to_problem,
                Exception: _bug_to_problem,
            }
        )
    )
