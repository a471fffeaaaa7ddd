"""The routes for an audience's static segments. Saved segments do not exist in the sandbox."""

from pydantic import BaseModel, ConfigDict

from sandbox.model import problems
from sandbox.model.members import Member
from sandbox.model.problems import FieldError
from sandbox.model.static_segments import StaticSegment, check_size
from sandbox.web import samples
from sandbox.web.endpoints import NO_CONTENT, Answer, Call, Endpoint
from sandbox.web.list_shapes import segment_shape
from sandbox.web.member_shapes import batch_member_shape
from sandbox.web.queries import PAGES

_SEGMENTS = "/lists/{list_id}/segments"
_SEGMENT = "/lists/{list_id}/segments/{segment_id}"


class SegmentBody(BaseModel):
    """The body that creates or changes a segment. Its addresses replace all members."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    name: str | None = None
    static_segment: list[str] | None = None


class SegmentMembersBody(BaseModel):
    """The body that adds and removes members."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    members_to_add: list[str] = []
    members_to_remove: list[str] = []


def list_segments(call: Call) -> Answer:
    """GET segments."""
    kind = call.query.choice("type", ("saved", "static", "fuzzy"))
    found = call.audience.segments.all() if kind in {None, "static"} else []
    shapes = [segment_shape(call.audience, segment) for segment in call.query.page(found)]
    return Answer({"segments": shapes, "list_id": call.audience.id, "total_items": len(found), "_links": []})


def add_segment(call: Call) -> Answer:
    """POST segments."""
    requested = call.parse(SegmentBody)
    if requested.static_segment is None:
        message = "The sandbox has static segments only: give the addresses, or an empty array."
        raise problems.invalid_schema(FieldError("static_segment", message))
    check_size(requested.static_segment)
    segment = call.audience.segments.add(requested.name or "", call.state.now())
    _join(call, segment, requested.static_segment)
    return _shown(call, segment)


def change_segment(call: Call) -> Answer:
    """PATCH a segment."""
    segment, requested = _segment(call), call.parse(SegmentBody)
    check_size(requested.static_segment or [])
    if requested.name is not None:
        call.audience.segments.rename(segment, requested.name)
    if requested.static_segment is not None:
        segment.joined.clear()
        _join(call, segment, requested.static_segment)
    segment.updated_at = call.state.now()
    return _shown(call, segment)


def remove_segment(call: Call) -> Answer:
    """DELETE a segment."""
    call.audience.segments.remove(call.number("segment_id"))
    return NO_CONTENT


def change_members(call: Call) -> Answer:
    """POST a segment: add and remove members."""
    segment, changes = _segment(call), call.parse(SegmentMembersBody)
    check_size(changes.members_to_add, changes.members_to_remove)
    added = _join(call, segment, changes.members_to_add)
    removed = _leave(call, segment, changes.members_to_remove)
    segment.updated_at = call.state.now()
    errors = _unknown(call, [*changes.members_to_add, *changes.members_to_remove])
    body = {
        "members_added": [batch_member_shape(call.audience, member) for member in added],
        "members_removed": [batch_member_shape(call.audience, member) for member in removed],
        "errors": errors,
        "total_added": len(added),
        "total_removed": len(removed),
        "error_count": len(errors),
        "_links": [],
    }
    return Answer(body)


def segment_members(call: Call) -> Answer:
    """GET a segment's members."""
    found = [
        member for number in _segment(call).joined if (member := call.audience.members_by_number[number]) is not None
    ]
    shapes = [batch_member_shape(call.audience, member) for member in call.query.page(found)]
    return Answer({"members": shapes, "total_items": len(found), "_links": []})


def _segment(call: Call) -> StaticSegment:
    return call.audience.segments.get(call.number("segment_id"))


def _shown(call: Call, segment: StaticSegment) -> Answer:
    return Answer(segment_shape(call.audience, segment))


def _known(call: Call, addresses: list[str]) -> list[Member]:
    return [member for address in addresses if (member := call.audience.find(address)) is not None]


def _unknown(call: Call, addresses: list[str]) -> list[dict[str, object]]:
    strangers = [address for address in addresses if call.audience.find(address) is None]
    return [{"email_addresses": strangers, "error": "Email addresses do not exist in the list"}] if strangers else []


def _join(call: Call, segment: StaticSegment, addresses: list[str]) -> list[Member]:
    added = [member for member in _known(call, addresses) if member.number not in segment.joined]
    segment.joined.update(dict.fromkeys((member.number for member in added), call.state.now()))
    return added


def _leave(call: Call, segment: StaticSegment, addresses: list[str]) -> list[Member]:
    return [m for m in _known(call, addresses) if segment.joined.pop(m.number, None) is not None]


ENDPOINTS = (
    Endpoint("GET", _SEGMENTS, list_segments, query=PAGES | {"type"}, samples={"segments": samples.SEGMENT}),
    Endpoint("POST", _SEGMENTS, add_segment),
    Endpoint("POST", _SEGMENT, change_members),
    Endpoint("PATCH", _SEGMENT, change_segment),
    Endpoint("DELETE", _SEGMENT, remove_segment),
    Endpoint("GET", f"{_SEGMENT}/members", segment_members, query=PAGES, samples={"members": samples.BATCH_MEMBER}),
)
