"""Mailchimp's requests and answers as typed values, the paths of its resources, and its problem document.

Unknown fields, blank fields and unknown values in an answer are accepted.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Final, Generic, TypeVar

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    ValidationError,
    WrapValidator,
)
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from mailchimp_pipeline.campaigns import MailchimpCampaign, MailchimpReport
from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp.api_errors import AudienceGone, CampaignGone, NotFound
from mailchimp_pipeline.sync import Audience, MemberState, MemberStatus, Withdrawal


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _none_for_blank(value: object) -> object:
    return None if value == "" else value


def _or_zero(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """Return 0 for an invalid number, so that one of them does not invalidate a page of a thousand entries."""
    try:
        return read(value)
    except ValidationError:
        return 0


def _or_none(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        return None


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class _OrBlank:
    """Reads a value that is not text as blank. This runs in pydantic's core, which is faster for many values."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default="", on_error="default")


_STATUSES = {status.value: status for status in MemberStatus}


def _status(value: object) -> MemberStatus:
    # A new status is read as transactional: the member exists and gets no campaigns.
    return _STATUSES.get(_text(value), MemberStatus.TRANSACTIONAL)


Text = Annotated[str, _OrBlank()]
Instant = Annotated[datetime | None, BeforeValidator(_instant)]
Count = Annotated[int, WrapValidator(_or_zero)]
MaybeCount = Annotated[int | None, WrapValidator(_or_none)]
Rate = Annotated[float | None, WrapValidator(_or_none)]
Status = Annotated[MemberStatus, BeforeValidator(_status)]


class Wire(BaseModel):
    """The base class of Mailchimp's answers and their parts. Validation errors do not show the data."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


Item = TypeVar("Item", bound=Wire)


class EntryPage(Wire, Generic[Item]):
    """A page of a listing. `total_items` is the number of entries in the whole listing, and is required."""

    items: tuple[Item, ...] = Field(
        (), validation_alias=AliasChoices("lists", "members", "merge_fields", "campaigns", "reports", "abuse_reports")
    )
    total_items: int


class Health(Wire):
    """The answer to a ping."""

    health_status: str


class AccountEntry(Wire):
    """The account of an API key. `role` is the role of the key's user."""

    account_id: str
    account_name: Text = ""
    role: Text = ""


class ListEntry(Wire):
    """An audience, which Mailchimp's API calls a list."""

    id: str
    name: Text = ""
    double_optin: bool
    web_id: MaybeCount = None
    member_count: Count = Field(0, validation_alias=AliasPath("stats", "member_count"))

    def audience(self) -> Audience:
        """Return this entry as a `sync.Audience`."""
        return Audience(
            id=self.id,
            name=self.name,
            member_count=self.member_count,
            double_optin=self.double_optin,
            web_id=self.web_id,
        )


class MergeFieldEntry(Wire):
    """A merge field of an audience."""

    tag: str
    required: bool = False
    merge_id: int | None = None


class Member(Wire):
    """A member of an audience. Its repr hides the address."""

    id: Text = Field("", repr=False)
    email_address: Text = Field("", repr=False)
    status: Status
    last_changed: Instant = None
    unsubscribe_reason: Text = Field("", repr=False)
    contact_id: Text = Field("", repr=False)

    def state(self) -> MemberState:
        """Return the state of this member as a `sync.MemberState`."""
        # Not from the id: ids of very old members are hashes of another spelling of the address.
        key = subscriber_hash(self.email_address) if self.email_address else self.id
        return MemberState(
            key,
            self.status,
            self.last_changed,
            self.contact_id or None,
            None if self.id in {key, ""} else self.id,
            _channel(self.status, self.unsubscribe_reason),
        )


def _channel(status: MemberStatus, reason: str) -> Channel | None:
    """Return how the member was unsubscribed, from Mailchimp's `unsubscribe_reason`.

    Returns None if the member is not unsubscribed.
    """
    if status is not MemberStatus.UNSUBSCRIBED:
        return None
    text = reason.casefold()
    if "abuse" in text or "spam" in text:
        return Channel.COMPLAINT
    return Channel.ADMIN if "admin" in text or "api" in text.split() else Channel.LINK


class AbuseReport(Wire):
    """A spam complaint. Its repr hides the address."""

    email_address: Text = Field("", repr=False)
    date: Instant = None

    def complaint(self) -> Withdrawal:
        """Return the complaint as a `sync.Withdrawal`. Raises `ValueError` if it has no date."""
        if self.date is None:
            raise ValueError("a complaint without a date")
        return Withdrawal(subscriber_hash(self.email_address), self.date, Channel.COMPLAINT)


