"""Erasures: delete a contact from the database immediately, and from Mailchimp audience by audience.

An attempt that fails leaves its erasure pending with the error, and the next attempt continues. What does not belong
here: HTTP (`mailchimp`), SQL (`database`), Dagster (`defs`).
"""

from mailchimp_pipeline.erasure.erasure_request import (
    Deletion,
    Demand,
    ErasureAudiences,
    ErasureRecords,
    ErasureRequest,
    ErasureStatus,
    Question,
    Reach,
    Targets,
    Trace,
    pause_after,
)
from mailchimp_pipeline.erasure.erasures import (
    Attempt,
    AudienceElsewhere,
    Erasures,
    MovedAtMailchimp,
    NewTraces,
    NobodyToAsk,
    NotAllAsked,
    UnknownContact,
)

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
