"""Mailchimp's validation of e-mail addresses: syntax, fake domains, role addresses."""

import hashlib
import re
from functools import lru_cache

from sandbox.model import problems
from sandbox.model.behaviours import Behaviours

ROLES = frozenset(
    {
        "abuse",
        "admin",
        "billing",
        "hostmaster",
        "mailer-daemon",
        "no-reply",
        "noreply",
        "postmaster",
        "privacy",
        "root",
        "security",
        "spam",
        "support",
        "tech",
        "unsubscribe",
        "webmaster",
    }
)
"""Local parts of role addresses, a selection of Mailchimp's list."""

_ADDRESS = re.compile(
    r"(?!\.)(?!.*\.\.)[\w.!#$%&'*+/=?^`{|}~-]{1,64}(?<!\.)@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+"
    r"(?:[^\W\d_]{2,}|xn--[a-z0-9-]{2,})",
    re.IGNORECASE,
)
_LONGEST = 254


@lru_cache(maxsize=16 * 1024)
def address_hash(address: str) -> str:
    """Return the subscriber hash of an address."""
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()


def check(address: str) -> None:
    """Reject an address with invalid syntax."""
    if len(address) > _LONGEST or _ADDRESS.fullmatch(address) is None:
        raise problems.invalid_address()


def check_signup(address: str, behaviours: Behaviours) -> None:
    """Reject a valid address that Mailchimp does not sign up."""
    local, _, domain = address.lower().rpartition("@")
    if _is_under(domain, behaviours.fake_domains):
        raise problems.looks_fake(address)
    if behaviours.refuse_role_addresses and local in ROLES:
        raise problems.role_address(address)
    if address.lower() in behaviours.bursty_addresses:
        raise problems.too_many_signups(address)


def _is_under(domain: str, parents: frozenset[str]) -> bool:
    while domain:
        if domain in parents:
            return True
        domain = domain.partition(".")[2]
    return False
