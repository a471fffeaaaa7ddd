"""Read listings page by page.

What does not belong here: the listed resources (`audiences`, `members`, `campaigns`).
"""

from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

from mailchimp_pipeline.mailchimp.calls import Call
from mailchimp_pipeline.mailchimp.error_classification import incomplete
from mailchimp_pipeline.mailchimp.errors import BrokenOff, TimedOut
from mailchimp_pipeline.mailchimp.models import EntryPage, Item, Wire

PAGE_SIZES: Final[tuple[int, ...]] = (1000, 500, 100)
"""Entries per page: Mailchimp's maximum, and smaller sizes for pages that Mailchimp does not return in time."""

_Model = TypeVar("_Model", bound=Wire)


class Fetcher(Protocol):
    """An object that sends calls, such as `Transport`."""

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Return the body of the answer as a `model`."""
        ...


def read_pages(fetcher: Fetcher, call: Call, model: type[EntryPage[Item]]) -> Iterator[tuple[Item, ...]]:
    """Yield the entries of all pages. Entries may be repeated, but none is left out.

    Raises `Incomplete` if the listing ends before all announced entries.
    """
    sizes: list[int] = [*PAGE_SIZES]
    total, offset = None, 0
    while total is None or offset < total:
        page = _read_page(fetcher, call, model, sizes, offset)
        announced, total = total, page.total_items
        if announced is not None and total < announced:
            # Removed entries moved the others forward, so read that many again.
            offset = max(0, offset - (announced - total))
            continue
        if offset < total and not page.items:
            raise incomplete(call, announced=total, read=offset)
        offset += len(page.items)
        yield page.items


def _read_page(
    fetcher: Fetcher, call: Call, model: type[EntryPage[Item]], sizes: list[int], offset: int
) -> EntryPage[Item]:
    """Return the page of the largest size that Mailchimp returns. Sizes that fail are removed from `sizes`.

    The last size is requested with all retries of a call.
    """
    while len(sizes) > 1:
        try:
            return fetcher.fetch(call.page(sizes[0], offset, could_be_smaller=True), model)
        except (TimedOut, BrokenOff):
            del sizes[0]
    return fetcher.fetch(call.page(sizes[0], offset), model)
