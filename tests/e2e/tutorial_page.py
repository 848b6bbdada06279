"""Reads `docs/from-the-tutorials.md`: the commands of each section, with the output that the page shows for them."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "from-the-tutorials.md"

_FENCE = re.compile(r"^```(?P<language>\w*)(?: (?P<system>\w+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """Commands for bash, and their standard output, in which `...` stands for any text."""

    section: str
    commands: str
    output: str | None

    def shows(self, printed: str) -> bool:
        if self.output is None:
            return True
        parts = [re.escape(part) for part in self.output.rstrip("\n").split("...")]
        return re.fullmatch(".*".join(parts), printed.rstrip("\n"), re.DOTALL) is not None


def read_steps(system: str) -> list[Step]:
    """The steps for the `embedded` system, or those that the page marks with `docker`, in their order."""
    steps: list[Step] = []
    for section in PAGE.read_text().split("\n## ")[1:]:
        title = section.partition("\n")[0]
        for fence in _FENCE.finditer(section):
            if (fence["system"] or "embedded") != system:
                continue
            if fence["language"] == "bash":
                steps.append(Step(title, fence["text"], None))
            else:
                assert fence["language"] == "text", f"{title}: a fence is neither bash nor text"
                assert steps, f"{title}: output without commands"
                assert steps[-1].output is None, f"{title}: two outputs of the same commands"
                steps[-1] = Step(steps[-1].section, steps[-1].commands, fence["text"])
    return steps
