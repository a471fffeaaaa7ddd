"""Campaigns of all organisations: those due for a refresh, and histories of figures."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from mailchimp_pipeline.campaigns import FINAL, Campaign, CampaignStatus, Stats
from mailchimp_pipeline.database.campaigns.rows import campaign_of, stats_of
from mailchimp_pipeline.database.tables import CampaignRow, CampaignStatsRow, ConnectionRow, row_id


def due_campaigns(session: Session, *, settling_since: datetime) -> tuple[Campaign, ...]:
    """Return the campaigns that are due for a refresh, ordered by organisation. Only connected organisations count.

    A campaign is due if it has no final status, if it was sent after `settling_since`, or if it was sent and has no
    final figures yet. A campaign that is missing at Mailchimp is due once after each new connection, because the former
    connection may have been to a wrong account.
    """
    has_final_counts = (
        select(CampaignStatsRow.id)
        .where(
            CampaignStatsRow.organisation_id == CampaignRow.organisation_id,
            CampaignStatsRow.campaign_id == CampaignRow.id,
            CampaignStatsRow.status == CampaignStatus.SENT.value,
        )
        .exists()
    )
    moves = or_(
        CampaignRow.status.not_in([status.value for status in FINAL]),
        and_(
            CampaignRow.status == CampaignStatus.SENT.value,
            or_(CampaignRow.send_time > settling_since, ~has_final_counts),
        ),
    )
    is_due = or_(
        and_(CampaignRow.missing_since.is_(None), moves), CampaignRow.missing_since <= ConnectionRow.connected_at
    )
    connected = and_(
        ConnectionRow.organisation_id == CampaignRow.organisation_id, ConnectionRow.soft_deleted_at.is_(None)
    )
    query = select(CampaignRow).join(ConnectionRow, connected).where(is_due)
    return tuple(map(campaign_of, session.scalars(query.order_by(CampaignRow.organisation_id, CampaignRow.id))))


def organisations_with_old_stats(session: Session, before: datetime) -> Sequence[str]:
    """Return the organisations with snapshots of figures from before the moment."""
    query = select(CampaignStatsRow.organisation_id).where(CampaignStatsRow.refreshed_at < before).distinct()
    return session.scalars(query.order_by(CampaignStatsRow.organisation_id)).all()


def histories(session: Session, campaign_ids: Collection[str], *, latest: int) -> Mapping[str, Sequence[Stats]]:
    """Return the `latest` most recent figures of each campaign, oldest first.

    Campaigns without figures are left out.
    """
    place = func.row_number().over(
        partition_by=CampaignStatsRow.campaign_id, order_by=CampaignStatsRow.refreshed_at.desc()
    )
    wanted = CampaignStatsRow.campaign_id.in_([row_id(campaign_id) for campaign_id in campaign_ids])
    numbered = select(CampaignStatsRow, place.label("place")).where(wanted).subquery()
    stats = aliased(CampaignStatsRow, numbered)
    query = select(stats).where(numbered.c.place <= latest).order_by(stats.campaign_id, stats.refreshed_at)
    rows = session.scalars(query)
    return {str(key): [stats_of(row) for row in group] for key, group in groupby(rows, lambda row: row.campaign_id)}
