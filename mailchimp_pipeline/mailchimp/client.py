"""The client of one Mailchimp account: the calls about the account, its audiences, batches, campaigns and webhooks.

It implements the port `sync.Audiences`. The calls about members are in `member_calls`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from mailchimp_pipeline.campaigns import CampaignSnapshot, MailchimpCampaign, MailchimpReport
from mailchimp_pipeline.connections import API_ROOT, ApiKey, root_for
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp.api_errors import AudienceGone, CampaignGone, NotFound, Rejected
from mailchimp_pipeline.mailchimp.error_classification import (
    EXISTS,
    Exists,
    incomplete,
    rejection_of_item,
    rejection_of_status,
)
from mailchimp_pipeline.mailchimp.member_calls import MemberCalls
from mailchimp_pipeline.mailchimp.transport import (
    PAGE_SIZES,
    ConnectionSlots,
    KeyWatch,
    Retries,
    Timeouts,
    Transport,
    read_pages,
)
from mailchimp_pipeline.mailchimp.wire_models import (
    AccountEntry,
    BatchResult,
    Call,
    CampaignEntry,
    EntryPage,
    Health,
    ListEntry,
    MergeFieldEntry,
    Report,
    WebhookEntry,
    Webhooks,
    audience_path,
    campaign_path,
    webhook_path,
)
from mailchimp_pipeline.sync import (
    BATCH_SIZE,
    Audience,
    BatchAnswer,
    MemberRef,
    MemberStatus,
    MergeField,
    NewMember,
    Rejection,
)


class AccountCalls:
    """Calls about the account."""

    _transport: Transport

    def account(self) -> AccountEntry:
        """Return the account of the API key. Raises `KeyRefused` if Mailchimp does not accept the key."""
        fields = {"fields": "account_id,account_name,role"}
        return self._transport.fetch(Call("GET", "/", "asking for the account of the API key", fields), AccountEntry)

    def ping(self) -> None:
        """Check that Mailchimp answers and accepts the key.

        Raises `KeyRefused` if Mailchimp does not accept the key, and `MailchimpAway` if it does not answer.
        """
        self._transport.fetch(Call("GET", "/ping", "asking whether Mailchimp is there"), Health)


def by_subscriber_hash(members: Sequence[NewMember]) -> dict[str, NewMember]:
    """Return the members by subscriber hash. Of several members with the same address, only the first is kept.

    Mailchimp may refuse a whole batch in which an address is repeated.
    """
    unique: dict[str, NewMember] = {}
    for member in members:
        unique.setdefault(member.subscriber_hash, member)
    return unique


def batch_answer(sent: Mapping[str, NewMember], result: BatchResult) -> BatchAnswer:
    """Return Mailchimp's answer about each contact of a batch. `sent` has the contacts by subscriber hash.

    A contact that is both a returned member and an item in `errors` counts as an error. A contact that the result does
    not mention is rejected as `COMPLIANCE`: Mailchimp is known to leave out only contacts who unsubscribed, bounced or
    are under its review (a "compliance state").
    """
    found: dict[str, Rejection | Exists | None] = dict.fromkeys(sent, Rejection.COMPLIANCE)
    refs: dict[str, MemberRef] = {}
    for member in (*result.new_members, *result.updated_members):
        # Ids of very old members are hashes of addresses with capital letters.
        key = member.id if member.id in sent else subscriber_hash(member.email_address)
        if key in sent:
            found[key] = _rejection_of(sent[key].status, member.status)
            refs[key] = MemberRef(key, member.contact_id or None, None if member.id in {key, ""} else member.id)
    for item in result.errors:
        key = subscriber_hash(item.email_address)
        if key in found:
            found[key] = rejection_of_item(item)
    return BatchAnswer(
        accepted={key: refs.get(key) or MemberRef(key) for key, meaning in found.items() if meaning is None},
        existing=frozenset(key for key, meaning in found.items() if meaning == EXISTS),
        rejected={key: meaning for key, meaning in found.items() if isinstance(meaning, Rejection)},
        changed_at=result.changed_at,
    )


def _rejection_of(asked: MemberStatus, got: MemberStatus) -> Rejection | None:
    # A contact who should confirm and is already subscribed has confirmed before.
    confirmed = asked is MemberStatus.PENDING and got is MemberStatus.SUBSCRIBED
    return None if got is asked or confirmed else rejection_of_status(got)


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
        """Return the audience's merge fields. Raises `AudienceGone` if the account does not have the audience."""
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
        """Send one batch of at most `BATCH_SIZE` contacts. Existing members are changed only with `update_existing`.

        After a failure the whole batch is sent again, unless `may_repeat` returns False. The failed attempt may have
        added some of the contacts. Without `update_existing` these are then in `existing`, and the caller has to look
        up their state.
        """
        if len(members) > BATCH_SIZE:
            raise ValueError(f"a batch has at most {BATCH_SIZE} members, this one has {len(members)}")
        sent = by_subscriber_hash(members)
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


