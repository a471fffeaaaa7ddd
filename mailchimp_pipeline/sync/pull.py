"""Pull an audience's changes from Mailchimp into the database before a push. The first pull reads all members."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.audience import MemberRef, MemberState, MemberStatus, MergeField, Withdrawal

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger

_OVERLAP = timedelta(minutes=15)
"""How long before the time of the previous pull the changes are read again, because clocks differ."""

_RESUBSCRIBABLE = (MemberStatus.ARCHIVED, MemberStatus.UNSUBSCRIBED)
"""Statuses that a batch changes back to subscribed. Unsubscribed members are read last, right before the batch.
Mailchimp does not resubscribe a cleaned member."""

_Listing = tuple[MemberStatus | None, datetime | None]
"""The status of the members to list, None for all but archived ones; and the time since when they changed, None for any
time."""


def pull_changes(
    list_id: str,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    now: datetime,
    merge_fields: Callable[[], Sequence[MergeField]] | None = None,
) -> int:
    """Record the audience's changes since the last pull, or all its members at the first pull.

    Returns the number of members read. `merge_fields` reads the audience's merge fields; with None they are not read.
    Raises the errors of `audiences`. Members that were recorded before an error stay recorded, and the next pull reads
    them again.
    """
    through = ledger.read_through()
    # A last pull in the future was recorded by a wrong clock: read everything.
    since = None if through is None or through > now else through - _OVERLAP
    # The pipeline's own changes are read too, because others may have changed the same members.
    listings: list[_Listing] = [(None, since), (MemberStatus.ARCHIVED, since)]
    with ThreadPoolExecutor(1, thread_name_prefix="merge-fields") as pool:
        fields = pool.submit(copy_context().run, merge_fields) if merge_fields else None
        read = _record(list_id, listings, audiences, ledger)
        ledger.finish_reading(now, fields and fields.result())
    return read


def pull_departures(list_id: str, *, audiences: "Audiences", ledger: "Ledger") -> None:
    """Record the members who unsubscribed or were archived since the last pull.

    Call it right before a batch: without it, the batch would subscribe these members again.
    """
    through = ledger.read_through()
    since = None if through is None else through - _OVERLAP
    # No extra thread: the caller may have only one connection.
    for status in _RESUBSCRIBABLE:
        for page in audiences.member_states(list_id, status=status, since=since):
            ledger.record_member_states(page)


def pull_member(list_id: str, ref: MemberRef, *, audiences: "Audiences", ledger: "Ledger") -> None:
    """Read the current state of one member from Mailchimp, and record it."""
    member = audiences.member_state(list_id, ref)
    if member is None:
        ledger.record_result(ref.subscriber_hash, None)
    else:
        ledger.record_member_states([member])


def _record(list_id: str, wanted: Sequence[_Listing], audiences: "Audiences", ledger: "Ledger") -> int:
    """Record the members of these listings, in the order of the listings, and the audience's spam complaints.

    Returns the number of members. The first pages of all listings are read in parallel, because most listings have one
    page or none.
    """
    listings = [audiences.member_states(list_id, status=status, since=since) for status, since in wanted]
    read = 0
    with ThreadPoolExecutor(len(listings) + 1, thread_name_prefix="pull") as pool:
        first_pages = [pool.submit(copy_context().run, _first_page, listing) for listing in listings]
        # The status of a member who complained looks like a bounce, or is archived if the member was archived before.
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
