"""`mailchimp-pipeline sync`: requests written as the API writes them, served by Dagster, watched to their end."""

import time
from dataclasses import replace

from rich.console import Console

from mailchimp_pipeline.assembly import Parts, open_parts
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.database.requests import RequestStatus, SyncRequest, SyncRequestStore
from mailchimp_pipeline.database.segments import SegmentStore, due_segments
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.tables import segment_table

_LOOK_EVERY_SECONDS = 0.5
_ENDED = (RequestStatus.DONE, RequestStatus.FAILED)


class NothingToSync(LastingError):
    """There is no such segment, or no connection to sync over."""


def request_and_wait(
    organisation_id: str,
    segment_id: str | None,
    *,
    wait_seconds: int,
    console: Console,
    departures_confirmed: bool = False,
) -> bool:
    """Ask for one segment or all of the organisation, wait, and print how each ended; tell whether all are synced."""
    with open_parts() as parts:
        requests = _ask(parts, organisation_id, segment_id, departures_confirmed=departures_confirmed)
        with console.status(f"Waiting for Dagster to sync {len(requests)} segments"):
            ended = _wait(parts, organisation_id, requests, wait_seconds)
        with parts.database.organisation(organisation_id) as session:
            asked = SyncRequestStore(session)
            requests = [asked.get(request.id) or request for request in requests]
            there = {segment.id: segment for request in requests if (segment := _found(session, request))}
    if there:
        console.print(segment_table(there.values(), title=f"Segments of {organisation_id}"))
    for request in requests:
        segment = there.get(request.segment_id)
        if segment is None:
            console.print(f"Segment {request.segment_id} was deleted meanwhile.")
        elif request.error and request.error != segment.last_error:
            console.print(f"Segment {segment.name!r} was not synced: {request.error}", markup=False)
    if not ended:
        console.print(f"Not all ended within {wait_seconds} s. They go on as long as Dagster's daemon runs.")
    is_done = all(request.status is RequestStatus.DONE and request.segment_id in there for request in requests)
    return is_done and all(segment.last_error is None for segment in there.values())


def _ask(
    parts: Parts, organisation_id: str, segment_id: str | None, *, departures_confirmed: bool
) -> list[SyncRequest]:
    with parts.database.everyone() as session:
        ids = [each.id for each in due_segments(session) if each.organisation_id == organisation_id]
    with parts.database.organisation(organisation_id) as session:
        if ConnectionStore(session, parts.keyring).live() is None:
            raise NothingToSync(f"Organisation {organisation_id} is not connected to Mailchimp. Connect it first.")
        wanted = [each for each in ids if segment_id in (None, each)]
        if not wanted:
            raise NothingToSync(f"Organisation {organisation_id} has no such segment. Create it, or check its id.")
        store, at = SyncRequestStore(session), utc_now()
        asked = [
            store.ask(each, by="command line", at=at, departures_confirmed=departures_confirmed) for each in wanted
        ]
    return [request for request in asked if request]


def _found(session: OrganisationSession, request: SyncRequest) -> Segment | None:
    """Return the segment. Why it failed is told as its run told it: whoever asks here operates the pipeline."""
    segment = SegmentStore(session).get(request.segment_id)
    if segment and segment.last_error and request.error:
        return replace(segment, last_error=request.error)
    return segment


def _wait(parts: Parts, organisation_id: str, requests: list[SyncRequest], seconds: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with parts.database.organisation(organisation_id) as session:
            found = [SyncRequestStore(session).get(request.id) for request in requests]
        if all(request is None or request.status in _ENDED for request in found):
            return True
        time.sleep(_LOOK_EVERY_SECONDS)
    return False
