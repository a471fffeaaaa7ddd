"""Sync one segment into its audience: pull changes, plan the push, push contacts.

Uses ports and returns a `SyncReport`. What does not belong here: HTTP (`mailchimp`), SQL (`database`), segment
membership (`segments`).
"""

from mailchimp_pipeline.sync.audience import (
    BATCH_SIZE,
    CONNECTIONS,
    MAILED,
    AddressChangeResult,
    Audience,
    BatchAnswer,
    Compared,
    KnownStatus,
    MemberRef,
    MemberState,
    MemberStatus,
    MergeField,
    NewMember,
    Recheck,
    Rejection,
    SyncReport,
    Withdrawal,
)
from mailchimp_pipeline.sync.opt_outs import UnsubscribeRefused, push_opt_outs
from mailchimp_pipeline.sync.plan import MERGE_FIELDS, Plan, plan
from mailchimp_pipeline.sync.ports import Audiences, Ledger
from mailchimp_pipeline.sync.pull import pull_changes, pull_member
from mailchimp_pipeline.sync.push import push_segment

__all__ = [
    "BATCH_SIZE",
    "CONNECTIONS",
    "MAILED",
    "MERGE_FIELDS",
    "AddressChangeResult",
    "Audience",
    "Audiences",
    "BatchAnswer",
    "Compared",
    "KnownStatus",
    "Ledger",
    "MemberRef",
    "MemberState",
    "MemberStatus",
    "MergeField",
    "NewMember",
    "Plan",
    "Recheck",
    "Rejection",
    "SyncReport",
    "UnsubscribeRefused",
    "Withdrawal",
    "plan",
    "pull_changes",
    "pull_member",
    "push_opt_outs",
    "push_segment",
]
