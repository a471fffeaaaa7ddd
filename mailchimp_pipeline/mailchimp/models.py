"""Mailchimp's answers as typed values. Unknown fields, blanks and new values are accepted.

Unused fields are left out, above all personal data. What does not belong here: the meaning of refusals (`rejections`),
the error of an answer (`error_classification`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

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
from mailchimp_pipeline.sync import Audience, MemberState, MemberStatus, Withdrawal


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _none_for_blank(value: object) -> object:
    return None if value == "" else value


def _or_zero(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """Return 0 for an invalid number, so that one odd figure does not invalidate a page of a thousand entries."""
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
    """Reads a value that is not text as blank. Runs in pydantic's core, which is faster for many values."""

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
    """A part of an answer. Validation errors do not show its data."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


Item = TypeVar("Item", bound=Wire)


class EntryPage(Wire, Generic[Item]):
    """A page of a listing. `total_items` is the size of the whole listing, and required."""

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
    """An audience."""

    id: str
    name: Text = ""
    double_optin: bool
    web_id: MaybeCount = None
    member_count: Count = Field(0, validation_alias=AliasPath("stats", "member_count"))

    def audience(self) -> Audience:
        """Return the audience as the sync's `Audience`."""
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
        """Return the state as the sync's `MemberState`."""
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
    """Return how the member was unsubscribed, from Mailchimp's `unsubscribe_reason`."""
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
        """Return the complaint as the sync's `Withdrawal`. Raises `ValueError` without a date."""
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
    """The reason for which Mailchimp rejected one contact of a batch. `error` contains the address."""

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
    """The result of a batch. All three lists are required."""

    new_members: tuple[BatchMember, ...]
    updated_members: tuple[BatchMember, ...]
    errors: tuple[BatchError, ...]

    @property
    def changed_at(self) -> datetime | None:
        """The earliest change of a member by the batch, None without any time.

        A change that a member makes during the batch is later than this.
        """
        times = {member.last_changed for member in (*self.new_members, *self.updated_members)}
        return min(filter(None, map(_instant, times)), default=None)


class CampaignEntry(Wire):
    """A campaign. `status` is Mailchimp's status, `web_id` the number in the URL of the campaign's page."""

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
        """Return the campaign as a `MailchimpCampaign`."""
        return MailchimpCampaign(
            id=self.id,
            status=self.status,
            title=self.title,
            subject_line=self.subject_line,
            list_id=self.list_id,
            send_time=self.send_time,
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
        """Return the report as a `MailchimpReport`."""
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
    """Webhooks of an audience. `total_items` counts all webhooks, 0 if Mailchimp does not say."""

    webhooks: tuple[WebhookEntry, ...]
    total_items: Count = 0
