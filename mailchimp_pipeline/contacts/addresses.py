"""E-mail addresses: the form they are sent in, what is wrong with the others, and the hash that is their key.

What does not belong here: whether an address exists, or whether Mailchimp likes its domain (`sync` learns that).
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import email_validator
import pyarrow as pa

from mailchimp_pipeline.contacts.arrow import NO_TEXT, each_once, pc
from mailchimp_pipeline.contacts.text import normalised

LONGEST = 254
"""Bytes in an address, the limit of SMTP."""

# Plain addresses, which are nearly all, are checked by one expression over the whole column: 1,000,000 in under
# a second against half a minute. It must accept nothing that email-validator refuses or changes (a test holds
# it to that), so it is narrow: letters, digits and a few signs, no "--" in the domain, no label over 63 bytes.
_PLAIN = r"^[a-z0-9_+'-]+(\.[a-z0-9_+'-]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$"
_LONGEST_PLAIN = 64

# The library's own switch, one for the process: reserved domains (test, local, invalid...) have a valid syntax,
# and syntax is all that is asked here. Mailchimp's refusal is kept with the contact like any other.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class AddressProblem(StrEnum):
    """Why a contact's address cannot be mailed."""

    MISSING = "missing_address"
    INVALID = "invalid_address"


@dataclass(frozen=True, slots=True)
class CheckedAddresses:
    """A column of addresses after the check: three Arrow string columns of its length.

    `emails` are in the form that is sent, or as given where there is a problem; `hashes` are null there.
    """

    emails: pa.StringArray
    hashes: pa.StringArray
    problems: pa.StringArray


def canonical_address(address: str) -> str:
    """Return the one form of an address: trimmed, in lower case, with the domain in ASCII.

    Mailchimp keeps an internationalised domain as it was entered, in Unicode or as `xn--`. The domain is encoded
    by IDNA 2008, as email-validator does for `sendable`. One that email-validator refuses is only lower-cased.
    """
    trimmed = address.strip()
    if trimmed.isascii() or "@" not in trimmed:
        return trimmed.lower()
    local, _, domain = trimmed.rpartition("@")
    return f"{local.lower()}@{_ascii_domain(domain)}"


def subscriber_hash(address: str) -> str:
    """Return the key of a contact in an audience: the MD5 of the `canonical_address`, in hex.

    It is also Mailchimp's id of the member, unless Mailchimp has the domain in Unicode.
    """
    return _md5(canonical_address(address))


def member_ids(address: str) -> frozenset[str]:
    """Return the ids that Mailchimp may have the member under: `subscriber_hash`, and that of the domain in Unicode.

    Mailchimp keeps an internationalised domain as it was entered. An id that was read from Mailchimp is better.
    """
    canonical = canonical_address(address)
    local, at, domain = canonical.rpartition("@")
    return frozenset({_md5(canonical), _md5(f"{local}{at}{_unicode_domain(domain)}")})


def may_hold_address(text: str) -> bool:
    """Return whether an e-mail address may be in the text. An `@` in any spelling is enough."""
    return "@" in normalised(text)


def sendable(address: str) -> str | None:
    """Return the address in the form it is sent in, None where its syntax is not one that Mailchimp takes.

    Lower case throughout, because Mailchimp tells members apart by the lower-cased address and a stable form is
    not sent again when HR changes the case. An internationalised domain is sent in ASCII; an internationalised
    local part is refused, as Mailchimp does.
    """
    if len(address) > LONGEST:  # email-validator would refuse it too, after reading all of it
        return None
    try:
        checked = email_validator.validate_email(address, allow_smtputf8=False, check_deliverability=False)
    except email_validator.EmailNotValidError:
        return None
    return checked.ascii_email.lower() if checked.ascii_email else None


def checked(addresses: pa.StringArray) -> CheckedAddresses:
    """Check a column of trimmed addresses (Arrow strings, null where there is none)."""
    sent = _sendable_column(addresses)
    problems = pc.if_else(
        pc.is_null(addresses),
        pa.scalar(AddressProblem.MISSING.value),
        pc.if_else(pc.is_null(sent), pa.scalar(AddressProblem.INVALID.value), NO_TEXT),
    )
    return CheckedAddresses(emails=pc.coalesce(sent, addresses), hashes=each_once(_md5, sent), problems=problems)


def plain(addresses: pa.StringArray) -> pa.BooleanArray:
    """Return which of the lower-cased addresses need no closer look; null stays null."""
    short = pc.less_equal(pc.binary_length(addresses), _LONGEST_PLAIN)
    return pc.and_(short, pc.match_substring_regex(addresses, _PLAIN))


def _md5(canonical: str) -> str:
    return hashlib.md5(canonical.encode(), usedforsecurity=False).hexdigest()


def _ascii_domain(domain: str) -> str:
    try:
        address = email_validator.validate_email(f"a@{domain}", check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        return domain.lower()
    return address.ascii_domain


def _unicode_domain(domain: str) -> str:
    if "xn--" not in domain:
        return domain
    try:
        address = email_validator.validate_email(f"a@{domain}", check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        return domain
    return address.domain


def _sendable_column(addresses: pa.StringArray) -> pa.StringArray:
    """Return `sendable` of each address: at once for the plain ones, one by one for each distinct other."""
    lowered: pa.StringArray = pc.ascii_lower(addresses)
    is_plain = plain(lowered)
    return pc.if_else(is_plain, lowered, each_once(sendable, pc.if_else(is_plain, NO_TEXT, addresses)))
