"""`mailchimp-pipeline sync` and `reconcile`: ask for the work, wait for it, and print the results.

`sync` stores requests like the API, and waits for Dagster to serve them. A dry run prints what a sync would do.
`reconcile` prints the corrections after the restore of an older database.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from rich.console import Console

from mailchimp_pipeline.cli.terminal_tables import preview_table, reconciliation_table, segment_table
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequest, SyncRequestStore
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.services.preview_sync import preview_sync
from mailchimp_pipeline.services.reconcile_audiences import reconcile_audiences
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings

_LOOK_EVERY_SECONDS = 0.5

_STATUSES = {
    RequestStatus.WAITING: SegmentStatus.PENDING,
    RequestStatus.RUNNING: SegmentStatus.SYNCING,
    RequestStatus.DONE: SegmentStatus.SYNCED,
    RequestStatus.FAILED: SegmentStatus.ERROR,
}


class NothingToSync(PermanentError):
    """The segment does not exist, or the organisation is not connected."""


def request_and_wait(
    organisation_id: str,
    segment_id: str | None,
    *,
    wait_seconds: int,
    console: Console,
    departures_confirmed: bool = False,
) -> bool:
    """Request a sync of one segment, or of all segments of the organisation, and wait. Return whether all were synced.

    Raises `NothingToSync` if the organisation is not connected or has no such segment.
    """
    with open_resources() as resources:
        segments = _segments_to_sync(resources, organisation_id, segment_id)
        asked = _ask(resources, organisation_id, list(segments), departures_confirmed=departures_confirmed)
        with console.status(f"Waiting for Dagster to sync {len(asked)} segments"):
            requests = _watch(resources, organisation_id, asked, segments, wait_seconds=wait_seconds, console=console)
        with resources.database.organisation(organisation_id) as session:
            there = {request.id: SegmentStore(session).get(request.segment_id) for request in requests}
    shown = [_after_this_sync(segment, request) for request in requests if (segment := there[request.id])]
    if shown:
        console.print(segment_table(shown, title=f"Segments of {organisation_id}"))
    for request in requests:
        if there[request.id] is None:
            console.print(f"Segment {request.segment_id} was deleted meanwhile.")
    if any(request.finished_at is None for request in requests):
        console.print(f"Not all ended within {wait_seconds} s. They go on as long as Dagster's daemon runs.")
    return len(shown) == len(requests) and all(request.status is RequestStatus.DONE for request in requests)


def preview_and_print(organisation_id: str, segment_id: str | None, *, console: Console) -> None:
    """Print what a sync of one segment, or of each segment of the organisation, would do now.

    Raises `NothingToSync` as `request_and_wait` does, and the errors of `preview_sync`.
    """
    with open_resources() as resources:
        records = DatabaseRecords(resources.database, resources.keyring, utc_now)
        for segment in _segments_to_sync(resources, organisation_id, segment_id).values():
            preview = preview_sync(records, resources.source, segment)
            console.print(preview_table(preview, title=f"What a sync of {segment.name} would do"))


def _segments_to_sync(resources: Resources, organisation_id: str, segment_id: str | None) -> Mapping[str, Segment]:
    with resources.database.organisation(organisation_id) as session:
        if ConnectionStore(session, resources.keyring).live() is None:
            raise NothingToSync(f"Organisation {organisation_id} is not connected to Mailchimp. Connect it first.")
        segments = {each.id: each for each in SegmentStore(session).all() if segment_id in (None, each.id)}
    if not segments:
        raise NothingToSync(f"Organisation {organisation_id} has no such segment. Create it, or check its id.")
    return segments


def _ask(
    resources: Resources, organisation_id: str, segment_ids: Sequence[str], *, departures_confirmed: bool
) -> Sequence[SyncRequest]:
    # One transaction, so that Dagster serves all requests in one run.
    with resources.database.organisation(organisation_id) as session:
        store, at = SyncRequestStore(session), utc_now()
        asked = [
            store.ask(each, by="command line", at=at, departures_confirmed=departures_confirmed) for each in segment_ids
        ]
    return [request for request in asked if request]


def _watch(  # noqa: PLR0913 - what is watched, and how long
    resources: Resources,
    organisation_id: str,
    asked: Sequence[SyncRequest],
    segments: Mapping[str, Segment],
    *,
    wait_seconds: int,
    console: Console,
) -> Sequence[SyncRequest]:
    """Print each segment when its sync has ended. Return the requests as they are at the end or after the wait."""
    deadline = time.monotonic() + wait_seconds
    printed: set[str] = set()
    while True:
        with resources.database.organisation(organisation_id) as session:
            found = SyncRequestStore(session).some([request.id for request in asked])
        requests = [found.get(request.id, request) for request in asked]
        for request in requests:
            if request.finished_at and request.id not in printed:
                printed.add(request.id)
                ending = "synced" if request.status is RequestStatus.DONE else "not synced"
                console.print(f"{segments[request.segment_id].name}: {ending}", markup=False)
        if len(printed) == len(requests) or time.monotonic() >= deadline:
            return requests
        time.sleep(_LOOK_EVERY_SECONDS)


def _after_this_sync(segment: Segment, request: SyncRequest) -> Segment:
    """Return the segment with the status, report and error of this sync, without those of an earlier sync.

    Unlike the segment's own error, the request's error may name files and hosts, which only the operator may see.
    """
    report = segment.last_report if request.status is RequestStatus.DONE else None
    return replace(segment, status=_STATUSES[request.status], last_report=report, last_error=request.error)


def reconcile_and_print(
    console: Console, organisation_id: str | None, *, dry_run: bool, settings: Settings | None = None
) -> bool:
    """Correct the database by reading the audiences of one organisation, or of all connected ones. Print the results.

    Return whether all audiences could be read. A dry run only prints what would be corrected.
    """
    with open_resources(settings) as resources:
        found = list(
            reconcile_audiences(
                resources.database,
                resources.keyring,
                lambda each: closing(resources.client(each)),
                organisation_id=organisation_id,
                dry_run=dry_run,
            )
        )
    title = "What would be corrected" if dry_run else "What was corrected"
    console.print(reconciliation_table(found, title=title))
    if any(audience.deleted for audience in found):
        console.print(
            "Members that Mailchimp deleted permanently are e-mailed in no audience until they opt in again. "
            "Erase the contacts again that were erased after the backup: docs/backup.md says how.",
            soft_wrap=True,
        )
    return all(audience.error is None for audience in found)
