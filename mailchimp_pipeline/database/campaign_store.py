"""The tracked campaigns, the history of their figures, and which campaigns are due to be refreshed from Mailchimp."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from mailchimp_pipeline.campaigns import (
    FINAL,
    Campaign,
    CampaignSnapshot,
    CampaignStatus,
    Figures,
    Refresh,
    Stats,
    refresh,
)
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import CampaignRow, CampaignStatsRow, ConnectionRow, row_id


def campaign_of(row: CampaignRow) -> Campaign:
    """Convert a row to a campaign."""
    return Campaign(
        id=str(row.id),
        organisation_id=row.organisation_id,
        mailchimp_campaign_id=row.mailchimp_campaign_id,
        title=row.title,
        status=CampaignStatus(row.status),
        created_at=row.created_at,
        subject_line=row.subject_line,
        mailchimp_list_id=row.mailchimp_list_id,
        open_rate=row.open_rate,
        click_rate=row.click_rate,
        emails_sent=row.emails_sent,
        unique_opens=row.unique_opens,
        unique_clicks=row.unique_clicks,
        send_time=row.send_time,
        last_refreshed_at=row.last_refreshed_at,
        missing_since=row.missing_since,
    )


def stats_of(row: CampaignStatsRow) -> Stats:
    """Convert a row of the history to the campaign's figures at that time."""
    figures = Figures(
        emails_sent=row.emails_sent,
        opens=row.opens,
        unique_opens=row.unique_opens,
        open_rate=row.open_rate,
        open_rate_without_machine_opens=row.open_rate_without_machine_opens,
        clicks=row.clicks,
        unique_clicks=row.unique_clicks,
        click_rate=row.click_rate,
        bounces=row.bounces,
        unsubscribes=row.unsubscribes,
    )
    return Stats(row.refreshed_at, CampaignStatus(row.status), figures)


def is_news(row: CampaignRow, refresh: Refresh) -> bool:
    """Return whether the refresh is later than the last one written to the row."""
    looked = [moment for moment in (row.last_refreshed_at, row.missing_since) if moment is not None]
    return not looked or refresh.at > max(looked)


def take_over(row: CampaignRow, refresh: Refresh, *, missing_since: datetime | None) -> None:
    """Copy the values of a refresh to the row. Values that Mailchimp did not return stay as they are."""
    row.status, row.missing_since = refresh.status.value, missing_since
    if seen := refresh.seen:
        row.title = seen.title or seen.subject_line or seen.id
        row.subject_line, row.mailchimp_list_id = seen.subject_line or None, seen.list_id or None
        row.send_time, row.last_refreshed_at = seen.send_time, refresh.at
    if figures := refresh.figures:
        row.open_rate, row.click_rate = figures.open_rate, figures.click_rate
        row.emails_sent, row.unique_opens = figures.emails_sent, figures.unique_opens
        row.unique_clicks = figures.unique_clicks


def stats_row(row: CampaignRow, refresh: Refresh, figures: Figures) -> CampaignStatsRow:
    """Make the row that adds the figures of a refresh to the campaign's history."""
    return CampaignStatsRow(
        organisation_id=row.organisation_id,
        campaign_id=row.id,
        status=refresh.status.value,
        emails_sent=figures.emails_sent,
        opens=figures.opens,
        unique_opens=figures.unique_opens,
        open_rate=figures.open_rate,
        open_rate_without_machine_opens=figures.open_rate_without_machine_opens,
        clicks=figures.clicks,
        unique_clicks=figures.unique_clicks,
        click_rate=figures.click_rate,
        bounces=figures.bounces,
        unsubscribes=figures.unsubscribes,
        refreshed_at=refresh.at,
    )


def audit_entry(row: CampaignRow, action: str, by: str, at: datetime, details: Mapping[str, object]) -> audit_log.Entry:
    """Make the audit log entry for a change of the campaign."""
    return audit_log.Entry(by, action, audit_log.Entity("campaign", str(row.id)), at, details)


