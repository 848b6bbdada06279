"""What may stand in a name, in a longer text, and what becomes of text that was stored before there were rules."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chassis.values import visible_text
from chassis.values.visible_text import InvalidName, InvalidText

TEXT = some.text(some.characters(codec="utf-8"), max_size=250)
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
DIRECTION_OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def description(text: str) -> str:
    return visible_text.lines(text, member="description", characters_max=10_000)


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace", "王小明", 'Zoë "Zed" O\'Hara', "J.Smith", "ಶ್ರೀ\u200cಮತಿ", "می\u200cخواهم", "क्\u200dष",
        "👩🏽\u200d🔬", "👨\u200d👩\u200d👧\u200d👦",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "❤\ufe0f", "1\ufe0f\u20e3",
        "שָׁלוֹם", "אבג\u200f (Ltd.)", "葛\U000e0100城", "ཀྵྨླྺྼྻྂ", "ปิ่น",
        "\u3000王\u3000小明", "7", "!", "\U0001fae8", "x" * 200,
    ],
)  # fmt: skip
def test_a_name_of_any_script_is_kept(name: str) -> None:
    assert visible_text.name(f" {name} ") == unicodedata.normalize("NFC", name.strip())


@pytest.mark.parametrize("char", [*LINE_BREAKS, *DIRECTION_OVERRIDES, "\x00", "\t", "\x7f", "\x9b", "\ud800", "\ufffe"])
@pytest.mark.parametrize("name", ["A{}da", "{}Ada", "Ada{}"])
def test_a_name_with_a_line_break_a_control_or_an_override_is_refused(char: str, name: str) -> None:
    with pytest.raises(InvalidName) as refused:
        visible_text.name(name.format(char))
    assert (refused.value.status, refused.value.code) == (422, "invalid_name")


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "\u00a0", "\u3000", "\u200b", "\u200d\u200c", "\u2060\ufeff", "\u00ad", "\u2800",
        "\u3164", "\u115f\u1160",
        "\uffa0", "\u180e", "\ufe0f", "\u0301", "\u034f", "\U000e0100", "\u2061", "\U0001d159",
        "\U0001d173", " \u2800 \u3164 ",
    ],
)  # fmt: skip
def test_a_name_of_which_nothing_is_seen_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        visible_text.name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Ada\U000e0041\U000e0042",
        "\U000e0001Ada",
        "🏴\U000e0067\U000e0062",
        "🏴" + "\U000e0061" * 60 + "\U000e007f",
        "Z\u0307\u0308\u0309" * 2 + "a" + "\u0316" * 11,
    ],
)
def test_a_name_with_hidden_tags_or_a_pile_of_marks_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        visible_text.name(name)


@given(TEXT)
def test_a_name_that_is_accepted_is_one_line_in_nfc_and_stays_the_same(text: str) -> None:
    try:
        name = visible_text.name(text)
    except InvalidName:
        return
    assert name.splitlines() == [name]
    assert unicodedata.is_normalized("NFC", name)
    assert visible_text.name(name) == name
    assert len(name) <= 200
    assert any(unicodedata.category(char)[0] in "LNPSC" for char in name)


@given(TEXT)
def test_what_is_put_into_a_line_stays_in_it(text: str) -> None:
    line = visible_text.in_one_line(text)
    assert len(line.splitlines()) <= 1
    assert not set(line) & {*LINE_BREAKS, *DIRECTION_OVERRIDES}
    assert visible_text.in_one_line(line) == line


def test_a_name_that_was_accepted_is_the_same_within_a_line() -> None:
    assert visible_text.in_one_line("👩🏽\u200d🔬 می\u200cخواهم") == "👩🏽\u200d🔬 می\u200cخواهم"
    assert visible_text.in_one_line("Hub\r\n  Total: 0.00 USD") == "Hub Total: 0.00 USD"


def test_a_longer_text_has_lines_and_tabs() -> None:
    assert description("One\r\ntwo\rthree\n\tfour") == "One\ntwo\nthree\n\tfour"
    assert description("") == ""
    assert description("cafe\u0301") == "café"


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x85", "\u2028", "\u202e", "\u2067", "\x0c", "\ud800"])
def test_a_longer_text_with_a_control_or_an_override_is_refused(char: str) -> None:
    with pytest.raises(InvalidText) as refused:
        description(f"One {char} two")
    assert (refused.value.status, refused.value.code) == (422, "invalid_text")


@pytest.mark.parametrize("check", [visible_text.name, description])
def test_text_is_bounded_before_it_is_normalised(check: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    normalised: list[str] = []
    monkeypatch.setattr(unicodedata, "normalize", lambda _, text: normalised.append(text) or text)
    for text in ("\u0301\u0316" * 5_000, "a" + "\u0301\u0316" * 5, "\u0301\u0316" * 5 + "a" * 20_000):
        try:
            check(text)
        except (InvalidName, InvalidText):
            continue
    assert normalised == ["a" + "\u0301\u0316" * 5]


@pytest.mark.parametrize(
    "text",
    [
        "visit evil.com", "http://evil", "www.evil.com", "evil。com", "evil．com", "evil｡com",
        "evil․com", "ｅｖｉｌ．ｃｏｍ", "evil.xn--p1ai",
        "evil\u200b.com", "evil.\u2060com", "пример.рф", "例え.テスト", "ada@evil.com", "1.2.3.4", "//evil",
        "mailto:ada", "a" * 300,
        "evil\u00ad.com", "evil﹒com", "evil＠com", "http：／／evil",
    ],
)  # fmt: skip
def test_text_of_which_a_mail_program_could_make_a_link_is_known(text: str) -> None:
    assert visible_text.may_be_link(text)


@pytest.mark.parametrize(
    "text", ["Ada Lovelace", "Dr. Ada", "Ada Jr.", "王小明", "O'Hara-Smith", "Gal·la", "👩🏽\u200d🔬", "Ada, 2nd"]
)
def test_an_ordinary_name_is_no_link(text: str) -> None:
    assert not visible_text.may_be_link(text)
