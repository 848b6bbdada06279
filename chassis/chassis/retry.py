"""Trying again what may well succeed the next time, with growing and jittered pauses.

Nearly every call succeeds at once, so the first attempt goes without stamina, whose bookkeeping costs 50 microseconds:
more than all else that the chassis adds to a statement or a call.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

ResultT = TypeVar("ResultT")


async def retried(
    attempt: Callable[[], Awaitable[ResultT]],
    *,
    on: Callable[[Exception], bool],
    attempts: int,
    timeout_s: float,
    pause_s: float,
    pause_s_max: float,
) -> ResultT:
    """The result of `attempt`, which is made up to `attempts` times while it raises what `on` says is worth it.

    The second attempt follows at once, the others after pauses from `pause_s` to `pause_s_max`, but none after
    `timeout_s`. Raises the error of the last attempt.
    """
    try:
        return await attempt()
    except Exception as error:
        if attempts <= 1 or not on(error):
            raise
    async for trial in stamina.retry_context(
        on=on,
        attempts=attempts - 1,
        timeout=timeout_s,
        wait_initial=pause_s,
        wait_max=pause_s_max,
        wait_jitter=pause_s,
    ):
        with trial:
            return await attempt()
    raise AssertionError("stamina ends with a result or an error")