class WholeMember(Wire):
    """A member with all fields, for a subject access request. Its repr hides them."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(repr=False)

    @property
    def said(self) -> Mapping[str, object]:
        """All fields, as Mailchimp sent them."""
        return {"id": self.id, **(self.model_extra or {})}

    def __repr__(self) -> str:
        return "WholeMember(...)"


class BatchError(Wire):
    """The reason why Mailchimp rejected one contact of a batch. `error` is a text that contains the address."""

    email_address: Text = Field("", repr=False)
    error: Text = Field("", repr=False)
    error_code: Text = ""
    field: Text = ""


class BatchMember(Wire):
    """A member that a batch added or changed. Its repr hides the address."""

    id: Text = Field("", repr=False)
    email_address: Text = Field("", repr=False)
    status: Status
    last_changed: Text = ""
    contact_id: Text = Field("", repr=False)


class BatchResult(Wire):
    """Mailchimp's answer to a batch. All three lists are required."""

    new_members: tuple[BatchMember, ...]
    updated_members: tuple[BatchMember, ...]
    errors: tuple[BatchError, ...]

    @property
    def changed_at(self) -> datetime | None:
        """The earliest time at which the batch changed a member, by Mailchimp's clock. None if the answer has no times.

        A change that a member makes while the batch is carried out is later than this.
        """
        times = {member.last_changed for member in (*self.new_members, *self.updated_members)}
        return min(filter(None, map(_instant, times)), default=None)


class CampaignEntry(Wire):
    """A campaign. `status` is Mailchimp's word for it; `web_id` is the number in the URL of the campaign's page."""

    id: str
    web_id: int | None = None
    type: Text = ""
    status: Text = ""
    title: Text = Field("", validation_alias=AliasPath("settings", "title"))
    subject_line: Text = Field("", validation_alias=AliasPath("settings", "subject_line"))
    list_id: Text = Field("", validation_alias=AliasPath("recipients", "list_id"))
    list_name: Text = Field("", validation_alias=AliasPath("recipients", "list_name"))
    emails_sent: Count = 0
    create_time: Instant = None
    send_time: Instant = None

    def described(self) -> MailchimpCampaign:
        """Return this entry as a `campaigns.MailchimpCampaign`."""
        return MailchimpCampaign(
            id=self.id,
            status=self.status,
            title=self.title,
            subject_line=self.subject_line,
            list_id=self.list_id,
            send_time=self.send_time,
            list_name=self.list_name,
        )


class Report(Wire):
    """The report of a sent campaign. Rates are fractions of the successful deliveries, 0 to 1.

    The `proxy_excluded` figures leave out opens by mail proxies; they exist for mail sent since 2024-06-22.
    `unique_clicks` counts each link once per person; `subscriber_clicks` counts the people who clicked.
    """

    id: str
    emails_sent: Count = 0
    send_time: Instant = None
    unsubscribed: Count = 0
    abuse_reports: Count = 0
    hard_bounces: Count = Field(0, validation_alias=AliasPath("bounces", "hard_bounces"))
    soft_bounces: Count = Field(0, validation_alias=AliasPath("bounces", "soft_bounces"))
    opens: Count = Field(0, validation_alias=AliasPath("opens", "opens_total"))
    unique_opens: Count = Field(0, validation_alias=AliasPath("opens", "unique_opens"))
    open_rate: Rate = Field(None, validation_alias=AliasPath("opens", "open_rate"))
    proxy_excluded_unique_opens: MaybeCount = Field(
        None, validation_alias=AliasPath("opens", "proxy_excluded_unique_opens")
    )
    proxy_excluded_open_rate: Rate = Field(None, validation_alias=AliasPath("opens", "proxy_excluded_open_rate"))
    clicks: Count = Field(0, validation_alias=AliasPath("clicks", "clicks_total"))
    unique_clicks: Count = Field(0, validation_alias=AliasPath("clicks", "unique_clicks"))
    subscriber_clicks: Count = Field(0, validation_alias=AliasPath("clicks", "unique_subscriber_clicks"))
    click_rate: Rate = Field(None, validation_alias=AliasPath("clicks", "click_rate"))

    def counted(self) -> MailchimpReport:
        """Return this report as a `campaigns.MailchimpReport`."""
        return MailchimpReport(
            id=self.id,
            emails_sent=self.emails_sent,
            hard_bounces=self.hard_bounces,
            soft_bounces=self.soft_bounces,
            unsubscribed=self.unsubscribed,
            opens=self.opens,
            unique_opens=self.unique_opens,
            open_rate=self.open_rate,
            proxy_excluded_unique_opens=self.proxy_excluded_unique_opens,
            proxy_excluded_open_rate=self.proxy_excluded_open_rate,
            clicks=self.clicks,
            unique_clicks=self.unique_clicks,
            subscriber_clicks=self.subscriber_clicks,
            click_rate=self.click_rate,
        )


class WebhookEntry(Wire):
    """A webhook of an audience. Mailchimp returns the signing secret only when it creates the webhook."""

    id: str
    url: Text = Field("", repr=False)
    signing_enabled: bool = False
    signing_secret: Annotated[SecretStr | None, BeforeValidator(_none_for_blank)] = None


