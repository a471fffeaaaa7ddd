"""Calls about audiences, and the call that sends a batch of contacts."""

from collections.abc import Callable, Sequence

from mailchimp_pipeline.mailchimp.batches import batch_answer, one_each
from mailchimp_pipeline.mailchimp.calls import Call, audience_path
from mailchimp_pipeline.mailchimp.errors import AudienceGone
from mailchimp_pipeline.mailchimp.models import BatchResult, EntryPage, ListEntry, MergeFieldEntry
from mailchimp_pipeline.mailchimp.pages import read_pages
from mailchimp_pipeline.mailchimp.transport import Transport
from mailchimp_pipeline.sync import BATCH_SIZE, Audience, BatchAnswer, MergeField, NewMember

_AUDIENCE = ("id", "web_id", "name", "double_optin", "stats.member_count")


class AudienceCalls:
    """Calls about the account's audiences."""

    _transport: Transport

    def audiences(self) -> tuple[Audience, ...]:
        """Return all audiences of the account, oldest first."""
        fields = ",".join([*(f"lists.{name}" for name in _AUDIENCE), "total_items"])
        params = {"fields": fields, "sort_field": "date_created", "sort_dir": "ASC"}
        pages = read_pages(
            self._transport, Call("GET", "/lists", "listing the audiences", params), EntryPage[ListEntry]
        )
        found = {entry.id: entry.audience() for page in pages for entry in page}
        return tuple(found.values())

    def audience(self, list_id: str) -> Audience:
        """Return the audience. Raises `AudienceGone` if the account does not have it."""
        task, fields = f"reading the audience {list_id}", {"fields": ",".join(_AUDIENCE)}
        call = Call("GET", audience_path(list_id), task, fields, gone=AudienceGone)
        return self._transport.fetch(call, ListEntry).audience()

    def merge_fields(self, list_id: str) -> tuple[MergeField, ...]:
        """Return the merge fields of the audience. Raises `AudienceGone` if the account does not have the audience."""
        params = {"fields": "merge_fields.tag,merge_fields.required,merge_fields.merge_id,total_items"}
        task = f"reading the merge fields of the audience {list_id}"
        call = Call("GET", f"{audience_path(list_id)}/merge-fields", task, params, gone=AudienceGone)
        pages = read_pages(self._transport, call, EntryPage[MergeFieldEntry])
        found = {field.tag: MergeField(field.tag, field.required, field.merge_id) for page in pages for field in page}
        return tuple(found.values())

    def subscribe(
        self,
        list_id: str,
        members: Sequence[NewMember],
        *,
        update_existing: bool,
        may_repeat: Callable[[], bool] | None = None,
    ) -> BatchAnswer:
        """Send one batch of at most `BATCH_SIZE` members.

        After a failure the batch is repeated, unless `may_repeat` returns False. Without `update_existing`, contacts
        that a lost call added are then in `existing`: the caller looks them up.
        """
        if len(members) > BATCH_SIZE:
            raise ValueError(f"a batch has at most {BATCH_SIZE} members, this one has {len(members)}")
        sent = one_each(members)
        if not sent:
            return BatchAnswer(accepted={}, existing=frozenset())
        body = {"members": [_wire(member) for member in sent.values()], "update_existing": update_existing}
        task = f"sending {len(sent)} contacts to the audience {list_id}"
        call = Call("POST", audience_path(list_id), task, body=body, gone=AudienceGone, may_repeat=may_repeat)
        return batch_answer(sent, self._transport.fetch(call, BatchResult))


def _wire(member: NewMember) -> dict[str, object]:
    return {
        "email_address": member.email,
        "status": str(member.status),
        "merge_fields": dict(member.merge_fields),
    }
