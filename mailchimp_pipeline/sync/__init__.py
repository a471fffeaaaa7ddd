"""One segment into its audience: who is sent and as what, the batches, and what became of each contact.

Core: ports in, a report out. What does not belong here: HTTP (`mailchimp`), SQL (`database`),
who is a member (`segments`).
"""

from mailchimp_pipeline.sync.model import (
    BATCH_SIZE,
    CONNECTIONS,
    Audience,
    BatchAnswer,
    Compared,
    Found,
    MemberOutcome,
    MemberStatus,
    NewMember,
    Outcome,
    Refusal,
    Renaming,
    Standing,
    SyncReport,
    Withdrawal,
)
from mailchimp_pipeline.sync.parallel import Ahead
from mailchimp_pipeline.sync.plan import Plan, plan
from mailchimp_pipeline.sync.ports import Audiences, Ledger
from mailchimp_pipeline.sync.push import sync_audience
from mailchimp_pipeline.sync.reading import read_standings
from mailchimp_pipeline.sync.withdrawal import withdraw

__all__ = [
    "BATCH_SIZE",
    "CONNECTIONS",
    "Ahead",
    "Audience",
    "Audiences",
    "BatchAnswer",
    "Compared",
    "Found",
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
    "Withdrawal",
    "plan",
    "read_standings",
    "sync_audience",
    "withdraw",
]
