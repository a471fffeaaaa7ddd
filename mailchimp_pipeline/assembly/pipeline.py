"""The pipeline behind Dagster's segments, over the parts."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from mailchimp_pipeline.assembly.parts import Parts, open_parts
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.contacts import EntityType, RelationVersion
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.locks import is_held, keep, run_lock
from mailchimp_pipeline.database.opt_outs import organisations_with_opt_outs
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.webhooks import organisations_without_webhook
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries, Timeouts
from mailchimp_pipeline.runs.database_retry import DatabaseRetry
from mailchimp_pipeline.runs.pipeline import CheckedSegments, SegmentName, StoppedRun, SyncRequest
from mailchimp_pipeline.runs.results import SegmentResult
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.services.propagate_opt_outs import pull_and_propagate
from mailchimp_pipeline.services.sync_segments import ORGANISATIONS_AT_ONCE, SegmentSync
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.tracing import carried, each_working_for, working_for

_ONE_TRY = Retries(budget=10)
_SHORT = Timeouts(read=30)
"""For what the next run does again anyway: the segments wait behind it. What was done unheard is done again."""

_PAUSES_OF_A_TICK = (1.0, 4.0, 15.0)
"""Dagster gives a tick a minute, in which PostgreSQL may also have to be waited for at each try."""

_log = logger("mailchimp_pipeline.runs")


@contextmanager
def open_pipeline(settings: Settings | None = None) -> Generator["DatabasePipeline"]:
    """Yield the pipeline behind Dagster, and close its parts."""
    with open_parts(settings) as parts:
        yield DatabasePipeline(parts)


@dataclass(frozen=True, slots=True)
class DatabasePipeline:
    """`runs.pipeline.Pipeline` over the database, the source and Mailchimp.

    `before` is how long Mailchimp may take for each answer to what is done before any segment.
    """

    parts: Parts
    before: Timeouts = _SHORT

    def now(self) -> datetime:
        """Return the time."""
        return utc_now()

    def describe(self, relation: str) -> RelationVersion:
        """Return what a source relation, employee or vendor, holds."""
        return self.parts.source.describe(EntityType(relation))

    def due_segments(self) -> Sequence[Segment]:
        """Return the live segments of connected organisations."""
        return DatabaseRetry(_PAUSES_OF_A_TICK).do(self._records.due_segments)

    def due_partition_keys(self) -> Sequence[str]:
        """Return the partition keys of the due segments, those of one organisation next to each other."""
        return DatabaseRetry(_PAUSES_OF_A_TICK).do(self._records.due_partition_keys)

    def not_synced_since(self, moment: datetime) -> Sequence[SegmentName]:
        """Return those of the due segments whose last sync did not end well after the moment."""
        return DatabaseRetry().do(partial(self._records.not_synced_since, moment))

    def checked_segments(self) -> CheckedSegments:
        """Return the segments that fail an asset check."""
        return DatabaseRetry().do(self._records.checked_segments)

    def open_requests(self) -> Sequence[SyncRequest]:
        """Return the requests for a sync that wait or are being served, the oldest first."""
        return self._records.open_requests()

    @contextmanager
    def at_work(self, run_id: str) -> Generator[None]:
        """Hold the lock by which a run's process is known to be alive, also over a restart of PostgreSQL."""
        with ExitStack() as held:
            lock = partial(keep, self.parts.database, run_lock(run_id), what=f"run {run_id}")
            DatabaseRetry().do(lambda: held.enter_context(lock()))
            yield

    def sync(
        self, keys: Sequence[str], *, run_id: str, push: bool, request_ids: Sequence[str] = ()
    ) -> Iterator[SegmentResult]:
        """Sync the segments with these partition keys, and end the requests."""
        database_retry = DatabaseRetry()
        if push and not request_ids:
            database_retry.do(self._register_webhooks)
        segments = database_retry.do(partial(self._records.segments, keys))
        started = database_retry.do(partial(self._records.start_requests, request_ids, segments, run_id))
        requests = {request.segment_id: request for request in started}
        for result in each_working_for(self._results(segments, started, database_retry, push=push), run_id=run_id):
            request = requests.get(result.segment.id)
            if request is not None:
                database_retry.do(partial(self._records.end_request, result, request.id))
            _tell(result, run_id, request and request.id)
            yield result

    def _results(
        self, segments: Sequence[Segment], requests: Sequence[SyncRequest], database_retry: DatabaseRetry, *, push: bool
    ) -> Iterator[SegmentResult]:
        for segment in (each for each in segments if each.unknown):
            error = (
                f"Segment {segment.name!r} was stored by a newer version, and this version does not know its "
                f"{', '.join(segment.unknown)}. Upgrade this version, or save the segment again without it."
            )
            result = SegmentResult(segment, error=error)
            database_retry.do(partial(self._records.mark_ended, result))
            yield result
        run = SegmentSync(
            self.parts.source,
            self._records,
            self.parts.audiences,
            utc_now,
            push=push,
            departures_confirmed=frozenset(each.segment_id for each in requests if each.departures_confirmed),
            database_retry=database_retry,
        )
        yield from run.results(segment for segment in segments if not segment.unknown)

    def organisations_with_opt_outs(self) -> Sequence[str]:
        """Return the connected organisations with opt-outs that may not have reached every audience."""
        with self.parts.database.everyone() as session:
            return organisations_with_opt_outs(session, self.now())

    def propagate(self) -> Iterator[tuple[str, Mapping[str, int], str | None]]:
        """Pull the audiences of each and push its opt-outs: yield counts by audience, and why it failed if it did."""
        for organisation_id in self.organisations_with_opt_outs():
            with working_for(organisation_id=organisation_id):
                try:
                    done, problems = pull_and_propagate(
                        organisation_id,
                        partial(self._opened_once, organisation_id),
                        source=lambda: self.parts.source,
                        records=self._records,
                        clock=utc_now,
                    )
                except PipelineError as error:
                    yield organisation_id, {}, str(error)
                    continue
            yield organisation_id, done, next((str(problem) for problem in problems.values()), None)

    def _register_webhooks(self) -> None:
        """Make the webhooks that could not be made when an organisation connected, or made a segment."""
        parts = self.parts
        if parts.settings.public_url is None:
            return
        with parts.database.everyone() as session:
            organisation_ids = organisations_without_webhook(session)

        def register(organisation_id: str) -> None:
            registration = parts.webhook_registration(
                organisation_id, audit.PIPELINE, partial(self._opened_once, organisation_id)
            )
            registration.register_missing()

        _side_by_side(register, organisation_ids)

    def _opened_once(self, organisation_id: str) -> AbstractContextManager[MailchimpClient]:
        return closing(self.parts.client(organisation_id, retries=_ONE_TRY, timeouts=self.before))

    def fail_abandoned(self) -> int:
        """Put segments that are `syncing` though nothing is at them into `error`."""
        return self._records.fail_abandoned()

    def fail_stopped(self, run: StoppedRun, reason: str) -> Sequence[str]:
        """Put what the run did not come to into `error`, and fail its requests unless another run serves them."""
        return DatabaseRetry(_PAUSES_OF_A_TICK).do(partial(self._records.fail_stopped, run, reason))

    def is_alive(self, run_id: str) -> bool:
        """Tell whether the process of a run holds its lock."""
        with self.parts.database.everyone() as session:
            return is_held(session, run_lock(run_id))

    @property
    def _records(self) -> DatabaseRecords:
        return DatabaseRecords(self.parts.database, self.parts.keyring, utc_now)


def _side_by_side(task: Callable[[str], None], organisation_ids: Sequence[str]) -> None:
    """Do a task for organisations, several at once: one whose Mailchimp hangs keeps none but itself waiting."""
    with ThreadPoolExecutor(ORGANISATIONS_AT_ONCE, thread_name_prefix="before") as pool:
        for done in [pool.submit(carried(task), organisation_id) for organisation_id in organisation_ids]:
            done.result()


def _tell(result: SegmentResult, run_id: str, request_id: str | None) -> None:
    """Log how a segment ended, in figures; an error's text holds nothing about anybody."""
    segment = result.segment
    ids = {"organisation_id": segment.organisation_id, "segment_id": segment.id}
    with working_for(**ids, run_id=run_id, request_id=request_id):
        if result.error:
            _log.error("segment failed", why=result.error, seconds=round(result.seconds, 3))
        else:
            _log.info("segment synced", members=result.member_count, **result.figures())
