"""Our record of what an audience has, by contact: the port `sync.Ledger` over the tables.

What does not belong here: what is done about a difference (`sync`), who is in a segment (`members`).
"""

from mailchimp_pipeline.database.ledger.events import take_over_event
from mailchimp_pipeline.database.ledger.ledger import PIECE, DatabaseLedger, forget_audiences

__all__ = ["PIECE", "DatabaseLedger", "forget_audiences", "take_over_event"]
