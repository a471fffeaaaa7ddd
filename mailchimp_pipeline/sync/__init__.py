"""One segment into its audience: who is sent and as what, the batches, and what became of each contact.

Core: ports in, a report out. What does not belong here: HTTP (`mailchimp`), SQL (`database`),
who is a member (`segments`).
"""

from mailchimp_pipeline.sync.model import (
    BATCH_SIZE,
    CONNECTIONS,
    Audience,
    BatchAnswer,
    MemberOutcome,
    MemberStatus,
    NewMember,
    Outcome,
    Refusal,
    Renaming,
    Standing,
    SyncReport,
)
from mailchimp_pipeline.sync.plan import Plan, plan
from mailchimp_pipeline.sync.ports import Audiences, Ledger
from mailchimp_pipeline.sync.push import sync_audience, withdraw
from mailchimp_pipeline.sync.reading import read_standings

__all__ = [
    "BATCH_SIZE",
    "CONNECTIONS",
    "Audience",
    "Audiences",
    "BatchAnswer",
    "Ledger",
    "MemberOutcome",
    "MemberStatus",
    "NewMember",
    "Outcome",
    "Plan",
    "Refusal",
    "Renaming",
    "Standing",
    "SyncReport",
    "plan",
    "read_standings",
    "sync_audience",
    "withdraw",
]
