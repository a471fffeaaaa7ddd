"""How each foreseen failure of the pipeline looks to a client: its code, and the text it may read.

What is not named here is a defect, answered as INTERNAL_SERVER_ERROR without a text. What does not belong here:
failures that only one procedure can tell apart, such as an audience that is not there.
"""

import math
from collections.abc import Sequence

from api.logs import log_failure
from api.procedures.deadline import OutOfTime
from api.trpc import Code, TRPCError
from mailchimp_pipeline.connections import SampleKeyKept
from mailchimp_pipeline.contacts import MissingColumnError, MissingIdError
from mailchimp_pipeline.database.encryption import SecretUnreadable
from mailchimp_pipeline.database.locks import LockTaken, SlotsTaken
from mailchimp_pipeline.database.paging import CursorInvalid
from mailchimp_pipeline.database.session import DatabaseAway, DatabaseBusy, DatabaseNotMigrated, RoleNotGranted
from mailchimp_pipeline.database.shared_accounts import AccountTaken, AudienceTaken
from mailchimp_pipeline.erasure import UnknownContact
from mailchimp_pipeline.errors import PipelineError, without_places
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp.errors import (
    KeyRefused,
    MailchimpAway,
    NotFound,
    Redirected,
    Rejected,
    Throttled,
    TimedOut,
)
from mailchimp_pipeline.services.resources import NoSource, NotConnected
from mailchimp_pipeline.sources import SourceAwayError, SourceChangedError, UnreadableSourceError

_SHOWN: Sequence[tuple[type[PipelineError], Code]] = (
    (NotConnected, "PRECONDITION_FAILED"),
    (SampleKeyKept, "PRECONDITION_FAILED"),
    (MissingColumnError, "PRECONDITION_FAILED"),
    (MissingIdError, "PRECONDITION_FAILED"),
    (KeyRefused, "UNPROCESSABLE_CONTENT"),
    (Rejected, "UNPROCESSABLE_CONTENT"),
    (NotFound, "NOT_FOUND"),
    (UnknownContact, "NOT_FOUND"),
    (Redirected, "BAD_GATEWAY"),
    (SlotsTaken, "TOO_MANY_REQUESTS"),
    (Throttled, "TOO_MANY_REQUESTS"),
    (TimedOut, "GATEWAY_TIMEOUT"),
    (OutOfTime, "GATEWAY_TIMEOUT"),
    (MailchimpAway, "BAD_GATEWAY"),
    (LockTaken, "CONFLICT"),
    (AccountTaken, "CONFLICT"),
    (AudienceTaken, "CONFLICT"),
)
"""Failures whose own text is for whoever uses the API; the first class that fits counts."""

_OPERATOR = "ask whoever operates the pipeline"

_RETOLD: Sequence[tuple[type[PipelineError], Code, str]] = (
    (DatabaseAway, "SERVICE_UNAVAILABLE", "The service is not available now: try again later"),
    (DatabaseBusy, "SERVICE_UNAVAILABLE", "The service is busy now: try again later"),
    (DatabaseNotMigrated, "SERVICE_UNAVAILABLE", f"The service is being updated: try again later, or {_OPERATOR}"),
    (RoleNotGranted, "SERVICE_UNAVAILABLE", f"The service is not set up: {_OPERATOR}"),
    (SecretUnreadable, "PRECONDITION_FAILED", "The stored API key cannot be read: connect Mailchimp again"),
    (NoSource, "PRECONDITION_FAILED", f"No source of employees and vendors is set: {_OPERATOR} to set it"),
    (SourceAwayError, "SERVICE_UNAVAILABLE", "The source of employees and vendors does not answer: try again later"),
    (SourceChangedError, "SERVICE_UNAVAILABLE", "The source of employees and vendors is being rewritten: try again"),
    (UnreadableSourceError, "PRECONDITION_FAILED", f"The employees or vendors cannot be read: {_OPERATOR} to mend it"),
)
"""Failures whose text is for the operator, since it names hosts, files and settings: it goes to the log instead."""

_log = logger("api.error_mapping")


def translate(exception: Exception) -> TRPCError | None:
    """Return what a client may know of a failure; None for one that nobody foresaw."""
    if isinstance(exception, CursorInvalid):
        return TRPCError("BAD_REQUEST", str(exception), {"cursor": [str(exception)]})
    for kind, code in _SHOWN:
        if isinstance(exception, kind):
            return TRPCError(code, without_places(str(exception)), retry_after=_retry_after(exception))
    for kind, code, text in _RETOLD:
        if isinstance(exception, kind):
            _log.error("unavailable", failure=type(exception).__name__, text=str(exception))
            return TRPCError(code, text)
    return None


def told(failure: PipelineError) -> str:
    """Return what a client may read of a failure for which its answer lacks a part."""
    error = translate(failure)
    if error is None:
        log_failure("part of an answer", failure)
        return f"It failed unforeseen: {_OPERATOR} to report it"
    return error.message


def _retry_after(exception: Exception) -> int | None:
    """Return the whole seconds that Mailchimp asked us to wait, where it did."""
    seconds = exception.retry_after if isinstance(exception, MailchimpAway) else None
    return None if seconds is None else math.ceil(seconds)
