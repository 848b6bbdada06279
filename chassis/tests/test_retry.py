"""What may succeed is tried again, so often and so long; what will not is not."""

import time
from typing import Any

import pytest

from chassis.retry import retried


class Attempt:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def _retried(attempt: Attempt, **changes: Any) -> str:
    options = {"attempts": 3, "timeout_s": 5.0, "pause_s": 0.001, "pause_s_max": 0.01, **changes}
    return await retried(attempt, on=lambda error: isinstance(error, OSError), **options)


async def test_a_first_attempt_that_succeeds_is_the_only_one() -> None:
    attempt = Attempt()
    assert await _retried(attempt) == "done"
    assert attempt.made == 1


async def test_what_fails_twice_succeeds_at_the_third() -> None:
    attempt = Attempt(OSError(), OSError())
    assert await _retried(attempt) == "done"
    assert attempt.made == 3


async def test_no_more_attempts_are_made_than_allowed_and_the_last_error_is_told() -> None:
    attempt = Attempt(OSError("first"), OSError("second"), OSError("third"), OSError("fourth"))
    with pytest.raises(OSError, match="third"):
        await _retried(attempt)
    assert attempt.made == 3


async def test_a_single_attempt_is_just_that() -> None:
    attempt = Attempt(OSError())
    with pytest.raises(OSError):  # noqa: PT011
        await _retried(attempt, attempts=1)
    assert attempt.made == 1


@pytest.mark.parametrize("errors", [(ValueError(),), (OSError(), ValueError())], ids=["first", "second"])
async def test_what_will_not_succeed_is_not_tried_again(errors: tuple[Exception, ...]) -> None:
    attempt = Attempt(*errors)
    with pytest.raises(ValueError):  # noqa: PT011
        await _retried(attempt, attempts=9)
    assert attempt.made == len(errors)


async def test_no_attempt_begins_after_the_time_is_up() -> None:
    attempt = Attempt(*[OSError() for _ in range(1_000)])
    began_at = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011
        await _retried(attempt, attempts=1_000, timeout_s=0.1)
    assert time.monotonic() - began_at < 1
