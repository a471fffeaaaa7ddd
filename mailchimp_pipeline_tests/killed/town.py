"""A pipeline at work whose processes are killed: what it is given to do, what it may have done, what is wrong after.

What does not belong here: who is killed, and when (`test_kills`).
"""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import select

from mailchimp_pipeline.campaigns import CampaignSnapshot
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.campaign_store import CampaignStore
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.erasure_store import DatabaseErasures, pending_erasures
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequestStore
from mailchimp_pipeline.database.tables import AudienceMemberRow, SegmentMemberRow, SyncRequestRow
from mailchimp_pipeline.erasure import Demand, Erasures
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.services.pipeline import Pipeline, open_pipeline
from mailchimp_pipeline.services.refresh_campaigns import campaign_refresh
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.api.served import SECRET
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, LIST, a_segment
from mailchimp_pipeline_tests.killed.server import MortalServer
from mailchimp_pipeline_tests.runs.company import KEYS, write_relations
from mailchimp_pipeline_tests.source_fake import Row, an_employee
from sandbox import Figures, Sandbox, Status
from sandbox.model.campaigns import CampaignStatus

PEOPLE = 1600
CHANGES = 1400
CAMPAIGNS = 40
LATER = timedelta(days=2)
"""By then every erasure is due again."""


@dataclass
class Town:
    """The parts as they are seen from outside the processes; `figures` counts what became of the work."""

    server: MortalServer
    sandbox: Sandbox
    files: Path
    environment: dict[str, str]
    pipeline: Pipeline
    segment: Segment
    random: Random
    people: dict[int, Row] = field(default_factory=dict[int, Row])
    erased: set[int] = field(default_factory=set[int])
    opted_out: set[int] = field(default_factory=set[int])
    campaign_ids: list[str] = field(default_factory=list[str])
    former: frozenset[tuple[str, str]] = frozenset()
    emails_sent: int = 0
    figures: Counter[str] = field(default_factory=Counter[str])

    def change_people(self) -> None:
        """Give most employees another name, and hire somebody."""
        self.former = self.membership()
        mark = f"{self.random.getrandbits(40):x}"
        for number in self.random.sample(sorted(self.people), min(CHANGES, len(self.people))):
            self.people[number] = {**self.people[number], "last_name": mark}
        number = max(self.people, default=0) + 1
        self.people[number] = an_employee(id=str(number), email=f"p{number}@acme.test", last_name=mark)
        write_relations(self.files, list(self.people.values()))

    def ask_for_a_sync(self) -> str:
        """Ask for a sync as a person does, and return the request's id."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            request = SyncRequestStore(session).ask(self.segment.id, by="alice", at=utc_now())
        assert request
        return request.id

    def new_run_id(self) -> str:
        """Return an id that no run had before."""
        return f"{self.random.getrandbits(60):x}"

    def somebody(self, count: int) -> list[int]:
        """Choose employees who have not said anything yet."""
        return self.random.sample(sorted(self.people.keys() - self.erased - self.opted_out), count)

    def calls_to_make(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Yield calls of the API, each by its procedure and input, and expect that they come true."""
        first, second, third = self.somebody(3)
        for number in (first, second):
            yield "preferences.gdprDelete", {"entityId": str(number), "entityType": "employee"}
        word = {"entityId": str(third), "entityType": "employee", "optedIn": False, "consentSource": "letter"}
        yield "preferences.updateOptStatus", word
        yield "segments.sync", {"id": self.segment.id}
        self.erased |= {first, second}
        self.opted_out.add(third)

    def demand_erasures(self, count: int) -> None:
        """Write down demands of employees to be erased, as the API does before it asks Mailchimp."""
        for number in self.somebody(count):
            address = subscriber_hash(f"p{number}@acme.test")
            demand = Demand(EntityType.EMPLOYEE, str(number), (address,), "alice")
            self._erasure_records.ask(ACME, demand)
            self.erased.add(number)

    def move_figures(self) -> None:
        """Let more mails of every campaign be opened."""
        self.emails_sent += 100
        for campaign_id in self.campaign_ids:
            self.sandbox.set_figures(campaign_id, Figures(emails_sent=self.emails_sent))

    def finish_sync(self, request_id: str) -> None:
        """Begin again with a request whose run died, as Dagster does."""
        self.pipeline.fail_abandoned()
        with self.pipeline.resources.database.organisation(ACME) as session:
            request = SyncRequestStore(session).get(request_id)
        assert request
        if request.status is not RequestStatus.DONE:
            self.sync(request_id)

    def finish_everything(self) -> None:
        """Carry on with erasures, and do what is waiting, as the sensor has it done."""
        self.finish_erasures()
        self.pipeline.fail_abandoned()
        for request in self.pipeline.open_requests():
            if request.status is RequestStatus.WAITING:
                self.sync(request.id)

    def sync(self, request_id: str | None = None) -> None:
        """Do a run here, which nobody kills."""
        key, request_ids = self.segment.partition_key, [request_id] if request_id else []
        for result in self.pipeline.sync([key], run_id=self.new_run_id(), push=True, request_ids=request_ids):
            assert result.error is None
            self.figures["syncs finished"] += 1

    def finish_erasures(self) -> None:
        """Carry on with the erasures that are left."""
        parts = self.pipeline.resources
        later = Erasures(self._erasure_records, lambda: parts.source, parts.client, lambda: utc_now() + LATER)
        for attempt in later.carry_on():
            assert not attempt.problems

    def refresh(self) -> None:
        """Refresh the campaigns here."""
        assert not [
            result.failures for result in campaign_refresh(self.pipeline.resources).refresh() if result.failures
        ]

    def membership(self) -> frozenset[tuple[str, str]]:
        """Return the segment's members and a digest of each."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            rows = session.execute(select(SegmentMemberRow.subscriber_hash, SegmentMemberRow.last_name)).all()
        return frozenset((key, str(name)) for key, name in rows)

    def wanted(self) -> dict[str, str]:
        """Return who should be subscribed, and the last name of each."""
        gone = self.erased | self.opted_out
        return {
            subscriber_hash(str(row["email"])): str(row["last_name"])
            for number, row in self.people.items()
            if number not in gone
        }

    def recorded(self) -> set[str]:
        """Return who is written down as sent in the form that is wanted now."""
        wanted = self.wanted()
        with self.pipeline.resources.database.organisation(ACME) as session:
            known = dict(session.execute(select(AudienceMemberRow.subscriber_hash, AudienceMemberRow.digest)).all())
            query = select(SegmentMemberRow.subscriber_hash, SegmentMemberRow.digest, SegmentMemberRow.last_name)
            rows = session.execute(query).all()
        return {key for key, digest, name in rows if known.get(key) == digest and wanted.get(key) == name}

    def sent(self) -> Counter[str]:
        """Return how often each contact was sent."""
        return Counter(self.sandbox.sent(LIST))

    def half_done(self) -> Iterator[str]:
        """Yield what a killed process left that no process may leave."""
        # Who was erased or opted out leaves by a step of their own.
        silent = {subscriber_hash(f"p{number}@acme.test") for number in self.erased | self.opted_out}
        now, before = ({pair for pair in of if pair[0] not in silent} for of in (self.membership(), self.former))
        if now not in (before, set(self.wanted().items())):
            yield "the membership is neither that of before nor that of after"
        there = {member.id: member.merge_fields["LNAME"] for member in self.sandbox.members(LIST)}
        wanted = self.wanted()
        if wrong := [key for key in self.recorded() if there.get(key) != wanted[key]]:
            yield f"{len(wrong)} are written down as sent, and were not"

    def wrongs(self) -> Iterator[str]:
        """Yield what is wrong once all is done."""
        members = {member.id: member for member in self.sandbox.members(LIST)}
        wanted = self.wanted()
        subscribed = {key for key, member in members.items() if member.status is Status.SUBSCRIBED}
        lost, let_in = wanted.keys() - subscribed, subscribed - wanted.keys()
        self.figures["lost"] += len(lost)
        self.figures["let in"] += len(let_in)
        if lost or let_in:
            yield f"{len(lost)} are lost, {len(let_in)} let in"
        if old := [key for key in wanted if members[key].merge_fields["LNAME"] != wanted[key]]:
            yield f"{len(old)} are there in an old form"
        with self.pipeline.resources.database.everyone() as session:
            open_requests = [row.status for row in session.scalars(select(SyncRequestRow)) if row.status != "done"]
            pending = len(pending_erasures(session))
        with self.pipeline.resources.database.organisation(ACME) as session:
            segment = SegmentStore(session).get(self.segment.id)
        hanging = len(open_requests) + pending + (segment is None or segment.status is not SegmentStatus.SYNCED)
        self.figures["hanging"] += hanging
        if hanging:
            yield f"requests {open_requests}, erasures {pending}, segment {segment and segment.status} hang"
        yield from self._wrong_campaigns()

    def _wrong_campaigns(self) -> Iterator[str]:
        with self.pipeline.resources.database.organisation(ACME) as session:
            store = CampaignStore(session)
            for campaign in store.list(limit=100).items:
                history = store.history(campaign.id, limit=1)
                latest = [stats.figures.emails_sent for stats in history.items] if history else []
                if [campaign.emails_sent] != latest or campaign.emails_sent != self.emails_sent:
                    yield f"campaign {campaign.id} has {campaign.emails_sent} mails, its history {latest}"

    @property
    def _erasure_records(self) -> DatabaseErasures:
        parts = self.pipeline.resources
        return DatabaseErasures(parts.database, parts.keyring, utc_now)


@contextmanager
def a_town(server: MortalServer, home: Path, seed: int) -> Generator[Town]:
    """Yield a pipeline whose people were synced, and whose campaigns are tracked."""
    with Sandbox.running(seed=seed) as sandbox:
        account_id = sandbox.add_account(API_KEY.reveal())
        sandbox.add_audience(account_id, "Staff", LIST)
        environment = {
            "MAILCHIMP_PIPELINE_DATABASE_URL": server.url,
            "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS,
            "MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET,
            "MAILCHIMP_PIPELINE_SOURCE": str(home / "files"),
            "MAILCHIMP_API_ROOT": sandbox.api_root,
        }
        with open_pipeline(Settings.from_environment(environment)) as pipeline:
            database = pipeline.resources.database
            with database.organisation(ACME) as session:
                account = Account(account_id, "Acme", API_KEY)
                ConnectionStore(session, pipeline.resources.keyring).connect(account, by="alice", at=utc_now())
            town = Town(
                server,
                sandbox,
                home / "files",
                environment,
                pipeline,
                a_segment(database),
                Random(seed),  # noqa: S311 - repeatable on purpose
            )
            _settle(town)
            yield town


def _settle(town: Town) -> None:
    town.people = {n: an_employee(id=str(n), email=f"p{n}@acme.test") for n in range(PEOPLE)}
    town.change_people()
    town.sync()
    account = town.pipeline.resources.audiences(ACME)
    for number in range(CAMPAIGNS):
        campaign_id = town.sandbox.add_campaign(LIST, f"News {number}")
        town.sandbox.move_campaign(campaign_id, CampaignStatus.SENDING)
        town.campaign_ids.append(campaign_id)
        with town.pipeline.resources.database.organisation(ACME) as session:
            snapshot, at = CampaignSnapshot(account.campaign(campaign_id)), utc_now()
            CampaignStore(session).track(snapshot, seen_at=at, by="alice", at=at)
    town.move_figures()
    town.refresh()