class CampaignStore:
    """The tracked campaigns of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def track(self, snapshot: CampaignSnapshot, *, seen_at: datetime, by: str, at: datetime) -> Campaign:
        """Start to track a campaign, or refresh it if it is already tracked.

        `seen_at` is when the snapshot was read from Mailchimp, `at` is the current time.
        """
        first, key = refresh(None, snapshot, seen_at), snapshot.campaign.id
        new = insert(CampaignRow).values(
            organisation_id=self._session.organisation_id,
            mailchimp_campaign_id=key,
            title=key,
            status=first.status.value,
            created_at=at,
        )
        # The second of two parallel calls waits for the first one's row, and then reads it.
        made = self._session.scalar(new.on_conflict_do_nothing().returning(CampaignRow.id))
        row = self._session.scalars(self._locked(CampaignRow.mailchimp_campaign_id == key)).one()
        if made is None:
            return self._refresh(row, refresh(CampaignStatus(row.status), snapshot, seen_at), by=by, at=at)
        self._write(row, first)
        details = {"mailchimp_campaign_id": key, "status": row.status}
        audit_log.write(self._session, audit_entry(row, "campaign.tracked", by, at, details))
        return campaign_of(row)

    def get(self, campaign_id: str) -> Campaign | None:
        """Return the campaign, None if it does not exist."""
        row = self._session.scalar(self._all().where(CampaignRow.id == row_id(campaign_id)))
        return row and campaign_of(row)

    def tracked(self) -> frozenset[str]:
        """Return Mailchimp's ids of all tracked campaigns."""
        return frozenset(self._session.scalars(self._all().with_only_columns(CampaignRow.mailchimp_campaign_id)))

    def list(self, *, limit: int, cursor: str | None = None) -> Page[Campaign]:
        """Return a page of campaigns, latest tracked first.

        Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
        """
        query = self._all()
        if cursor is not None:
            query = query.where(tuple_(CampaignRow.created_at, CampaignRow.id) < read_cursor(cursor, UUID))
        query = query.order_by(CampaignRow.created_at.desc(), CampaignRow.id.desc()).limit(limit + 1)
        rows = self._session.scalars(query).all()
        return page(rows, limit, campaign_of, lambda row: cursor_after(row.created_at, row.id))

    def history(self, campaign_id: str, *, limit: int, cursor: str | None = None) -> Page[Stats] | None:
        """Return a page of the history of the campaign's figures, latest first. None if the campaign does not exist.

        Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
        """
        if self.get(campaign_id) is None:
            return None
        table = CampaignStatsRow
        query = select(table).where(
            table.organisation_id == self._session.organisation_id, table.campaign_id == row_id(campaign_id)
        )
        if cursor is not None:
            query = query.where(tuple_(table.refreshed_at, table.id) < read_cursor(cursor, UUID))
        query = query.order_by(table.refreshed_at.desc(), table.id.desc()).limit(limit + 1)
        rows = self._session.scalars(query).all()
        return page(rows, limit, stats_of, lambda row: cursor_after(row.refreshed_at, row.id))

    def write(self, campaign_id: str, found: Refresh, *, by: str, at: datetime) -> Campaign | None:
        """Store a refresh of the campaign, unless a later one is already stored.

        Return the campaign, None if it does not exist.
        """
        row = self._session.scalar(self._locked(CampaignRow.id == row_id(campaign_id)))
        return row and self._refresh(row, found, by=by, at=at)

    def delete_stats(self, before: datetime, *, limit: int) -> int:
        """Delete at most `limit` rows of the campaigns' histories from before the time `before`.

        The latest figures of each campaign stay. Return how many rows were deleted.
        """
        later = aliased(CampaignStatsRow)
        is_followed = (
            select(later.id)
            .where(
                later.organisation_id == CampaignStatsRow.organisation_id,
                later.campaign_id == CampaignStatsRow.campaign_id,
                later.refreshed_at > CampaignStatsRow.refreshed_at,
            )
            .exists()
        )
        old = (
            select(CampaignStatsRow.id)
            .where(self._session.owns(CampaignStatsRow), CampaignStatsRow.refreshed_at < before, is_followed)
            .limit(limit)
        )
        gone = delete(CampaignStatsRow).where(CampaignStatsRow.id.in_(old)).returning(CampaignStatsRow.id)
        return len(self._session.scalars(gone, execution_options={"synchronize_session": False}).all())

    def _refresh(self, row: CampaignRow, found: Refresh, *, by: str, at: datetime) -> Campaign:
        before = row.status, row.missing_since
        if is_news(row, found):
            self._write(row, found)
        # The automatic refresh writes an audit entry only after a change, a person's request always.
        if by != audit_log.PIPELINE or before != (row.status, row.missing_since):
            details = {"status": row.status, "before": before[0], "missing": row.missing_since is not None}
            audit_log.write(self._session, audit_entry(row, "campaign.refreshed", by, at, details))
        return campaign_of(row)

    def _write(self, row: CampaignRow, found: Refresh) -> None:
        take_over(row, found, missing_since=self._missing_since(row, found))
        if found.figures:
            self._session.add(stats_row(row, found, found.figures))

    def _missing_since(self, row: CampaignRow, found: Refresh) -> datetime | None:
        """Return the time since when the campaign is missing at Mailchimp, None if it is not missing.

        A time found earlier is kept, unless the organisation has connected anew since then.
        """
        before = row.missing_since
        if not found.is_missing or before is None:
            return found.at if found.is_missing else None
        query = select(ConnectionRow.connected_at).where(
            ConnectionRow.organisation_id == self._session.organisation_id, ConnectionRow.soft_deleted_at.is_(None)
        )
        connected_at = self._session.scalar(query)
        return before if connected_at is None or before > connected_at else found.at

    def _all(self) -> Select[CampaignRow]:
        return select(CampaignRow).where(CampaignRow.organisation_id == self._session.organisation_id)

    def _locked(self, which: ColumnElement[bool]) -> Select[CampaignRow]:
        return self._all().where(which).with_for_update().execution_options(populate_existing=True)


def due_campaigns(session: Session, *, settling_since: datetime) -> tuple[Campaign, ...]:
    """Return the campaigns of connected organisations that are due for a refresh, ordered by organisation.

    A campaign is due if its status can still change, if it was sent after `settling_since`, or if it was sent and no
    figures were read since. A campaign that is missing at Mailchimp is due once after each new connection, because the
    former connection may have been to a wrong account.
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
    """Return the ids of the organisations with figures of campaigns from before the time `before`."""
    query = select(CampaignStatsRow.organisation_id).where(CampaignStatsRow.refreshed_at < before).distinct()
    return session.scalars(query.order_by(CampaignStatsRow.organisation_id)).all()


def histories(session: Session, campaign_ids: Collection[str], *, latest: int) -> Mapping[str, Sequence[Stats]]:
    """Return the most recent figures of each campaign, by campaign id: at most `latest` of them, oldest first.

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
