"""Routes of the members of an audience, and of their tags.

What does not belong here: many at once (`lists`), the rules (`model.enrolment`).
"""

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from sandbox.model import entries, problems
from sandbox.model.enrolment import Enrolment
from sandbox.model.member_listing import MemberQuery, SortField
from sandbox.model.members import Member, Status
from sandbox.model.problems import FieldError
from sandbox.web import samples
from sandbox.web.endpoints import NO_CONTENT, Answer, Call, Endpoint
from sandbox.web.member_shapes import member_shape, moment
from sandbox.web.queries import FIELDS, PAGES

_MEMBERS = "/lists/{list_id}/members"
_MEMBER = "/lists/{list_id}/members/{subscriber_hash}"
_WRITTEN = frozenset({"skip_merge_validation"})
_LISTED = PAGES | {
    "status",
    "since_last_changed",
    "before_last_changed",
    "since_timestamp_opt",
    "before_timestamp_opt",
    "unsubscribed_since",
    "email_type",
    "unique_email_id",
    "vip_only",
    "sort_field",
    "sort_dir",
}
_SORT_FIELDS = ("timestamp_opt", "timestamp_signup", "last_changed")


class TagChange(BaseModel):
    """A tag put on or taken off."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    name: str = Field(min_length=1)
    status: Literal["active", "inactive"]


class TagChanges(BaseModel):
    """The body of a change of tags."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    tags: list[TagChange]
    is_syncing: bool = False


def list_members(call: Call) -> Answer:
    """GET members."""
    audience = call.audience
    found = call.world.listings[audience.id].find(_query(call))
    body = {
        "members": [member_shape(audience, member) for member in call.query.page(found)],
        "list_id": audience.id,
        "total_items": len(found),
        "_links": [],
    }
    return Answer(body)


def add_member(call: Call) -> Answer:
    """POST members."""
    entry = entries.parse(call.body)
    member = _enrolment(call).create(entry)
    for name in entry.tag_names:
        call.audience.segments.tag(member.number, name, call.world.now(), active=True)
    return _shown(call, member)


def get_member(call: Call) -> Answer:
    """GET a member."""
    return _shown(call, call.member)


def put_member(call: Call) -> Answer:
    """PUT a member."""
    return _shown(call, _enrolment(call).put(call.places["subscriber_hash"], entries.parse(call.body)))


def patch_member(call: Call) -> Answer:
    """PATCH a member."""
    entry = entries.parse(call.body)
    if entry.status == Status.TRANSACTIONAL:
        raise problems.invalid_schema(FieldError("status", "The value you selected is not a valid choice."))
    return _shown(call, _enrolment(call).change(call.member, entry))


def archive_member(call: Call) -> Answer:
    """DELETE a member: it is archived."""
    _enrolment(call).archive(call.member)
    return NO_CONTENT


def delete_member(call: Call) -> Answer:
    """POST actions/delete-permanent: no route but this takes the hash alone, no address and no contact id."""
    member = call.audience.members.get(call.places["subscriber_hash"])
    if member is None:
        raise problems.not_found()
    _enrolment(call).delete_permanently(member)
    return NO_CONTENT


def member_tags(call: Call) -> Answer:
    """GET a member's tags."""
    number = call.member.number
    segments = call.audience.segments.of(number)
    tags = [{"id": s.id, "name": s.name, "date_added": moment(s.joined[number])} for s in call.query.page(segments)]
    return Answer({"tags": tags, "total_items": len(segments), "_links": []})


def change_tags(call: Call) -> Answer:
    """POST a member's tags."""
    number = call.member.number
    for change in call.read(TagChanges).tags:
        active = change.status == "active"
        call.audience.segments.tag(number, change.name, call.world.now(), active=active)
    return NO_CONTENT


def _enrolment(call: Call) -> Enrolment:
    skip = call.query.flag("skip_merge_validation")
    return call.world.enrolment(call.audience, skip_merge_validation=skip)


def _shown(call: Call, member: Member) -> Answer:
    return Answer(member_shape(call.audience, member))


def _query(call: Call) -> MemberQuery:
    query = call.query
    status = query.choice("status", frozenset(Status))
    if query.text("unsubscribed_since") and status not in {None, Status.UNSUBSCRIBED}:
        raise problems.invalid_schema(FieldError("unsubscribed_since", "This needs the status unsubscribed."))
    return MemberQuery(
        status=None if status is None else Status(status),
        since_last_changed=query.moment("since_last_changed"),
        before_last_changed=query.moment("before_last_changed"),
        since_timestamp_opt=query.moment("since_timestamp_opt"),
        before_timestamp_opt=query.moment("before_timestamp_opt"),
        unsubscribed_since=query.moment("unsubscribed_since"),
        email_type=query.choice("email_type", ("html", "text")),
        unique_email_id=query.text("unique_email_id"),
        vip_only=query.flag("vip_only"),
        sort_field=cast("SortField | None", query.choice("sort_field", _SORT_FIELDS)),
        descending=query.is_descending(),
    )


ENDPOINTS = (
    Endpoint("GET", _MEMBERS, list_members, takes=_LISTED, lists={"members": samples.MEMBER}),
    Endpoint("POST", _MEMBERS, add_member, takes=_WRITTEN),
    Endpoint("GET", _MEMBER, get_member, takes=FIELDS),
    Endpoint("PUT", _MEMBER, put_member, takes=_WRITTEN),
    Endpoint("PATCH", _MEMBER, patch_member, takes=_WRITTEN),
    Endpoint("DELETE", _MEMBER, archive_member),
    Endpoint("POST", f"{_MEMBER}/actions/delete-permanent", delete_member),
    Endpoint("GET", f"{_MEMBER}/tags", member_tags, takes=PAGES, lists={"tags": samples.TAG}),
    Endpoint("POST", f"{_MEMBER}/tags", change_tags),
)
