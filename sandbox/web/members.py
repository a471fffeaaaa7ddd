"""The routes for an audience's members."""

from typing import cast

from sandbox.model import member_body, problems
from sandbox.model.member_listing import MemberQuery, SortField
from sandbox.model.member_writer import MemberWriter
from sandbox.model.members import Member, Status
from sandbox.model.problems import FieldError
from sandbox.web import samples
from sandbox.web.endpoints import NO_CONTENT, Answer, Call, Endpoint
from sandbox.web.member_shapes import member_shape
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


def list_members(call: Call) -> Answer:
    """GET members."""
    audience = call.audience
    found = call.state.listings[audience.id].find(_query(call))
    body = {
        "members": [member_shape(audience, member) for member in call.query.page(found)],
        "list_id": audience.id,
        "total_items": len(found),
        "_links": [],
    }
    return Answer(body)


def get_member(call: Call) -> Answer:
    """GET a member."""
    return _shown(call, call.member)


def put_member(call: Call) -> Answer:
    """PUT a member."""
    return _shown(call, _writer(call).put(call.path_parameters["subscriber_hash"], member_body.parse(call.body)))


def patch_member(call: Call) -> Answer:
    """PATCH a member."""
    requested = member_body.parse(call.body)
    if requested.status == Status.TRANSACTIONAL:
        raise problems.invalid_schema(FieldError("status", "The value you selected is not a valid choice."))
    return _shown(call, _writer(call).update(call.member, requested))


def archive_member(call: Call) -> Answer:
    """DELETE a member, which archives it."""
    _writer(call).archive(call.member)
    return NO_CONTENT


def delete_member(call: Call) -> Answer:
    """POST actions/delete-permanent. It accepts the subscriber hash only, not an address or a contact id."""
    member = call.audience.members.get(call.path_parameters["subscriber_hash"])
    if member is None:
        raise problems.not_found()
    _writer(call).delete_permanently(member)
    return NO_CONTENT


def _writer(call: Call) -> MemberWriter:
    skip = call.query.flag("skip_merge_validation")
    return call.state.member_writer(call.audience, skip_merge_validation=skip)


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
    Endpoint("GET", _MEMBERS, list_members, query=_LISTED, samples={"members": samples.MEMBER}),
    Endpoint("GET", _MEMBER, get_member, query=FIELDS),
    Endpoint("PUT", _MEMBER, put_member, query=_WRITTEN),
    Endpoint("PATCH", _MEMBER, patch_member, query=_WRITTEN),
    Endpoint("DELETE", _MEMBER, archive_member),
    Endpoint("POST", f"{_MEMBER}/actions/delete-permanent", delete_member),
)
