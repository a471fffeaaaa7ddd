"""The error for each failed request, transient or permanent, and the meaning of Mailchimp's refusals of a contact.

Each error text says what was being done and what to do next. Mailchimp's `detail` contains addresses, so it is never
shown. Most refusals of a contact have no code, so their meaning is found by patterns in their texts. Addresses are
removed from a text first, so that an address cannot match a pattern.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import requests
import urllib3

from mailchimp_pipeline.connections import API_ROOT
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.mailchimp.api_errors import (
    AccountDisabled,
    ConnectionBroken,
    Incomplete,
    KeyRefused,
    MailchimpAway,
    MemberExists,
    MemberRefused,
    NotPermitted,
    NotPossible,
    NotTheApi,
    Redirected,
    Rejected,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from mailchimp_pipeline.mailchimp.wire_models import BatchError, Call, Problem
from mailchimp_pipeline.sync import MemberStatus, Rejection

if TYPE_CHECKING:
    from datetime import datetime

Exists: TypeAlias = Literal["exists"]
"""The meaning of a refusal that says that the audience already has the address. By itself it is not a rejection."""

EXISTS: Final[Exists] = "exists"

_ADDRESS: Final = re.compile(r"\S*@\S*")

# The order matters: a contact in a compliance state is also "already a list member", and a permanently deleted one is
# asked to re-subscribe with a real address.
_MEANINGS: Final[tuple[tuple[str, Rejection | Exists], ...]] = (
    (r"compliance", Rejection.COMPLIANCE),
    (r"permanently deleted|previously removed|re-imported|re-subscribe|forgotten", Rejection.FORGOTTEN),
    (r"status (?:is|of) \W?cleaned", Rejection.CLEANED),
    (r"status (?:is|of) \W?unsubscribed", Rejection.UNSUBSCRIBED),
    (r"status (?:is|of) \W?archived", Rejection.ARCHIVED),
    (r"status (?:is|of) \W?pending", Rejection.PENDING),
    (r"already (?:a list member|in this list|on this list|subscribed)|member exists", EXISTS),
    (r"looks fake", Rejection.FAKE),
    (r"lot of lists|too many (?:recent )?sign-?ups?|too many recent", Rejection.TOO_MANY_SIGNUPS),
    (r"merge fields?\b", Rejection.MERGE_FIELD),
    (r"valid email", Rejection.INVALID_ADDRESS),
)

_BY_STATUS: Final = {
    MemberStatus.UNSUBSCRIBED: Rejection.UNSUBSCRIBED,
    MemberStatus.CLEANED: Rejection.CLEANED,
    MemberStatus.ARCHIVED: Rejection.ARCHIVED,
    MemberStatus.PENDING: Rejection.PENDING,
    MemberStatus.TRANSACTIONAL: Rejection.TRANSACTIONAL,
}


def rejection_of_item(item: BatchError) -> Rejection | Exists:
    """Return why Mailchimp did not add a contact of a batch. `item` is the contact's entry in the answer's `errors`.

    Returns `EXISTS` if the audience already has the address.
    """
    meaning = _meaning(item.error, item.email_address)
    if meaning in {Rejection.COMPLIANCE, Rejection.FORGOTTEN}:
        return meaning or Rejection.OTHER
    if item.error_code == "ERROR_CONTACT_EXISTS":
        return EXISTS
    if meaning is None and item.field:
        return rejection_of_field(item.field)
    return meaning or Rejection.OTHER


def rejection_of_problem(title: str, detail: str, fields: tuple[str, ...]) -> Rejection | Exists | None:
    """Return why Mailchimp refused a contact, from the parts of its problem document.

    Returns `EXISTS` if the audience already has the address, and None if the refusal is not about the contact.
    """
    if meaning := _meaning(f"{title}. {detail}", ""):
        return meaning
    return Rejection.INVALID_ADDRESS if "email_address" in fields else None


def rejection_of_field(name: str) -> Rejection:
    """Return the rejection for the name of an invalid field.

    A name in capitals, such as LNAME, is the tag of a merge field.
    """
    last = name.rpartition(".")[2]
    if last.lower() in {"email", "email_address"}:
        return Rejection.INVALID_ADDRESS
    return Rejection.MERGE_FIELD if last.isupper() else Rejection.OTHER


def rejection_of_status(status: MemberStatus) -> Rejection:
    """Return the rejection for a contact that has this status after a call that should have subscribed it."""
    return _BY_STATUS.get(status, Rejection.OTHER)


def _meaning(text: str, address: str) -> Rejection | Exists | None:
    without_address = _ADDRESS.sub(" ", text.lower().removeprefix(address.strip().lower()))
    return next((meaning for pattern, meaning in _MEANINGS if re.search(pattern, without_address)), None)


_LATER: Final = "Try again later; if it stays so, look at status.mailchimp.com"

_LONG: Final = 30.0
"""Seconds after which a failure without explanation, or a closed connection, counts as Mailchimp's timeout."""

_MAILCHIMPS_OWN: Final = re.compile(r"https://(us[0-9]{1,3}|\{data_center\})\.api\.mailchimp\.com/3\.0")

_UNEXPLAINED: Final = Problem.model_validate({})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    `seconds` is how long the server took to answer, and `retry_after` the pause in seconds that it asks for. `sent_at`
    is the time of the answer by the server's clock.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: float | None = None
    seconds: float = 0.0
    sent_at: "datetime | None" = None


