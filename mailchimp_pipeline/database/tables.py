"""The database tables as SQLAlchemy classes. Migrations create the tables; a test checks that both agree.

A contact is an employee or a vendor: `entity_type` says which, and `entity_id` is its id in the source. A
`subscriber_hash` is Mailchimp's MD5 of a lower-cased address. `mailchimp_list_id` is the id of an audience. Erased
contacts are stored as keyed hashes only (`encryption.KeyedHashes`).
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    and_,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mailchimp_pipeline.campaigns import CampaignStatus
from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.segments import OnLeave, SegmentStatus, SegmentType
from mailchimp_pipeline.sync import KnownStatus, Rejection
from mailchimp_pipeline.sync.segment_results import StopReason, Trigger

ValueT = TypeVar("ValueT")

RowId = Annotated[UUID, mapped_column(primary_key=True, server_default=func.gen_random_uuid())]

ByteOrdered = Annotated[str, mapped_column(Text(collation="C"))]
"""Text that PostgreSQL compares byte by byte, which is fast and gives the same order on every server."""


class Row(DeclarativeBase):
    """The base class of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it, nothing changes it
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, object]: JSONB(none_as_null=True),
    }


class OrganisationRow(Protocol):
    """A table whose rows belong to an organisation."""

    organisation_id: Mapped[str]


class ContactRow(Protocol):
    """A table whose rows name a contact by type and id."""

    entity_type: Mapped[Any]
    entity_id: Mapped[Any]


def of_contact(row: type[ContactRow], contact: tuple[EntityType, str]) -> ColumnElement[bool]:
    """Return the SQL condition that a row of this table is about the contact."""
    return and_(row.entity_type == contact[0].value, row.entity_id == contact[1])


def as_value(kind: type[ValueT], row: Row, **converted: object) -> ValueT:
    """Return an instance of the dataclass `kind`, with each field read from the column of the same name.

    `converted` has the values of fields that are not read from the row.
    """
    names = {field.name for field in fields(kind)} - converted.keys()  # pyright: ignore[reportArgumentType] - a dataclass
    return kind(**{name: getattr(row, name) for name in names}, **converted)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """Return a check constraint that restricts a column to `values`. A nullable column may also be null."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=f"{column}_known")


def row_id(text: str) -> UUID | None:
    """Parse the id of a row. Return None if the text is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None


def row_ids(texts: Iterable[str]) -> list[UUID]:
    """Parse the ids of rows. Texts that are not UUIDs are left out."""
    return [found for text in texts if (found := row_id(text))]


