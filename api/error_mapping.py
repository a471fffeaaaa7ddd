"""The code and the text that a client gets for each known error of the pipeline.

Any other exception is a defect: INTERNAL_SERVER_ERROR without details.
"""

import math
from collections.abc import Sequence

from api.procedures.context import OutOfTime
from api.trpc import Code, TRPCError
from mailchimp_pipeline.connections import SampleKeyKept
from mailchimp_pipeline.contacts import MissingColumnError, MissingIdError
from mailchimp_pipeline.database.connection_store import AccountTaken, AudienceTaken
from mailchimp_pipeline.database.encryption import SecretUnreadable
from mailchimp_pipeline.database.locks import LockTaken, SlotsTaken
from mailchimp_pipeline.database.paging import CursorInvalid
from mailchimp_pipeline.database.session import DatabaseAway, DatabaseBusy, DatabaseNotMigrated, RoleNotGranted
from mailchimp_pipeline.erasure import UnknownContact
from mailchimp_pipeline.errors import PipelineError, without_places
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp.api_errors import (
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

_log = logger("api.error_mapping")


def log_failure(where: str, exception: BaseException) -> None:
    """Log an exception that is a defect. `where` names the part of the API that raised it."""
    _log.error("failure", where=where, exc_info=exception)


_WITH_OWN_TEXT: Sequence[tuple[type[PipelineError], Code]] = (
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
"""Errors that clients see with their own text. The first class that matches an error counts."""

_OPERATOR = "ask the operator of the pipeline"

_WITH_OTHER_TEXT: Sequence[tuple[type[PipelineError], Code, str]] = (
    (DatabaseAway, "SERVICE_UNAVAILABLE", "The service is not available now: try again later"),
    (DatabaseBusy, "SERVICE_UNAVAILABLE", "The service is busy now: try again later"),
    (DatabaseNotMigrated, "SERVICE_UNAVAILABLE", f"The service is being updated: try again later, or {_OPERATOR}"),
    (RoleNotGranted, "SERVICE_UNAVAILABLE", f"The service is not set up: {_OPERATOR}"),
    (SecretUnreadable, "PRECONDITION_FAILED", "The stored API key cannot be read: connect Mailchimp again"),
    (NoSource, "PRECONDITION_FAILED", f"No source of employees and vendors is set: {_OPERATOR} to set it"),
    (SourceAwayError, "SERVICE_UNAVAILABLE", "The source of employees and vendors does not answer: try again later"),
    (SourceChangedError, "SERVICE_UNAVAILABLE", "The source of employees and vendors is being rewritten: try again"),
    (UnreadableSourceError, "PRECONDITION_FAILED", f"The employees or vendors cannot be read: {_OPERATOR}"),
)
"""Errors that clients see with the text in this table. Their own text names hosts, files and settings, so only the log
gets it, for the operator."""


def translate(exception: Exception) -> TRPCError | None:
    """Return the error that a client sees for an exception, or None if the exception is a defect."""
    if isinstance(exception, CursorInvalid):
        return TRPCError("BAD_REQUEST", str(exception), {"cursor": [str(exception)]})
    for kind, code in _WITH_OWN_TEXT:
        if isinstance(exception, kind):
            return TRPCError(code, without_places(str(exception)), retry_after=_retry_after(exception))
    for kind, code, text in _WITH_OTHER_TEXT:
        if isinstance(exception, kind):
            _log.error("unavailable", failure=type(exception).__name__, text=str(exception))
            return TRPCError(code, text)
    return None


def public_message(failure: PipelineError) -> str:
    """Return the text that a client sees for a failure that leaves its answer incomplete."""
    error = translate(failure)
    if error is None:
        log_failure("part of an answer", failure)
        return f"An unexpected error occurred: {_OPERATOR} to report it"
    return error.message


def _retry_after(exception: Exception) -> int | None:
    """Return Mailchimp's `Retry-After` in whole seconds, if there is one."""
    seconds = exception.retry_after if isinstance(exception, MailchimpAway) else None
    return None if seconds is None else math.ceil(seconds)
