"""Text that people see. A name is one visible line; a longer text has lines, and nothing that hides or reorders them.

Legal are all scripts, with the joiners that emoji, Persian and the scripts of India need. Refused are controls, line
breaks in a name, overrides of the direction, tags, and a name of which nothing is seen: a reader would see something
else than what is there (Unicode Technical Report 36). Accepted text is in NFC. The reasons are in docs/decisions/0031.

The length is looked at first: to put a long run of combining marks into order takes the square of its length.
"""

import re
import unicodedata

from chassis.problems import Invalid

MARKS_IN_A_ROW_MAX = 10
"""No script's words have more. A pile of marks covers the lines above and below."""
NAME_CHARACTERS_MAX = 200

# Embeddings, overrides and isolates of the direction; deprecated and interlinear controls; what is no character.
_UNSEEN = "\u202a-\u202e\u2066-\u2069\u206a-\u206f\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff"
_NEVER_IN_A_LINE = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_UNSEEN}]")
_NEVER_IN_A_TEXT = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{_UNSEEN}]")
_TAG = re.compile("[\U000e0000-\U000e00ff]")
# The one use of tags that is seen: the flag of a part of a country, such as Scotland.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
# Letters and symbols that leave nothing on the page: the fillers of Hangul, the empty pattern of Braille, a null note.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
_UNASSIGNED_AND_UNSEEN = re.compile("[\u2065\ufff0-\ufff8\U000e0000-\U000e0fff]")
_LINE_END = re.compile(r"\r\n?")
_LINK = re.compile(r"[^\W_][.\u3002][^\W_]|[/\\@:]")


class InvalidName(Invalid):
    code, title = "invalid_name", "A name has to be one visible line, without control characters."


class InvalidText(Invalid):
    code, title = "invalid_text", "The text has characters that cannot be accepted."


def name(given: str, *, member: str = "name", characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """`given`, trimmed and in NFC. Raises `InvalidName`, which names the `member` of the request."""
    return _line(given, member, characters_max, InvalidName)


def line(given: str, *, member: str, characters_max: int) -> str:
    """As `name`, for a line that names nothing, such as a reason. Raises `InvalidText`."""
    return _line(given, member, characters_max, InvalidText)


def lines(given: str, *, member: str, characters_max: int) -> str:
    """`given` in NFC, its lines ended by a line feed alone; it may be empty. Raises `InvalidText`."""
    if len(given) > characters_max:
        raise InvalidText(f"{member}: has more than {characters_max} characters.")
    text = _LINE_END.sub("\n", given)
    if _NEVER_IN_A_TEXT.search(text):
        raise InvalidText(f"{member}: has a control character, or one that overrides the direction of text.")
    return _normalised(text, member, characters_max, InvalidText)


def in_one_line(text: str) -> str:
    """`text` as it may stand within a line, whatever it holds: for what was stored before names were checked."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    return " ".join(_NEVER_IN_A_LINE.sub(" ", text).split())


def may_be_link(text: str) -> bool:
    """Whether a mail program could make a link of a part of `text`: an address, or what looks like a domain.

    It errs on the side of a link: `J.Smith` could be one, too.
    """
    if len(text) > NAME_CHARACTERS_MAX:
        return True
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return _LINK.search(text) is not None


def _line(given: str, member: str, characters_max: int, refusal: type[Invalid]) -> str:
    trimmed = given.strip()
    if len(trimmed) > characters_max:
        raise refusal(f"{member}: has more than {characters_max} characters.")
    if _NEVER_IN_A_LINE.search(given) or _TAG.search(_FLAG.sub("", given)):
        raise refusal(
            f"{member}: has a line break, or a character that is not seen or overrides the direction of text."
        )
    text = _normalised(trimmed, member, characters_max, refusal)
    if not any(map(_is_seen, text)):
        raise refusal(f"{member}: has nothing that is seen.")
    return text


def _normalised(text: str, member: str, characters_max: int, refusal: type[Invalid]) -> str:
    if text.isascii():
        return text
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        if marks > MARKS_IN_A_ROW_MAX:
            raise refusal(f"{member}: has more than {MARKS_IN_A_ROW_MAX} combining marks in a row.")
    text = unicodedata.normalize("NFC", text)
    if len(text) > characters_max:
        raise refusal(f"{member}: has more than {characters_max} characters.")
    return text


def _is_seen(char: str) -> bool:
    category = unicodedata.category(char)
    if category in {"Cn", "Co"}:
        # A character that this Python's tables lack, such as an emoji of this year, or one of a private-use area.
        return _UNASSIGNED_AND_UNSEEN.match(char) is None
    return category[0] not in "MZC" and char not in _BLANK
