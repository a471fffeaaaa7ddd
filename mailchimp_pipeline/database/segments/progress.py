"""The sync status of a segment, as recorded by the pipeline."""

from collections.abc import Collection, Mapping
from datetime import datetime

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.segments.rows import audit_entry, end_requests, locked_segment, locked_segments
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentRow
from mailchimp_pipeline.errors import without_places
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.sync.segment_results import StopReason

_ACTIONS = {
    SegmentStatus.SYNCING: "segment.syncing",
    SegmentStatus.SYNCED: "segment.synced",
    SegmentStatus.ERROR: "segment.failed",
}


class SegmentProgress:
    """Changes the status of segments of the session's organisation. Deleted segments are ignored."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def mark_syncing(self, segment_id: str, *, at: datetime) -> None:
        """Record that a run syncs the segment.

        The caller holds the audience's lock, or the segment counts as abandoned.
        """
        if row := locked_segment(self._session, segment_id):
            self._move(row, SegmentStatus.SYNCING, at)

    def mark_synced(self, segment_id: str, *, member_count: int, report: Mapping[str, object], at: datetime) -> None:
        """Record a successful sync. `report` has counts as JSON values."""
        if row := locked_segment(self._session, segment_id):
            row.member_count, row.last_report, row.last_synced_at = member_count, dict(report), at
            self._move(row, SegmentStatus.SYNCED, at, details={"member_count": member_count, **report})

    def mark_error(  # noqa: PLR0913 - each is known or not
        self,
        segment_id: str,
        message: str,
        *,
        at: datetime,
        stopped_by: StopReason | None = None,
        member_count: int | None = None,
        report: Mapping[str, object] | None = None,
    ) -> None:
        """Record a failed sync. `message` has no personal data, `report` has counts.

        If `member_count` is None, the former count stays. The former report is always replaced. `stopped_by` is written
        to the audit log, where `checked_segments` reads it.
        """
        if row := locked_segment(self._session, segment_id):
            row.member_count = row.member_count if member_count is None else member_count
            row.last_report = None if report is None else dict(report)
            self._fail(row, message, at, stopped_by)

    def mark_untouched(self, segment_ids: Collection[str], message: str, *, since: datetime, at: datetime) -> list[str]:
        """Set segments to error whose status has not changed since that time. Return their ids."""
        untouched = [row for row in locked_segments(self._session, segment_ids) if row.status_changed_at < since]
        for row in untouched:
            self._fail(row, message, at)
        return [str(row.id) for row in untouched]

    def abandon(self, segment_id: str, message: str, *, at: datetime) -> bool:
        """Set the segment to error and fail its running requests, if it is `syncing`. Return whether it was."""
        row = locked_segment(self._session, segment_id)
        if row is None or row.status != SegmentStatus.SYNCING:
            return False
        end_requests(self._session, row, "running", error=message, at=at)
        self._fail(row, message, at)
        return True

    def _fail(self, row: SegmentRow, message: str, at: datetime, stopped_by: StopReason | None = None) -> None:
        # Users of the organisation can read both.
        shown = without_places(message)
        details = {"error": shown, "stopped_by": stopped_by.value} if stopped_by else {"error": shown}
        self._move(row, SegmentStatus.ERROR, at, error=shown, details=details)

    def _move(
        self,
        row: SegmentRow,
        status: SegmentStatus,
        at: datetime,
        *,
        error: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        row.status, row.last_error, row.status_changed_at = status.value, error, at
        audit.write(self._session, audit_entry(row, _ACTIONS[status], audit.PIPELINE, at, details or {}))
