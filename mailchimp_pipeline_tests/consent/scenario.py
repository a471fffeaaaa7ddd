"""One organisation with its HR, the product and Mailchimp, and an oracle that watches all of it.

Every act takes at least a second. What the product does wrong is collected in `wrongs`, as a person reads it.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.segments import OnLeave
from mailchimp_pipeline_tests.consent.clocks import Clocks
from mailchimp_pipeline_tests.consent.company import Company, Entity, Person, key_of, spellings
from mailchimp_pipeline_tests.consent.consent_oracle import MAYBE, YES, ConsentOracle, Process, Wanted, Withdrawal
from mailchimp_pipeline_tests.consent.crash_after import CrashAfter
from mailchimp_pipeline_tests.consent.product import Preference, Product, SegmentSpec, SegmentState, SyncOutcome
from sandbox import Fault, FaultKind, Hook, JournalEntry, Sandbox, Status, StoredMember
from sandbox.model.member_actions import ImpossibleActionError

KEY = "0123456789abcdef0123456789abcdef-us6"
OTHER_KEY = "fedcba9876543210fedcba9876543210-us7"
NEWS, STAFF, OTHER = "news", "staff", "other"
"""Audiences; whoever comes to STAFF is asked to confirm, and nothing but people at Mailchimp feeds OTHER at first."""
LISTS = (NEWS, STAFF, OTHER)
HOOK_URL = "https://hooks.acme.test/"
DAY = 24 * 60 * 60

_WITHDRAWALS = {
    "unsubscribe_by_link": "unsubscribed by link",
    "unsubscribe_as_admin": "unsubscribed by an administrator",
    "complain": "complained about spam",
}
_SIGN_UPS = {"sign_up": True, "confirm": True, "subscribe_as_admin": False}
"""Acts that bring a member back, and whether it is the contact's own."""
_SET_ASIDE = {"archive_as_admin": "archived by an administrator", "delete_as_admin": "deleted", "bounce": "bounced"}
ACTS = (*_WITHDRAWALS, *_SIGN_UPS, *_SET_ASIDE)


@dataclass(frozen=True, eq=False)
class WebhookCall:
    """A call that Mailchimp makes to tell of something: its body, and what it tells of."""

    list_id: str
    body: bytes
    withdrawal: Withdrawal | None = None


