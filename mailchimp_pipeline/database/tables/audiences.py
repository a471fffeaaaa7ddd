"""Tables of segments, segment members, audience members, rejected contacts and sync requests."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.tables.declarative import ByteOrdered, Row, RowId, one_of
from mailchimp_pipeline.segments import OnLeave, SegmentStatus, SegmentType
from mailchimp_pipeline.sync import KnownStatus, Rejection


class SegmentRow(Row):
    """A segment. `segments.Segment` describes the columns."""

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


class SegmentMemberRow(Row):
    """A contact in a segment, with the data to send. `digest` is the hash of this data."""

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
    """A member of an audience, as last reported by Mailchimp and last sent. See `sync.member_states` for statuses.

    `status` is null if the audience is known not to have the address. `member_id` is Mailchimp's id for paths, null if
    it is the hash. `contact_id` is Mailchimp's id that stays the same if the address changes. `digest` is the hash of
    the data that Mailchimp accepted. Entity type and id are null if no contact has the address. `replaced_hash` is the
    address that the member replaced with this one at Mailchimp. `leaving` is set if the contact left a segment that
    archives leavers. `changed_at` is by Mailchimp's clock.
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

    The contact is sent again from `next_attempt_at` on, or if `digest` or the audience's `merge_fields` change. With
    `is_final`, it is never sent again.
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
    """The time up to which the changes of an audience were pulled, and the audience's merge fields.

    Without `read_through`, the next pull reads all members: another account was connected meanwhile. `merge_fields`
    is comma-separated `tag:merge_id`. `push_unfinished` is set during a push. If it stays set, answers were lost.
    """

    __tablename__ = "audience_reads"
    __table_args__ = (PrimaryKeyConstraint("organisation_id", "mailchimp_list_id"),)

    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    read_through: Mapped[datetime | None]
    push_unfinished: Mapped[bool] = mapped_column(server_default=text("false"))
    merge_fields: Mapped[str | None]


class SyncRequestRow(Row):
    """A request for a sync of a segment. Each segment has at most one waiting request."""

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
