"""The one module of the consent tests that calls the product: what people and schedules do with it, and what it says.

Everything goes through the procedures of the API, or through what the jobs of Dagster call. Each call is a process of
its own, which may die. Raises `errors.PipelineError` where the product refuses.
"""

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import text

from api.auth import Caller
from api.procedures import connection, erasure, preferences, segments
from api.procedures.context import CallBudget, Context
from api.procedures.inputs import EntityInput
from api.trpc import Role
from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import Source
from mailchimp_pipeline.database.audience_members import organisations_with_opt_outs
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.erasure_store import DatabaseErasures
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.erasure import Erasures, UnknownContact
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.mailchimp import ConnectionSlots, KeyWatch, MailchimpClient, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.mailchimp.webhook_events import read_call
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, Segment, SegmentType
from mailchimp_pipeline.services.propagate_opt_outs import propagate_opt_outs, pull_and_propagate
from mailchimp_pipeline.services.receive_webhook import receive_webhook
from mailchimp_pipeline.services.resources import NotConnected, Resources
from mailchimp_pipeline.services.sync_segments import SegmentSync
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.api.served import SECRET
from mailchimp_pipeline_tests.consent.company import Entity
from mailchimp_pipeline_tests.consent.crash_after import CrashAfter, CrashingDatabase, CrashingSlots
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

_AT_ONCE = Retries(budget=4, sleep=lambda _: None, clock=lambda: 0.0)
"""What fails is tried again a few times and at once."""
_TIMEOUTS = Timeouts(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS)


@dataclass(frozen=True)
class SegmentSpec:
    """What a segment is made of."""

    name: str
    list_id: str
    segment_type: SegmentType = SegmentType.MIXED
    filter_criteria: FilterCriteria = field(default_factory=FilterCriteria)
    on_leave: OnLeave = OnLeave.KEEP


@dataclass(frozen=True)
class SegmentState:
    """What the API says of a segment: `in_audience` of the `wanted` members are in the audience."""

    status: str
    last_error: str | None
    wanted: int | None
    in_audience: int | None


@dataclass(frozen=True)
class Preference:
    """What the API says of a contact's consent."""

    opted_in: bool
    source: str


@dataclass(frozen=True)
class SyncOutcome:
    """How a segment's sync ended. `defect` is where in the code an unforeseen error was raised."""

    segment_id: str
    error: str | None
    defect: str | None = None


@dataclass(frozen=True)
class _Context(Context):
    """A call of the API whose process may die."""

    crash: CrashAfter = field(default_factory=CrashAfter)

    def _client(self, api_key: ApiKey, slots: ConnectionSlots, key_watch: KeyWatch | None = None) -> MailchimpClient:
        return super()._client(api_key, CrashingSlots(slots, self.crash), key_watch)


