"""Renders the subject and the text of each kind of mail from the files in `templates/`.

A file has the form of a mail: a line `Subject: ...`, an empty line, the text. An undefined name in a template is an
error, not a gap in a mail. A value stays within its line, so no name adds lines to a mail.
"""

from pathlib import Path

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from chassis.values.money import Money
from chassis.values.visible_text import in_one_line, may_be_link
from notifications.domain.notification import Kind

FOLDER = Path(__file__).parent / "templates"
_SUBJECT = "Subject: "


class Templates:
    """All templates, read once."""

    def __init__(self) -> None:
        # Mails are plain text: an escape for HTML would put &amp; into them.
        environment = Environment(
            autoescape=False,  # noqa: S701
            undefined=StrictUndefined,
            finalize=_within_line,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(money=_money, greeting=_greeting)
        self._templates = {
            Kind(path.stem): _parts(environment, path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.txt")
        }

    def render(self, kind: Kind, event: msgspec.Struct | None, **more: object) -> tuple[str, str]:
        """The subject, one line, and the text. The template gets the fields of `event`, and `more`."""
        subject, body = self._templates[kind]
        values = more if event is None else {field: getattr(event, field) for field in event.__struct_fields__} | more
        return in_one_line(subject.render(values)), body.render(values)


def _parts(environment: Environment, source: str) -> tuple[Template, Template]:
    subject, _, body = source.partition("\n\n")
    assert subject.startswith(_SUBJECT), "a template begins with its subject"
    parts = environment.from_string(subject.removeprefix(_SUBJECT)), environment.from_string(body)
    for part in parts:
        # The shared globals are a chain of dicts, which is copied for each mail: a third of the time of a rendering.
        part.globals = dict(part.globals)
    return parts


def _within_line(value: object) -> object:
    return in_one_line(value) if isinstance(value, str) else value


def _greeting(name: str) -> str:
    """`Hello Ada`; without the name when a mail program could show it as a link.

    Any client can register the address of another person under a name that is an advertisement. It must not be mailed.
    """
    name = in_one_line(name)
    return "Hello" if not name or may_be_link(name) else f"Hello {name}"


def _money(amount: Money) -> str:
    return f"{amount.amount} {amount.currency}"
