"""Tables of consent and erasure. Erased contacts are stored as keyed hashes only (`keyed_hashes`)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.tables.declarative import ByteOrdered, Row, RowId, one_of


class ConsentStatementRow(Row):
    """A consent statement. `consent.ConsentStatement` describes the columns. Rows are added, never changed.

    Only an erasure deletes statements, and removes its addresses from other statements. `id` is the order of recording.
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
    """A contact's preference, derived from its consent statements. `statement_id` is the latest statement.

    `subscriber_hash` is the contact's present address in the source.
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
    """An erasure request. `targets_encrypted` has what is left to delete at Mailchimp, null once it is completed."""

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
    """A keyed hash of an erased contact: of its entity or of one of its addresses. The contact is never sent again.

    The hash belongs to one erasure request. Several requests may have the hash of a shared address. `entity_type` is
    set for an entity, because its present address is looked up in the source.
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
    """The key of an organisation's keyed hashes, encrypted like an API key, so it survives key rotation."""

    __tablename__ = "pseudonym_keys"

    organisation_id: Mapped[str] = mapped_column(primary_key=True)
    key_encrypted: Mapped[str]
