"""The database's record of an audience's members: implements the port `sync.Ledger`.

What does not belong here: the actions after a comparison (`sync`), segment members (`members`).
"""

from mailchimp_pipeline.database.ledger.ledger import (
    PIECE,
    ConnectionEnded,
    DatabaseLedger,
    forget_audiences,
    merge_tags_of,
)

__all__ = ["PIECE", "ConnectionEnded", "DatabaseLedger", "forget_audiences", "merge_tags_of"]
