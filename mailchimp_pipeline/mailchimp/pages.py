"""Reads listings to their end, page by page.

What does not belong here: what is listed (`audiences`, `members`, `campaigns`).
"""

from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

from mailchimp_pipeline.mailchimp.calls import Call
from mailchimp_pipeline.mailchimp.errors import TimedOut, Unavailable
from mailchimp_pipeline.mailchimp.models import Item, Page, Wire
from mailchimp_pipeline.mailchimp.verdicts import incomplete

PAGE_SIZES: Final[tuple[int, ...]] = (1000, 500, 100)
"""Entries asked for at once: the most Mailchimp gives, and what is tried when it cannot give that many in time."""

_Model = TypeVar("_Model", bound=Wire)


class Fetcher(Protocol):
    """What sends the calls: a `Transport`."""

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Return the answer's body as a `model`."""
        ...


def read_pages(fetcher: Fetcher, call: Call, model: type[Page[Item]]) -> Iterator[tuple[Item, ...]]:
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


def _read_page(fetcher: Fetcher, call: Call, model: type[Page[Item]], sizes: list[int], offset: int) -> Page[Item]:
    """Return a page of the first size that comes through; sizes that did not are dropped for the pages after it.

    An answer that broke off gets a second chance: more often it has nothing to do with the size.
    """
    while len(sizes) > 1:
        for _ in range(2):
            try:
                return fetcher.fetch(call.page(sizes[0], offset, repeat_when_lost=False), model)
            except TimedOut:
                break
            except Unavailable:
                continue
        del sizes[0]
    return fetcher.fetch(call.page(sizes[0], offset, repeat_when_lost=True), model)
