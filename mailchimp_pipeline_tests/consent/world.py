"""A company, the pipeline and Mailchimp, in one: the real database, and the sandbox over real HTTP.

What does not belong here: what may be sent (`words`), what must be true once all is calm (`calm`).
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from mailchimp_pipeline.database.withdrawals import audiences_to_tell
from mailchimp_pipeline.opt_status import OptStatuses
from mailchimp_pipeline.runs.run import Records, Run
from sqlalchemy import select

from mailchimp_pipeline.assembly import NotConnected
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.connections import Account, ConnectionStore
from mailchimp_pipeline.database.erasures import DatabaseErasures
from mailchimp_pipeline.database.ledger import DatabaseLedger, take_over_event
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segments import NewSegment, SegmentChanges, SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import AudienceMemberRow, PreferenceRow
from mailchimp_pipeline.erasure import Erasures, UnknownContact
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.sandbox import Sandbox, SeenMember, Status
from mailchimp_pipeline.sandbox.model.acts import ImpossibleActError
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import Audiences, Ledger, MemberStatus, withdraw
from mailchimp_pipeline.webhooks import AddressChanged
from mailchimp_pipeline_tests.consent.company import Company, Entity, readable
from mailchimp_pipeline_tests.consent.happenings import Call, Clock, Done, standing_event
from mailchimp_pipeline_tests.consent.processes import Died, Life, Mortal, MortalRecords, WatchedClient
from mailchimp_pipeline_tests.consent.words import MAILED, Erased, Members, Word, Words
from mailchimp_pipeline_tests.database.builders import KEYRING
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS

KEY = ApiKey.parse("0123456789abcdef0123456789abcdef-us6")
OTHER_KEY = ApiKey.parse("fedcba9876543210fedcba9876543210-us7")
NEWS, STAFF = "news", "staff"
"""Two audiences; whoever comes to STAFF is asked to confirm."""
LISTS = (NEWS, STAFF)


@dataclass
class World:
    """One organisation from its connection on. Every act takes at least a second."""

    database: Database
    sandbox: Sandbox
    clock: Clock
    organisation_id: str
    segments: dict[str, Segment] = field(default_factory=dict[str, Segment])
    is_connected: bool = False
    key: ApiKey = KEY
    calls: list[Call] = field(default_factory=list[Call])
    """What Mailchimp tells by webhooks, and may have told already."""

    def __post_init__(self) -> None:
        self.company = Company(self.organisation_id)
        self.words = Words(self.company)
        self.records = DatabaseRecords(self.database, KEYRING, self.clock)
        self.sandbox.reset()
        self.account_id = self.sandbox.add_account(KEY.reveal())
        self.other_account_id = self.sandbox.add_account(OTHER_KEY.reveal())
        for list_id in LISTS:
            self.sandbox.add_audience(self.account_id, "News", list_id, double_optin=list_id == STAFF)
        self.connect()

    def connect(self) -> None:
        """Connect the organisation, or connect it again."""
        self._connect(Account(self.account_id, "Acme", KEY))

    def connect_another_account(self) -> None:
        """Connect an account of the organisation that has none of the audiences."""
        self._connect(Account(self.other_account_id, "Acme once more", OTHER_KEY))

    def _connect(self, account: Account) -> None:
        self.clock.move(1)
        with self.database.organisation(self.organisation_id) as session:
            ConnectionStore(session, KEYRING).connect(account, by="alice", at=self.clock())
        self.is_connected, self.key = True, account.api_key

    def disconnect(self) -> None:
        """End the connection."""
        self.clock.move(1)
        with self.database.organisation(self.organisation_id) as session:
            ConnectionStore(session, KEYRING).disconnect(by="alice", at=self.clock())
        self.is_connected = False

    def add_segment(self, name: str, new: NewSegment) -> None:
        """Make a segment."""
        self.clock.move(1)
        with self.database.organisation(self.organisation_id) as session:
            self.segments[name] = SegmentStore(session).create(new, by="alice", at=self.clock())

    def change_segment(self, name: str, changes: SegmentChanges) -> None:
        """Change a segment."""
        self.clock.move(1)
        with self.database.organisation(self.organisation_id) as session:
            changed = SegmentStore(session).update(self.segments[name].id, changes, by="alice", at=self.clock())
        self.segments[name] = changed or self.segments[name]

    def delete_segment(self, name: str) -> None:
        """Delete a segment."""
        self.clock.move(1)
        with self.database.organisation(self.organisation_id) as session:
            SegmentStore(session).delete(self.segments.pop(name).id, by="alice", at=self.clock())

    def say(self, entity: Entity, *, opted_in: bool) -> None:
        """Let somebody tell us whether they want mail, as the API takes it."""
        self.clock.move(1)
        kind, entity_id = entity.entity_type, entity.entity_id
        statuses = OptStatuses(self.database, KEYRING, lambda: self.company, self.clock)
        statuses.record(self.organisation_id, (kind, entity_id), opted_in=opted_in, source="letter", by="alice")
        with self.database.organisation(self.organisation_id) as session:
            told = PreferenceRow.entity_type == kind.value, PreferenceRow.entity_id == entity_id
            ours = PreferenceRow.organisation_id == self.organisation_id
            address = session.scalar(select(PreferenceRow.subscriber_hash).where(ours, *told))
        self.words.returned.discard(entity)
        self.words.note_word(entity, Word(opted_in, self.clock(), address))

    def carry_withdrawals(self, life: Life) -> None:
        """Tell Mailchimp who opted out, as the API does at once."""
        self.clock.move(1)
        with self.database.organisation(self.organisation_id) as session:
            list_ids = audiences_to_tell(session)
        with self._client() as client, suppress(Died, PipelineError):
            mailchimp = self._audiences(client, life)
            for list_id in list_ids:
                withdraw(list_id, audiences=mailchimp, ledger=cast("Ledger", Mortal(self.ledger(list_id), life)))

    def erase(self, entity: Entity, life: Life) -> None:
        """Erase somebody, and ask Mailchimp at once."""
        self.clock.move(1)
        person, is_known = self.company.person(entity), True
        with self._erasing(life) as erasures:
            try:
                erasures.erase(self.organisation_id, (entity.entity_type, entity.entity_id), by="alice")
            except UnknownContact:
                is_known = False
        if life.taken and is_known:
            self.words.returned.clear()
            self.words.erased.append(Erased(entity, self.clock(), person.address if person else None))
            self.words.here.pop(entity, None)

    def tick(self, life: Life) -> None:
        """Do what is looked after every so often: abandoned segments, and erasures that are pending."""
        self.clock.move(1)
        self.records.fail_abandoned()
        with self._erasing(life) as erasures:
            list(erasures.carry_on())

    def act_at_mailchimp(self, act: str, list_id: str, email: str) -> None:
        """Let the contact or an administrator do something at Mailchimp, where their state allows it."""
        self.clock.move(1)
        before = self.sandbox.member(list_id, email)
        try:
            getattr(self.sandbox, act)(list_id, email)
        except ImpossibleActError:
            return
        after = self.sandbox.member(list_id, email)
        if after and not (before and before.status is after.status):
            must_know = self._left_for_good(list_id, after)
            self.words.note_change(list_id, after)
            self.words.returned |= must_know
            if event := standing_event(after):
                self.calls.append(Call(list_id, event))

    def change_address_at_mailchimp(self, list_id: str, email: str, new_email: str) -> None:
        """Let the contact give Mailchimp another address."""
        self.clock.move(1)
        try:
            self.sandbox.change_address(list_id, email, new_email)
        except ImpossibleActError:
            return
        if after := self.sandbox.member(list_id, new_email):
            former = subscriber_hash(email)
            self.words.note_own_address(list_id, former, after)
            self.calls.append(Call(list_id, AddressChanged(former, after.id, new_email, self.clock())))

    def be_called(self, call: Call) -> None:
        """Take a webhook's call, whichever comes first. Who is not connected has no webhooks."""
        self.clock.move(1)
        if self.is_connected:
            with self.database.organisation(self.organisation_id) as session:
                take_over_event(session, KEYRING, call.list_id, call.event, at=self.clock())

    def ask_for_opt_ins(self, *, opt_in_only: bool) -> None:
        """Choose whether only who opted in is pushed."""
        with self.database.organisation(self.organisation_id) as session:
            store = ConnectionStore(session, KEYRING)
            if store.set_opt_in_only(opt_in_only=opt_in_only, by="alice", at=self.clock()):
                self.words.opt_in_only = opt_in_only

    def sync(self, names: Sequence[str], *, confirmed: bool, life: Life) -> Done:
        """Sync segments, in a process of its own."""
        self.clock.move(1)
        before = self.members()
        segments = [self.segments[name] for name in names]
        with self._client() as client:
            run = Run(
                self.company,
                cast("Records", MortalRecords(self.records, life)),
                lambda _: self._audiences(client, life),
                self.clock,
                departures_confirmed=frozenset(segment.id for segment in segments if confirmed),
            )
            # As stored: what a segment had before is part of what the run looks at.
            stored = self.records.segments([segment.partition_key for segment in segments])
            results = list(run.results(stored))
        if any(self.ledger(list_id).push_is_unfinished() for list_id in LISTS):
            # What is read next may be our own doing.
            self.words.returned.clear()
        return Done(results, client.sent, before, client.moved)

    def wrongs_of(self, done: Done, *, meanwhile: bool = False) -> Iterator[str]:
        """Yield whom a process sent, or brought to be mailed, though it must not, as a person reads it.

        Where words came `meanwhile`, who was sent may have been sent before: what counts is how it ended.
        """
        read = {list_id for list_id in LISTS if self.ledger(list_id).read_through() == self.clock()}
        for sent in () if meanwhile else done.sent:
            if why := self.words.why_not(sent.address, sent.list_id, done.before, read):
                yield f"{readable(sent.address)} was sent to {sent.list_id} as {sent.status}: {why}"
            had = done.before[sent.list_id].get(sent.address)
            if had and had.status is Status.PENDING and sent.status is MemberStatus.SUBSCRIBED:
                yield f"{readable(sent.address)} was subscribed in {sent.list_id} without having confirmed"
        for list_id, there in self.members().items():
            for address, member in there.items():
                had = done.before[list_id].get(done.moved.get((list_id, address), address))
                if member.status not in MAILED or (had and had.status in MAILED):
                    continue
                if why := self.words.why_not(address, list_id, done.before, read):
                    yield f"{readable(address)} came to be {member.status} in {list_id}: {why}"
                if list_id == STAFF and member.status is Status.SUBSCRIBED:
                    yield f"{readable(address)} came to be subscribed in {list_id} without having been asked"

    def members(self) -> Members:
        """Return what Mailchimp has, by audience and address."""
        return {list_id: {seen.id: seen for seen in self.sandbox.members(list_id)} for list_id in LISTS}

    def ledger(self, list_id: str) -> DatabaseLedger:
        """Return our ledger of an audience."""
        return DatabaseLedger(self.database, self.organisation_id, list_id, self.clock, keyring=KEYRING)

    def _left_for_good(self, list_id: str, member: SeenMember) -> set[Entity]:
        """Return who comes back by this to an audience that we know they left, with nothing else in the way."""
        if member.status is not Status.SUBSCRIBED or self.ledger(list_id).push_is_unfinished():
            return set()
        ledger, said = AudienceMemberRow, PreferenceRow
        left = select(said).join(ledger, ledger.changed_at == said.consent_withdrawn_at)
        ours = (
            said.organisation_id == self.organisation_id,
            ledger.organisation_id == self.organisation_id,
            ledger.mailchimp_list_id == list_id,
        )
        hers = ledger.subscriber_hash == member.id, said.subscriber_hash == member.id
        known = ledger.status == "unsubscribed", said.consent_source == "mailchimp", ~said.opted_in
        with self.database.organisation(self.organisation_id) as session:
            rows = session.scalars(left.where(*ours, *hers, *known))
            return {Entity(f"{row.entity_type}/{row.entity_id}") for row in rows}

    def _audiences(self, client: MailchimpClient, life: Life) -> Audiences:
        if not self.is_connected:
            raise NotConnected(self.organisation_id)
        return cast("Audiences", Mortal(client, life))

    @contextmanager
    def _client(self) -> Generator[WatchedClient]:
        retries = Retries(budget=4, sleep=lambda _: None, clock=lambda: 0.0)
        timeouts = Timeouts(connect=PATIENCE_SECONDS, read=PATIENCE_SECONDS)
        made = WatchedClient(
            self.key, slots=ThreadSlots(), root=self.sandbox.api_root, retries=retries, timeouts=timeouts
        )
        made.sent, made.moved = [], {}
        with closing(made) as client:
            yield client

    @contextmanager
    def _erasing(self, life: Life) -> Generator[Erasures]:
        @contextmanager
        def account(_: str) -> Generator[MailchimpClient]:
            yield cast("MailchimpClient", self._audiences(client, life))

        records = cast("DatabaseErasures", Mortal(DatabaseErasures(self.database, KEYRING, self.clock), life))
        with self._client() as client, suppress(Died, PipelineError):
            yield Erasures(records, lambda: self.company, account, self.clock)
