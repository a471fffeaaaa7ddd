"""Calls about the members of an audience."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from mailchimp_pipeline.erasure import Deletion
from mailchimp_pipeline.mailchimp.api_errors import (
    AudienceGone,
    MemberExists,
    MemberRefused,
    NotFound,
    NotPossible,
    Rejected,
)
from mailchimp_pipeline.mailchimp.transport import Transport, read_pages
from mailchimp_pipeline.mailchimp.wire_models import (
    AbuseReport,
    Call,
    EntryPage,
    Member,
    WholeMember,
    audience_path,
    member_path,
)
from mailchimp_pipeline.sync import AddressChangeResult, MemberRef, MemberState, MemberStatus, Rejection, Withdrawal

_MEMBER = ("id", "email_address", "status", "last_changed", "unsubscribe_reason", "contact_id")

_BEFORE_MAILCHIMP = datetime(2001, 1, 1, tzinfo=UTC)

# A member with a blank required merge field can still be unsubscribed or get a new address.
_AS_IT_IS = {"skip_merge_validation": "true"}


class MemberCalls:
    """Calls about the members of the account's audiences."""

    _transport: Transport

    def members(
        self, list_id: str, *, status: MemberStatus | None = None, since_last_changed: datetime | None = None
    ) -> Iterator[Member]:
        """Yield the audience's members, the latest change first. A member may occur twice.

        With `status`, only members with this status. Without it, Mailchimp may leave out archived members. With
        `since_last_changed`, only members that changed at or after this time.
        """
        call = _listing(list_id, status, since_last_changed)
        for page in read_pages(self._transport, call, EntryPage[Member]):
            yield from page

    def member_states(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[MemberState]]:
        """Yield pages of the states of the audience's members.

        `status` and `since` select the members, as `status` and `since_last_changed` do in `members`.
        """
        for page in read_pages(self._transport, _listing(list_id, status, since), EntryPage[Member]):
            yield [member.state() for member in page]

    def complaints(self, list_id: str) -> Iterator[Sequence[Withdrawal]]:
        """Yield pages of the spam complaints by the audience's members."""
        fields = {"fields": "abuse_reports.email_address,abuse_reports.date,total_items"}
        task = f"listing the spam complaints of the audience {list_id}"
        call = Call("GET", f"{audience_path(list_id)}/abuse-reports", task, fields, gone=AudienceGone)
        for page in read_pages(self._transport, call, EntryPage[AbuseReport]):
            yield [report.complaint() for report in page if report.email_address and report.date]

    def member_state(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Return the current state of the member, None if the member or the audience does not exist."""
        return self._find(list_id, member_path(list_id, ref.path_id))

    def find_contact(self, list_id: str, contact_id: str) -> MemberState | None:
        """Return the state of the member with this contact id, which stays the same if the address changes.

        Returns None if the member or the audience does not exist.
        """
        return self._find(list_id, _contact_path(list_id, contact_id))

    def set_member_status(self, list_id: str, ref: MemberRef, status: MemberStatus) -> MemberState | Rejection | None:
        """Set the member's status.

        Returns the member's new state, the reason if Mailchimp refuses, or None if the audience does not have the
        member.
        """
        task = f"setting a member of the audience {list_id} to {status}"
        return self._patch(list_id, ref, task, {"status": str(status)}, _AS_IT_IS)

    def change_member(
        self, list_id: str, ref: MemberRef, merge_fields: Mapping[str, str]
    ) -> MemberState | Rejection | None:
        """Change the member's merge fields, never its status.

        Returns the member's new state, the reason if Mailchimp refuses, or None if the audience does not have the
        member.
        """
        task = f"changing a member of the audience {list_id}"
        return self._patch(list_id, ref, task, {"merge_fields": dict(merge_fields)})

    def change_address(
        self, list_id: str, ref: MemberRef, new_email: str
    ) -> MemberState | AddressChangeResult | Rejection:
        """Change the member's address; the status stays the same.

        Returns the member's new state, or the reason why the address was not changed. If the change succeeds but its
        answer is lost, the repeated call no longer finds the former address and returns `UNKNOWN`. The caller then
        sends the contact as a new member, which the audience may already have.
        """
        task = f"changing the address of a member of the audience {list_id}"
        try:
            # PUT would create a member for an unknown hash.
            member = self._patch(list_id, ref, task, {"email_address": new_email}, _AS_IT_IS)
        except MemberExists:
            return AddressChangeResult.TAKEN
        return AddressChangeResult.UNKNOWN if member is None else member

    def archive_member(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Archive the member. Returns its new state, None if the audience does not have the member.

        Mailchimp does not archive pending and cleaned members. Their unchanged state is then returned.
        """
        task = f"archiving a member of the audience {list_id}"
        try:
            archived_at = self._transport.send(Call("DELETE", member_path(list_id, ref.path_id), task))
        except NotFound:
            return None
        except NotPossible:
            return self.member_state(list_id, ref)
        return MemberState(ref.subscriber_hash, MemberStatus.ARCHIVED, archived_at, ref.contact_id, ref.member_id)

    def delete_permanently(self, list_id: str, ref: MemberRef) -> Deletion:
        """Delete the member permanently. Afterwards the address cannot be added to the audience again through the API.

        Returns `UNKNOWN` if the audience does not have the member. That does not prove a deletion: the member may have
        another address by now. Returns `GONE_UNHEARD` if the answer to an earlier attempt was lost and the audience no
        longer has the member.
        """
        path = f"{member_path(list_id, ref.path_id)}/actions/delete-permanent"
        try:
            self._transport.send(Call("POST", path, f"deleting a member of the audience {list_id}"))
        except NotFound as error:
            return Deletion.GONE_UNHEARD if error.after_lost_answer else Deletion.UNKNOWN
        return Deletion.DELETED

    def whole_member(self, list_id: str, ref: MemberRef) -> Mapping[str, object] | None:
        """Return all fields of the member as in Mailchimp's JSON.

        Returns None if the audience does not have the member.
        """
        task = f"reading a member of the audience {list_id}"
        call = Call("GET", member_path(list_id, ref.path_id), task, {"exclude_fields": "_links"})
        try:
            return self._transport.fetch(call, WholeMember).said
        except NotFound:
            return None

    def _patch(
        self,
        list_id: str,
        ref: MemberRef,
        task: str,
        body: Mapping[str, object],
        params: Mapping[str, str | int] | None = None,
    ) -> MemberState | Rejection | None:
        """Change a member. Returns its new state, the reason if Mailchimp refuses, or None if it does not exist.

        Raises `MemberExists` if another member of the audience has the new address.
        """
        call = Call("PATCH", member_path(list_id, ref.path_id), task, params or {}, body=body)
        try:
            return self._transport.fetch(call, Member).state()
        except NotFound:
            return None
        except MemberExists:
            raise
        except MemberRefused as error:
            return error.rejection
        except Rejected:
            # An unknown refusal of one member must not stop the changes of others.
            return Rejection.OTHER

    def _find(self, list_id: str, path: str) -> MemberState | None:
        call = Call("GET", path, f"reading a member of the audience {list_id}", {"fields": ",".join(_MEMBER)})
        try:
            return self._transport.fetch(call, Member).state()
        except NotFound:
            return None


def _contact_path(list_id: str, contact_id: str) -> str:
    return f"{audience_path(list_id)}/members/{quote(contact_id, safe='')}"


def _listing(list_id: str, status: MemberStatus | None, since: datetime | None) -> Call:
    params: dict[str, str | int] = {
        "fields": ",".join([*(f"members.{name}" for name in _MEMBER), "total_items"]),
        # Latest change first: a member that changes meanwhile moves to the front, and hides no other.
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
    """Return `since` as text for Mailchimp's filter `since_last_changed`.

    It is one second earlier, because the filter excludes the time itself. None for a time before Mailchimp existed,
    because a filter of 1970 makes Mailchimp hang.
    """
    if since.tzinfo is None:
        raise ValueError("a moment without a time zone is not one")
    if since <= _BEFORE_MAILCHIMP:
        return None
    return (since.astimezone(UTC) - timedelta(seconds=1)).isoformat(timespec="seconds")
