"""The ledger of an audience: contacts to send, in pages, and the effects of leaving, moving and returning.

`sync/test_member_states.py` tests the statuses, `test_consent_statements.py` the consent rules.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd
import pytest

from mailchimp_pipeline.contacts import ARROW_STRING, EntityType, subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import OnLeave, Segment
from mailchimp_pipeline.sync import MemberRef, MemberState, MemberStatus, Rejection
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    MINUTE,
    a_ledger,
    a_member,
    a_segment,
    put_members,
    record_preference,
)

Member = dict[str, str | None]

ANN, BOB, EVA = (subscriber_hash(f"{name}@acme.test") for name in ("ann", "bob", "eva"))
UNSUBSCRIBED, SUBSCRIBED, PENDING = MemberStatus.UNSUBSCRIBED, MemberStatus.SUBSCRIBED, MemberStatus.PENDING
DAY = timedelta(days=1)
PEOPLE = [a_member(f"p{number}@acme.test", entity_id=str(number)) for number in range(25)]


@dataclass
class Audience:
    """A pulled audience and its segments. The clock always returns `AT`."""

    database: Database
    ledger: DatabaseLedger
    segments: list[Segment] = field(default_factory=list[Segment])

    def want(self, *members: Member, place: int = 0, on_leave: OnLeave = OnLeave.KEEP) -> None:
        """Replace the members of a segment. Departures are confirmed."""
        while len(self.segments) <= place:
            self.segments.append(a_segment(self.database))
        put_members(self.database, self.segments[place], *members, departures_confirmed=True, on_leave=on_leave)

    def differing(self, place: int = 0) -> dict[str, dict[str, object]]:
        """Return the differences by subscriber hash."""
        frames = [each.differences for each in self.ledger.compare(self.segments[place].id)]
        rows = pd.concat([pd.DataFrame(), *frames])
        records = rows.astype(object).where(rows.notna(), None).to_dict("records")
        return {str(row["subscriber_hash"]): {str(name): value for name, value in row.items()} for row in records}

    def push(self, status: MemberStatus = SUBSCRIBED, *, rejected: Rejection | None = None) -> None:
        """Record that Mailchimp accepted, or rejected, all differences."""
        for segment in self.segments:
            for piece in self.ledger.compare(segment.id):
                keys = piece.differences["subscriber_hash"].tolist()
                if rejected:
                    reasons = dict.fromkeys(keys, rejected)
                    self.ledger.record_rejected(piece.differences, reasons, of_whole_batch=False)
                else:
                    refs = {key: MemberRef(key) for key in keys}
                    self.ledger.record_accepted(piece.differences, refs, status, AT)

    def report_members(self, key: str, status: MemberStatus, after: timedelta = timedelta()) -> None:
        """Record a status of a member that changed at this time after `AT`."""
        self.ledger.record_member_states([MemberState(key, status, AT + after)])

    def leavers(self) -> list[str]:
        """Return the members to archive."""
        return [ref.subscriber_hash for ref in self.ledger.leavers()]

    def has_opted_out(self, entity_id: str = "1") -> bool:
        """Return whether an employee's consent is withdrawn."""
        with self.database.organisation(ACME) as session:
            preference = PreferenceStore(session).get(EntityType.EMPLOYEE, entity_id)
        return preference is not None and not preference.opted_in


@pytest.fixture
def audience(database: Database) -> Audience:
    """Return an empty audience after its first pull."""
    made = Audience(database, a_ledger(database))
    made.ledger.finish_reading(AT)
    return made


@pytest.fixture
def pushed(audience: Audience) -> Audience:
    """Return the audience after a push of Ann."""
    audience.want(a_member())
    audience.push()
    assert audience.differing() == {}
    return audience


# Contacts to send


