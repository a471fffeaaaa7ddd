"""The pipeline as Dagster calls it: syncs of segments, and queries about segments, requests and runs."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy.orm import Session
from structlog.contextvars import bind_contextvars, bound_contextvars

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.contacts import EntityType, RelationVersion
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.audience_members import organisations_with_opt_outs
from mailchimp_pipeline.database.locks import is_held, keep, run_lock
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_store import (
    CheckedSegments,
    SegmentName,
    SegmentProgress,
    checked_segments,
    due_partition_keys,
    not_synced_since,
)
from mailchimp_pipeline.database.session import RETRY_PAUSES, DatabaseRetry
from mailchimp_pipeline.database.sync_request_store import SyncRequest, SyncRequestStore
from mailchimp_pipeline.database.webhook_store import organisations_without_webhook
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries, Timeouts
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.services.propagate_opt_outs import pull_and_propagate
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline.services.sync_segments import ORGANISATIONS_AT_ONCE, SegmentSync
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.sync.segment_results import SegmentResult, SyncRun, Trigger

_T = TypeVar("_T")

_ONE_TRY = Retries(budget=10)
_SHORT = Timeouts(read=30)
"""Limits of calls to Mailchimp outside the sync of segments. They are short, because the calls delay the segments, and
the next run repeats calls that failed."""

_PAUSES_OF_A_TICK = (1.0, 4.0, 15.0)
"""Seconds between database attempts in a sensor's tick. Dagster ends a tick after a minute, and each attempt may itself
wait for PostgreSQL."""

_log = logger("mailchimp_pipeline.runs")


@contextmanager
def open_pipeline(settings: Settings | None = None) -> Generator["Pipeline"]:
    """Yield a `Pipeline` for the settings (by default the environment's). Close its resources at the end."""
    with open_resources(settings) as resources:
        yield Pipeline(resources)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Syncs segments for Dagster, and answers its queries about segments, requests and runs.

    `before` limits calls to Mailchimp outside the sync of segments: registering webhooks and propagating opt-outs.
    """

    resources: Resources
    before: Timeouts = _SHORT

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return utc_now()

    def describe(self, relation: str) -> RelationVersion:
        """Return the version and the number of rows of a source table. `relation` is `employee` or `vendor`."""
        return self.resources.source.describe(EntityType(relation))

    def due_segments(self) -> Sequence[Segment]:
        """Return the segments to sync: all of connected organisations that are not deleted. Ordered by organisation."""
        return DatabaseRetry(_PAUSES_OF_A_TICK).do(self._records.due_segments)

    def due_partition_keys(self) -> Sequence[str]:
        """Return the Dagster partition keys of the segments to sync (see `due_segments`), ordered by organisation."""
        return self._read(due_partition_keys, _PAUSES_OF_A_TICK)

    def not_synced_since(self, moment: datetime) -> Sequence[SegmentName]:
        """Return the segments that existed at `moment`, and are in error or were not synced successfully since then."""
        return self._read(lambda session: not_synced_since(session, moment))

    def checked_segments(self) -> CheckedSegments:
        """Return the number of segments to sync, and which of them fail each asset check because of their last sync."""
        return self._read(checked_segments)

    def open_requests(self) -> Sequence[SyncRequest]:
        """Return the sync requests that are waiting or running, oldest first, without those for deleted segments."""
        return self._records.open_requests()

    @contextmanager
    def hold_run_lock(self, run_id: str) -> Generator[None]:
        """Hold the run's lock during the block. The lock shows that the run's process is alive.

        After a lost database connection, the lock is taken again. Raises `TransientError` if another process holds it.
        """
        with ExitStack() as held:
            lock = partial(keep, self.resources.database, run_lock(run_id), what=f"run {run_id}")
            DatabaseRetry().do(lambda: held.enter_context(lock()))
            yield

    def sync(
        self,
        keys: Sequence[str],
        *,
        run_id: str,
        push: bool,
        trigger: Trigger = Trigger.DAGSTER,
        request_ids: Sequence[str] = (),
    ) -> Iterator[SegmentResult]:
        """Sync the segments with the partition keys `keys`. Yield each result after it is stored.

        Each sync is stored with the id of the run, and with what started the run (`trigger`).
        The sync requests `request_ids` are marked as running, and as ended with their segment's result. Deleted
        segments and segments of disconnected organisations are skipped. If `push` is false, memberships are stored and
        nothing is sent.
        """
        database_retry = DatabaseRetry()
        if push and not request_ids:
            database_retry.do(self._register_webhooks)
        segments = database_retry.do(partial(self._records.segments, keys))
        started = database_retry.do(partial(self._records.start_requests, request_ids, segments, run_id))
        requests = {request.segment_id: request for request in started}
        # The run's id is bound during the sync only, not while the caller handles a result.
        context = copy_context()
        context.run(bind_contextvars, run_id=run_id)
        results = self._results(SyncRun(run_id, trigger), segments, started, database_retry, push=push)
        while (result := context.run(next, results, None)) is not None:
            request = requests.get(result.segment.id)
            if request is not None:
                database_retry.do(partial(self._records.end_request, result, request.id))
            _log_result(result, run_id, request and request.id)
            yield result

    def _results(
        self,
        run: SyncRun,
        segments: Sequence[Segment],
        requests: Sequence[SyncRequest],
        database_retry: DatabaseRetry,
        *,
        push: bool,
    ) -> Iterator[SegmentResult]:
        for segment in (each for each in segments if each.unknown):
            error = (
                f"Segment {segment.name!r} was stored by a newer version, and this version does not know its "
                f"{', '.join(segment.unknown)}. Upgrade this version, or save the segment again without it."
            )
            result = SegmentResult(segment, error=error)
            database_retry.do(partial(self._records.mark_ended, result, run))
            yield result
        syncs = SegmentSync(
            self.resources.source,
            self._records,
            self.resources.audiences,
            utc_now,
            run,
            push=push,
            departures_confirmed=frozenset(each.segment_id for each in requests if each.departures_confirmed),
            database_retry=database_retry,
        )
        yield from syncs.results(segment for segment in segments if not segment.unknown)

    def organisations_with_opt_outs(self) -> Sequence[str]:
        """Return the connected organisations with opt-outs that may not have reached every audience."""
        with self.resources.database.everyone() as session:
            return organisations_with_opt_outs(session, self.now())

    def propagate(self) -> Iterator[tuple[str, Mapping[str, int], str | None]]:
        """Unsubscribe contacts who opted out, for each organisation in `organisations_with_opt_outs`.

        Changes at Mailchimp are read first. Yield the organisation's id, the number of unsubscribed members by audience
        id, and the first error or None.
        """
        for organisation_id in self.organisations_with_opt_outs():
            try:
                with bound_contextvars(organisation_id=organisation_id):
                    done, problems = pull_and_propagate(
                        organisation_id,
                        partial(self._opened_once, organisation_id),
                        source=lambda: self.resources.source,
                        records=self._records,
                        clock=utc_now,
                    )
            except PipelineError as error:
                yield organisation_id, {}, str(error)
            else:
                yield organisation_id, done, next(map(str, problems.values()), None)

    def _register_webhooks(self) -> None:
        """Register the webhooks that could not be registered when the organisation connected or created a segment."""
        if self.resources.settings.public_url is None:
            return
        with self.resources.database.everyone() as session:
            organisation_ids = organisations_without_webhook(session)

        def register(organisation_id: str) -> None:
            registration = self.resources.webhook_registration(
                organisation_id, audit_log.PIPELINE, partial(self._opened_once, organisation_id)
            )
            registration.register_missing()

        _side_by_side(register, organisation_ids)

    def _opened_once(self, organisation_id: str) -> AbstractContextManager[MailchimpClient]:
        return closing(self.resources.client(organisation_id, retries=_ONE_TRY, timeouts=self.before))

    def fail_abandoned(self) -> int:
        """Set segments to `error` that are `syncing` although no run works on them. Return their number."""
        return self._records.fail_abandoned()

    def fail_stopped(self, run: StoppedRun, reason: str) -> Sequence[str]:
        """Set the segments that a stopped run did not finish to `error`, and its requests to `failed`.

        Requests that another run has taken over stay as they are. Return the partition keys of the segments.
        """
        return DatabaseRetry(_PAUSES_OF_A_TICK).do(partial(self._fail_stopped, run, reason))

    def _fail_stopped(self, run: StoppedRun, reason: str) -> Sequence[str]:
        failed: list[str] = []
        segments = [key.rpartition("/") for key in run.keys]
        for organisation_id in dict.fromkeys(organisation_id for organisation_id, _, _ in segments):
            ids = [segment_id for its_organisation, _, segment_id in segments if its_organisation == organisation_id]
            with self.resources.database.organisation(organisation_id) as session:
                untouched = SegmentProgress(session).mark_untouched(
                    ids, reason, since=run.begun, at=utc_now(), run=SyncRun(run.id, run.trigger)
                )
                SyncRequestStore(session).fail_stopped(run.request_ids, reason, run_id=run.id, at=utc_now())
            failed += [f"{organisation_id}/{segment_id}" for segment_id in untouched]
        return failed

    def is_alive(self, run_id: str) -> bool:
        """Return whether the run's process is alive, that is, whether some process holds the run's lock."""
        with self.resources.database.everyone() as session:
            return is_held(session, run_lock(run_id))

    def _read(self, query: Callable[[Session], _T], pauses: Sequence[float] = RETRY_PAUSES) -> _T:
        """Return the result of a query over all organisations. Retry while PostgreSQL is unavailable."""

        def read() -> _T:
            with self.resources.database.everyone() as session:
                return query(session)

        return DatabaseRetry(pauses).do(read)

    @property
    def _records(self) -> DatabaseRecords:
        return DatabaseRecords(self.resources.database, self.resources.keyring, utc_now)


def _side_by_side(task: Callable[[str], None], organisation_ids: Sequence[str]) -> None:
    """Run the task for each organisation, in parallel, so a slow account delays only itself."""
    with ThreadPoolExecutor(ORGANISATIONS_AT_ONCE, thread_name_prefix="before") as pool:
        for done in [pool.submit(copy_context().run, task, organisation_id) for organisation_id in organisation_ids]:
            done.result()


def _log_result(result: SegmentResult, run_id: str, request_id: str | None) -> None:
    """Log the result of a segment's sync, which has no personal data."""
    segment = result.segment
    ids = {"organisation_id": segment.organisation_id, "segment_id": segment.id, "run_id": run_id}
    ids |= {"request_id": request_id} if request_id else {}
    if result.error:
        _log.error("segment failed", **ids, why=result.error, seconds=round(result.seconds, 3))
    else:
        _log.info("segment synced", **ids, members=result.member_count, **result.figures())
