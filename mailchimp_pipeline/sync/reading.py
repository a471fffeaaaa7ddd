"""How an audience's members stand at Mailchimp, read before anything is sent: all the first time, then what changed.

What does not belong here: what follows from a standing (`plan`), for consent the ledger.
"""

from collections.abc import Iterator
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
    # A read that is still to come was noted by a clock that was ahead: nobody knows what changed since it really was.
    if through is None or through > now:
        pages = (audiences.standings(list_id, status=status) for status in (None, MemberStatus.ARCHIVED))
    else:
        pages = (
            audiences.standings(list_id, status=status, since=since - _OVERLAP)
            for status, since in [*_asked(through, now, ledger)]
        )
    read = 0
    for page in (page for reading in pages for page in reading):
        ledger.take_over(page)
        read += len(page)
    ledger.finish_reading(now)
    return read


def _asked(through: datetime, now: datetime, ledger: "Ledger") -> Iterator[tuple[MemberStatus, datetime]]:
    """Yield which standings are of interest, and since when."""
    yield from ((status, through) for status in _WATCHED)
    # Those who became subscribed are, where somebody was known not to be, or where answers of a push were lost.
    if ledger.knows_unsubscribed() or ledger.push_is_unfinished():
        yield from ((status, through) for status in _MAILED)
        return
    # Else they may only have another address. Our own pushes change members too, and a large one is not to be read
    # back the next day.
    yield MemberStatus.SUBSCRIBED, max(through, min(ledger.last_pushed_at() or through, now))
