"""The sync status of an organisation: one status and one time for all segments."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentRow
from mailchimp_pipeline.segments import SegmentStatus

_WORST_FIRST = (SegmentStatus.ERROR, SegmentStatus.SYNCING, SegmentStatus.PENDING, SegmentStatus.SYNCED)


@dataclass(frozen=True, slots=True)
class Summary:
    """The worst status of the segments, and the time of the latest sync."""

    status: SegmentStatus
    last_synced_at: datetime | None


def summary(session: OrganisationSession) -> Summary:
    """Return the summary of the organisation's live segments, `pending` without segments."""
    query = (
        select(SegmentRow.status, func.max(SegmentRow.last_synced_at))
        .where(SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None))
        .group_by(SegmentRow.status)
    )
    latest = {SegmentStatus(status): at for status, at in session.execute(query).all()}
    worst = min(latest, key=_WORST_FIRST.index, default=SegmentStatus.PENDING)
    return Summary(worst, max((at for at in latest.values() if at is not None), default=None))
