"""E-mail addresses: their canonical form, the check of their syntax, and the subscriber hash."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import email_validator
import pyarrow as pa

from mailchimp_pipeline.contacts.text_columns import NO_TEXT, map_distinct, normalised, pc

LONGEST = 254
"""The maximum length of an address in SMTP, in bytes."""

# One regular expression checks plain addresses, which are nearly all: 1,000,000 in less than a second, instead of half
# a minute. It must not accept what email-validator refuses or changes (a test compares both), so it allows only
# letters, digits and a few signs, no "--" in the domain, and no label over 63 bytes.
_PLAIN = r"^[a-z0-9_+'-]+(\.[a-z0-9_+'-]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$"
_LONGEST_PLAIN = 64

# Reserved domains (test, local, invalid...) are valid here, because only the syntax is checked. Mailchimp rejects them
# like any other contact. The setting applies to the whole process.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class AddressProblem(StrEnum):
    """The reason why a contact's address cannot be used."""

    MISSING = "missing_address"
    INVALID = "invalid_address"


@dataclass(frozen=True, slots=True)
class CheckedAddresses:
    """The result of checking a column of addresses: three Arrow string columns of the same length.

    `emails` has the canonical addresses, or the given ones if there is a problem. `hashes` has the subscriber hashes,
    null if there is a problem. `problems` has the `AddressProblem`, null if there is none.
    """

    emails: pa.StringArray
    hashes: pa.StringArray
    problems: pa.StringArray


def canonical_address(address: str) -> str:
    """Return the canonical form of an address: trimmed, in lower case, with the domain in ASCII.

    Mailchimp stores an internationalised domain as it was entered, in Unicode or as `xn--`; both have the same
    canonical form. The domain is encoded by IDNA 2008. A domain that email-validator refuses is only converted to lower
    case.
    """
    trimmed = address.strip()
    if trimmed.isascii() or "@" not in trimmed:
        return trimmed.lower()
    local, _, domain = trimmed.rpartition("@")
    return f"{local.lower()}@{_ascii_domain(domain)}"


def subscriber_hash(address: str) -> str:
    """Return the MD5 of the `canonical_address` in hex, which identifies a contact in an audience.

    It is also the id that Mailchimp gives the member, unless Mailchimp has the address with a Unicode domain.
    """
    return _md5(canonical_address(address))


def member_ids(address: str) -> frozenset[str]:
    """Return the ids that Mailchimp may have given to a member with this address.

    They are the hashes of the address with its domain in ASCII and in Unicode. An id read from Mailchimp is more
    reliable.
    """
    canonical = canonical_address(address)
    local, at, domain = canonical.rpartition("@")
    return frozenset({_md5(canonical), _md5(f"{local}{at}{_unicode_domain(domain)}")})


def may_hold_address(text: str) -> bool:
    """Return whether the text may contain an e-mail address: whether it has an `@`, in any spelling of it."""
    return "@" in normalised(text)


def sendable(address: str) -> str | None:
    """Return the address as it is sent to Mailchimp, None if Mailchimp does not accept its syntax.

    It is in lower case, because Mailchimp ignores case, and so a change of case in the source sends nothing. A domain
    with letters outside ASCII is sent in ASCII. Such letters before the `@` are refused, as Mailchimp refuses them.
    """
    if len(address) > LONGEST:  # email-validator would refuse it too, but more slowly
        return None
    try:
        checked = email_validator.validate_email(address, allow_smtputf8=False, check_deliverability=False)
    except email_validator.EmailNotValidError:
        return None
    return checked.ascii_email.lower() if checked.ascii_email else None


def checked(addresses: pa.StringArray) -> CheckedAddresses:
    """Check a column of trimmed addresses, which are Arrow strings. A missing address is null."""
    sent = _sendable_column(addresses)
    problems = pc.if_else(
        pc.is_null(addresses),
        pa.scalar(AddressProblem.MISSING.value),
        pc.if_else(pc.is_null(sent), pa.scalar(AddressProblem.INVALID.value), NO_TEXT),
    )
    return CheckedAddresses(emails=pc.coalesce(sent, addresses), hashes=map_distinct(_md5, sent), problems=problems)


def are_surely_valid(addresses: pa.StringArray) -> pa.BooleanArray:
    """Return which of the lower-cased addresses match a simple pattern that only valid addresses match.

    The others may be valid or not, and need the full check. Null stays null.
    """
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
    """Return `sendable` of each address. Addresses that match a simple pattern skip the slow check."""
    lowered: pa.StringArray = pc.ascii_lower(addresses)
    is_plain = are_surely_valid(lowered)
    return pc.if_else(is_plain, lowered, map_distinct(sendable, pc.if_else(is_plain, NO_TEXT, addresses)))
