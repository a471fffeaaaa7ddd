"""Segments, who is in them, what their audiences have, and what was asked to be synced."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.tables.declarative import ByteOrdered, Row, RowId, one_of
from mailchimp_pipeline.segments import OnLeave, SegmentStatus, SegmentType
from mailchimp_pipeline.sync import MemberStatus, Outcome, Refusal


class SegmentRow(Row):
    """A segment; `segments.Segment` says what its columns mean."""

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
    """A contact that is in a segment as it is wanted at Mailchimp; `digest` is that of what would be sent."""

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
    """What an audience has, as far as we know; the ledger says what follows from it.

    `digest` is of what Mailchimp took from us, `attempted_digest` of what it refused last; the contact is null for
    a member that was only seen there, and so is the entity where nobody of ours had the address. `contact_id` is
    Mailchimp's lasting id of the member. `replaced_hash` is the address in whose place the contact gave this one there.
    `leaving` is set on who left a segment that archives its leavers.
    `changed_at` is when the status changed.
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
        one_of("entity_type", EntityType),
        one_of("state", Outcome),
        one_of("status", MemberStatus),
        one_of("refusal", Refusal),
        CheckConstraint("(state = 'refused') = (refusal is not null)", name="refusal_says_why"),
    )

    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    subscriber_hash: Mapped[ByteOrdered]
    email: Mapped[str | None]
    entity_type: Mapped[str | None]
    entity_id: Mapped[ByteOrdered | None]
    digest: Mapped[str | None]
    attempted_digest: Mapped[str | None]
    state: Mapped[str]
    status: Mapped[str | None]
    refusal: Mapped[str | None]
    contact_id: Mapped[str | None]
    replaced_hash: Mapped[ByteOrdered | None]
    leaving: Mapped[bool] = mapped_column(server_default=text("false"))
    first_pushed_at: Mapped[datetime | None]
    pushed_at: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]


class AudienceReadRow(Row):
    """Up to when an audience's members were read from Mailchimp.

    `push_unfinished` is set while contacts are sent; where it stays set, answers were lost. `pushed_through` is when
    the last member changed by a push, by Mailchimp's clock.
    """

    __tablename__ = "audience_reads"
    __table_args__ = (PrimaryKeyConstraint("organisation_id", "mailchimp_list_id"),)

    organisation_id: Mapped[str]
    mailchimp_list_id: Mapped[str]
    read_through: Mapped[datetime]
    push_unfinished: Mapped[bool] = mapped_column(server_default=text("false"))
    pushed_through: Mapped[datetime | None]


class SyncRequestRow(Row):
    """Somebody asked for a sync of a segment; at most one waits for each segment."""

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
