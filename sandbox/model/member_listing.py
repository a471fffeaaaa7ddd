"""Member listings: filters and sort order. All pages of one query share one pass over the members."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sandbox.model.audiences import Audience
from sandbox.model.member_events import unique_email_id
from sandbox.model.members import Member, Status

SortField = Literal["timestamp_opt", "timestamp_signup", "last_changed"]

_NEVER = datetime.min.replace(tzinfo=UTC)
_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class MemberQuery:
    """Filters that are combined with "and"; None is no filter. `since_` and `before_` exclude the moment itself."""

    status: Status | None = None
    since_last_changed: datetime | None = None
    before_last_changed: datetime | None = None
    since_timestamp_opt: datetime | None = None
    before_timestamp_opt: datetime | None = None
    unsubscribed_since: datetime | None = None
    email_type: str | None = None
    unique_email_id: str | None = None
    vip_only: bool = False
    sort_field: SortField | None = None
    descending: bool = False


class MemberListing:
    """Runs queries on one audience. Results are cached until a member changes."""

    def __init__(self, audience: Audience) -> None:
        """Start with an empty cache."""
        self._audience = audience
        self._found: dict[MemberQuery, list[Member]] = {}
        self._version = -1

    def find(self, query: MemberQuery) -> list[Member]:
        """Return all matching members. The default order is the order of creation."""
        if self._version != self._audience.version or len(self._found) > _REMEMBERED:
            self._found.clear()
            self._version = self._audience.version
        if query not in self._found:
            self._found[query] = self._select(query)
        return self._found[query]

    def _select(self, query: MemberQuery) -> list[Member]:
        tests = _tests(query)
        found = [member for member in self._candidates(query) if all(test(member) for test in tests)]
        found.sort(key=_order(query.sort_field), reverse=query.descending)
        return found

    def _candidates(self, query: MemberQuery) -> Iterable[Member]:
        """Yield only the end of `members` if the query has `since_last_changed`."""
        since = query.since_last_changed
        if since is None or not self._audience.is_sorted:
            return (member for member in self._audience.members_by_number if member is not None)
        return _changed_since(self._audience, since)


def _changed_since(audience: Audience, since: datetime) -> Iterable[Member]:
    for member in reversed(audience.members.values()):
        if member.last_changed <= since:
            return
        yield member


def _tests(query: MemberQuery) -> list[Callable[[Member], bool]]:
    tests: list[Callable[[Member], bool]] = []
    if query.status is not None:
        tests.append(lambda member: member.status is query.status)
    if query.email_type is not None:
        tests.append(lambda member: member.attributes.email_type == query.email_type)
    if query.unique_email_id is not None:
        tests.append(lambda member: unique_email_id(member) == query.unique_email_id)
    if query.vip_only:
        tests.append(lambda member: member.attributes.vip)
    return tests + _time_tests(query)


def _time_tests(query: MemberQuery) -> list[Callable[[Member], bool]]:
    wanted: list[tuple[datetime | None, datetime | None, Callable[[Member], datetime | None]]] = [
        (query.since_last_changed, query.before_last_changed, lambda member: member.last_changed),
        (query.since_timestamp_opt, query.before_timestamp_opt, lambda member: member.opted_in_at),
        (query.unsubscribed_since, None, lambda member: member.left_at),
    ]
    return [
        lambda member, since=since, before=before, of=of: _is_between(of(member), since, before)
        for since, before, of in wanted
        if since is not None or before is not None
    ]


def _is_between(moment: datetime | None, since: datetime | None, before: datetime | None) -> bool:
    return moment is not None and (since is None or moment > since) and (before is None or moment < before)


def _order(field: SortField | None) -> Callable[[Member], tuple[object, int]]:
    if field == "last_changed":
        return lambda member: (member.last_changed, member.number)
    if field == "timestamp_opt":
        return lambda member: (member.opted_in_at or _NEVER, member.number)
    if field == "timestamp_signup":
        return lambda member: (member.attributes.timestamp_signup, member.number)
    return lambda member: (0, member.number)
