"""Tables of tracked campaigns and the history of their figures."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped

from mailchimp_pipeline.campaigns import CampaignStatus
from mailchimp_pipeline.database.tables.declarative import Row, RowId, one_of


def _share(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} between 0 and 1", name=f"{column}_is_a_share")


class CampaignRow(Row):
    """A tracked campaign with its latest figures. Rates are 0 to 1."""

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
    """The figures of a campaign at one refresh."""

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