def classify(call: Call, answer: Answer, root: str = API_ROOT) -> MailchimpAway | PermanentError | None:
    """Return the error that an answer means, None for a success. The error is returned and not raised.

    `root` is the URL of the API that answered.
    """
    if 200 <= answer.status < 300:
        return None
    if 300 <= answer.status < 400:
        return Redirected(
            f"Something sent us elsewhere while {call.task} (HTTP {answer.status}); the key does not follow. "
            "Check that MAILCHIMP_API_ROOT is the address of the API itself."
        )
    problem = Problem.read(answer.body)
    if answer.status == 404 and problem is None and not _MAILCHIMPS_OWN.fullmatch(root):
        return NotTheApi(
            f"Something else than Mailchimp's API answered while {call.task} (HTTP 404). Correct the path in "
            "MAILCHIMP_API_ROOT: Mailchimp's ends in /3.0, as does the sandbox's.",
            place=root,
        )
    return _transient(call, answer, problem) or _permanent(call, answer.status, problem or _UNEXPLAINED)


def lost(
    call: Call,
    error: requests.RequestException | urllib3.exceptions.HTTPError,
    root: str = API_ROOT,
    *,
    begun: bool = False,
    seconds: float = 0.0,
) -> MailchimpAway:
    """Return the error for a request that got no complete answer.

    `begun` says that the answer had begun, and `seconds` how long the request took. The text of `error` is left out,
    because it contains the URL.
    """
    # Plain HTTP is used for the sandbox on this machine only (`connections.api_root`).
    if root.startswith("http://") and _was_refused(error):
        return Unreachable(
            f"Nothing listens where the sandbox is expected, while {call.task}. Bring it up: `make dev`, or "
            "`mailchimp-pipeline sandbox --sample`; or correct MAILCHIMP_API_ROOT.",
            place=root,
        )
    # requests wraps urllib3's timeout of reading a body in a ConnectionError.
    in_vain = any(
        isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError) for cause in (error, *error.args)
    )
    if in_vain or seconds >= _LONG:
        return TimedOut(f"Mailchimp did not answer in time while {call.task}. {_LATER}.")
    if begun:
        return ConnectionBroken(f"Mailchimp's answer while {call.task} broke off or is too large. {_LATER}.")
    why = "its certificate is not good" if isinstance(error, requests.exceptions.SSLError) else "the connection failed"
    return Unavailable(f"Mailchimp could not be reached while {call.task}: {why}. {_LATER}.")


def _was_refused(error: Exception) -> bool:
    """Return whether the server refused the connection. The reason is nested in errors of urllib3 and requests."""
    reasons = (getattr(cause, "reason", None) for cause in error.args)
    return any(isinstance(getattr(reason, "__cause__", None), ConnectionRefusedError) for reason in reasons)


def malformed(call: Call, answer: Answer) -> ConnectionBroken:
    """Return the error for a successful answer that does not have the expected format."""
    return ConnectionBroken(
        f"Mailchimp's answer while {call.task} could not be read (HTTP {answer.status}, {len(answer.body)} bytes). "
        f"{_LATER}.",
        retry_after=answer.retry_after,
    )


def incomplete(call: Call, *, announced: int, read: int) -> Incomplete:
    """Return the error for a listing in which Mailchimp announced more entries than it returned."""
    return Incomplete(
        f"Mailchimp announced {announced} entries while {call.task} and gave {read}. A part is not taken for the "
        f"whole. {_LATER}."
    )


def _transient(call: Call, answer: Answer, problem: Problem | None) -> MailchimpAway | None:
    status, wait = answer.status, answer.retry_after
    if status == 429 or (status == 403 and problem is None):
        return Throttled(
            f"Mailchimp turned us away while {call.task} (HTTP {status}): too many calls of the account at once. "
            "Try again later; if it stays so, look what else uses the account's ten connections.",
            retry_after=wait,
        )
    is_silent = status >= 500 and problem is None
    if status in {408, 504} or (is_silent and answer.seconds >= _LONG):
        text = f"Mailchimp took too long while {call.task} (HTTP {status}). {_LATER}."
        return TimedOut(text, retry_after=wait)
    # A 4xx without a problem document comes from a proxy, because Mailchimp explains its refusals.
    if status >= 500 or status < 200 or (problem is None and status != 401):
        said = f": {problem}" if problem else ""
        text = f"Mailchimp was not available while {call.task} (HTTP {status}{said}). {_LATER}."
        return Unavailable(text, retry_after=wait)
    return None


def _permanent(call: Call, status: int, problem: Problem) -> PermanentError:
    if status in {401, 403}:
        return _about_the_key(call, status, problem)
    if status == 404:
        return call.gone(f"Mailchimp did not find it while {call.task} (HTTP 404). {call.gone.advice}.")
    text = f"Mailchimp refused while {call.task} (HTTP {status}: {problem}). {call.advice}."
    if status == 405:
        return NotPossible(text, title=problem.title, fields=problem.fields)
    meaning = rejection_of_problem(problem.raw_title, problem.detail, problem.fields)
    if meaning is None:
        return Rejected(text, title=problem.title, fields=problem.fields)
    if meaning == EXISTS:
        return MemberExists(text, title=problem.title, fields=problem.fields)
    return MemberRefused(text, meaning, title=problem.title, fields=problem.fields)


def _about_the_key(call: Call, status: int, problem: Problem) -> KeyRefused:
    said = f"while {call.task} (HTTP {status}: {problem})"
    if status == 401:
        return KeyRefused(
            f"Mailchimp refused the API key {said}. It is wrong, revoked, or its user is gone: "
            "make a new key in Mailchimp, under Account, Extras, API keys, and connect again."
        )
    if problem.title == "User Disabled":
        return AccountDisabled(
            f"Mailchimp has deactivated the account, it said {said}. Reactivate it there, or connect another account."
        )
    return NotPermitted(
        f"Mailchimp does not permit this to the API key {said}. Give the key's user the role of a manager "
        "in Mailchimp, under Account, Users, or connect with the key of a user who has it."
    )
