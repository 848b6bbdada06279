"""How the demo tells what it does: a sentence, the request, what came back; and how it says that a promise broke."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from cartwright.launcher.api import Answer, Api
from cartwright.launcher.errors import PromiseBroken

WAIT_SECONDS_MAX = 30
POLL_SECONDS = 0.2
INDENT = "    "

Seen = TypeVar("Seen")


class Story:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0

    def step(self, sentence: str) -> None:
        self._steps += 1
        self._console.print(Text.assemble((f"\n{self._steps:2}  ", "bold cyan"), (sentence, "bold")))

    def say(self, sentence: str) -> None:
        self._print(sentence)

    def show(self, **facts: object) -> None:
        width = max(len(name) for name in facts)
        for name, fact in facts.items():
            self._print((f"{name.replace('_', ' '):<{width}}  ", "cyan"), str(fact))

    def show_text(self, text: str) -> None:
        for line in text.splitlines():
            self._print(("| ", "cyan"), line)

    def show_lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """The lines of a cart or an order."""
        for line in lines:
            self._print(f"{line['quantity']} x {line['name']}, {money(line['unit_price'])}")

    def _print(self, *parts: str | tuple[str, str]) -> None:
        # As text and not as markup: what a service answers may hold brackets.
        self._console.print(Text.assemble(INDENT, *parts))

    def call(
        self, client: Api, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Makes the call and tells the request line, the status, and the detail of a refusal."""
        answer = client.call(method, path, body, headers)
        self.tell(client, method, path, answer)
        return answer

    def tell(self, client: Api, method: str, path: str, answer: Answer) -> None:
        colour = "green" if answer.status < 400 else "yellow"
        self._print(f"{method} {client.url_path}{path}  ->  ", (str(answer.status), colour))
        if answer.status >= 400:
            self.say(answer.detail)


def money(value: Mapping[str, str]) -> str:
    return f"{value['amount']} {value['currency']}"


def promised(is_kept: bool, otherwise: str) -> None:
    if not is_kept:
        raise PromiseBroken(f"That is not as promised: {otherwise}")


def promised_status(answer: Answer, *statuses: int) -> None:
    expected = " or ".join(map(str, statuses))
    promised(answer.status in statuses, f"{answer.status} instead of {expected}. {answer.detail}")


def await_promised(look: Callable[[], Seen | None], what: str) -> Seen:
    """What `look` answers, as soon as that is something."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while (seen := look()) is None:
        promised(time.monotonic() < deadline, f"{what} did not come within {WAIT_SECONDS_MAX} seconds.")
        time.sleep(POLL_SECONDS)
    return seen
