"""Static segments of an audience. A tag is one of them, by another name.

What does not belong here: the segments of the pipeline (`mailchimp_pipeline.segments`), which are something else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.model import problems
from sandbox.model.problems import FieldError

LARGEST_CHANGE = 500
"""Addresses in one call."""


@dataclass(slots=True)
class StaticSegment:
    """A named set of members, with the time each one joined."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    joined: dict[int, datetime] = field(default_factory=dict[int, datetime])


class StaticSegments:
    """All static segments of one audience; members are known by their number."""

    def __init__(self, first_id: int) -> None:
        """Start without any; ids count up from `first_id`."""
        self._next_id = first_id
        self._by_id: dict[int, StaticSegment] = {}

    def all(self) -> list[StaticSegment]:
        """Return the segments in the order they were made."""
        return list(self._by_id.values())

    def get(self, segment_id: int) -> StaticSegment:
        """Return a segment; a problem where there is none."""
        if segment_id not in self._by_id:
            raise problems.not_found()
        return self._by_id[segment_id]

    def named(self, name: str) -> StaticSegment | None:
        """Return the segment of that name, whatever its case."""
        return next((s for s in self._by_id.values() if s.name.lower() == name.lower()), None)

    def add(self, name: str, now: datetime) -> StaticSegment:
        """Add an empty segment; names are unique."""
        self._check_name(name)
        segment = StaticSegment(self._next_id, name, now, now)
        self._next_id += 1
        self._by_id[segment.id] = segment
        return segment

    def rename(self, segment: StaticSegment, name: str) -> None:
        """Give a segment another name."""
        if name.lower() != segment.name.lower():
            self._check_name(name)
        segment.name = name

    def remove(self, segment_id: int) -> None:
        """Remove a segment; its members stay in the audience."""
        del self._by_id[self.get(segment_id).id]

    def of(self, number: int) -> list[StaticSegment]:
        """Return the segments a member is in."""
        return [segment for segment in self._by_id.values() if number in segment.joined] if self._by_id else []

    def tag(self, number: int, name: str, now: datetime) -> None:
        """Put a tag on a member; a tag nobody had before comes into being."""
        segment = self.named(name) or self.add(name, now)
        segment.joined.setdefault(number, now)

    def set_tags(self, number: int, names: Iterable[str], now: datetime) -> None:
        """Leave a member with exactly these tags."""
        wanted = list(names)
        kept = {name.lower() for name in wanted}
        for segment in self.of(number):
            if segment.name.lower() not in kept:
                del segment.joined[number]
        for name in wanted:
            self.tag(number, name, now)

    def drop(self, number: int) -> None:
        """Take a member out of all segments."""
        for segment in self._by_id.values():
            segment.joined.pop(number, None)

    def _check_name(self, name: str) -> None:
        if not name.strip():
            raise problems.invalid_schema(FieldError("name", "This value should not be blank."))
        if self.named(name) is not None:
            raise problems.invalid("Sorry, that tag already exists.")


def check_size(*changes: list[str]) -> None:
    """Refuse more addresses than one call may change."""
    if any(len(change) > LARGEST_CHANGE for change in changes):
        detail = (
            f"Maximum allowed member items exceeded, please provide at most {LARGEST_CHANGE} items "
            "in members_to_add field or members_to_remove field"
        )
        raise problems.invalid(detail)
