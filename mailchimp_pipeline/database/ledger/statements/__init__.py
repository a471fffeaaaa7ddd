"""The ledger's statements, with psycopg's placeholders."""

from mailchimp_pipeline.database.ledger.statements.consent import (
    AWAITED,
    GIVE_CONSENT,
    WITHDRAW_CONSENT,
    giving,
)
from mailchimp_pipeline.database.ledger.statements.differences import (
    BOUNDS,
    COUNTS,
    DIFFERENCE_COLUMNS,
    DIFFERENCES,
    FIRST,
    LAST,
)
from mailchimp_pipeline.database.ledger.statements.notes import LEAVERS, MAKE_ROOM, NOTE, RENAME, WITHDRAWN
from mailchimp_pipeline.database.ledger.statements.outcomes import RECORD_PUSHED, RECORD_REFUSED
from mailchimp_pipeline.database.ledger.statements.standings import MOVE_THERE, TAKE_OVER, replaced_hash

__all__ = [
    "AWAITED",
    "BOUNDS",
    "COUNTS",
    "DIFFERENCES",
    "DIFFERENCE_COLUMNS",
    "FIRST",
    "GIVE_CONSENT",
    "LAST",
    "LEAVERS",
    "MAKE_ROOM",
    "MOVE_THERE",
    "NOTE",
    "RECORD_PUSHED",
    "RECORD_REFUSED",
    "RENAME",
    "TAKE_OVER",
    "WITHDRAWN",
    "WITHDRAW_CONSENT",
    "giving",
    "replaced_hash",
]
