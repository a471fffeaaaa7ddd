"""Erasures: delete a contact from the database immediately, and from Mailchimp audience by audience.

An attempt that fails leaves its erasure pending with the error, and the next attempt continues. What does not belong
here: HTTP (`mailchimp`), SQL (`database`), Dagster (`defs`).
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
