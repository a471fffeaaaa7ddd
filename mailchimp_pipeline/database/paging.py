"""Pagination with cursors. A cursor identifies the last row of a page, so added or deleted rows do not shift pages."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from mailchimp_pipeline.errors import PermanentError

T = TypeVar("T")
RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT")


class CursorInvalid(PermanentError):
    """A cursor is malformed, or belongs to another list."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_cursor` fetches the next page, and is None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


def page(rows: Sequence[RowT], limit: int, item: Callable[[RowT], T], cursor: Callable[[RowT], str]) -> Page[T]:
    """Make a page of the first `limit` rows. `rows` must have one row more than `limit` if another page follows.

    `item` converts a row to an item of the page. `cursor` returns the cursor after a row.
    """
    shown = rows[:limit]
    return Page(tuple(map(item, shown)), cursor(shown[-1]) if len(rows) > limit else None)


def cursor_after(at: datetime, key: object) -> str:
    """Return the cursor of the page that follows the row with this time and key. The text is safe in URLs."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {key}".encode()).rstrip(b"=").decode()


def read_cursor(cursor: str, key: Callable[[str], KeyT]) -> tuple[datetime, KeyT]:
    """Return the time and key in a cursor. `key` parses the key.

    Raises `CursorInvalid` if the cursor was not made by `cursor_after`, or if `key` raises `ValueError`.
    """
    try:
        at, _, rest = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        return _with_zone(datetime.fromisoformat(at)), key(_storable(rest))
    except ValueError:
        raise CursorInvalid("The cursor is not one of this list. Ask for the first page again.") from None


def row_number(text: str) -> int:
    """Parse the number of a row in a cursor. Raises `ValueError` if no row can have it."""
    number = int(text)
    if not 0 < number < 2**63:
        raise ValueError("not the number of a row")
    return number


def _with_zone(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a character that PostgreSQL does not take")
    return text
