"""Erasures carried out: removed here at once, then asked of Mailchimp audience by audience until each has answered.

An attempt that ends early leaves its erasure pending with the reason, and the next goes on from there. What does
not belong here: HTTP (`mailchimp`), SQL (`database`), Dagster (`defs`).
"""

from mailchimp_pipeline.erasure.decisions import (
    Deletion,
    Demand,
    ErasureRequest,
    ErasureStatus,
    Question,
    Reach,
    Targets,
    Trace,
    pause_after,
)
from mailchimp_pipeline.erasure.erasures import Attempt, Erasures
from mailchimp_pipeline.erasure.obstacles import (
    AudienceElsewhere,
    MovedAtMailchimp,
    NewTraces,
    NobodyToAsk,
    NotAllAsked,
    UnknownContact,
)
from mailchimp_pipeline.erasure.ports import ErasureAudiences, ErasureRecords

__all__ = [
    "Attempt",
    "AudienceElsewhere",
    "Deletion",
    "Demand",
    "ErasureAudiences",
    "ErasureRecords",
    "ErasureRequest",
    "ErasureStatus",
    "Erasures",
    "MovedAtMailchimp",
    "NewTraces",
    "NobodyToAsk",
    "NotAllAsked",
    "Question",
    "Reach",
    "Targets",
    "Trace",
    "UnknownContact",
    "pause_after",
]
