"""A working pipeline for the kill tests: the work, its expected results, and the checks afterwards."""

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
from mailchimp_pipeline_tests.killed.server import KillableServer
from mailchimp_pipeline_tests.runs.company import KEYS, write_relations
from mailchimp_pipeline_tests.source_fake import Row, an_employee
from sandbox import Figures, Sandbox, Status
from sandbox.model.campaigns import CampaignStatus

PEOPLE = 1600
CHANGES = 1400
CAMPAIGNS = 40
LATER = timedelta(days=2)
"""The time after which every pending erasure is due again."""


@dataclass
class KillScenario:
    """The pipeline as seen from outside the killed processes. `figures` counts results."""

    server: KillableServer
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

    def change_employees(self) -> None:
        """Change the last name of most employees, and add an employee."""
        self.former = self.membership()
        mark = f"{self.random.getrandbits(40):x}"
        for number in self.random.sample(sorted(self.people), min(CHANGES, len(self.people))):
            self.people[number] = {**self.people[number], "last_name": mark}
        number = max(self.people, default=0) + 1
        self.people[number] = an_employee(id=str(number), email=f"p{number}@acme.test", last_name=mark)
        write_relations(self.files, list(self.people.values()))

    def request_sync(self) -> str:
        """Request a sync as a user does, and return the request's id."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            request = SyncRequestStore(session).ask(self.segment.id, by="alice", at=utc_now())
        assert request
        return request.id

    def new_run_id(self) -> str:
        """Return a new run id."""
        return f"{self.random.getrandbits(60):x}"

    def choose_contacts(self, count: int) -> list[int]:
        """Choose contacts without an opt-out or erasure."""
        return self.random.sample(sorted(self.people.keys() - self.erased - self.opted_out), count)

    def api_calls(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Yield API calls as procedure and input, and expect their effects."""
        first, second, third = self.choose_contacts(3)
        for number in (first, second):
            yield "preferences.gdprDelete", {"entityId": str(number), "entityType": "employee"}
        opt_out = {"entityId": str(third), "entityType": "employee", "optedIn": False, "consentSource": "letter"}
        yield "preferences.updateOptStatus", opt_out
        yield "segments.sync", {"id": self.segment.id}
        self.erased |= {first, second}
        self.opted_out.add(third)

    def record_erasures(self, count: int) -> None:
        """Record erasure requests, as the API does before it calls Mailchimp."""
        for number in self.choose_contacts(count):
            address = subscriber_hash(f"p{number}@acme.test")
            demand = Demand(EntityType.EMPLOYEE, str(number), (address,), "alice")
            self._erasure_records.ask(ACME, demand)
            self.erased.add(number)

    def update_reports(self) -> None:
        """Change the report of every campaign."""
        self.emails_sent += 100
        for campaign_id in self.campaign_ids:
            self.sandbox.set_figures(campaign_id, Figures(emails_sent=self.emails_sent))

    def resume_sync(self, request_id: str) -> None:
        """Resume a request whose run died, as Dagster does."""
        self.pipeline.fail_abandoned()
        with self.pipeline.resources.database.organisation(ACME) as session:
            request = SyncRequestStore(session).get(request_id)
        assert request
        if request.status is not RequestStatus.DONE:
            self.sync(request_id)

    def finish_pending_work(self) -> None:
        """Finish pending erasures, and sync the waiting requests as the sensor does."""
        self.finish_erasures()
        self.pipeline.fail_abandoned()
        for request in self.pipeline.open_requests():
            if request.status is RequestStatus.WAITING:
                self.sync(request.id)

    def sync(self, request_id: str | None = None) -> None:
        """Run a sync in this process."""
        key, request_ids = self.segment.partition_key, [request_id] if request_id else []
        for result in self.pipeline.sync([key], run_id=self.new_run_id(), push=True, request_ids=request_ids):
            assert result.error is None
            self.figures["syncs finished"] += 1

    def finish_erasures(self) -> None:
        """Finish pending erasures."""
        parts = self.pipeline.resources
        later = Erasures(self._erasure_records, lambda: parts.source, parts.client, lambda: utc_now() + LATER)
        for attempt in later.retry_pending():
            assert not attempt.problems

    def refresh(self) -> None:
        """Refresh the campaigns in this process."""
        assert not [
            result.failures for result in campaign_refresh(self.pipeline.resources).refresh() if result.failures
        ]

    def membership(self) -> frozenset[tuple[str, str]]:
        """Return the segment's members, by subscriber hash and last name."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            rows = session.execute(select(SegmentMemberRow.subscriber_hash, SegmentMemberRow.last_name)).all()
        return frozenset((key, str(name)) for key, name in rows)

    def expected_members(self) -> dict[str, str]:
        """Return the expected subscribers and their last names."""
        gone = self.erased | self.opted_out
        return {
            subscriber_hash(str(row["email"])): str(row["last_name"])
            for number, row in self.people.items()
            if number not in gone
        }

    def recorded_members(self) -> set[str]:
        """Return the members that the ledger records in their expected form."""
        expected = self.expected_members()
        with self.pipeline.resources.database.organisation(ACME) as session:
            known = dict(session.execute(select(AudienceMemberRow.subscriber_hash, AudienceMemberRow.digest)).all())
            query = select(SegmentMemberRow.subscriber_hash, SegmentMemberRow.digest, SegmentMemberRow.last_name)
            rows = session.execute(query).all()
        return {key for key, digest, name in rows if known.get(key) == digest and expected.get(key) == name}

    def send_counts(self) -> Counter[str]:
        """Return how often each contact was sent."""
        return Counter(self.sandbox.sent(LIST))

    def inconsistencies(self) -> Iterator[str]:
        """Yield the inconsistencies that a killed process left behind."""
        # Erased and opted-out contacts leave in a transaction of their own.
        excluded = {subscriber_hash(f"p{number}@acme.test") for number in self.erased | self.opted_out}
        now, before = ({pair for pair in of if pair[0] not in excluded} for of in (self.membership(), self.former))
        if now not in (before, set(self.expected_members().items())):
            yield "the membership is neither the former one nor the new one"
        names_at_mailchimp = {member.id: member.merge_fields["LNAME"] for member in self.sandbox.members(LIST)}
        expected = self.expected_members()
        if wrong := [key for key in self.recorded_members() if names_at_mailchimp.get(key) != expected[key]]:
            yield f"{len(wrong)} are recorded as sent, but were not sent"

    def deviations(self) -> Iterator[str]:
        """Yield the deviations from the expected result, after all work is finished."""
        members = {member.id: member for member in self.sandbox.members(LIST)}
        expected = self.expected_members()
        subscribed = {key for key, member in members.items() if member.status is Status.SUBSCRIBED}
        lost, unwanted = expected.keys() - subscribed, subscribed - expected.keys()
        self.figures["lost"] += len(lost)
        self.figures["unwanted"] += len(unwanted)
        if lost or unwanted:
            yield f"{len(lost)} are lost, {len(unwanted)} unwanted"
        if outdated := [key for key in expected if members[key].merge_fields["LNAME"] != expected[key]]:
            yield f"{len(outdated)} have former values at Mailchimp"
        with self.pipeline.resources.database.everyone() as session:
            open_requests = [row.status for row in session.scalars(select(SyncRequestRow)) if row.status != "done"]
            pending = len(pending_erasures(session))
        with self.pipeline.resources.database.organisation(ACME) as session:
            segment = SegmentStore(session).get(self.segment.id)
        hanging = len(open_requests) + pending + (segment is None or segment.status is not SegmentStatus.SYNCED)
        self.figures["hanging"] += hanging
        if hanging:
            yield f"requests {open_requests}, erasures {pending}, segment {segment and segment.status} are unfinished"
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
def kill_scenario(server: KillableServer, home: Path, seed: int) -> Generator[KillScenario]:
    """Yield a pipeline after its first sync, with tracked campaigns."""
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
            scenario = KillScenario(
                server,
                sandbox,
                home / "files",
                environment,
                pipeline,
                a_segment(database),
                Random(seed),  # noqa: S311 - repeatable on purpose
            )
            _prepare(scenario)
            yield scenario


def _prepare(scenario: KillScenario) -> None:
    scenario.people = {n: an_employee(id=str(n), email=f"p{n}@acme.test") for n in range(PEOPLE)}
    scenario.change_employees()
    scenario.sync()
    account = scenario.pipeline.resources.audiences(ACME)
    for number in range(CAMPAIGNS):
        campaign_id = scenario.sandbox.add_campaign(LIST, f"News {number}")
        scenario.sandbox.move_campaign(campaign_id, CampaignStatus.SENDING)
        scenario.campaign_ids.append(campaign_id)
        with scenario.pipeline.resources.database.organisation(ACME) as session:
            snapshot, at = CampaignSnapshot(account.campaign(campaign_id)), utc_now()
            CampaignStore(session).track(snapshot, seen_at=at, by="alice", at=at)
    scenario.update_reports()
    scenario.refresh()
