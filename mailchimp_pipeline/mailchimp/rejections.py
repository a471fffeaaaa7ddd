"""The meaning of Mailchimp's refusals of a contact, found by patterns in their texts, because most have no code.

Addresses are removed from a text first, so that an address cannot match a pattern. What does not belong here: refusals
of a whole request (`error_classification`).
"""

import re
from typing import Final, Literal, TypeAlias

from mailchimp_pipeline.mailchimp.models import BatchError
from mailchimp_pipeline.sync import MemberStatus, Rejection

Exists: TypeAlias = Literal["exists"]
"""The audience already has the address, which is not a rejection by itself."""

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
    """Return the meaning of an item in a batch's `errors`."""
    meaning = _meaning(item.error, item.email_address)
    if meaning in {Rejection.COMPLIANCE, Rejection.FORGOTTEN}:
        return meaning or Rejection.OTHER
    if item.error_code == "ERROR_CONTACT_EXISTS":
        return EXISTS
    if meaning is None and item.field:
        return rejection_of_field(item.field)
    return meaning or Rejection.OTHER


def rejection_of_problem(title: str, detail: str, fields: tuple[str, ...]) -> Rejection | Exists | None:
    """Return the meaning of a problem with one member, None if it is not about the contact."""
    if meaning := _meaning(f"{title}. {detail}", ""):
        return meaning
    return Rejection.INVALID_ADDRESS if "email_address" in fields else None


def rejection_of_field(name: str) -> Rejection:
    """Return the rejection for an invalid field: the address, a merge field (in capitals: LNAME), or another."""
    last = name.rpartition(".")[2]
    if last.lower() in {"email", "email_address"}:
        return Rejection.INVALID_ADDRESS
    return Rejection.MERGE_FIELD if last.isupper() else Rejection.OTHER


def rejection_of_status(status: MemberStatus) -> Rejection:
    """Return the rejection for a contact that has this status after it was sent to be subscribed."""
    return _BY_STATUS.get(status, Rejection.OTHER)


def _meaning(text: str, address: str) -> Rejection | Exists | None:
    without_address = _ADDRESS.sub(" ", text.lower().removeprefix(address.strip().lower()))
    return next((meaning for pattern, meaning in _MEANINGS if re.search(pattern, without_address)), None)
