"""A run: organisations side by side, the segments of one after the other, its sources read once for all of them."""

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

import pandas as pd

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, read_contacts
from mailchimp_pipeline.errors import LastingError, PipelineError
from mailchimp_pipeline.runs.persistence import Persistence
from mailchimp_pipeline.runs.ports import Hold, Records
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult, StopReason
from mailchimp_pipeline.segments import MassDeparture, Membership, Population, Segment
from mailchimp_pipeline.sync import Ahead, Audience, Audiences, SyncReport, read_standings, sync_audience
from mailchimp_pipeline.tracing import carried, tallied, working_for

_T = TypeVar("_T")

ORGANISATIONS_AT_ONCE = 8

_AUDIENCES_AT_ONCE = 4
"""Audiences of one organisation that are read at once, while its source is; each holds a connection to PostgreSQL."""


class SourceIsEmpty(LastingError):
    """A relation holds nobody of an organisation that had members from it before."""

    def __init__(self, segment: Segment) -> None:
        relations = " and ".join(f"{kind.value}s" for kind in segment.segment_type.entity_types)
        super().__init__(
            f"The source holds no {relations} of organisation {segment.organisation_id}, though segment "
            f"{segment.name!r} had {segment.member_count} members. Nothing was changed. Check the source; if they are "
            "really all gone, sync the segment with their departures confirmed, or delete it."
        )


class ConsentViolated(LastingError):
    """The members of a segment hold somebody who must not be pushed."""

    def __init__(self, segment: Segment, violations: int) -> None:
        super().__init__(
            f"{violations} members of segment {segment.name!r} opted out, were erased or did not consent. Nothing was "
            "sent. This is a defect, or happened this very moment: sync again, and report it if it stays."
        )


@dataclass(frozen=True, slots=True)
class _Failed:
    error: str
    defect: str | None = None
    stopped_by: StopReason | None = None


@dataclass(frozen=True, slots=True)
class _Audience:
    """An audience, and how many members' standings were read."""

    audience: Audience
    read: int


@dataclass(frozen=True, slots=True)
class _Population:
    """An organisation's contacts out of the relations that could be read, and why the others could not.

    `audiences` are those of its segments, by id, with what Mailchimp says of their members taken over.
    """

    readable: Population
    unread: Mapping[EntityType, _Failed]
    audiences: "Mapping[str, _Audience | _Failed]"

    def of(self, segment: Segment, *, departures_confirmed: bool) -> "Membership | _Failed":
        """Return the segment's membership, or why one of its relations could not be read."""
        kinds = segment.segment_type.entity_types
        for kind in kinds:
            if failed := self.unread.get(kind):
                return failed
        # Nobody left at all is a source that is broken far more often than an organisation that closed.
        if segment.member_count and not departures_confirmed and not self.readable.holds(kinds):
            raise SourceIsEmpty(segment)
        return self.readable.membership(segment.segment_type, segment.filter_criteria)


