"""Calls about the members of an audience, one by one and as a listing."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from mailchimp_pipeline.erasure import Deletion
from mailchimp_pipeline.mailchimp.calls import Call, audience_path, member_path
from mailchimp_pipeline.mailchimp.errors import (
    AudienceGone,
    MemberExists,
    MemberRefused,
    NotFound,
    NotPossible,
    Rejected,
)
from mailchimp_pipeline.mailchimp.models import Member, Page, WholeMember
from mailchimp_pipeline.mailchimp.pages import read_pages
from mailchimp_pipeline.mailchimp.transport import Transport
from mailchimp_pipeline.sync import Found, MemberStatus, Refusal, Renaming, Standing

_MEMBER = ("id", "email_address", "status", "last_changed", "unsubscribe_reason", "contact_id")
_IDENTITY = ("id", "email_address", "status", "contact_id")
_STANDING = ("id", "email_address", "status", "last_changed", "contact_id")

_BEFORE_MAILCHIMP = datetime(2001, 1, 1, tzinfo=UTC)

# A member whose required merge field is blank can still leave or move: those values are not what changes.
_AS_IT_IS = {"skip_merge_validation": "true"}


class MemberCalls:
    """Members of the account's audiences, each named by the hash of its address."""

    _transport: Transport

    def members(
        self, list_id: str, *, status: MemberStatus | None = None, since_last_changed: datetime | None = None
    ) -> Iterator[Member]:
        """Yield all members, those that changed last first; with a status or a moment only these.

        Mailchimp may leave archived members out where no status is given: ask for them by theirs.
        A member may come twice.
        """
        call = _listing(list_id, _MEMBER, status, since_last_changed)
        for page in read_pages(self._transport, call, Page[Member]):
            yield from page

    def standings(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[Standing]]:
        """Yield, in pages, what `members` yields, cut down to how each member stands."""
        call = _listing(list_id, _STANDING, status, since)
        for page in read_pages(self._transport, call, Page[Member]):
            yield [member.standing() for member in page]

    def member_status(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """Return the member's status, None where the audience does not know the address, or is gone itself."""
        task = f"reading a member of the audience {list_id}"
        call = Call("GET", member_path(list_id, subscriber_hash), task, {"fields": "status"})
        try:
            return self._transport.fetch(call, Member).status
        except NotFound:
            return None

    def set_member_status(
        self, list_id: str, subscriber_hash: str, status: MemberStatus
    ) -> MemberStatus | Refusal | None:
        """Set the member's status and return what it is then, why Mailchimp refused, or None for an unknown member."""
        task = f"setting a member of the audience {list_id} to {status}"
        path = member_path(list_id, subscriber_hash)
        call = Call("PATCH", path, task, _AS_IT_IS, body={"status": str(status)})
        try:
            return self._transport.fetch(call, Member).status
        except NotFound:
            return None
        except MemberRefused as error:
            return error.refusal
        except Rejected:
            # In words that nobody foresaw: what becomes of this member must not keep others from being unsubscribed.
            return Refusal.OTHER

    def rename_member(self, list_id: str, subscriber_hash: str, new_email: str) -> Renaming | Refusal:
        """Move the member to another address; its status stays. Returns why not where Mailchimp refuses the address.

        Repeated after it was done, the old hash is `UNKNOWN`: send the contact as a new one then, it comes back
        as existing.
        """
        task = f"moving a member of the audience {list_id} to another address"
        # PATCH and not PUT: for a hash it does not know, PUT makes a member.
        path = member_path(list_id, subscriber_hash)
        call = Call("PATCH", path, task, _AS_IT_IS, body={"email_address": new_email})
        try:
            self._transport.fetch(call, Member)
        except NotFound:
            return Renaming.UNKNOWN
        except MemberExists:
            return Renaming.TAKEN
        except MemberRefused as error:
            return error.refusal
        except Rejected:
            return Refusal.OTHER
        return Renaming.RENAMED

    def archive_member(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """Archive the member and return how it stands then, None where the audience does not know it.

        Mailchimp archives nobody who is pending or cleaned: those stay so.
        """
        task = f"archiving a member of the audience {list_id}"
        try:
            self._transport.send(Call("DELETE", member_path(list_id, subscriber_hash), task))
        except NotFound:
            return None
        except NotPossible:
            return self.member_status(list_id, subscriber_hash)
        return MemberStatus.ARCHIVED

    def delete_permanently(self, list_id: str, subscriber_hash: str) -> Deletion:
        """Delete the member with everything Mailchimp has of it; the address cannot be sent to the audience again.

        `UNKNOWN` says no more than that the audience has no such member, or is gone itself: an address that was
        moved there, or deleted before, looks the same.
        """
        path = f"{member_path(list_id, subscriber_hash)}/actions/delete-permanent"
        try:
            self._transport.send(Call("POST", path, f"deleting a member of the audience {list_id}"))
        except NotFound as error:
            return Deletion.GONE_UNHEARD if error.after_lost_answer else Deletion.UNKNOWN
        return Deletion.DELETED

    def find_member(self, list_id: str, subscriber_hash: str) -> Found | None:
        """Return the member with this address, None where the audience has none, or is gone itself."""
        return self._find(list_id, member_path(list_id, subscriber_hash))

    def find_contact(self, list_id: str, contact_id: str) -> Found | None:
        """Return the member with this lasting id, None where the audience has none, or is gone itself."""
        return self._find(list_id, _contact_path(list_id, contact_id))

    def whole_member(self, list_id: str, subscriber_hash: str) -> Mapping[str, object] | None:
        """Return all that Mailchimp says of the member, in its own words; None where the audience has none."""
        task = f"reading a member of the audience {list_id}"
        call = Call("GET", member_path(list_id, subscriber_hash), task, {"exclude_fields": "_links"})
        try:
            return self._transport.fetch(call, WholeMember).said
        except NotFound:
            return None

    def _find(self, list_id: str, path: str) -> Found | None:
        call = Call("GET", path, f"reading a member of the audience {list_id}", {"fields": ",".join(_IDENTITY)})
        try:
            member = self._transport.fetch(call, Member)
        except NotFound:
            return None
        return Found(member.subscriber_hash, member.contact_id or None)


def _contact_path(list_id: str, contact_id: str) -> str:
    return f"{audience_path(list_id)}/members/{quote(contact_id, safe='')}"


def _listing(list_id: str, fields: Sequence[str], status: MemberStatus | None, since: datetime | None) -> Call:
    params: dict[str, str | int] = {
        "fields": ",".join([*(f"members.{name}" for name in fields), "total_items"]),
        # Newest first: a member that changes during the reading moves to the front, and pushes none out of sight.
        "sort_field": "last_changed",
        "sort_dir": "DESC",
    }
    if status is not None:
        params["status"] = str(status)
    if since is not None and (moment := _moment(since)):
        params["since_last_changed"] = moment
    task = f"listing the members of the audience {list_id}"
    return Call("GET", f"{audience_path(list_id)}/members", task, params, gone=AudienceGone)


def _moment(since: datetime) -> str | None:
    """Return the moment as Mailchimp reads it, a second early, since it leaves out the moment itself.

    None before there was a Mailchimp: a moment as far back as 1970 makes it hang.
    """
    if since.tzinfo is None:
        raise ValueError("a moment without a time zone is not one")
    if since <= _BEFORE_MAILCHIMP:
        return None
    return (since.astimezone(UTC) - timedelta(seconds=1)).isoformat(timespec="seconds")
