"""Addresses as Mailchimp judges them: what is one, what looks fake, what belongs to a role.

What does not belong here: what an audience knows about an address (`audiences`).
"""

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
"""Local parts that belong to a role, the commoner ones of Mailchimp's list."""

_ADDRESS = re.compile(
    r"(?!\.)(?!.*\.\.)[\w.!#$%&'*+/=?^`{|}~-]{1,64}(?<!\.)@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+"
    r"(?:[^\W\d_]{2,}|xn--[a-z0-9-]{2,})",
    re.IGNORECASE,
)
_LONGEST = 254


@lru_cache(maxsize=16 * 1024)
def address_hash(address: str) -> str:
    """Return the id of the member with this address."""
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()


def check(address: str) -> None:
    """Raise the problem Mailchimp has with the syntax of an address."""
    if len(address) > _LONGEST or _ADDRESS.fullmatch(address) is None:
        raise problems.invalid_address()


def check_signup(address: str, behaviours: Behaviours) -> None:
    """Raise the problem Mailchimp has with signing up an address that is one by its syntax."""
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
