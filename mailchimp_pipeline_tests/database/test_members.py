"""Members of segments: a sync writes only the differences."""

from contextlib import suppress

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mailchimp_pipeline.contacts import content_digest
from mailchimp_pipeline.database.segment_member_store import MemberChange, MemberStore
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import SegmentMemberRow
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import MERGE_FIELDS
from mailchimp_pipeline_tests.database.builders import ACME, AT, a_member, a_segment, members, put_members
from mailchimp_pipeline_tests.populations import suppressing

ANN, BOB, CY = (
    a_member(f"{name}@acme.test", entity_id=str(number)) for number, name in enumerate(["ann", "bob", "cy"])
)

_people = st.builds(
    a_member,
    st.sampled_from(["ann@acme.test", "bob@acme.test", "cy@acme.test"]),
    entity_id=st.sampled_from(["1", "2"]),
    first_name=st.sampled_from(["Ann", "", None, 'A "quoted", name\n\\.']),
)
_memberships = st.lists(_people, max_size=3, unique_by=lambda member: member["subscriber_hash"])


def of(database: Database, segment: Segment) -> pd.DataFrame:
    with database.organisation(segment.organisation_id) as session:
        of_segment = select(SegmentMemberRow).where(SegmentMemberRow.segment_id == segment.id)
        rows = session.scalars(of_segment.order_by(SegmentMemberRow.subscriber_hash)).all()
    return members(*({name: getattr(row, name) for name in a_member()} for row in rows))


def test_each_difference_is_counted_by_its_kind(database: Database) -> None:
    segment = a_segment(database)
    first = put_members(database, segment, ANN, BOB)
    second = put_members(database, segment, BOB | {"last_name": "Ray"}, CY)
    assert first == MemberChange(before=0, added=2, changed=0, removed=0)
    assert second == MemberChange(before=2, added=1, changed=1, removed=1)


def test_the_same_again_writes_nothing(database: Database) -> None:
    segment = a_segment(database)
    put_members(database, segment, ANN, BOB)
    assert put_members(database, segment, BOB, ANN) == MemberChange(before=2, added=0, changed=0, removed=0)


def test_an_address_that_is_now_anothers_is_a_change(database: Database) -> None:
    segment = a_segment(database)
    put_members(database, segment, ANN)
    assert put_members(database, segment, ANN | {"entity_type": "vendor"}).changed == 1


def test_another_segments_members_are_left_alone(database: Database) -> None:
    mine, other = a_segment(database), a_segment(database)
    put_members(database, other, ANN)
    put_members(database, mine, BOB)
    put_members(database, mine)
    assert of(database, other)["email"].tolist() == ["ann@acme.test"]
    assert of(database, mine).empty


def test_a_segment_deleted_meanwhile_gets_no_members(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(segment.id, by="alice", at=AT)
    assert put_members(database, segment, ANN) == MemberChange(0, 0, 0, 0)
    assert of(database, segment).empty


def test_a_discarded_change_is_rolled_back(database: Database) -> None:
    segment = a_segment(database)
    put_members(database, segment, ANN)
    with suppress(KeyError), database.organisation(ACME) as session:
        change = MemberStore(session).replace(segment, members(), suppressing())
        assert change.removed == 1
        raise KeyError
    assert len(of(database, segment)) == 1


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(before=_memberships, after=_memberships)
def test_members_are_those_that_were_wanted_last(
    database: Database, before: list[dict[str, str | None]], after: list[dict[str, str | None]]
) -> None:
    segment = a_segment(database)
    put_members(database, segment, *before)
    change = put_members(database, segment, *after, departures_confirmed=True)
    wanted = members(*after).sort_values("subscriber_hash", ignore_index=True)
    kept = of(database, segment)
    pd.testing.assert_frame_equal(kept[list(wanted.columns)], wanted)
    assert change.before + change.added - change.removed == len(after)
    assert content_digest(kept, MERGE_FIELDS).tolist() == content_digest(wanted, MERGE_FIELDS).tolist()
