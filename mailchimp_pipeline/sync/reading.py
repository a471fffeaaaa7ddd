"""How an audience's members stand at Mailchimp, read before anything is sent: all the first time, then what changed.

What does not belong here: what follows from a standing (`plan`), for consent the ledger.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.model import MAILED, MemberStatus, Standing
from mailchimp_pipeline.tracing import carried

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger

_OVERLAP = timedelta(minutes=5)
"""How far before the last read the next one begins: clocks differ, and `since_last_changed` is exclusive."""

_A_SECOND = timedelta(seconds=1)

_JUST_NOW = timedelta(seconds=30)
"""How long a read is as good as a new one."""

_WATCHED = (MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED, MemberStatus.ARCHIVED)

_Asked = tuple[MemberStatus | None, datetime | None]
"""Which members are asked for: with which status, None for all but the archived, and changed since when."""


def read_standings(list_id: str, *, audiences: "Audiences", ledger: "Ledger", now: datetime) -> int:
    """Take over what changed at Mailchimp since the last read, the first time all. Return how many members came.

    Raises the errors of the audiences; what was taken over until then stays, and is read again the next time.
    """
    through = ledger.read_through()
    # A read that is still to come was noted by a clock that was ahead: nobody knows what changed since it really was.
    if through is None or through > now:
        asked: list[_Asked] = [(None, None), (MemberStatus.ARCHIVED, None)]
    else:
        asked = [*_changed(through - _OVERLAP, ledger)]
    read = _take_over(list_id, asked, audiences, ledger)
    ledger.finish_reading(now)
    return read


def read_departures(list_id: str, *, audiences: "Audiences", ledger: "Ledger", now: datetime) -> int:
    """Take over who unsubscribed, bounced or was archived since the members were read, unless that was just now."""
    through = ledger.read_through()
    if through is None or now - through < _JUST_NOW:
        return 0
    return _take_over(list_id, [(status, through - _OVERLAP) for status in _WATCHED], audiences, ledger)


def _changed(since: datetime, ledger: "Ledger") -> Iterator[_Asked]:
    """Yield which standings are of interest, and since when."""
    yield from ((status, since) for status in _WATCHED)
    # Those who became subscribed are, where somebody was known not to be, or where answers of a push were lost.
    if ledger.knows_unsubscribed() or ledger.push_is_unfinished():
        yield from ((status, since) for status in MAILED)
        return
    # Else they may only have another address. Our own pushes change members too, and a large one is not to be read
    # back the next day: its times are Mailchimp's, whole seconds, so only what is later needs to be read.
    pushed_through = ledger.pushed_through()
    yield MemberStatus.SUBSCRIBED, max(since, pushed_through + _A_SECOND) if pushed_through else since


def _take_over(list_id: str, asked: Sequence[_Asked], audiences: "Audiences", ledger: "Ledger") -> int:
    """Take over the listings in this order, so that who is mailed again has the last word. Return how many came.

    Mostly each is one page, or none: the first are asked for side by side.
    """
    listings = [audiences.standings(list_id, status=status, since=since) for status, since in asked]
    read = 0
    with ThreadPoolExecutor(len(listings), thread_name_prefix="reading") as pool:
        first_pages = [pool.submit(carried(_first_page), listing) for listing in listings]
        for first, listing in zip(first_pages, listings, strict=True):
            for page in chain(first.result(), listing):
                ledger.take_over(page)
                read += len(page)
    return read


def _first_page(listing: Iterator[Sequence[Standing]]) -> list[Sequence[Standing]]:
    return [page for page in [next(listing, None)] if page is not None]
