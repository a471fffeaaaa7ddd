"""The tracked campaigns of one organisation."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from mailchimp_pipeline.campaigns import Campaign, CampaignSnapshot, CampaignStatus, Refresh, Stats, refresh
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.campaigns.rows import audit_entry, campaign_of, is_news, stats_of, stats_row, take_over
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import CampaignRow, CampaignStatsRow, ConnectionRow, row_id


class CampaignStore:
    """The campaigns of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def track(self, snapshot: CampaignSnapshot, *, seen_at: datetime, by: str, at: datetime) -> Campaign:
        """Track the campaign, or refresh it if it is already tracked. `seen_at` is the time of the snapshot."""
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
        audit.write(self._session, audit_entry(row, "campaign.tracked", by, at, details))
        return campaign_of(row)

    def get(self, campaign_id: str) -> Campaign | None:
        """Return the campaign, None if it does not exist."""
        row = self._session.scalar(self._all().where(CampaignRow.id == row_id(campaign_id)))
        return row and campaign_of(row)

    def list(self, *, limit: int, cursor: str | None = None) -> Page[Campaign]:
        """Return a page of campaigns, latest tracked first. Raises `paging.CursorInvalid`."""
        query = self._all()
        if cursor is not None:
            query = query.where(tuple_(CampaignRow.created_at, CampaignRow.id) < read_cursor(cursor, UUID))
        query = query.order_by(CampaignRow.created_at.desc(), CampaignRow.id.desc()).limit(limit + 1)
        rows = self._session.scalars(query).all()
        return page(rows, limit, campaign_of, lambda row: cursor_after(row.created_at, row.id))

    def history(self, campaign_id: str, *, limit: int, cursor: str | None = None) -> Page[Stats] | None:
        """Return a page of the campaign's figures, latest first, None if the campaign does not exist.

        Raises `paging.CursorInvalid`.
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
        """Write a refresh, unless a later one is already written. Return the campaign, None if it does not exist."""
        row = self._session.scalar(self._locked(CampaignRow.id == row_id(campaign_id)))
        return row and self._refresh(row, found, by=by, at=at)

    def delete_stats(self, before: datetime, *, limit: int) -> int:
        """Delete at most `limit` snapshots of figures from before the moment; return how many.

        The latest snapshot of each campaign stays.
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
        if by != audit.PIPELINE or before != (row.status, row.missing_since):
            details = {"status": row.status, "before": before[0], "missing": row.missing_since is not None}
            audit.write(self._session, audit_entry(row, "campaign.refreshed", by, at, details))
        return campaign_of(row)

    def _write(self, row: CampaignRow, found: Refresh) -> None:
        take_over(row, found, missing_since=self._missing_since(row, found))
        if found.figures:
            self._session.add(stats_row(row, found, found.figures))

    def _missing_since(self, row: CampaignRow, found: Refresh) -> datetime | None:
        """Return the time since when the campaign is missing, counted from the organisation's current connection."""
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
