"""Sample values for the metrics."""

from datetime import UTC, datetime
from typing import Any

from mailchimp_pipeline.database.gauges import PipelineFigures, Queue

AT = datetime(2026, 3, 1, 5, tzinfo=UTC)


def some_figures(**changed: Any) -> PipelineFigures:  # noqa: ANN401 - as `PipelineFigures` takes them
    usual: dict[str, Any] = {
        "segments": {"synced": 3, "error": 1},
        "newest_sync_at": AT,
        "oldest_sync_at": AT,
        "contacts": {"new": 7},
        "rejected": {"looks_fake": 2},
        "calls": 4,
        "retries": 5,
        "longest_sync_seconds": 1.5,
        "waiting": Queue(2, 30.5),
        "running": Queue(),
        "erasures": Queue(1, 90000),
        "connections": 2,
        "keys_refused": 1,
    }
    return PipelineFigures(**{**usual, **changed})
