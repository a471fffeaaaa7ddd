"""The ledger's statements, with psycopg's placeholders."""

from mailchimp_pipeline.database.ledger.statements.barred import BARRED, NEWS
from mailchimp_pipeline.database.ledger.statements.consent import (
    AWAITED,
    GIVE_CONSENT,
    MAILED_THOUGH_OPTED_OUT,
    WITHDRAW_CONSENT,
    giving,
    withdrawing,
)
from mailchimp_pipeline.database.ledger.statements.differences import (
    CONTACT_COLUMNS,
    COUNT,
    KNOWN,
    KNOWN_COLUMNS,
    KNOWN_OF_SEGMENT,
    MEMBERS,
    SHARING,
    STANDING_COLUMNS,
    STANDINGS,
    WANTED_COLUMNS,
    contacts,
    these_contacts,
    wanted,
)
from mailchimp_pipeline.database.ledger.statements.notes import LEAVERS, MAKE_ROOM, NOTE, RENAME, WITHDRAWN
from mailchimp_pipeline.database.ledger.statements.outcomes import RECORD_PUSHED, RECORD_REFUSED
from mailchimp_pipeline.database.ledger.statements.standings import MOVE_THERE, TAKE_OVER, replaced_hash

__all__ = [
    "AWAITED",
    "BARRED",
    "CONTACT_COLUMNS",
    "COUNT",
    "GIVE_CONSENT",
    "KNOWN",
    "KNOWN_COLUMNS",
    "KNOWN_OF_SEGMENT",
    "LEAVERS",
    "MAILED_THOUGH_OPTED_OUT",
    "MAKE_ROOM",
    "MEMBERS",
    "MOVE_THERE",
    "NEWS",
    "NOTE",
    "RECORD_PUSHED",
    "RECORD_REFUSED",
    "RENAME",
    "SHARING",
    "STANDINGS",
    "STANDING_COLUMNS",
    "TAKE_OVER",
    "WANTED_COLUMNS",
    "WITHDRAWN",
    "WITHDRAW_CONSENT",
    "contacts",
    "giving",
    "replaced_hash",
    "these_contacts",
    "wanted",
    "withdrawing",
]
