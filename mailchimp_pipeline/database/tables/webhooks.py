"""The table of webhooks registered at Mailchimp."""

from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from mailchimp_pipeline.database.tables.declarative import ByteOrdered, Row, RowId


class WebhookRow(Row):
    """The webhook of an audience. `token_hash` is the hash of the token in the webhook's URL, which only Mailchimp has.

    `mailchimp_webhook_id` is null until Mailchimp has created the webhook. `secret_encrypted` is null until then, and
    if Mailchimp does not sign calls.
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