@dataclass(frozen=True)
class Product:
    """The product over a database and a Mailchimp, with a source for all organisations."""

    database: Database
    api_root: str
    source: Source
    clock: Clock
    connections: int = 10
    """How many calls to Mailchimp a process makes at once."""

    # Connections

    def connect(self, organisation_id: str, api_key: str) -> None:
        """Connect the account that the key opens."""
        wanted = connection.ConnectInput.model_validate({"apiKey": api_key})
        connection.connect(self._context(organisation_id), wanted)

    def disconnect(self, organisation_id: str) -> None:
        """End the connection."""
        connection.disconnect(self._context(organisation_id))

    def set_opt_in_only(self, organisation_id: str, *, opt_in_only: bool) -> None:
        """Choose whether only contacts who opted in are sent."""
        rule = preferences.ConsentRule(opt_in_only=opt_in_only)
        preferences.set_consent_rule(self._context(organisation_id), rule)

    # Segments

    def create_segment(self, organisation_id: str, spec: SegmentSpec) -> str:
        """Make a segment; return its id."""
        wanted = segments.NewSegmentInput(
            name=spec.name,
            segment_type=spec.segment_type,
            mailchimp_list_id=spec.list_id,
            filter_criteria=spec.filter_criteria,
            on_leave=spec.on_leave,
        )
        return segments.create(self._context(organisation_id), wanted).id

    def change_segment(self, organisation_id: str, segment_id: str, spec: SegmentSpec) -> None:
        """Give a segment the criteria, and what happens to leavers, of the spec."""
        wanted = segments.SegmentChangesInput(
            id=segment_id, filter_criteria=spec.filter_criteria, on_leave=spec.on_leave
        )
        segments.update(self._context(organisation_id), wanted)

    def delete_segment(self, organisation_id: str, segment_id: str) -> None:
        """Delete a segment."""
        segments.delete(self._context(organisation_id), segments.SegmentInput(id=segment_id))

    def segment(self, organisation_id: str, segment_id: str) -> SegmentState:
        """Return what the API says of a segment."""
        shown = segments.get(self._context(organisation_id), segments.SegmentInput(id=segment_id))
        return SegmentState(
            shown.status.value,
            shown.last_error,
            shown.member_count,
            shown.counts and shown.counts.in_audience,
        )

    # Syncs

    def manual_sync(
        self, organisation_id: str, segment_id: str, crash: CrashAfter, *, confirm_departures: bool = False
    ) -> Sequence[SyncOutcome]:
        """Ask for a sync of one segment, and do what the job does for the request."""
        wanted = segments.SyncInput(id=segment_id, confirm_departures=confirm_departures)
        asked = segments.sync(self._context(organisation_id), wanted)
        key = f"{organisation_id}/{asked.id}"
        records = self._records(crash)
        request = next(each for each in self._records().open_requests() if each.segment_id == asked.id)
        with suppress_death(crash):
            found = records.segments([key])
            started = records.start_requests([request.id], found, request.id)
            confirmed = frozenset(each.segment_id for each in started if each.departures_confirmed)
            with self._run(records, crash, confirmed) as run:
                results = list(run.results(found))
            for result in results:
                records.end_request(result, request.id)
            return _outcomes(results)
        # The next request is a new one, as after the job has failed.
        with self.database.organisation(organisation_id) as session:
            SyncRequestStore(session).fail(request.id, "The process died.", at=self.clock())
        return [SyncOutcome(segment_id, "The process died.")]

    def daily_sync(self, organisation_ids: Sequence[str], crash: CrashAfter) -> Sequence[SyncOutcome]:
        """Do what the schedule and its job do, for these organisations."""
        records = self._records(crash)
        due = [each for each in self._records().due_segments() if each.organisation_id in organisation_ids]
        if not due:  # the schedule starts no run
            return []
        with suppress_death(crash), self._run(records, crash, frozenset()) as run:
            return _outcomes(list(run.results(records.segments([each.partition_key for each in due]))))
        return [SyncOutcome(each.id, "The process died.") for each in due]

    def tick(self, crash: CrashAfter) -> None:
        """Do what sensors and the job of erasures do every minute."""
        with suppress_death(crash), suppress(PipelineError):
            self._records(crash).fail_abandoned()
            list(self._erasures(crash).retry_pending())
        with self.database.everyone() as session:
            due = organisations_with_opt_outs(session, self.clock())
        for organisation_id in due:
            with suppress_death(crash), suppress(PipelineError):
                pull_and_propagate(
                    organisation_id,
                    lambda organisation_id=organisation_id: closing(self._client(organisation_id, crash)),
                    source=lambda: self.source,
                    records=self._records(crash),
                    clock=self.clock,
                )

    # Consent

    def opt_in(self, organisation_id: str, entity: Entity, crash: CrashAfter) -> bool:
        """Record that a contact wants mail; return whether there was such a contact."""
        return self._update_opt_status(organisation_id, entity, crash, opted_in=True)

    def opt_out(self, organisation_id: str, entity: Entity, crash: CrashAfter) -> bool:
        """Record that a contact wants no mail, and tell Mailchimp at once; return whether there was such a contact."""
        return self._update_opt_status(organisation_id, entity, crash, opted_in=False)

    def erase(self, organisation_id: str, entity: Entity, crash: CrashAfter) -> bool:
        """Erase a contact, as far as Mailchimp answers now; return whether there was such a contact."""
        wanted = EntityInput(entity_type=entity.entity_type, entity_id=entity.entity_id)
        try:
            with suppress_death(crash):
                erasure.gdpr_delete(self._context(organisation_id, crash), wanted)
        except UnknownContact:
            return False
        return True

    def preference(self, organisation_id: str, entity: Entity) -> Preference | None:
        """Return what the API says of a contact's consent."""
        wanted = EntityInput(entity_type=entity.entity_type, entity_id=entity.entity_id)
        found = preferences.get_for_entity(self._context(organisation_id), wanted)
        return found and Preference(found.opted_in, found.consent_source)

    def deliver_webhook(self, organisation_id: str, list_id: str, body: bytes) -> bool:
        """Do what the receiver does with a call of Mailchimp's; return whether it could read the members."""
        call = read_call(body, self.clock())
        is_received = False
        with suppress(PipelineError):
            receive_webhook(
                organisation_id,
                call,
                lambda: closing(self._client(organisation_id, CrashAfter())),
                database=self.database,
                keyring=self._parts().keyring,
                clock=self.clock,
            )
            is_received = True
        if call.members:
            with suppress(PipelineError):
                self._propagate(organisation_id, CrashAfter())
        return is_received

    def forget(self, organisation_id: str) -> None:
        """Remove the rows of an organisation, so that jobs over all organisations pass it over."""
        columns = "select table_name from information_schema.columns where table_schema = 'public' and column_name = "
        with self.database.unrestricted() as open_connection, open_connection.begin():
            tables = set(open_connection.scalars(text(columns + "'organisation_id'"))) - {"audit_log"}
            # Rows that others refer to stay until those are gone.
            open_connection.execute(text("set local session_replication_role = replica"))
            for table in tables:
                query = text(f'delete from "{table}" where organisation_id = :id')  # noqa: S608 - our own names
                open_connection.execute(query, {"id": organisation_id})

    # The parts

    def _update_opt_status(self, organisation_id: str, entity: Entity, crash: CrashAfter, *, opted_in: bool) -> bool:
        wanted = preferences.OptStatusInput(
            entity_type=entity.entity_type, entity_id=entity.entity_id, opted_in=opted_in, consent_source="letter"
        )
        try:
            with suppress_death(crash):
                preferences.update_opt_status(self._context(organisation_id, crash), wanted)
        except UnknownContact:
            return False
        return True

    def _propagate(self, organisation_id: str, crash: CrashAfter) -> None:
        propagate_opt_outs(
            organisation_id, lambda: closing(self._client(organisation_id, crash)), records=self._records(crash)
        )

    def _context(self, organisation_id: str, crash: CrashAfter | None = None) -> Context:
        caller = Caller("alice", organisation_id, Role.ADMIN)
        budget = CallBudget(_AT_ONCE, _TIMEOUTS)
        crash = crash or CrashAfter()
        return _Context(caller, self._parts(crash), budget, self.clock, crash=crash)

    def _parts(self, crash: CrashAfter | None = None) -> Resources:
        database = CrashingDatabase(self.database, crash) if crash else self.database
        environment = {
            "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": "test:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
            "MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET,
            "MAILCHIMP_API_ROOT": self.api_root,
        }
        parts = Resources(Settings.from_environment(environment), database)
        vars(parts)["source"] = self.source  # in place of the one that the settings name
        return parts

    def _records(self, crash: CrashAfter | None = None) -> DatabaseRecords:
        parts = self._parts(crash)
        return DatabaseRecords(parts.database, parts.keyring, self.clock)

    @contextmanager
    def _run(self, records: DatabaseRecords, crash: CrashAfter, confirmed: frozenset[str]) -> Generator[SegmentSync]:
        clients: dict[str, MailchimpClient] = {}

        def audiences(organisation_id: str) -> MailchimpClient:
            if organisation_id not in clients:
                clients[organisation_id] = self._client(organisation_id, crash)
            return clients[organisation_id]

        try:
            yield SegmentSync(self.source, records, audiences, self.clock, departures_confirmed=confirmed)
        finally:
            for client in clients.values():
                client.close()

    def _erasures(self, crash: CrashAfter) -> Erasures:
        parts = self._parts(crash)
        records = DatabaseErasures(parts.database, parts.keyring, self.clock)
        return Erasures(records, lambda: self.source, lambda each: closing(self._client(each, crash)), self.clock)

    def _client(self, organisation_id: str, crash: CrashAfter) -> MailchimpClient:
        with self.database.organisation(organisation_id) as session:
            api_key = ConnectionStore(session, self._parts().keyring).api_key()
        if api_key is None:
            raise NotConnected(organisation_id)
        slots = CrashingSlots(ThreadSlots(self.connections), crash)
        return MailchimpClient(api_key, slots=slots, root=self.api_root, retries=_AT_ONCE, timeouts=_TIMEOUTS)


@contextmanager
def suppress_death(crash: CrashAfter) -> Generator[None]:
    """End the block where its process dies, whatever error that became on the way."""
    try:
        yield
    except Exception:
        if not crash.has_died:
            raise


def _outcomes(results: Sequence[SegmentResult]) -> list[SyncOutcome]:
    return [SyncOutcome(result.segment.id, result.error, result.defect) for result in results]


__all__ = ["Preference", "Product", "Segment", "SegmentSpec", "SegmentState", "SyncOutcome"]
