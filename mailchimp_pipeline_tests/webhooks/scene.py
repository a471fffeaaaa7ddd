"""An organisation with a member from us, of whom Mailchimp tells things."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from sqlalchemy import select

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger, take_over_event
from mailchimp_pipeline.database.preferences import Preference, PreferenceStore, Word
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import AudienceMemberRow, AuditRow
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus, Outcome, Refusal
from mailchimp_pipeline.webhooks import AddressChanged, MemberEvent, StandingChanged
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    KEYRING,
    LIST,
    MINUTE,
    a_member,
    a_segment,
    put_members,
)
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB

SECOND = timedelta(seconds=1)
OTHER_LIST = "f6e5d4c3b2"
SUBSCRIBED, UNSUBSCRIBED, CLEANED, ARCHIVED = (
    MemberStatus.SUBSCRIBED,
    MemberStatus.UNSUBSCRIBED,
    MemberStatus.CLEANED,
    MemberStatus.ARCHIVED,
)
NUMBERS = count(1)


@dataclass(frozen=True)
class Scene:
    """An organisation whose audience has Ann, employee 1, from us since `AT`."""

    database: Database
    organisation_id: str
    segment: Segment

    def tell(self, *events: MemberEvent, list_id: str = LIST) -> None:
        for event in events:
            with self.database.organisation(self.organisation_id) as session:
                take_over_event(session, KEYRING, list_id, event, at=AT + 60 * MINUTE)

    @property
    def ledger(self) -> DatabaseLedger:
        return DatabaseLedger(self.database, self.organisation_id, LIST, lambda: AT, keyring=KEYRING)

    def rows(self) -> list[AudienceMemberRow]:
        ours = AudienceMemberRow.organisation_id == self.organisation_id
        with self.database.organisation(self.organisation_id) as session:
            return list(session.scalars(select(AudienceMemberRow).where(ours)))

    def standings(self) -> dict[str, str | None]:
        """Return how members stand, by who they are where they are known."""
        names = {subscriber_hash(address): address.partition("@")[0] for address in (ANN, BOB)}
        return {names[row.subscriber_hash]: row.status for row in self.rows()}

    def preference(self) -> Preference | None:
        with self.database.organisation(self.organisation_id) as session:
            return PreferenceStore(session, KEYRING).get(EntityType.EMPLOYEE, "1")

    def opt_in(self, at: datetime) -> None:
        word = Word(EntityType.EMPLOYEE, "1", opted_in=True, source="form", subscriber_hash=subscriber_hash(ANN))
        with self.database.organisation(self.organisation_id) as session:
            PreferenceStore(session, KEYRING).record(word, by="alice", at=at)

    def opt_out(self, at: datetime) -> None:
        word = Word(EntityType.EMPLOYEE, "1", opted_in=False, source="letter", subscriber_hash=subscriber_hash(ANN))
        with self.database.organisation(self.organisation_id) as session:
            PreferenceStore(session, KEYRING).record(word, by="alice", at=at)

    def audited(self) -> Sequence[tuple[str, str]]:
        with self.database.organisation(self.organisation_id) as session:
            ours = AuditRow.organisation_id == self.organisation_id
            return [(row.actor, row.action) for row in session.scalars(select(AuditRow).where(ours))]

    def push(self, outcome: Outcome = Outcome.PUSHED, refusal: Refusal | None = None) -> None:
        for piece in (each.differences for each in self.ledger.compare(self.segment.id)):
            lines = [MemberOutcome(key, outcome, SUBSCRIBED, refusal) for key in piece["subscriber_hash"]]
            self.ledger.record(piece, lines)


def a_scene(database: Database, organisation_id: str = ACME) -> Scene:
    segment = a_segment(database, organisation_id)
    put_members(database, segment, a_member(ANN))
    scene = Scene(database, organisation_id, segment)
    scene.push()
    return scene


def stands(status: MemberStatus | None, at: datetime, address: str = ANN) -> StandingChanged:
    return StandingChanged(subscriber_hash(address), status, at)


def moved(former: str, address: str, at: datetime) -> AddressChanged:
    return AddressChanged(subscriber_hash(former), subscriber_hash(address), address, at)