_CAMPAIGN = (
    "id",
    "type",
    "status",
    "settings.title",
    "settings.subject_line",
    "recipients.list_id",
    "recipients.list_name",
    "emails_sent",
    "create_time",
    "send_time",
)
_REPORT = ("id", "emails_sent", "send_time", "unsubscribed", "abuse_reports", "bounces", "opens", "clicks")


class CampaignCalls:
    """Calls about the account's campaigns."""

    _transport: Transport

    def campaigns(
        self, *, list_id: str | None = None, since_create_time: datetime | None = None
    ) -> Iterator[MailchimpCampaign]:
        """Yield the account's campaigns, newest first. A campaign may occur twice.

        With `list_id`, only campaigns to this audience. With `since_create_time`, only campaigns that were created
        later.
        """
        params = {"fields": _of_each("campaigns", _CAMPAIGN), "sort_field": "create_time", "sort_dir": "DESC"}
        params |= {"list_id": list_id} if list_id is not None else {}
        params |= {"since_create_time": _moment(since_create_time)} if since_create_time else {}
        call = Call("GET", "/campaigns", "listing the campaigns", params)
        for page in read_pages(self._transport, call, EntryPage[CampaignEntry]):
            yield from (campaign.described() for campaign in page)

    def campaign(self, campaign_id: str) -> MailchimpCampaign:
        """Return the campaign. Raises `CampaignGone` if the account does not have it."""
        task, fields = f"reading the campaign {campaign_id}", {"fields": ",".join(_CAMPAIGN)}
        call = Call("GET", campaign_path(campaign_id), task, fields, gone=CampaignGone)
        return self._transport.fetch(call, CampaignEntry).described()

    def campaign_id_of(self, web_id: str) -> str | None:
        """Return the id of the campaign with this `web_id`, None if the account has no such campaign.

        The `web_id` is the number in the URL of the campaign's page at Mailchimp.
        """
        fields = _of_each("campaigns", ("id", "web_id"))
        params = {"fields": fields, "sort_field": "create_time", "sort_dir": "DESC"}
        call = Call("GET", "/campaigns", "looking a campaign up by the number of its page", params)
        for page in read_pages(self._transport, call, EntryPage[CampaignEntry]):
            for campaign in page:
                if str(campaign.web_id) == web_id:
                    return campaign.id
        return None

    def reports(self, *, since_send_time: datetime | None = None) -> Iterator[MailchimpReport]:
        """Yield the reports of sent campaigns. A report may occur twice.

        With `since_send_time`, only of campaigns that were sent later.
        """
        params = {"fields": _of_each("reports", _REPORT)}
        params |= {"since_send_time": _moment(since_send_time)} if since_send_time else {}
        call = Call("GET", "/reports", "listing the campaign reports", params)
        for page in read_pages(self._transport, call, EntryPage[Report]):
            yield from (report.counted() for report in page)

    def report(self, campaign_id: str) -> MailchimpReport:
        """Return the report of a sent campaign. Raises `CampaignGone` if the campaign has no report."""
        task, fields = f"reading the report of the campaign {campaign_id}", {"fields": ",".join(_REPORT)}
        call = Call("GET", campaign_path(campaign_id, of="reports"), task, fields, gone=CampaignGone)
        return self._transport.fetch(call, Report).counted()

    def snapshot(self, campaign_id: str) -> CampaignSnapshot | None:
        """Return the campaign, with its report if it has one.

        Returns None if the account does not have the campaign.
        """
        try:
            campaign = self.campaign(campaign_id)
        except CampaignGone:
            return None
        if not campaign.may_have_report:
            return CampaignSnapshot(campaign)
        try:
            return CampaignSnapshot(campaign, self.report(campaign_id))
        except CampaignGone:  # the campaign was stopped before sending, or has no figures yet
            return CampaignSnapshot(campaign)


