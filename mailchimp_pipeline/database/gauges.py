"""Metrics over all organisations: synced and rejected contacts, waiting requests, pending erasures.

The metrics name no organisation. They are cheap enough to be read every minute, because no query reads the audit log
or requests that have ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.session import Database

SECONDS = 3
"""The time limit of each query, in seconds."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The number of items in a queue, and the age of the oldest in seconds."""

    size: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PipelineFigures:
    """Metrics of the pipeline, over all connected organisations and their segments that are not deleted.

    - `segments`: the number of segments by status.
    - `newest_sync_at`, `oldest_sync_at`: the latest and earliest time of the segments' last syncs. For a segment that
      was never synced, `oldest_sync_at` uses the time of its creation.
    - `contacts` (by outcome), `rejected` (by reason), `calls`, `retries`: sums over the last sync of each segment.
    - `waiting`, `running`: the sync requests with this status.
    - `erasures`: the pending erasures.
    - `connections`: the number of connections; `keys_refused` of them have an API key that Mailchimp refuses.
    """

    segments: Mapping[str, int]
    newest_sync_at: datetime | None
    oldest_sync_at: datetime | None
    contacts: Mapping[str, int]
    rejected: Mapping[str, int]
    calls: int
    retries: int
    longest_sync_seconds: float
    waiting: Queue
    running: Queue
    erasures: Queue
    connections: int
    keys_refused: int


OUTCOMES = (
    "new",
    "changed",
    "unchanged",
    "rejected",
    "waiting",
    "withheld",
    "moved",
    "returned",
    "unsubscribed",
    "archived",
)
"""The outcomes by which `PipelineFigures.contacts` counts contacts. `sync.SyncReport` describes them."""

_LIVE = """
with live as (
    select segment.* from contact_segments as segment
    join mailchimp_connections as connection
        on connection.organisation_id = segment.organisation_id and connection.soft_deleted_at is null
    where segment.soft_deleted_at is null
)
"""

_SEGMENTS = text(
    _LIVE
    + """
select status, count(*) as size, max(last_synced_at) as newest, min(coalesce(last_synced_at, created_at)) as oldest
from live group by status
"""
)

_REPORTED = text(
    _LIVE
    + """
select key, sum(value::text::numeric) as total, max(value::text::numeric) as most
from live, jsonb_each(live.last_report) where jsonb_typeof(value) = 'number' group by key
union all
select kind || '.' || reason.key, sum(reason.value::text::numeric), 0
from live, unnest(array['rejected', 'waiting', 'withheld']) as kind, jsonb_each(live.last_report -> kind) as reason
group by kind, reason.key
"""
)

_REQUESTS = text("""
select request.status, count(*) as size, extract(epoch from now() - min(
    case request.status when 'waiting' then requested_at else started_at end)) as seconds
from sync_requests as request join contact_segments as segment on segment.id = request.segment_id
where request.status in ('waiting', 'running') and segment.soft_deleted_at is null group by request.status
""")

_ERASURES = text("""
select count(*) as size, extract(epoch from now() - min(requested_at)) as seconds
from erasure_requests where status = 'pending'
""")

_CONNECTIONS = text("""
select count(*) as live, count(key_refused_at) as refused from mailchimp_connections where soft_deleted_at is null
""")


def pipeline_figures(database: Database) -> PipelineFigures:
    """Return the current metrics. Raises a `PipelineError` such as `DatabaseAway` on a database error."""
    with database.everyone() as session:
        session.execute(text(f"set local statement_timeout = '{SECONDS}s'"))
        segments = _rows(session, _SEGMENTS)
        reported = {row.key: row for row in _rows(session, _REPORTED)}
        requests = {row.status: _queue(row) for row in _rows(session, _REQUESTS)}
        (erasures,), (connections,) = _rows(session, _ERASURES), _rows(session, _CONNECTIONS)
    totals = {name: int(row.total) for name, row in reported.items()}
    by_reason = {
        kind: {name.removeprefix(f"{kind}."): total for name, total in totals.items() if name.startswith(f"{kind}.")}
        for kind in ("rejected", "waiting", "withheld")
    }
    summed = totals | {kind: sum(reasons.values()) for kind, reasons in by_reason.items()}
    return PipelineFigures(
        segments={row.status: row.size for row in segments},
        newest_sync_at=max((row.newest for row in segments if row.newest), default=None),
        oldest_sync_at=min((row.oldest for row in segments), default=None),
        contacts={outcome: summed.get(outcome, 0) for outcome in OUTCOMES},
        rejected=by_reason["rejected"],
        calls=totals.get("calls", 0),
        retries=totals.get("retries", 0),
        longest_sync_seconds=float(reported["seconds"].most) if "seconds" in reported else 0.0,
        waiting=requests.get("waiting", Queue()),
        running=requests.get("running", Queue()),
        erasures=_queue(erasures),
        connections=connections.live,
        keys_refused=connections.refused,
    )


def _rows(session: Session, query: TextClause) -> list[Row[tuple[object, ...]]]:
    return list(session.execute(query))


def _queue(row: Row[tuple[object, ...]]) -> Queue:
    """Convert a row with the size of a queue and the age of its oldest item.

    If the clocks differ, the age may be negative. Then it is zero.
    """
    return Queue(row.size, max(0.0, float(row.seconds or 0)))