@dataclass
class ConsentScenario:
    """One organisation from its connection on."""

    product: Product
    companies: dict[str, Company]
    sandbox: Sandbox
    clocks: Clocks
    organisation_id: str
    mailchimp_ahead: timedelta = timedelta()
    segments: dict[str, tuple[str, SegmentSpec]] = field(default_factory=dict[str, tuple[str, SegmentSpec]])
    """Live segments by name: their ids, and what they are made of."""
    kept_once: set[str] = field(default_factory=set[str])
    """Ids of segments that kept their leavers at some time."""
    wrongs: list[str] = field(default_factory=list[str])
    calls: list[WebhookCall] = field(default_factory=list[WebhookCall])
    """Webhook calls that Mailchimp makes, in its own time, or never."""
    is_connected: bool = False
    is_elsewhere: bool = False
    """Whether another account is connected, which has none of the audiences."""
    is_away: bool = False
    """Whether Mailchimp does not answer."""
    _seen: int = 0
    _is_watched: bool = False
    _failures: list[BaseException] = field(default_factory=list[BaseException])

    def __post_init__(self) -> None:
        self.company = self.companies[self.organisation_id] = Company(self.organisation_id)
        self.oracle = ConsentOracle(self.company, frozenset({STAFF}))
        self.sandbox.reset()
        self.sandbox.keep_journal()
        self.sandbox.configure(hold_webhooks=True, clock_ahead_seconds=self.mailchimp_ahead.total_seconds())
        self.account_id = self.sandbox.add_account(KEY)
        other_account = self.sandbox.add_account(OTHER_KEY)
        self.sandbox.add_audience(other_account, "Elsewhere")
        for list_id in LISTS:
            self.sandbox.add_audience(self.account_id, list_id.title(), list_id, double_optin=list_id == STAFF)
            self.sandbox.add_webhook(list_id, f"{HOOK_URL}{list_id}")
        self.connect()

    # The connection and the segments

    def connect(self, key: str = KEY) -> bool:
        """Connect the organisation's account, or connect it again; return whether that was done."""
        self.clocks.move()
        try:
            self.product.connect(self.organisation_id, key)
        except PipelineError:
            return False
        self.is_connected, self.is_elsewhere = True, key == OTHER_KEY
        return True

    def connect_elsewhere(self) -> None:
        """Connect another account of the organisation, which has none of the audiences."""
        self.connect(OTHER_KEY)

    def neighbour_touches(self, other: str, list_id: str, email: str, *, is_erased: bool) -> Iterator[str]:
        """Let another organisation try to connect the account; yield whom of ours it touched if it may."""
        neighbour = Company(other, domain="neighbour.test")
        self.companies[other] = neighbour
        self.clocks.move()
        self.wrongs += self.oracle.follow(self._news())
        try:
            self.product.connect(other, KEY)
        except PipelineError:
            return
        before = dict(self.oracle.members)
        entity = Entity("employee/1")
        neighbour.put(Person(entity, email, first_name="Zoe"))
        spec = SegmentSpec("neighbours", list_id, on_leave=OnLeave.ARCHIVE)
        with suppress(PipelineError):
            self.product.create_segment(other, spec)
            self.product.daily_sync([other], CrashAfter())
            if is_erased:
                self.product.erase(other, entity, CrashAfter())
            else:
                neighbour.leave(entity)
                self.clocks.move(DAY)
                self.product.daily_sync([other], CrashAfter())
        self.wrongs += self.oracle.follow(self._news())
        after = self.oracle.members
        for place in sorted({place for place in before if before[place] != after.get(place)}):
            yield f"another organisation made {place[1]} in {place[0]} {after.get(place)} that was {before[place]}"
        yield f"another organisation could connect the account and put {email} into {list_id}"

    def disconnect(self) -> None:
        """End the connection."""
        self.clocks.move()
        self.product.disconnect(self.organisation_id)
        self.is_connected = False

    def set_opt_in_only(self, *, opt_in_only: bool) -> None:
        """Choose whether only contacts who opted in are sent."""
        self.clocks.move()
        try:
            self.product.set_opt_in_only(self.organisation_id, opt_in_only=opt_in_only)
        except PipelineError:
            return
        self.oracle.opt_in_only = opt_in_only

    def add_segment(self, spec: SegmentSpec) -> bool:
        """Make a segment; return whether that was done: Mailchimp is asked for the audience."""
        self.clocks.move()
        try:
            segment_id = self.product.create_segment(self.organisation_id, spec)
        except PipelineError:
            return False
        self._keep(segment_id, spec)
        return True

    def change_segment(self, spec: SegmentSpec) -> None:
        """Give the segment of that name other criteria, and another way with leavers."""
        self.clocks.move()
        segment_id, _ = self.segments[spec.name]
        self.product.change_segment(self.organisation_id, segment_id, spec)
        self._keep(segment_id, spec)

    def delete_segment(self, name: str) -> None:
        """Delete a segment."""
        self.clocks.move()
        segment_id, _ = self.segments.pop(name)
        self.product.delete_segment(self.organisation_id, segment_id)

    def segment(self, name: str) -> SegmentState:
        """Return what the API says of a segment."""
        return self.product.segment(self.organisation_id, self.segments[name][0])

    def _keep(self, segment_id: str, spec: SegmentSpec) -> None:
        self.segments[spec.name] = segment_id, spec
        if spec.on_leave == "keep":
            self.kept_once.add(segment_id)

    # HR

    def hire(self, entity: Entity, email: str, **more: str) -> None:
        """Take somebody on."""
        self.company.put(Person(entity, email, **more))

    # What is said here

    def opt_in(self, entity: Entity, crash: CrashAfter | None = None) -> None:
        """Let a contact tell us to want mail."""
        self.clocks.move()
        crash = crash or CrashAfter()
        is_known = True
        with self._process(crash=crash):
            is_known = self.product.opt_in(self.organisation_id, entity, crash)
        if self._is_taken(entity, is_known=is_known):
            certainty = MAYBE if crash.has_died else YES
            self.oracle.note_opt_in(entity, self._position(), self.clocks.ours(), certainty)

    def opt_out(self, entity: Entity, crash: CrashAfter | None = None) -> None:
        """Let a contact tell us to want no mail."""
        self.clocks.move()
        crash = crash or CrashAfter()
        is_known = True
        with self._process(crash=crash):
            is_known = self.product.opt_out(self.organisation_id, entity, crash)
        if self._is_taken(entity, is_known=is_known):
            certainty = MAYBE if crash.has_died else YES
            self.oracle.note_opt_out(entity, self._position(), self.clocks.ours(), certainty)

    def erase(self, entity: Entity, crash: CrashAfter | None = None) -> None:
        """Erase a contact."""
        self.clocks.move()
        crash = crash or CrashAfter()
        is_known = True
        with self._process(crash=crash):
            is_known = self.product.erase(self.organisation_id, entity, crash)
        if self._is_taken(entity, is_known=is_known):
            certainty = MAYBE if crash.has_died else YES
            reaches_account = self.is_connected and not self.is_elsewhere
            self.oracle.note_erasure(
                entity, self._position(), self.clocks.ours(), certainty, reaches_account=reaches_account
            )

    def _is_taken(self, entity: Entity, *, is_known: bool) -> bool:
        """Return whether the product took what a contact told us, and note where it wrongly knew no such contact."""
        if not is_known and self.company.find(entity):
            self.wrongs.append(f"{entity} is in HR, and the API knows no such contact")
        return is_known

    def preference(self, entity: Entity) -> Preference | None:
        """Return what the API says of a contact's consent."""
        return self.product.preference(self.organisation_id, entity)

    # What is done at Mailchimp

    def at_mailchimp(self, act: str, list_id: str, email: str) -> bool:
        """Let the contact or an administrator do something, where the member's state allows it."""
        self.clocks.move()
        before = self.find(list_id, email)
        self.sandbox.take_webhooks()
        try:
            getattr(self.sandbox, act)(list_id, before.email_address if before else email)
        except ImpossibleActionError:
            return False
        after = self.find(list_id, email)
        has_changed = (before and before.status) != (after and after.status)
        withdrawal = self._note_act(act, list_id, key_of(email), after, has_changed=has_changed)
        self._take_calls(withdrawal)
        return has_changed

    def change_address(self, list_id: str, email: str, new_email: str) -> None:
        """Let the contact give Mailchimp another address."""
        self.clocks.move()
        before = self.find(list_id, email)
        self.sandbox.take_webhooks()
        if before is None or self.find(list_id, new_email):
            return
        self.sandbox.change_address(list_id, before.email_address, new_email)
        reading = self.clocks.now + self.mailchimp_ahead
        self.oracle.note_own_address(list_id, key_of(email), key_of(new_email), self._position(), reading)
        self._take_calls(None)

    def deliver(self, call: WebhookCall) -> None:
        """Let Mailchimp's call arrive; the webhooks of an organisation that is not connected are removed."""
        self.clocks.move()
        if not self.is_connected or self.is_elsewhere:
            return
        with self._process():
            is_received = self.product.deliver_webhook(self.organisation_id, call.list_id, call.body)
            if call.withdrawal and is_received:
                call.withdrawal.told.append(self.oracle.index())

    def find(self, list_id: str, email: str) -> StoredMember | None:
        """Return the member with an address, whichever way that is spelled."""
        found = (self.sandbox.member(list_id, spelled) for spelled in spellings(key_of(email)))
        return next((member for member in found if member), None)

    def status(self, list_id: str, email: str) -> Status | None:
        """Return a member's status, None where there is no such member."""
        member = self.find(list_id, email)
        return member.status if member else None

    def on_call(self, act: Callable[[], object], hook: Hook) -> None:
        """Let something happen just before, or after, a call is carried out."""

        def carried_out() -> None:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - raised when the process has ended
                self._failures.append(error)

        self.sandbox.on_call(hook, carried_out)

    def archiving(self) -> set[str]:
        """Return the ids of the live segments that have always archived their leavers."""
        return {segment_id for segment_id, _ in self.segments.values()} - self.kept_once

    # What the product does

    def manual_sync(
        self, name: str, crash: CrashAfter | None = None, *, confirm_departures: bool = False
    ) -> Sequence[SyncOutcome]:
        """Sync one segment on request."""
        segment_id, _ = self.segments[name]
        crash = crash or CrashAfter()

        def sync() -> Sequence[SyncOutcome]:
            return self.product.manual_sync(
                self.organisation_id, segment_id, crash, confirm_departures=confirm_departures
            )

        return self._synced([name], sync, crash)

    def daily_sync(self, crash: CrashAfter | None = None) -> Sequence[SyncOutcome]:
        """Sync all segments as the schedule does."""
        crash = crash or CrashAfter()
        return self._synced(
            sorted(self.segments), lambda: self.product.daily_sync([self.organisation_id], crash), crash
        )

    def tick(self, crash: CrashAfter | None = None) -> None:
        """Do what is looked after every minute: segments of dead processes, and erasures that are pending."""
        self.clocks.move()
        crash = crash or CrashAfter()
        with self._process(crash=crash):
            self.product.tick(crash)

    def days_pass(self, days: int = 1) -> None:
        """Let days pass, with what the schedule does on each; all of it must go well."""
        for _ in range(days):
            self.clocks.move(DAY)
            self.tick()
            errors = [outcome.error for outcome in self.daily_sync() if outcome.error]
            assert errors == []

    def leave(self, kind: FaultKind | None) -> None:
        """Let Mailchimp go away, or come back where no kind is given."""
        self.is_away = kind is not None
        if kind is None:
            self.sandbox.end_outage()
        else:
            self.sandbox.start_outage(kind)

    def let_answers_be_lost(self, method: str = "*", times: int = 5) -> None:
        """Let Mailchimp carry out calls whose answers are lost."""
        self.sandbox.add_fault(Fault(kind=FaultKind.CUT, method=method, applied=True, times=times))

    def _synced(
        self, names: Sequence[str], sync: Callable[[], Sequence[SyncOutcome]], crash: CrashAfter
    ) -> Sequence[SyncOutcome]:
        self.clocks.move()
        struck = self._struck()
        synced = [self.segments[name] for name in names]
        lists = frozenset(spec.list_id for _, spec in synced)
        # Where no segment is, nothing reads the source.
        kinds = frozenset(kind for _, spec in synced for kind in spec.segment_type.entity_types)
        outcomes: Sequence[SyncOutcome] = []
        with self._process(lists, kinds, crash, is_sync=True) as process:
            try:
                outcomes = sync()
            except PipelineError as error:
                outcomes = [SyncOutcome("", str(error))]
        self.wrongs += [
            f"a defect: {outcome.error} {outcome.defect}"
            for outcome in outcomes
            if outcome.defect and not crash.has_died
        ]
        # Where no segment is, the schedule starts nothing: what is outstanding is looked after every minute.
        is_complete = bool(names) and not any(outcome.error for outcome in outcomes) and not crash.has_died
        reaches = self.is_connected and not self.is_elsewhere and not self.is_away and struck == self._struck()
        wanted = [
            Wanted(segment_id, spec.list_id, person.entity, person.key)
            for segment_id, spec in synced
            for person in reversed(list(self.company))
            if person.matches(spec.segment_type, spec.filter_criteria)
        ]
        self.wrongs += self.oracle.end(process, wanted, is_complete=is_complete and reaches)
        return outcomes

    # Watching

    @contextmanager
    def _process(
        self,
        lists: frozenset[str] = frozenset(),
        kinds: frozenset[EntityType] = frozenset(),
        crash: CrashAfter | None = None,
        *,
        is_sync: bool = False,
    ) -> Generator[Process]:
        """Watch what the product does in the block. Beside a sync there may be other processes: the sync is judged."""
        if self._is_watched:
            yield self.oracle.begin(self._position(), is_sync=False)
            return
        self.wrongs += self.oracle.follow(self._news())
        process = self.oracle.begin(self._position(), lists, kinds, is_sync=is_sync)
        self._is_watched, struck = True, self._struck()
        try:
            yield process
        finally:
            self._is_watched = False
            self.wrongs += self.oracle.follow(self._news(), process)
            if (crash and crash.has_died) or struck != self._struck():
                self.oracle.note_lost_answers(process, self._position(), self.clocks.now + self.mailchimp_ahead)
        if not is_sync:
            list(self.oracle.end(process, (), is_complete=True))
        if self._failures:
            raise self._failures.pop()

    def _news(self) -> list[JournalEntry]:
        entries = self.sandbox.journal(self._seen)
        self._seen += len(entries)
        return entries

    def _struck(self) -> int:
        """Return how many calls have failed by a fault."""
        return sum(self.sandbox.faults_struck().values())

    def _position(self) -> int:
        return self.sandbox.journal_length()

    def _note_act(
        self, act: str, list_id: str, key: str, after: StoredMember | None, *, has_changed: bool
    ) -> Withdrawal | None:
        position, reading = self._position(), self.clocks.now + self.mailchimp_ahead
        if act in _WITHDRAWALS and (has_changed or act == "complain"):
            what = f"{_WITHDRAWALS[act]} in {list_id}"
            if after and after.status in {Status.CLEANED, Status.ARCHIVED}:
                # Mailchimp takes it back from nobody, whatever the contact tells us later.
                self.oracle.note_set_aside(list_id, key, position, reading, what)
            return self.oracle.note_withdrawal(list_id, key, position, reading, what, is_complaint=act == "complain")
        if act in _WITHDRAWALS and after:
            # Of an archived member Mailchimp only shows it by refusing to subscribe it again.
            what = f"{_WITHDRAWALS[act]} in {list_id} while it was {after.status}"
            self.oracle.note_withdrawal(list_id, key, position, reading, what, is_complaint=False, certainty=MAYBE)
        if act in _SIGN_UPS and has_changed and after:
            is_confirmed = after.status is Status.SUBSCRIBED
            self.oracle.note_sign_up(
                list_id, key, position, reading, is_confirmed=is_confirmed, by_contact=_SIGN_UPS[act]
            )
        if act in _SET_ASIDE and has_changed:
            self.oracle.note_set_aside(list_id, key, position, reading, f"{_SET_ASIDE[act]} in {list_id}")
        return None

    def _take_calls(self, withdrawal: Withdrawal | None) -> None:
        for held in self.sandbox.take_webhooks():
            list_id = dict(parse_qsl(held.body))["data[list_id]"]
            self.calls.append(WebhookCall(list_id, held.body.encode(), withdrawal))
