"""Where a peer's replicas are: takes them in turn, and lets alone for a while those that failed.

Guarantee: as long as one replica is well, a peer that died costs each caller one attempt, and a peer that is frozen
one time-out for each of its rests, which grow from one second to ten.
"""

import time
from dataclasses import dataclass

REST_S = 1.0
REST_S_MAX = 10.0


@dataclass(eq=False)
class Address:
    """The base address of a replica. `rests_until` is on this process's monotonic clock."""

    url: str
    failures: int = 0
    rests_until: float = float("-inf")

    def worked(self) -> None:
        self.failures = 0
        self.rests_until = float("-inf")

    def failed(self) -> None:
        now = time.monotonic()
        if now < self.rests_until:
            return  # Many calls that fail together are one failure.
        self.failures += 1
        # Doubled so often and no more: a float has an end.
        self.rests_until = now + min(REST_S * 2 ** min(self.failures - 1, 10), REST_S_MAX)


class Addresses:
    """The addresses of one peer, as a setting gives them: separated by commas."""

    def __init__(self, urls: str) -> None:
        self.all = [Address(url.strip().rstrip("/")) for url in urls.split(",")]

    def next(self) -> Address:
        """The one that has waited longest among those that do not rest; if all do, the one that is soonest done."""
        now = time.monotonic()
        chosen = next((address for address in self.all if address.rests_until <= now), None)
        chosen = chosen or min(self.all, key=lambda address: address.rests_until)
        self.all.remove(chosen)
        self.all.append(chosen)
        return chosen
