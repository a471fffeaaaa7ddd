"""Reads listings to their end, page by page.

What does not belong here: what is listed (`audiences`, `members`, `campaigns`).
"""

from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

from mailchimp_pipeline.mailchimp.calls import Call
from mailchimp_pipeline.mailchimp.error_classification import incomplete
from mailchimp_pipeline.mailchimp.errors import BrokenOff, TimedOut
from mailchimp_pipeline.mailchimp.models import EntryPage, Item, Wire

PAGE_SIZES: Final[tuple[int, ...]] = (1000, 500, 100)
"""Entries asked for at once: the most Mailchimp gives, and what is tried when it cannot give that many in time."""

_Model = TypeVar("_Model", bound=Wire)


class Fetcher(Protocol):
    """What sends the calls: a `Transport`."""

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Return the answer's body as a `model`."""
        ...


def read_pages(fetcher: Fetcher, call: Call, model: type[EntryPage[Item]]) -> Iterator[tuple[Item, ...]]:
    """Yield the entries of all pages; entries may come twice, but none is left out.

    Raises `Incomplete` where the listing ends before all that was announced has come.
    """
    sizes: list[int] = [*PAGE_SIZES]
    total, offset = None, 0
    while total is None or offset < total:
        page = _read_page(fetcher, call, model, sizes, offset)
        announced, total = total, page.total_items
        if announced is not None and total < announced:
            # Entries went away meanwhile and those behind them moved forward: go back as far.
            offset = max(0, offset - (announced - total))
            continue
        if offset < total and not page.items:
            raise incomplete(call, announced=total, read=offset)
        offset += len(page.items)
        yield page.items


def _read_page(
    fetcher: Fetcher, call: Call, model: type[EntryPage[Item]], sizes: list[int], offset: int
) -> EntryPage[Item]:
    """Return a page of the first size that comes through; sizes that are too much are dropped for the pages after it.

    A Mailchimp that is away altogether says nothing of the size: it is waited for as for any call.
    """
    while len(sizes) > 1:
        try:
            return fetcher.fetch(call.page(sizes[0], offset, could_be_smaller=True), model)
        except (TimedOut, BrokenOff):
            del sizes[0]
    return fetcher.fetch(call.page(sizes[0], offset), model)