def test_differences_are_arrow_text_in_the_columns_of_the_port(audience: Audience) -> None:
    audience.want(a_member(), a_member("bob@acme.test", entity_id="2", last_name=None))
    (piece,) = [each.differences for each in audience.ledger.compare(audience.segments[0].id)]
    contact = "subscriber_hash email first_name last_name entity_type entity_id digest"
    states = "known_status member_id returns moved_from moved_from_id own_address"
    assert set(piece.columns) == {*contact.split(), *states.split()}
    assert {str(kind) for kind in piece.dtypes} == {str(ARROW_STRING)}
    assert audience.differing()[BOB]["last_name"] is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a_member(entity_type="employee", entity_id="9"), a_member(entity_type="vendor", entity_id="1")),
        (a_member(entity_id="9"), a_member(entity_id="10")),
        (a_member(entity_id="10"), a_member(entity_id="9a")),
        (a_member(entity_id="007"), a_member(entity_id="7")),
        (a_member(entity_id="B"), a_member(entity_id="a")),
        (a_member(entity_id="12345678901234567890"), a_member(entity_id="12345678901234567891")),
    ],
)
def test_the_first_contact_of_an_address_counts_in_every_segment(
    audience: Audience, first: Member, second: Member
) -> None:
    audience.want(first | {"first_name": "First"})
    audience.want(second | {"first_name": "Second"}, place=1)
    for place in range(2):
        (row,) = audience.differing(place).values()
        assert (row["first_name"], row["entity_id"]) == ("First", first["entity_id"])


def test_pages_follow_the_hash_and_skip_contacts_recorded_meanwhile(database: Database) -> None:
    audience = Audience(database, a_ledger(database, piece=4))
    audience.want(*PEOPLE)
    pieces = [each.differences["subscriber_hash"].tolist() for each in audience.ledger.compare(audience.segments[0].id)]
    assert [key for piece in pieces for key in piece] == sorted(str(member["subscriber_hash"]) for member in PEOPLE)
    assert min(map(len, pieces[:-1])) >= 4
    audience.push()
    assert sum(each.unchanged for each in audience.ledger.compare(audience.segments[0].id)) == len(PEOPLE)


def test_another_segments_members_are_not_this_ones(audience: Audience) -> None:
    audience.want(a_member())
    audience.want(a_member("bob@acme.test", entity_id="2"), place=1)
    assert [[*audience.differing(place)] for place in range(2)] == [[ANN], [BOB]]
    assert next(audience.ledger.compare("no-such-segment")).differences.empty


def test_a_deleted_segment_affects_no_member(audience: Audience) -> None:
    audience.want(a_member(entity_type="vendor"))
    audience.want(a_member(first_name="Gone"), place=1)
    with audience.database.organisation(ACME) as session:
        SegmentStore(session).delete(audience.segments[1].id, by="alice", at=AT)
    assert audience.differing()[ANN]["first_name"] == "Ann"


def test_another_organisation_or_audience_has_nothing_to_do_with_it(audience: Audience) -> None:
    audience.want(a_member(entity_type="vendor"))
    database = audience.database
    put_members(database, a_segment(database, "globex"), a_member(first_name="Globex"))
    put_members(database, a_segment(database, list_id="other"), a_member(first_name="Other"))
    for elsewhere in (a_ledger(database, "globex"), a_ledger(database, list_id="other")):
        elsewhere.record_member_states([MemberState(ANN, UNSUBSCRIBED, AT)])
    row = audience.differing()[ANN]
    assert (row["first_name"], row["known_status"]) == ("Ann", None)


@pytest.mark.parametrize(("is_there_already", "waits"), [(True, True), (False, False)])
def test_a_rejected_contact_is_sent_again_when_mailchimp_says_something_new_of_it(
    audience: Audience, *, is_there_already: bool, waits: bool
) -> None:
    audience.want(a_member())
    if is_there_already:
        audience.report_members(ANN, SUBSCRIBED)
    audience.push(rejected=Rejection.FAKE)
    assert audience.differing() == {}
    audience.report_members(ANN, SUBSCRIBED)
    assert (audience.differing() == {}) is waits


# Progress of the pull


def test_the_ledger_records_the_progress_of_the_pull(database: Database) -> None:
    ledger = a_ledger(database)
    assert ledger.read_through() is None
    ledger.finish_reading(AT + MINUTE)
    assert ledger.read_through() == AT + MINUTE


# Unsubscribing and returning at Mailchimp


def test_a_contact_who_resubscribes_at_mailchimp_consents(pushed: Audience) -> None:
    pushed.report_members(ANN, UNSUBSCRIBED, MINUTE)
    assert pushed.has_opted_out()
    pushed.report_members(ANN, SUBSCRIBED, DAY)
    assert not pushed.has_opted_out()


def test_a_subscription_that_the_pipeline_may_have_made_is_no_consent(pushed: Audience) -> None:
    pushed.report_members(ANN, UNSUBSCRIBED, MINUTE)
    pushed.ledger.begin_push()
    pushed.report_members(ANN, SUBSCRIBED, DAY)
    assert pushed.has_opted_out()


