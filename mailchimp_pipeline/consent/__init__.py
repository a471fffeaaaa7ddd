"""Consent: what was stated about e-mail, and who may be e-mailed.

What does not belong here: storing statements (`database`), telling Mailchimp (`sync`).
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
