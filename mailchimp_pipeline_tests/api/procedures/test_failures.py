"""Errors as clients see them, and as the log records them."""

import pytest

from api.error_mapping import public_message, translate
from mailchimp_pipeline.connections import SampleKeyKept
from mailchimp_pipeline.contacts import MissingColumnError
from mailchimp_pipeline.database.encryption import SecretUnreadable
from mailchimp_pipeline.database.locks import LockTaken, SlotsTaken
from mailchimp_pipeline.database.session import DatabaseAway, DatabaseBusy, DatabaseNotMigrated, StatementRefused
from mailchimp_pipeline.mailchimp.api_errors import (
    AccountDisabled,
    AudienceGone,
    KeyRefused,
    NotPermitted,
    Redirected,
    Rejected,
    Throttled,
    TimedOut,
    Unavailable,
)
from mailchimp_pipeline.services.resources import NoSource, NotConnected
from mailchimp_pipeline.sources import SourceAwayError, SourceChangedError, UnreadableSourceError
from mailchimp_pipeline_tests.api.served import logged_lines

INSIDE = "db.internal:5432"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (KeyRefused("said"), "UNPROCESSABLE_CONTENT"),
        (AccountDisabled("said"), "UNPROCESSABLE_CONTENT"),
        (NotPermitted("said"), "UNPROCESSABLE_CONTENT"),
        (Rejected("said"), "UNPROCESSABLE_CONTENT"),
        (AudienceGone("said"), "NOT_FOUND"),
        (Unavailable("said"), "BAD_GATEWAY"),
        (Redirected("said"), "BAD_GATEWAY"),
        (TimedOut("said"), "GATEWAY_TIMEOUT"),
        (Throttled("said"), "TOO_MANY_REQUESTS"),
        (SlotsTaken("said"), "TOO_MANY_REQUESTS"),
    ],
)
def test_actionable_errors_are_shown(failure: Exception, code: str) -> None:
    error = translate(failure)
    assert error is not None
    assert (error.code, error.message) == (code, "said")


@pytest.mark.parametrize(
    "failure",
    [NotConnected("acme"), SampleKeyKept(), MissingColumnError("employees", "email"), NoSource()],
)
def test_what_has_to_be_set_up_first_is_a_precondition(failure: Exception) -> None:
    error = translate(failure)
    assert error is not None
    assert error.code == "PRECONDITION_FAILED"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (DatabaseAway(INSIDE), "SERVICE_UNAVAILABLE"),
        (DatabaseBusy(INSIDE), "SERVICE_UNAVAILABLE"),
        (DatabaseNotMigrated(INSIDE), "SERVICE_UNAVAILABLE"),
        (SourceAwayError(INSIDE), "SERVICE_UNAVAILABLE"),
        (SourceChangedError(INSIDE), "SERVICE_UNAVAILABLE"),
        (UnreadableSourceError(INSIDE), "PRECONDITION_FAILED"),
        (SecretUnreadable(INSIDE), "PRECONDITION_FAILED"),
    ],
)
def test_operator_errors_go_to_the_log(failure: Exception, code: str) -> None:
    with logged_lines() as log:
        error = translate(failure)
    assert error is not None
    assert (error.code, INSIDE in error.message) == (code, False)
    assert INSIDE in log.getvalue()


def test_error_texts_for_clients_have_no_location() -> None:
    error = translate(LockTaken("Another process is at it.", place=INSIDE))
    assert error is not None
    assert error.message == "Another process is at it."


def test_unexpected_errors_reveal_nothing() -> None:
    with logged_lines() as log:
        because = public_message(StatementRefused("refused", place=INSIDE))
    assert because == "An unexpected error occurred: ask the operator of the pipeline to report it"
    assert INSIDE in log.getvalue()


def test_a_pause_is_rounded_up() -> None:
    error = translate(Throttled("said", retry_after=1.2))
    assert error is not None
    assert error.retry_after == 2


@pytest.mark.parametrize("failure", [StatementRefused("refused"), RuntimeError("broken"), KeyError("lost")])
def test_a_defect_stays_one(failure: Exception) -> None:
    assert translate(failure) is None
