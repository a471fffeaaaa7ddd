"""The known status of an audience's member, its transitions, and the actions that it allows.

The known status is what the database has about a member: what Mailchimp last reported, or `removed`. Three facts are
stored apart: what the source wants (`segment_members` and `audience_members.leaving`), the known status
(`audience_members.status`), and what Mailchimp last rejected (`rejected_contacts`). A rejected change therefore never
keeps a contact from leaving, moving, opting out or being erased.

| known status    | Mailchimp reports `archived` | reports another status | reports no member   | we archive it |
|-----------------|---------------------------|-----------------------|-----------------------|---------------|
| absent (null)   | archived                  | that status           | absent                | impossible    |
| subscribed      | archived                  | that status           | absent                | removed       |
| pending         | archived                  | that status           | absent                | removed       |
| unsubscribed    | archived                  | that status           | absent                | impossible    |
| cleaned         | archived                  | that status           | absent                | impossible    |
| transactional   | archived                  | that status           | absent                | impossible    |
| archived        | archived                  | that status           | absent                | archived      |
| removed         | removed, or archived where the member changed later    | that status | absent | removed |

A report changes the known status unless it is older than the previous report. A `removed` member was archived by the
pipeline because it left every segment, and is added again if a segment has it again. An `archived` member was archived
by an administrator, and is left alone.

Allowed actions:

| action                                         | allowed in                |
|------------------------------------------------|---------------------------|
| add a contact                                  | absent, removed           |
| change its data, or its address                | subscribed                |
| subscribe it again, after an opt-in            | unsubscribed              |
| archive it                                     | subscribed                |
| unsubscribe it                                 | subscribed, pending       |
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from mailchimp_pipeline.sync.audience import KnownStatus, MemberStatus


class Action(StrEnum):
    """An action that a sync may take on a member of an audience."""

    ADD = "add"
    CHANGE = "change"
    SUBSCRIBE_AGAIN = "subscribe again"
    ARCHIVE = "archive"
    UNSUBSCRIBE = "unsubscribe"


ALLOWED: Mapping[Action, frozenset[KnownStatus | None]] = {
    Action.ADD: frozenset({None, KnownStatus.REMOVED}),
    Action.CHANGE: frozenset({KnownStatus.SUBSCRIBED}),
    Action.SUBSCRIBE_AGAIN: frozenset({KnownStatus.UNSUBSCRIBED}),
    Action.ARCHIVE: frozenset({KnownStatus.SUBSCRIBED}),
    Action.UNSUBSCRIBE: frozenset({KnownStatus.SUBSCRIBED, KnownStatus.PENDING}),
}
"""The known statuses in which each action is allowed. None means that the audience does not have the member."""

_MARGIN = timedelta(minutes=1)
"""The longest time between an archive call and the change that Mailchimp reports for it. If an archived member changed
later than that, somebody else archived it."""

_ARCHIVABLE = {KnownStatus.SUBSCRIBED, KnownStatus.PENDING}
_ARCHIVED = {KnownStatus.ARCHIVED, KnownStatus.REMOVED}


class ImpossibleTransition(Exception):
    """The pipeline archived a member whose known status does not allow it. Raised only because of a defect."""

    def __init__(self, known: KnownStatus | None) -> None:
        super().__init__(
            f"A member that is {known or 'absent'} was archived by us. This is a defect: please report it."
        )


def is_allowed(action: Action, known: KnownStatus | None) -> bool:
    """Return whether the action is allowed on a member with this known status."""
    return known in ALLOWED[action]


def status_after_report(
    known: KnownStatus | None,
    status: MemberStatus | None,
    *,
    known_at: datetime | None = None,
    changed_at: datetime | None = None,
) -> KnownStatus | None:
    """Return the new known status of a member after Mailchimp reported `status`, None if the member does not exist.

    `known_at` is the time of the member's last change in the previous report, `changed_at` that in this report. If this
    report is older, the known status stays the same.
    """
    if known_at is not None and changed_at is not None and changed_at < known_at:
        return known
    if status is None:
        return None
    if known is KnownStatus.REMOVED and status is MemberStatus.ARCHIVED:
        is_later = known_at is not None and changed_at is not None and changed_at > known_at + _MARGIN
        return KnownStatus.ARCHIVED if is_later else KnownStatus.REMOVED
    return KnownStatus(status.value)


def after_archiving(known: KnownStatus | None) -> KnownStatus:
    """Return the known status of a member after the pipeline archived the member.

    Raises `ImpossibleTransition` unless the member was subscribed, pending, archived or removed.
    """
    if known in _ARCHIVABLE:
        return KnownStatus.REMOVED
    if known is None or known not in _ARCHIVED:
        raise ImpossibleTransition(known)
    return known


STATUS_AFTER_REPORT_SQL = """case
    when known.changed_at is not null and excluded.changed_at < known.changed_at then known.status
    when known.status = 'removed' and excluded.status = 'archived' and not coalesce(
        excluded.changed_at > known.changed_at + interval '1 minute', false
    ) then 'removed'
    else excluded.status
end"""
"""`status_after_report` in SQL, for a row `known` and the report `excluded`."""
