"""One mailbox has one form; what is no address of a mailbox is refused; and neither takes long."""

import unicodedata

import idna
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, given
from hypothesis import strategies as some

from chassis.values import email_address
from chassis.values.email_address import EmailAddress, parse

LETTER_CHARACTERS = some.characters(categories=["L", "Nd", "Mn", "Mc"])
LOCAL_PARTS = some.text(LETTER_CHARACTERS | some.sampled_from(".+-_'"), min_size=1, max_size=30)
DOMAINS = some.lists(
    some.text(LETTER_CHARACTERS | some.just("-"), min_size=1, max_size=15), min_size=1, max_size=4
).map(".".join)
ADDRESSES = (
    some.emails()
    | some.builds("{}@{}.example".format, LOCAL_PARTS, DOMAINS)
    | some.from_regex(r"[a-z0-9!#'*+/=?_-]{1,20}(\.[a-z]{1,5})?@([a-z0-9-]{1,12}\.){1,3}[a-z0-9]{1,10}", fullmatch=True)
    | some.text(max_size=80)
)


def accepted(text: str) -> EmailAddress:
    try:
        return parse(text)
    except ValueError:
        assume(False)
        raise


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.Lovelace@Example.COM", "Ada.Lovelace@example.com"),
        ("o'hara+shop@mail.example.co.uk", "o'hara+shop@mail.example.co.uk"),
        ("user@bücher.example", "user@bücher.example"),
        ("user@xn--bcher-kva.example", "user@bücher.example"),
        ("user@XN--BCHER-KVA.example", "user@bücher.example"),
        ("user@BÜCHER.example", "user@bücher.example"),
        ("user@bu\u0308cher.example", "user@bücher.example"),
        ("user@ｂücher．example", "user@bücher.example"),
        ("user@bücher。example", "user@bücher.example"),
        ("ada@ｅｘａｍｐｌｅ．com", "ada@example.com"),
        ("zoe\u0308@example.com", "zoë@example.com"),
        ("用户@例え.jp", "用户@例え.jp"),
        ("उपयोगकर्ता@उदाहरण.भारत", "उपयोगकर्ता@उदाहरण.भारत"),
        ("ผู้ใช้@ตัวอย่าง.ไทย", "ผู้ใช้@ตัวอย่าง.ไทย"),
        ("ಬೆಂಬಲ@ಡೇಟಾಮೇಲ್.ಭಾರತ", "ಬೆಂಬಲ@ಡೇಟಾಮೇಲ್.ಭಾರತ"),
        ("משתמש@דוגמה.ישראל", "משתמש@דוגמה.ישראל"),
        ("почта@пример.рф", "почта@пример.рф"),
        ("ada@faß.example", "ada@faß.example"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
)
def test_an_address_of_any_script_is_kept_in_one_form(text: str, kept: str) -> None:
    assert str(parse(text)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "@example.com", "ada@", "ada@@example.com", "ada@example..com", "ada@-example.com",
        "ada@exa_mple.com",
        "ada@example.com.", "ada@127.0.0.1", "ada@[127.0.0.1]", ".ada@example.com", "ada.@example.com",
        "a..da@example.com",
        "ada lovelace@example.com", "ada@example.com\nbcc: all@example.com", "ada@example.com\n", " ada@example.com",
        "ada@example.com,eve@example.com", "<ada@example.com>", "Ada <ada@example.com>", '"a b"@example.com',
        "ada\x00@example.com",
        "ada@example.com> SIZE=1", "ada@exam\u202eple.com", "a\u200bda@example.com", "\u0301ada@example.com",
        "ada＠example.com",
        "x" * 65 + "@example.com", "é" * 33 + "@example.com", "ada@" + "x" * 64 + ".com",
        "ada@" + "example." * 32 + "com",
        "ada@xn--a.example", "ada@ab--cd.example", "ada@⒈com.example", "ada@☕.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@pytest.mark.parametrize(
    "domain",
    [
        "localhost", "ｌｏｃａｌｈｏｓｔ", "shop.localhost", "shop.ｌｏｃａｌｈｏｓｔ",
        "shop．localhost", "printer.local", "shop.test", "ｓｈｏｐ．ｔｅｓｔ",
        "SHOP.TEST", "shop.invalid", "shop.ｉｎｖａｌｉｄ", "x.onion", "1.in-addr.arpa", "intranet", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    ],
)  # fmt: skip
def test_a_reserved_domain_is_refused_in_whatever_letters(domain: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(f"ada@{domain}")


@pytest.mark.parametrize("domain", ["localhost", "printer.local", "shop.test", "intranet"])
def test_a_reserved_domain_is_read_where_it_may_be_of_old(domain: str) -> None:
    assert str(parse(f"ada@{domain}", special_use=True)) == f"ada@{domain}"


def test_where_a_reserved_domain_may_be_others_are_read_as_ever() -> None:
    assert parse("zoë@bücher.de", special_use=True) == parse("zoë@bücher.de")
    assert parse("ada@mail.example", special_use=True) == parse("ada@mail.example")
    longest = "ada@" + "example." * 30 + "com"
    assert parse(longest, special_use=True) == parse(longest)
    for text in ("ada", "ada@", "@shop.test", "ada@shop.test\nBcc: eve@example.com", "ada@shop.test."):
        with pytest.raises(ValueError, match=r"\w"):
            parse(text, special_use=True)


def test_two_forms_of_one_mailbox_are_known() -> None:
    assert email_address.same_mailbox("Zoe@BÜCHER.example", "zoe@xn--bcher-kva.example")
    assert email_address.same_mailbox("ö@printer.local", "Ö@printer.local")
    assert not email_address.same_mailbox("zoe@bücher.example", "zoe@bucher.example")
    assert not email_address.same_mailbox("", "zoe@bucher.example")


def test_an_address_has_a_form_for_servers_that_take_ascii_alone() -> None:
    assert parse("user@bücher.example").ascii == "user@xn--bcher-kva.example"
    assert parse("ada@example.com").ascii == "ada@example.com"
    assert parse("zoë@bücher.example").ascii is None


@given(ADDRESSES)
def test_an_address_that_is_accepted_stays_the_same_when_it_is_read_again(text: str) -> None:
    address = accepted(text)
    assert parse(str(address)) == address
    assert parse(f"{address.local}@{address.domain_ascii}") == address
    assert len(str(address)) <= email_address.CHARACTERS_MAX
    assert unicodedata.is_normalized("NFC", str(address))
    assert "\n" not in str(address)
    assert " " not in str(address)


@given(ADDRESSES)
def test_composed_and_decomposed_letters_are_one_address(text: str) -> None:
    address = accepted(text)
    assert parse(unicodedata.normalize("NFD", str(address))) == address


@given(LOCAL_PARTS, DOMAINS)
def test_a_domain_in_unicode_and_in_punycode_is_one_domain(local: str, domain: str) -> None:
    address = accepted(f"{local}@{domain}.example")
    assert idna.decode(address.domain_ascii) == address.domain
    assert parse(f"{local}@{address.domain_ascii.upper()}") == address


@given(ADDRESSES)
def test_the_short_way_for_plain_addresses_agrees_with_the_library(text: str) -> None:
    try:
        by_library = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError:
        with pytest.raises(ValueError, match=r"\w"):
            parse(text)
        return
    address = accepted(text)
    assert (str(address), address.domain_ascii) == (by_library.normalized, by_library.ascii_domain)


def test_an_address_is_bounded_before_it_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def count(text: str, **_: object) -> None:
        seen.append(len(text))
        raise EmailNotValidError("none")

    monkeypatch.setattr(email_address, "validate_email", count)
    for text in (
        "\u0301\u0316" * 5_000 + "@example.com",
        "a@" + "xn--" + "a" * 10_000,
        "é@" + "\u0316" * 20_000,
        "é@ü",
    ):
        with pytest.raises(ValueError, match=r"\w"):
            parse(text)
    assert seen == [3]
