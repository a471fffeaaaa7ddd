"""Decide when a rejected contact is sent again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.sync.audience import Rejection, SyncReport

FINAL = frozenset({Rejection.FORGOTTEN, Rejection.FAKE, Rejection.INVALID_ADDRESS})
"""Rejections of the address itself. Such a contact is never sent again automatically."""

TRANSIENT = frozenset({Rejection.TOO_MANY_SIGNUPS, Rejection.OTHER})
"""Rejections that may be temporary. Such a contact is sent again after the next of `PAUSES`."""

PAUSES: Sequence[timedelta] = (
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=7),
)
"""The pause after the first, second, ... rejection of a contact. The last pause applies to every later rejection."""

MOST_REJECTED = 0.2
"""The share of a segment's wanted contacts, 0 to 1, that Mailchimp may reject. Above it, the segment is in error."""


class TooManyRejected(PermanentError):
    """Mailchimp rejected more of a segment's contacts than `MOST_REJECTED` allows."""

    def __init__(self, name: str, report: SyncReport) -> None:
        reasons = Counter(report.rejected) + Counter(report.waiting)
        listed = ", ".join(f"{count} {reason.value.replace('_', ' ')}" for reason, count in sorted(reasons.items()))
        super().__init__(
            f"Mailchimp rejected {sum(reasons.values())} of the {report.wanted} contacts of segment {name!r} "
            f"({listed}); {report.in_audience} are in the audience. The segment's rejected contacts say why, and when "
            "each is sent again."
        )


TEXTS: Mapping[Rejection, str] = {
    Rejection.COMPLIANCE: "Mailchimp says that the contact unsubscribed, bounced or is under review.",
    Rejection.FORGOTTEN: "The contact was permanently deleted at Mailchimp. It can only come back by a Mailchimp form.",
    Rejection.FAKE: "Mailchimp says that the address looks fake. Correct it in the source.",
    Rejection.INVALID_ADDRESS: "Mailchimp says that the address is invalid. Correct it in the source.",
    Rejection.MERGE_FIELD: "A merge field that the audience requires has no valid value. Fill it in.",
    Rejection.TOO_MANY_SIGNUPS: "The address signed up to many audiences recently. It is sent again later.",
    Rejection.OTHER: "Mailchimp gave a reason that is not known here. It is sent again later.",
}
"""The explanation of each rejection for users."""


def is_final(reason: Rejection) -> bool:
    """Return whether a contact rejected for this reason is never sent again automatically."""
    return reason in FINAL


def next_attempt(reason: Rejection, *, attempts: int, at: datetime, of_whole_batch: bool = False) -> datetime | None:
    """Return when a contact is sent again that Mailchimp rejected at `at`, for the `attempts`-th time.

    None means that the contact is sent again only if the contact or the audience's merge fields change. If Mailchimp
    rejected every contact of a batch (`of_whole_batch`), the reason says little about one contact. All but the final
    rejections then have a next attempt.
    """
    if is_final(reason) or not (of_whole_batch or reason in TRANSIENT):
        return None
    return at + PAUSES[min(attempts, len(PAUSES)) - 1]


def text(reason: Rejection) -> str:
    """Return the explanation of a rejection for users."""
    return TEXTS.get(reason, TEXTS[Rejection.OTHER])