def test_an_unsubscribe_wins_within_one_second(pushed: Audience) -> None:
    pushed.report_members(ANN, UNSUBSCRIBED, MINUTE)
    pushed.report_members(ANN, SUBSCRIBED, MINUTE)
    assert pushed.has_opted_out()


def test_a_returning_contact_is_left_alone_until_it_confirms(pushed: Audience) -> None:
    pushed.report_members(ANN, UNSUBSCRIBED, MINUTE)
    pushed.report_members(ANN, PENDING, DAY)
    assert (pushed.has_opted_out(), pushed.ledger.members_to_unsubscribe()) == (True, [])
    pushed.report_members(ANN, SUBSCRIBED, DAY + MINUTE)
    assert not pushed.has_opted_out()


def test_an_opt_out_reaches_a_contact_whose_batch_lost_its_answer(audience: Audience) -> None:
    audience.want(a_member())
    audience.report_members(ANN, SUBSCRIBED)
    audience.want()
    record_preference(audience.database, "1", opted_in=False)
    assert audience.ledger.members_to_unsubscribe() == [MemberRef(ANN)]


# Changes of address


@pytest.mark.parametrize(
    ("others", "reported_status", "moved_from"),
    [
        ([], None, ANN),
        ([a_member(entity_id="2")], None, None),
        ([], MemberStatus.CLEANED, None),
    ],
    ids=["no other member has it", "another member has it", "it bounced"],
)
def test_a_new_address_comes_from_the_former_one_that_nobody_has_now(
    pushed: Audience, others: list[Member], reported_status: MemberStatus | None, moved_from: str | None
) -> None:
    if reported_status:
        pushed.report_members(ANN, reported_status)
    pushed.want(a_member("eva@acme.test"), *others)
    assert pushed.differing()[EVA]["moved_from"] == moved_from


def test_a_rehired_contact_keeps_its_member(pushed: Audience) -> None:
    pushed.want(a_member(entity_id="7"))
    assert pushed.differing() == {}
    pushed.want(a_member("eva@acme.test", entity_id="7"))
    assert pushed.differing()[EVA]["moved_from"] == ANN
    record_preference(pushed.database, "7", opted_in=False)
    assert pushed.ledger.members_to_unsubscribe() == [MemberRef(ANN)]


def test_a_contact_with_a_member_at_the_new_address_is_archived_at_the_former_one(pushed: Audience) -> None:
    pushed.want(a_member(), a_member("eva@acme.test", entity_id="2"))
    pushed.push()
    pushed.want(a_member("eva@acme.test"))
    assert (pushed.differing(), pushed.leavers()) == ({}, [ANN])


def test_a_contact_with_a_suppressed_new_address_keeps_the_former_one(pushed: Audience) -> None:
    pushed.report_members(EVA, MemberStatus.CLEANED)
    pushed.want(a_member("eva@acme.test"), on_leave=OnLeave.ARCHIVE)
    assert pushed.leavers() == []


# Departures from the segment


@pytest.mark.parametrize(("on_leave", "leavers"), [(OnLeave.ARCHIVE, [ANN]), (OnLeave.KEEP, [])])
def test_a_contact_that_left_an_archiving_segment_is_a_leaver(
    pushed: Audience, on_leave: OnLeave, leavers: list[str]
) -> None:
    pushed.want(on_leave=on_leave)
    assert pushed.leavers() == leavers


def test_a_contact_in_another_segment_of_the_audience_is_no_leaver(pushed: Audience) -> None:
    pushed.want(a_member(), place=1)
    pushed.want(on_leave=OnLeave.ARCHIVE)
    assert pushed.leavers() == []
    pushed.want(place=1)
    assert pushed.leavers() == [ANN]


def test_a_member_that_the_pipeline_never_sent_is_no_leaver(audience: Audience) -> None:
    audience.want(a_member())
    audience.report_members(ANN, SUBSCRIBED)
    audience.want(on_leave=OnLeave.ARCHIVE)
    assert audience.leavers() == []


def test_a_pending_leaver_is_archived_after_confirming(audience: Audience) -> None:
    audience.want(a_member())
    audience.push(PENDING)
    audience.want(on_leave=OnLeave.ARCHIVE)
    assert audience.leavers() == []
    audience.report_members(ANN, SUBSCRIBED, DAY)
    assert audience.leavers() == [ANN]
