"""How an audience's members stand at Mailchimp, read before anything is sent: all the first time, then what changed.

What does not belong here: what follows from a standing (`plan`), for consent the ledger.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.model import MemberStatus

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger

_OVERLAP = timedelta(minutes=5)
"""How far before the last read the next one begins: clocks differ, and `since_last_changed` is exclusive."""

_WATCHED = (MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED, MemberStatus.ARCHIVED)

_MAILED = (MemberStatus.SUBSCRIBED, MemberStatus.PENDING)


def read_standings(list_id: str, *, audiences: "Audiences", ledger: "Ledger", now: datetime) -> int:
    """Take over what changed at Mailchimp since the last read, the first time all. Return how many members came.

    Raises the errors of the audiences; what was taken over until then stays, and is read again the next time.
    """
    through = ledger.read_through()
    if through is None:
        pages = (audiences.standings(list_id, status=status) for status in (None, MemberStatus.ARCHIVED))
    else:
        # Our own pushes change members too, and a large one is not to be read back the next day. Those who became
        # subscribed are of interest where somebody was known not to be, or where answers of a push were lost.
        mailed = _MAILED if ledger.knows_unsubscribed() or ledger.push_is_unfinished() else ()
        statuses = (*_WATCHED, *mailed)
        since = through - _OVERLAP
        pages = (audiences.standings(list_id, status=status, since=since) for status in statuses)
    read = 0
    for page in (page for reading in pages for page in reading):
        ledger.take_over(page)
        read += len(page)
    ledger.finish_reading(now)
    return read
