"""Tables of an organisation's connections to Mailchimp and of its audit log."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from mailchimp_pipeline.database.tables.declarative import Row, RowId


class ConnectionRow(Row):
    """A connection to a Mailchimp account. The encrypted API key is null once the connection has ended.

    Every opt-out recorded before `opt_outs_propagated_at` has reached every audience of the account.
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
    """One change of state. A trigger prevents changing, deleting and truncating rows."""

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
