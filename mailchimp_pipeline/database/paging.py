"""Pages of a list that keep their place while rows come and go: a cursor names the last row seen, not a number."""

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
    """A cursor is not one that a page gave."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and the cursor of those that follow; None where none do."""

    items: tuple[T, ...]
    next_cursor: str | None


def page(rows: Sequence[RowT], limit: int, item: Callable[[RowT], T], cursor: Callable[[RowT], str]) -> Page[T]:
    """Return the first `limit` of the rows; one more than that was asked for, to know whether any follow."""
    shown = rows[:limit]
    return Page(tuple(map(item, shown)), cursor(shown[-1]) if len(rows) > limit else None)


def cursor_after(at: datetime, key: object) -> str:
    """Return, as opaque text that may stand in a URL, the place after the row of this time and key."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {key}".encode()).rstrip(b"=").decode()


def read_cursor(cursor: str, key: Callable[[str], KeyT]) -> tuple[datetime, KeyT]:
    """Return time and key of the row that a cursor names. Raises `CursorInvalid`."""
    try:
        at, _, rest = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        return _with_zone(datetime.fromisoformat(at)), key(_storable(rest))
    except ValueError:
        raise CursorInvalid("The cursor is not one of this list. Ask for the first page again.") from None


def _with_zone(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a character that PostgreSQL does not take")
    return text