class ConnectionRow(Row):
    """An organisation's connection to a Mailchimp account, current or ended.

    `soft_deleted_at` is set when the connection ends, and the encrypted API key is deleted then. `key_refused_at` is
    the time at which Mailchimp began to refuse the key. Every opt-out recorded before `opt_outs_propagated_at` has
    reached every audience of the account.
    """

    __tablename__ = "mailchimp_connections"
    __table_args__ = (
        Index(
            "uq_mailchimp_connections_live",
            "organisation_id",
            unique=True,
            postgresql_where=text("soft_deleted_at is null"),
        ),
        Index("ix_mailchimp_connections_organisation", "organisation_id", "connected_at"),
        CheckConstraint("(api_key_encrypted is null) = (soft_deleted_at is not null)", name="key_while_live"),
        CheckConstraint("length(api_key_hint) <= 4", name="hint_is_short"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    account_id: Mapped[str]
    account_name: Mapped[str]
    data_center: Mapped[str]
    api_key_encrypted: Mapped[str | None]
    api_key_hint: Mapped[str]
    connected_by: Mapped[str]
    connected_at: Mapped[datetime]
    key_refused_at: Mapped[datetime | None]
    opt_in_only: Mapped[bool] = mapped_column(server_default=false())
    opt_outs_propagated_at: Mapped[datetime | None]
    soft_deleted_at: Mapped[datetime | None]


class AuditRow(Row):
    """An entry of the audit log: one change of state. A trigger prevents updates, deletes and truncation."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_newest", "organisation_id", text("at desc"), text("id desc")),
        Index("ix_audit_log_entity", "organisation_id", "entity_type", "entity_id", text("at desc"), text("id desc")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organisation_id: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[str]
    at: Mapped[datetime]
    details: Mapped[dict[str, object]] = mapped_column(server_default=text("'{}'::jsonb"))


class SegmentRow(Row):
    """A segment: a filter that selects contacts for an audience. `segments.Segment` describes the columns."""

    __tablename__ = "contact_segments"
    __table_args__ = (
        UniqueConstraint("organisation_id", "id"),
        Index(
            "ix_contact_segments_newest",
            "organisation_id",
            text("created_at desc"),
            text("id desc"),
            postgresql_where=text("soft_deleted_at is null"),
        ),
        Index("ix_contact_segments_syncing", "status", postgresql_where=text("status = 'syncing'")),
        one_of("segment_type", SegmentType),
        one_of("on_leave", OnLeave),
        one_of("status", SegmentStatus),
        CheckConstraint("name <> ''", name="name_given"),
        CheckConstraint("mailchimp_list_id <> ''", name="list_given"),
        CheckConstraint("(status = 'error') = (last_error is not null)", name="error_says_why"),
        CheckConstraint("member_count >= 0", name="member_count_counts"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    segment_type: Mapped[str]
    mailchimp_list_id: Mapped[str]
    mailchimp_list_name: Mapped[str | None]
    filter_criteria: Mapped[dict[str, object]] = mapped_column(server_default=text("'{}'::jsonb"))
    on_leave: Mapped[str] = mapped_column(server_default=OnLeave.KEEP.value)
    status: Mapped[str] = mapped_column(server_default=SegmentStatus.PENDING.value)
    status_changed_at: Mapped[datetime]
    last_error: Mapped[str | None]
    member_count: Mapped[int | None]
    last_report: Mapped[dict[str, object] | None]
    last_synced_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    soft_deleted_at: Mapped[datetime | None]


class SegmentSyncRow(Row):
    """A sync of a segment that ended.

    - `started_at`: null if the run stopped before the sync, or if the time is unknown.
    - `trigger`, `run_id`: what started the Dagster run, and its id. Null if the run is unknown.
    - `error`: why the sync failed, null if it succeeded. `stopped_by` is the rule that stopped it.
    - `figures`: the counts of `SegmentResult.figures`, null if the sync failed before its push ended.
    """

    __tablename__ = "segment_syncs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation_id", "segment_id"], ["contact_segments.organisation_id", "contact_segments.id"]
        ),
        Index("ix_segment_syncs_newest", "organisation_id", "segment_id", text("ended_at desc"), text("id desc")),
        one_of("trigger", Trigger),
        one_of("stopped_by", StopReason),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organisation_id: Mapped[str]
    segment_id: Mapped[UUID]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime]
    trigger: Mapped[str | None]
    run_id: Mapped[str | None]
    error: Mapped[str | None]
    stopped_by: Mapped[str | None]
    figures: Mapped[dict[str, object] | None]


class SegmentMemberRow(Row):
    """A contact in a segment, with the data to send to Mailchimp. `digest` is a hash of this data."""

    __tablename__ = "segment_members"
    __table_args__ = (
        PrimaryKeyConstraint("segment_id", "subscriber_hash"),
        ForeignKeyConstraint(
            ["organisation_id", "segment_id"], ["contact_segments.organisation_id", "contact_segments.id"]
        ),
        Index("ix_segment_members_audience", "organisation_id", "mailchimp_list_id", "subscriber_hash"),
        Index("ix_segment_members_entity", "organisation_id", "entity_type", "entity_id"),
        one_of("entity_type", EntityType),
    )

    organisation_id: Mapped[str]
    segment_id: Mapped[UUID]
    mailchimp_list_id: Mapped[str]
    subscriber_hash: Mapped[ByteOrdered]
    entity_type: Mapped[str]
    entity_id: Mapped[ByteOrdered]
    email: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    digest: Mapped[str]


class AudienceMemberRow(Row):
    """A member of an audience, as last reported by Mailchimp or last sent. The rows of an audience are its ledger.

    - `status`: a status of `sync.member_states`, null if the audience does not have the address.
    - `member_id`: the id in the paths of Mailchimp's API, null if it equals `subscriber_hash`.
    - `contact_id`: Mailchimp's id that stays the same if the address changes.
    - `entity_type`, `entity_id`: the contact, null if no known contact has the address.
    - `digest`: the hash of the data that Mailchimp accepted last.
    - `replaced_hash`: the former address, if the address was changed at Mailchimp and not by the pipeline.
    - `leaving`: whether the contact left a segment that archives its leavers.
    - `changed_at`: the time of the last change, by Mailchimp's clock.
    """

    __tablename__ = "audience_members"
    __table_args__ = (
        PrimaryKeyConstraint("organisation_id", "mailchimp_list_id", "subscriber_hash"),
        Index("ix_audience_members_entity", "organisation_id", "entity_type", "entity_id"),
        Index("ix_audience_members_contact", "organisation_id", "contact_id"),
        Index(
            "ix_audience_members_left",
            "organisation_id",
            "mailchimp_list_id",
            "changed_at",
            postgresql_where=text("status <> 'subscribed'"),
        ),
        Index(
            "ix_audience_members_replaced",
            "organisation_id",
            "replaced_hash",
            postgresql_where=text("replaced_hash is not null"),
        ),
        one_of("entity_type", EntityType),
        one_of("status", KnownStatus),
    )

    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    subscriber_hash: Mapped[ByteOrdered]
    member_id: Mapped[str | None]
    email: Mapped[str | None]
    entity_type: Mapped[str | None]
    entity_id: Mapped[ByteOrdered | None]
    digest: Mapped[str | None]
    status: Mapped[str | None]
    contact_id: Mapped[str | None]
    replaced_hash: Mapped[ByteOrdered | None]
    leaving: Mapped[bool] = mapped_column(server_default=text("false"))
    first_pushed_at: Mapped[datetime | None]
    pushed_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]


class RejectedContactRow(Row):
    """A contact that Mailchimp rejected, or whose change it rejected. The row is deleted once the contact is accepted.

    The contact is sent again at `next_attempt_at`, or sooner if its data (`digest`) or the audience's merge fields
    change. If `is_final` is true, the contact is not sent again.
    """

    __tablename__ = "rejected_contacts"
    __table_args__ = (
        PrimaryKeyConstraint("organisation_id", "mailchimp_list_id", "subscriber_hash"),
        Index("ix_rejected_contacts_entity", "organisation_id", "entity_type", "entity_id"),
        one_of("entity_type", EntityType),
        one_of("reason", Rejection),
        CheckConstraint("attempts > 0", name="attempts_count"),
    )

    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    subscriber_hash: Mapped[ByteOrdered]
    entity_type: Mapped[str]
    entity_id: Mapped[ByteOrdered]
    reason: Mapped[str]
    is_final: Mapped[bool]
    digest: Mapped[str]
    merge_fields: Mapped[str]
    attempts: Mapped[int]
    rejected_at: Mapped[datetime]
    last_attempt_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]


class AudienceReadRow(Row):
    """What was last read of an audience: the time up to which its changes were pulled, and its merge fields.

    If `read_through` is null, another account was connected since the last pull, and the next pull reads all members.
    `merge_fields` is comma-separated `tag:merge_id`, with `*` after the tag of a required field. `push_unfinished` is
    true during a push. If it stays true afterwards, the push broke off and some of Mailchimp's answers were lost.
    """

    __tablename__ = "audience_reads"
    __table_args__ = (PrimaryKeyConstraint("organisation_id", "mailchimp_list_id"),)

    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    read_through: Mapped[datetime | None]
    push_unfinished: Mapped[bool] = mapped_column(server_default=text("false"))
    merge_fields: Mapped[str | None]


class SyncRequestRow(Row):
    """A user's request to sync a segment. Each segment has at most one waiting request."""

    __tablename__ = "sync_requests"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation_id", "segment_id"], ["contact_segments.organisation_id", "contact_segments.id"]
        ),
        Index("uq_sync_requests_waiting", "segment_id", unique=True, postgresql_where=text("status = 'waiting'")),
        Index(
            "ix_sync_requests_open", "status", "requested_at", postgresql_where=text("status in ('waiting', 'running')")
        ),
        Index("ix_sync_requests_segment", "segment_id", "requested_at"),
        one_of("status", ("waiting", "running", "done", "failed")),
        CheckConstraint("(status = 'failed') = (error is not null)", name="error_says_why"),
        CheckConstraint("(status in ('done', 'failed')) = (finished_at is not null)", name="finished_when_over"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    segment_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(server_default="waiting")
    departures_confirmed: Mapped[bool] = mapped_column(server_default=text("false"))
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    run_id: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None]


class ConsentStatementRow(Row):
    """A consent statement: an opt-in or a withdrawal. `consent.ConsentStatement` describes the columns.

    Rows are only added. The exception is an erasure: it deletes the contact's statements, and removes the contact's
    addresses from the statements of other contacts. Statements were recorded in the order of `id`.
    """

    __tablename__ = "consent_statements"
    __table_args__ = (
        Index("ix_consent_statements_entity", "organisation_id", "entity_type", "entity_id"),
        Index("ix_consent_statements_address", "organisation_id", "subscriber_hash"),
        Index("ix_consent_statements_recorded", "organisation_id", "recorded_at"),
        one_of("entity_type", EntityType),
        one_of("channel", Channel),
        CheckConstraint("entity_id is not null or subscriber_hash is not null", name="about_somebody"),
        CheckConstraint("(entity_type is null) = (entity_id is null)", name="whole_entity"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organisation_id: Mapped[str]
    entity_type: Mapped[str | None]
    entity_id: Mapped[ByteOrdered | None]
    subscriber_hash: Mapped[ByteOrdered | None]
    opted_in: Mapped[bool]
    source: Mapped[str]
    mailchimp_list_id: Mapped[str | None]
    channel: Mapped[str | None]
    stated_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class PreferenceRow(Row):
    """Whether a contact is opted in, derived from its consent statements.

    `subscriber_hash` is the contact's current address in the source. `statement_id` is the contact's latest statement.
    """

    __tablename__ = "email_preferences"
    __table_args__ = (
        PrimaryKeyConstraint("organisation_id", "entity_type", "entity_id"),
        Index("ix_email_preferences_subscriber", "organisation_id", "subscriber_hash"),
        Index("ix_email_preferences_newest", "organisation_id", "updated_at", "entity_type", "entity_id"),
        one_of("entity_type", EntityType),
        CheckConstraint(
            "case when opted_in then consent_given_at else consent_withdrawn_at end is not null",
            name="time_of_the_word",
        ),
    )

    organisation_id: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[ByteOrdered]
    subscriber_hash: Mapped[ByteOrdered | None]
    opted_in: Mapped[bool]
    consent_given_at: Mapped[datetime | None]
    consent_withdrawn_at: Mapped[datetime | None]
    consent_source: Mapped[str]
    updated_at: Mapped[datetime]
    statement_id: Mapped[int | None] = mapped_column(BigInteger)


class ErasureRequestRow(Row):
    """A request to erase a contact. `entity_hash` is the keyed hash of the contact.

    `targets_encrypted` lists what is left to delete at Mailchimp. It is null once the erasure is completed.
    """

    __tablename__ = "erasure_requests"
    __table_args__ = (
        Index("ix_erasure_requests_pending", "requested_at", postgresql_where=text("status = 'pending'")),
        Index("ix_erasure_requests_entity", "organisation_id", "entity_hash"),
        one_of("status", ("pending", "completed")),
        CheckConstraint("(status = 'completed') = (completed_at is not null)", name="completed_when"),
        CheckConstraint("status = 'pending' or targets_encrypted is null", name="forgotten_when_completed"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    entity_hash: Mapped[ByteOrdered]
    status: Mapped[str] = mapped_column(server_default="pending")
    audiences: Mapped[int] = mapped_column(server_default="0")
    targets_encrypted: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_tried_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class ErasedContactRow(Row):
    """A keyed hash that identifies an erased contact, so that it is not sent again.

    If `kind` is `entity`, the hash is of the contact's type and id. If it is `address`, the hash is of one of the
    contact's addresses. Each row belongs to one erasure request; the hash of a shared address may belong to several.
    `entity_type` is set for the kind `entity` only. It says whether employees or vendors must be read from the source
    to find the contact's current address.
    """

    __tablename__ = "erased_contacts"
    __table_args__ = (
        PrimaryKeyConstraint("organisation_id", "kind", "keyed_hash", "erasure_request_id"),
        Index("ix_erased_contacts_request", "erasure_request_id"),
        one_of("kind", ("address", "entity")),
        one_of("entity_type", EntityType),
    )

    organisation_id: Mapped[str]
    kind: Mapped[str]
    entity_type: Mapped[str | None]
    keyed_hash: Mapped[ByteOrdered]
    erasure_request_id: Mapped[UUID] = mapped_column(ForeignKey("erasure_requests.id"))
    erased_at: Mapped[datetime]


class PseudonymKeyRow(Row):
    """The key of an organisation's keyed hashes, encrypted like an API key.

    Rotation of the encryption keys re-encrypts this key, but does not change it, so the hashes stay valid.
    """

    __tablename__ = "pseudonym_keys"

    organisation_id: Mapped[str] = mapped_column(primary_key=True)
    key_encrypted: Mapped[str]


def _share(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} between 0 and 1", name=f"{column}_is_a_share")


class CampaignRow(Row):
    """A tracked campaign with its latest figures. Rates are fractions from 0 to 1."""

    __tablename__ = "campaign_tracking"
    __table_args__ = (
        UniqueConstraint("organisation_id", "mailchimp_campaign_id"),
        UniqueConstraint("organisation_id", "id"),
        Index("ix_campaign_tracking_newest", "organisation_id", text("created_at desc"), text("id desc")),
        one_of("status", CampaignStatus),
        _share("open_rate"),
        _share("click_rate"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    mailchimp_campaign_id: Mapped[str]
    title: Mapped[str]
    subject_line: Mapped[str | None]
    mailchimp_list_id: Mapped[str | None]
    status: Mapped[str]
    open_rate: Mapped[float | None]
    click_rate: Mapped[float | None]
    emails_sent: Mapped[int | None]
    unique_opens: Mapped[int | None]
    unique_clicks: Mapped[int | None]
    send_time: Mapped[datetime | None]
    last_refreshed_at: Mapped[datetime | None]
    missing_since: Mapped[datetime | None]
    created_at: Mapped[datetime]


class CampaignStatsRow(Row):
    """The figures of a campaign at the time `refreshed_at`. Rates are fractions from 0 to 1."""

    __tablename__ = "campaign_stats"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation_id", "campaign_id"], ["campaign_tracking.organisation_id", "campaign_tracking.id"]
        ),
        UniqueConstraint("organisation_id", "campaign_id", "refreshed_at"),
        one_of("status", CampaignStatus),
        _share("open_rate"),
        _share("open_rate_without_machine_opens"),
        _share("click_rate"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    campaign_id: Mapped[UUID]
    status: Mapped[str]
    emails_sent: Mapped[int]
    opens: Mapped[int]
    unique_opens: Mapped[int]
    open_rate: Mapped[float]
    open_rate_without_machine_opens: Mapped[float | None]
    clicks: Mapped[int]
    unique_clicks: Mapped[int]
    click_rate: Mapped[float]
    bounces: Mapped[int]
    unsubscribes: Mapped[int]
    refreshed_at: Mapped[datetime]


class WebhookRow(Row):
    """The webhook of an audience. The webhook's URL has a secret token, of which only the hash is stored.

    `mailchimp_webhook_id` is null while the webhook is not yet created at Mailchimp. `secret_encrypted` is the secret
    for the signatures of webhook calls. It is null while the webhook is not yet created, or if Mailchimp does not sign
    calls.
    """

    __tablename__ = "audience_webhooks"
    __table_args__ = (
        UniqueConstraint("organisation_id", "mailchimp_list_id"),
        UniqueConstraint("token_hash"),
        CheckConstraint("secret_encrypted is null or mailchimp_webhook_id is not null", name="secret_once_made"),
    )

    id: Mapped[RowId]
    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    token_hash: Mapped[ByteOrdered]
    mailchimp_webhook_id: Mapped[str | None]
    secret_encrypted: Mapped[str | None]
    created_at: Mapped[datetime]
