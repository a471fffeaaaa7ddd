"""The static segments of an audience. Mailchimp's tags are static segments."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.model import problems
from sandbox.model.problems import FieldError

LARGEST_CHANGE = 500
"""The maximum number of addresses in one call."""


@dataclass(slots=True)
class StaticSegment:
    """A named set of members with their joining times."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    joined: dict[int, datetime] = field(default_factory=dict[int, datetime])


class StaticSegments:
    """All static segments of one audience. Members are identified by number."""

    def __init__(self, first_id: int) -> None:
        """Start with no segments. Ids count up from `first_id`."""
        self._next_id = first_id
        self._by_id: dict[int, StaticSegment] = {}

    def all(self) -> list[StaticSegment]:
        """Return the segments in order of creation."""
        return list(self._by_id.values())

    def get(self, segment_id: int) -> StaticSegment:
        """Return a segment by id, or raise `not_found`."""
        if segment_id not in self._by_id:
            raise problems.not_found()
        return self._by_id[segment_id]

    def named(self, name: str) -> StaticSegment | None:
        """Return a segment by name, ignoring case, or None."""
        return next((s for s in self._by_id.values() if s.name.lower() == name.lower()), None)

    def add(self, name: str, now: datetime) -> StaticSegment:
        """Add an empty segment with a unique name."""
        self._check_name(name)
        segment = StaticSegment(self._next_id, name, now, now)
        self._next_id += 1
        self._by_id[segment.id] = segment
        return segment

    def rename(self, segment: StaticSegment, name: str) -> None:
        """Rename a segment."""
        if name.lower() != segment.name.lower():
            self._check_name(name)
        segment.name = name

    def remove(self, segment_id: int) -> None:
        """Delete a segment. Its members stay in the audience."""
        del self._by_id[self.get(segment_id).id]

    def of(self, number: int) -> list[StaticSegment]:
        """Return the segments of a member."""
        return [segment for segment in self._by_id.values() if number in segment.joined] if self._by_id else []

    def tag(self, number: int, name: str, now: datetime) -> None:
        """Tag a member, and create the tag if necessary."""
        segment = self.named(name) or self.add(name, now)
        segment.joined.setdefault(number, now)

    def set_tags(self, number: int, names: Iterable[str], now: datetime) -> None:
        """Replace a member's tags."""
        wanted = list(names)
        kept = {name.lower() for name in wanted}
        for segment in self.of(number):
            if segment.name.lower() not in kept:
                del segment.joined[number]
        for name in wanted:
            self.tag(number, name, now)

    def drop(self, number: int) -> None:
        """Remove a member from all segments."""
        for segment in self._by_id.values():
            segment.joined.pop(number, None)

    def _check_name(self, name: str) -> None:
        if not name.strip():
            raise problems.invalid_schema(FieldError("name", "This value should not be blank."))
        if self.named(name) is not None:
            raise problems.invalid("Sorry, that tag already exists.")


def check_size(*changes: list[str]) -> None:
    """Reject changes of too many addresses."""
    if any(len(change) > LARGEST_CHANGE for change in changes):
        detail = (
            f"Maximum allowed member items exceeded, please provide at most {LARGEST_CHANGE} items "
            "in members_to_add field or members_to_remove field"
        )
        raise problems.invalid(detail)
