"""E-mail addresses: which are accepted, and the one form under which a mailbox is kept and compared.

The grammar is that of the library `email-validator`: a dot-atom of any script before the @ (RFC 5321, RFC 6531), a host
name of any script after it (UTS 46, then IDNA 2008). The domain is kept in its Unicode form, whatever form was given:
`user@bücher.example` and `user@XN--BCHER-KVA.example` are one mailbox. The DNS is not asked. The reasons are in
docs/decisions/0031.
"""

import re

import msgspec
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

CHARACTERS_MAX = 254
"""As octets: RFC 5321, 4.5.3.1.3. Looked at before anything else: to decode a domain takes the square of its length."""
LOCAL_OCTETS_MAX = 64

# What nearly all addresses look like, read in a hundredth of the time; a test holds it to what the library says.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+([a-z]{{2,63}}))")
_ABOVE = ".example"


class EmailAddress(msgspec.Struct, frozen=True):
    """`local` is in NFC and in the case that was given. `domain` is in Unicode, `domain_ascii` in Punycode."""

    local: str
    domain: str
    domain_ascii: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def ascii(self) -> str | None:
        """The form that every mail server takes; None when what stands before the @ has no such form."""
        return f"{self.local}@{self.domain_ascii}" if self.local.isascii() else None


def parse(text: str, *, special_use: bool = False) -> EmailAddress:
    """The address in `text`. Raises `ValueError`, with the reason, when it is none.

    Names that no public mail reaches (RFC 6761: `localhost`, `local`, `test`, `invalid`, `onion`, `arpa`) and hosts of
    one label are refused, unless `special_use`. Names for documentation, such as `example.com`, are accepted.
    """
    try:
        return _parse(text)
    except ValueError:
        if not special_use:
            raise
    # The library refuses these names always, but not below another one.
    below = _parse(text + _ABOVE)
    return EmailAddress(below.local, below.domain.removesuffix(_ABOVE), below.domain_ascii.removesuffix(_ABOVE))


def same_mailbox(first: str, second: str) -> bool:
    """Whether two addresses are forms of one: in another case, or with the domain in another form."""
    return _mailbox(first) == _mailbox(second)


def _mailbox(address: str) -> str:
    try:
        return str(parse(address.lower(), special_use=True))
    except ValueError:
        return address.lower()


def _parse(text: str) -> EmailAddress:
    if len(text) > CHARACTERS_MAX:
        raise ValueError(f"An e-mail address has at most {CHARACTERS_MAX} characters.")
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        local, domain, top = plain.groups()
        if len(local) <= LOCAL_OCTETS_MAX and "--" not in domain and top not in SPECIAL_USE_DOMAIN_NAMES:
            return EmailAddress(local, domain, domain)
    try:
        found = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    if len(found.local_part.encode()) > LOCAL_OCTETS_MAX:  # The library counts characters.
        raise ValueError(f"There are at most {LOCAL_OCTETS_MAX} octets before the @-sign.")
    assert found.ascii_domain is not None, "address literals are not allowed"
    return EmailAddress(found.local_part, found.domain, found.ascii_domain)