class Webhooks(Wire):
    """Webhooks of an audience. `total_items` is the number of all its webhooks, 0 if Mailchimp does not say."""

    webhooks: tuple[WebhookEntry, ...]
    total_items: Count = 0


_TITLE: Final = re.compile(r"[A-Za-z][A-Za-z' -]{0,59}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,60}")
_REQUEST: Final = re.compile(r"[0-9A-Fa-f-]{8,64}")


def _none_of_them(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        return ()


class _FieldError(Wire):
    field: Text = ""


class Problem(Wire):
    """A problem document, in which Mailchimp explains why a call failed. Mailchimp may leave out any field.

    `detail` may contain an e-mail address and is never shown. The text of a `Problem` has only the title, the names of
    the invalid fields and the number of the request.
    """

    raw_title: Text = Field("", validation_alias="title", repr=False)
    detail: Text = Field("", repr=False)
    instance: Text = Field("", repr=False)
    errors: Annotated[tuple[_FieldError, ...], WrapValidator(_none_of_them)] = Field((), repr=False)

    @classmethod
    def read(cls, body: bytes) -> "Problem | None":
        """Parse the body of an answer. Returns None if it is not a problem document or has neither title nor detail."""
        try:
            problem = cls.model_validate_json(body)
        except ValidationError:
            return None
        return problem if problem.raw_title or problem.detail else None

    @property
    def title(self) -> str:
        """The title if it has only letters, blanks, hyphens and apostrophes, else an empty text."""
        return self.raw_title if _TITLE.fullmatch(self.raw_title) else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the invalid fields."""
        return tuple(error.field for error in self.errors if _FIELD.fullmatch(error.field))

    def __str__(self) -> str:
        said = self.title or "no reason that can be repeated"
        concerning = f", concerning {', '.join(self.fields[:10])}" if self.fields else ""
        number = f", request {self.instance}" if _REQUEST.fullmatch(self.instance) else ""
        return f"{said}{concerning}{number}"


_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to Mailchimp, and what to do if it fails.

    - `task` says in error texts what was being done, such as "reading the audience abc123".
    - `advice` says in the error text of a refusal what to do.
    - `gone` is the error for a resource that does not exist.
    - `repeat_when_lost` is false if the call must not be repeated after a lost answer.
    - `could_be_smaller` is true if the caller can ask for a smaller page. The call is then not repeated after a timeout
      or a second broken answer.
    - `may_repeat` is called after the pause before a retry. If it returns False, the call is not repeated.
    """

    method: str
    path: str = field(repr=False)
    task: str
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int], repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    gone: type[NotFound] = NotFound
    advice: str = "This is a defect of ours or a change of Mailchimp's: report it"
    repeat_when_lost: bool = True
    could_be_smaller: bool = False
    may_repeat: Callable[[], bool] | None = field(default=None, repr=False)

    def page(self, count: int, offset: int, *, could_be_smaller: bool = False) -> "Call":
        """Return the call for one page of the listing: `count` entries, without the first `offset` ones."""
        params = {**self.params, "count": count, "offset": offset}
        return replace(self, params=params, could_be_smaller=could_be_smaller)


def audience_path(list_id: str) -> str:
    """Return the path of the audience. Raises `AudienceGone` if the text cannot be the id of an audience."""
    if not _ID.fullmatch(list_id):
        raise AudienceGone("What was given is not the id of a Mailchimp audience. Choose one of the audiences.")
    return f"/lists/{list_id}"


def member_path(list_id: str, subscriber_hash: str) -> str:
    """Return the path of the member. Raises `ValueError` unless the id is an MD5 in lower-case hex.

    The path never has the e-mail address, because addresses must not be in a URL.
    """
    if not _HASH.fullmatch(subscriber_hash):
        raise ValueError("a subscriber hash is an MD5 in lower-case hex")
    return f"{audience_path(list_id)}/members/{subscriber_hash}"


def webhook_path(list_id: str, webhook_id: str) -> str:
    """Return the path of the webhook. Raises `NotFound` if the text cannot be the id of a webhook."""
    if not _ID.fullmatch(webhook_id):
        raise NotFound("What was given is not the id of a Mailchimp webhook. List the audience's webhooks.")
    return f"{audience_path(list_id)}/webhooks/{webhook_id}"


def campaign_path(campaign_id: str, *, of: str = "campaigns") -> str:
    """Return the path of the campaign, or with `of="reports"` that of its report.

    Raises `CampaignGone` if the text cannot be the id of a campaign.
    """
    if not _ID.fullmatch(campaign_id):
        raise CampaignGone("What was given is not the id of a Mailchimp campaign. Copy it again from Mailchimp.")
    return f"/{of}/{campaign_id}"
