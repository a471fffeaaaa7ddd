"""The changes of an audience, pulled before anything is pushed: everything the first time, then what changed.

What does not belong here: what follows from a status (`plan`), for consent the ledger.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.model import MemberRef, MemberState, MemberStatus, MergeField, Withdrawal

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger

_OVERLAP = timedelta(minutes=15)
"""How far before the last pull the next one begins: the clocks differ."""

_RESUBSCRIBABLE = (MemberStatus.ARCHIVED, MemberStatus.UNSUBSCRIBED)
"""Statuses that a batch would change back to subscribed: last the one that nothing may come after. Mailchimp keeps a
bounced member as it is."""

_Listing = tuple[MemberStatus | None, datetime | None]
"""Which members are listed: the status, None for all but the archived, and changed since when."""


def pull_changes(
    list_id: str,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    now: datetime,
    merge_fields: Callable[[], Sequence[MergeField]] | None = None,
) -> int:
    """Record what changed in the audience since the last pull, the first time everything.

    `merge_fields` reads its merge fields, where they are of use. Return how many members came. Raises the
    errors of the audiences; what was recorded until then stays, and is pulled again the next time.
    """
    through = ledger.read_through()
    # A pull that lies in the future was noted by a clock that was ahead: what changed since is not known.
    since = None if through is None or through > now else through - _OVERLAP
    # Our own pushes are read back, too: others may have changed these members meanwhile.
    listings: list[_Listing] = [(None, since), (MemberStatus.ARCHIVED, since)]
    with ThreadPoolExecutor(1, thread_name_prefix="merge-fields") as pool:
        fields = pool.submit(copy_context().run, merge_fields) if merge_fields else None
        read = _record(list_id, listings, audiences, ledger)
        ledger.finish_reading(now, fields and fields.result())
    return read


def pull_departures(list_id: str, *, audiences: "Audiences", ledger: "Ledger") -> None:
    """Record who unsubscribed or was archived since the last pull: right before a batch that would undo it."""
    through = ledger.read_through()
    since = None if through is None else through - _OVERLAP
    # In this thread: the caller may have only one connection.
    for status in _RESUBSCRIBABLE:
        for page in audiences.member_states(list_id, status=status, since=since):
            ledger.record_member_states(page)


def pull_member(list_id: str, ref: MemberRef, *, audiences: "Audiences", ledger: "Ledger") -> None:
    """Record one member as Mailchimp has it now."""
    member = audiences.member_state(list_id, ref)
    if member is None:
        ledger.record_result(ref.subscriber_hash, None)
    else:
        ledger.record_member_states([member])


def _record(list_id: str, wanted: Sequence[_Listing], audiences: "Audiences", ledger: "Ledger") -> int:
    """Record the listings in this order. Return how many members came.

    Mostly each is one page, or none: the first pages are asked for side by side.
    """
    listings = [audiences.member_states(list_id, status=status, since=since) for status, since in wanted]
    read = 0
    with ThreadPoolExecutor(len(listings) + 1, thread_name_prefix="pull") as pool:
        first_pages = [pool.submit(copy_context().run, _first_page, listing) for listing in listings]
        # A spam complaint looks like a bounce, or like nothing where the member was archived before.
        complaints = pool.submit(copy_context().run, _all_pages, audiences.complaints(list_id))
        for first, listing in zip(first_pages, listings, strict=True):
            for page in chain(first.result(), listing):
                ledger.record_member_states(page)
                read += len(page)
    if withdrawals := complaints.result():
        ledger.record_withdrawals(withdrawals)
    return read


def _all_pages(pages: Iterable[Sequence[Withdrawal]]) -> list[Withdrawal]:
    return list(chain.from_iterable(pages))


def _first_page(listing: Iterator[Sequence[MemberState]]) -> list[Sequence[MemberState]]:
    return [page for page in [next(listing, None)] if page is not None]