def _of_each(listing: str, fields: tuple[str, ...]) -> str:
    return ",".join([*(f"{listing}.{name}" for name in fields), "total_items"])


def _moment(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")


EVENTS: Final = {
    "subscribe": True,
    "unsubscribe": True,
    "profile": True,
    "cleaned": True,
    "upemail": True,
    "campaign": False,
}
SOURCES: Final = {"user": True, "admin": True, "api": False}
"""Who made the changes that webhooks report: members and administrators, but not programs that use the API. Without
this setting, Mailchimp would also report the changes that this pipeline makes."""


class WebhookCalls:
    """Calls about webhooks of the account's audiences."""

    _transport: Transport

    def webhooks(self, list_id: str) -> tuple[WebhookEntry, ...]:
        """Return all webhooks of the audience. Raises `Incomplete` if Mailchimp returns fewer than it announces.

        Mailchimp does not document paging for webhooks. Further pages are therefore read only if the first has fewer
        webhooks than announced.
        """
        task = f"listing the webhooks of the audience {list_id}"
        call = Call("GET", f"{audience_path(list_id)}/webhooks", task, gone=AudienceGone)
        page = self._transport.fetch(call, Webhooks)
        found = {webhook.id: webhook for webhook in page.webhooks}
        while len(found) < page.total_items:
            announced, read = page.total_items, len(found)
            try:
                page = self._transport.fetch(call.page(PAGE_SIZES[0], read), Webhooks)
            except Rejected:
                raise incomplete(call, announced=announced, read=read) from None
            found |= {webhook.id: webhook for webhook in page.webhooks}
            if len(found) == read < page.total_items:
                raise incomplete(call, announced=announced, read=read)
        return tuple(found.values())

    def add_webhook(self, list_id: str, url: str) -> WebhookEntry:
        """Create a webhook. Return it with its signing secret, which Mailchimp does not return again.

        If the answer is lost, the secret is lost with it, so the call is not repeated. The caller then has to remove
        the webhook with this URL and create another.
        """
        call = Call(
            "POST",
            f"{audience_path(list_id)}/webhooks",
            f"making a webhook of the audience {list_id}",
            body={"url": url, "events": EVENTS, "sources": SOURCES},
            gone=AudienceGone,
            advice="Mailchimp must get HTTP 200 from the webhook's URL over the internet, "
            "and the audience must not have a webhook with that URL yet",
            repeat_when_lost=False,
        )
        return self._transport.fetch(call, WebhookEntry)

    def remove_webhook(self, list_id: str, webhook_id: str) -> bool:
        """Remove the webhook. Return False if it did not exist."""
        task = f"removing a webhook of the audience {list_id}"
        try:
            self._transport.send(Call("DELETE", webhook_path(list_id, webhook_id), task))
        except NotFound:
            return False
        return True


class MailchimpClient(AccountCalls, AudienceCalls, MemberCalls, CampaignCalls, WebhookCalls):
    """The client of one Mailchimp account. Threads may share it. Every call may raise the errors of `api_errors`.

    `slots` limits the account's parallel connections. Each request holds one slot; a pause before a retry holds none.
    `key_watch` is told when Mailchimp accepts or refuses the API key. `proxy` is the URL of an HTTP proxy.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that a caller may choose
        self,
        api_key: ApiKey,
        *,
        slots: ConnectionSlots,
        root: str = API_ROOT,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        proxy: str | None = None,
        key_watch: KeyWatch | None = None,
    ) -> None:
        self._transport = Transport(
            api_key,
            root_for(api_key, root),
            slots=slots,
            timeouts=timeouts or Timeouts(),
            retries=retries or Retries(),
            proxy=proxy,
            key_watch=key_watch,
        )

    @property
    def server_time(self) -> datetime | None:
        """The time of Mailchimp's last answer, by Mailchimp's clock, in whole seconds. None before the first answer."""
        return self._transport.server_time

    def one_connection(self) -> AbstractContextManager[None]:
        """Reserve one connection for the calls that this thread makes in the block.

        The start of the block waits until a connection is free. The calls in the block never wait for one.
        """
        return self._transport.one_slot()

    def close(self) -> None:
        """Close the HTTP connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
