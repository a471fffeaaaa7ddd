"""Locks between processes: PostgreSQL's advisory locks, which end with their process.

Locks need PostgreSQL sessions of their own. A connection pooler must therefore pool sessions, not transactions.
"""

from mailchimp_pipeline.database.locks.held import (
    Hold,
    HoldLost,
    LockTaken,
    hold,
    hold_audience,
    is_held,
    keep,
    lock_for_transaction,
)
from mailchimp_pipeline.database.locks.keys import Lock, audience_lock, run_lock
from mailchimp_pipeline.database.locks.slots import DatabaseConnectionSlots, SlotsTaken

__all__ = [
    "DatabaseConnectionSlots",
    "Hold",
    "HoldLost",
    "Lock",
    "LockTaken",
    "SlotsTaken",
    "audience_lock",
    "hold",
    "hold_audience",
    "is_held",
    "keep",
    "lock_for_transaction",
    "run_lock",
]
