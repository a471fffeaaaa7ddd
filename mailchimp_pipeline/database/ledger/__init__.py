"""Our record of what an audience has, by contact: the port `sync.Ledger` over the tables.

What does not belong here: what is done about a difference (`sync`), who is in a segment (`members`).
"""

from mailchimp_pipeline.database.ledger.ledger import (
    PIECE,
    ConnectionEnded,
    DatabaseLedger,
    forget_audiences,
    merge_tags_of,
)

__all__ = ["PIECE", "ConnectionEnded", "DatabaseLedger", "forget_audiences", "merge_tags_of"]