@dataclass(frozen=True, slots=True)
class Run:
    """The parts that a run works with. `audiences` gives an organisation's Mailchimp, by its id.

    In the segments with these ids a person confirmed that many members leave.
    """

    source: Source
    records: Records
    audiences: Callable[[str], Audiences]
    clock: Clock
    push: bool = True
    departures_confirmed: frozenset[str] = frozenset()
    stopping: Event = field(default_factory=Event)
    persistence: Persistence = field(default_factory=Persistence)

    def results(self, segments: Iterable[Segment]) -> Iterator[SegmentResult]:
        """Do the segments, and yield each one's result as soon as it is there.

        Whoever stops iterating stops the work: batches under way are finished and written down, no more are sent,
        and segments that nothing was begun with are left as they are.
        """
        ordered = sorted(segments, key=lambda segment: (segment.organisation_id, segment.mailchimp_list_id, segment.id))
        finished: SimpleQueue[SegmentResult] = SimpleQueue()
        with ThreadPoolExecutor(ORGANISATIONS_AT_ONCE, thread_name_prefix="organisation") as pool:
            try:
                for _, group in groupby(ordered, key=lambda segment: segment.organisation_id):
                    pool.submit(carried(self._organisation), list(group), finished.put)
                for _ in ordered:
                    yield finished.get()
            finally:
                self.stopping.set()
                self.persistence.over.set()

    def _organisation(self, segments: Sequence[Segment], finish: Callable[[SegmentResult], None]) -> None:
        undone = deque(segments)
        try:
            with working_for(organisation_id=segments[0].organisation_id):
                population = self._persistently(lambda: self._population(segments))
                while undone and not self.stopping.is_set():
                    with working_for(segment_id=undone[0].id):
                        finish(self._result(undone[0], population))
                    undone.popleft()
        except BaseException as error:  # whoever waits for these results would wait for ever
            for segment in undone:
                finish(SegmentResult(segment, error=f"The run ended with {type(error).__name__}."))
            raise

    def _population(self, segments: Sequence[Segment]) -> "_Population | _Failed":
        """Return who is there and who may be pushed, after Mailchimp was asked who unsubscribed.

        All audiences are read before anybody is pushed to one of them: a word said in one counts in all.
        """
        organisation_id = segments[0].organisation_id
        kinds = sorted({kind for segment in segments for kind in segment.segment_type.entity_types})
        # Who said no bars the address that the contact has by now, whoever else has it: the source alone knows which.
        barred = self.records.kinds_barred(organisation_id)
        with ThreadPoolExecutor(_AUDIENCES_AT_ONCE, thread_name_prefix="audience") as pool:
            reading = self._reading(segments, pool) if self.push else dict[str, "Future[_Audience | _Failed]"]()
            read = {
                kind: _guarded(partial(read_contacts, self.source, organisation_id, [kind]))
                for kind in sorted(barred.union(kinds))
            }
            audiences = {list_id: audience.result() for list_id, audience in reading.items()}
        unread = {kind: failed for kind, failed in read.items() if isinstance(failed, _Failed)}
        # Where that cannot be read nobody is sent: anybody may have such an address.
        for kind in sorted(barred & unread.keys()):
            return unread[kind]
        if len(unread) == len(kinds):
            return unread[kinds[0]]
        contacts = pd.concat([frame for frame in read.values() if not isinstance(frame, _Failed)], ignore_index=True)
        self.records.link_words(organisation_id, contacts)
        suppressions = self.records.suppressions(organisation_id, contacts)
        return _Population(Population.prepare(contacts, *suppressions), unread, audiences)

    def _reading(
        self, segments: Sequence[Segment], pool: ThreadPoolExecutor
    ) -> "Mapping[str, Future[_Audience | _Failed]]":
        """Begin to read each audience of the segments; return by its id what it will be, or why it cannot be read."""
        one_each = {segment.mailchimp_list_id: segment for segment in segments}
        return {
            list_id: pool.submit(carried(self._persistently), partial(self._audience, segment))
            for list_id, segment in one_each.items()
        }

    def _audience(self, segment: Segment) -> "_Audience":
        mailchimp = self.audiences(segment.organisation_id)
        list_id, ledger = segment.mailchimp_list_id, self.records.ledger(segment)
        with self.records.hold_audience(segment), Ahead(partial(mailchimp.audience, list_id)) as described:
            described.begin()
            read = read_standings(list_id, audiences=mailchimp, ledger=ledger, now=self.clock())
            return _Audience(described(), read)

    def _result(self, segment: Segment, population: "_Population | _Failed") -> SegmentResult:
        begun = self.clock()
        outcome = (
            population
            if isinstance(population, _Failed)
            else self._persistently(lambda: self._sync(segment, population))
        )
        if isinstance(outcome, SegmentResult):
            return outcome
        unwritten = self._persistently(lambda: self.records.mark_failed(segment, outcome.error, outcome.stopped_by))
        nor = f" (Nor could that be written down: {unwritten.error})" if unwritten else ""
        return SegmentResult(
            segment,
            stopped_by=outcome.stopped_by,
            seconds=(self.clock() - begun).total_seconds(),
            error=outcome.error + nor,
            defect=outcome.defect,
        )

    def _sync(self, segment: Segment, population: "_Population") -> SegmentResult | _Failed:
        begun = self.clock()
        membership = population.of(segment, departures_confirmed=segment.id in self.departures_confirmed)
        if isinstance(membership, _Failed):
            return membership
        if not self.push:
            counts = self._replaced(segment, membership)
            return SegmentResult(segment, counts, seconds=(self.clock() - begun).total_seconds())
        audience = population.audiences[segment.mailchimp_list_id]
        if isinstance(audience, _Failed):
            return audience
        read_merge_tags = partial(self.audiences(segment.organisation_id).merge_tags, segment.mailchimp_list_id)
        with self.records.hold_audience(segment) as hold, tallied() as tally, Ahead(read_merge_tags) as merge_tags:
            self.records.mark_syncing(segment)
            # What every push needs is asked for as soon as one is sure to come, and on most days it is not.
            if segment.last_synced_at is None:
                merge_tags.begin()
            counts = self._replaced(segment, membership)
            if counts.added or counts.changed:
                merge_tags.begin()
            del membership  # it is stored: a push needs no memory for it
            report = self._push(segment, audience.audience, hold, merge_tags)
            result = SegmentResult(
                segment,
                counts,
                audience.audience,
                report,
                read=audience.read,
                retries=tally.retries,
                seconds=(self.clock() - begun).total_seconds(),
            )
            self.records.mark_synced(result)
        return result

    def _replaced(self, segment: Segment, membership: Membership) -> MembershipCounts:
        """Store who is in the segment. Raises `ConsentViolated` where it holds somebody who must not be pushed."""
        confirmed = segment.id in self.departures_confirmed
        counts = self.records.replace_members(segment, membership, departures_confirmed=confirmed)
        if violations := self.records.violations(segment):
            raise ConsentViolated(segment, violations)
        return counts

    def _push(self, segment: Segment, audience: Audience, hold: Hold, merge_tags: Ahead[frozenset[str]]) -> SyncReport:
        def stopping() -> bool:
            hold.require()
            return self.stopping.is_set()

        mailchimp, ledger = self.audiences(segment.organisation_id), self.records.ledger(segment)
        return sync_audience(
            segment.id,
            audience,
            audiences=mailchimp,
            ledger=ledger,
            clock=self.clock,
            merge_tags=merge_tags,
            stopping=stopping,
        )

    def _persistently(self, step: Callable[[], _T]) -> _T | _Failed:
        """Do a step, again where it is cut off; what it raises then becomes a value."""
        return _guarded(partial(self.persistence.do, step))


def _guarded(step: Callable[[], _T]) -> _T | _Failed:
    """Do a step; what it raises becomes a value, so that one segment's failure stays its own."""
    try:
        return step()
    except ConsentViolated as error:
        return _Failed(str(error), stopped_by=StopReason.CONSENT)
    except (MassDeparture, SourceIsEmpty) as error:
        return _Failed(str(error), stopped_by=StopReason.DEPARTURES)
    except PipelineError as error:
        return _Failed(str(error))
    except Exception as error:  # noqa: BLE001 - reported as this segment's failure, never passed over
        where = "".join(traceback.format_tb(error.__traceback__))
        return _Failed(f"Unforeseen {type(error).__name__}; the run's log says where. Please report it.", where)
