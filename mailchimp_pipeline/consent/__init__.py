"""Consent statements, and the rules that decide who may be e-mailed.

What does not belong here: storing statements (`database`), changing members at Mailchimp (`sync`).
"""

from mailchimp_pipeline.consent.statements import (
    DELETED_AT_MAILCHIMP,
    MAILCHIMP,
    RESERVED_SOURCES,
    Channel,
    ConsentStatement,
    Contact,
    Preference,
)

__all__ = [
    "DELETED_AT_MAILCHIMP",
    "MAILCHIMP",
    "RESERVED_SOURCES",
    "Channel",
    "ConsentStatement",
    "Contact",
    "Preference",
]
