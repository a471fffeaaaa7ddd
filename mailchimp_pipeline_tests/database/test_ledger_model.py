"""The ledger against the fake, which is written without SQL, over random histories of an audience."""

from itertools import count
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import Ledger, MemberOutcome, MemberStatus, Outcome, Refusal, Standing
from mailchimp_pipeline_tests.database.builders import AT, LIST, a_member, a_segment, members, put_members
from mailchimp_pipeline_tests.ledger_fake import FakeLedger

Member = dict[str, str | None]

_numbers = count()
_emails = st.sampled_from([f"{name}@acme.test" for name in ("ann", "bob", "cy", "di")])
_people = st.builds(
    a_member,
    _emails,
    entity_type=st.sampled_from(["employee", "vendor"]),
    entity_id=st.sampled_from(["1", "2", "10", "02", "x"]),
    first_name=st.sampled_from(["Ann", "", None]),
)
_segments = st.lists(_people, max_size=4, unique_by=lambda member: member["subscriber_hash"])
_statuses = st.sampled_from(MemberStatus)
_outcomes = st.one_of(
    st.builds(lambda status: (Outcome.PUSHED, status, None), st.none() | _statuses),
    st.builds(lambda status, why: (Outcome.REFUSED, status, why), st.none() | _statuses, st.sampled_from(Refusal)),
)
_steps = st.one_of(
    st.tuples(st.just("answers"), st.dictionaries(_emails, _outcomes)),
    st.tuples(st.just("seen"), st.dictionaries(_emails, _statuses, max_size=3)),
    st.tuples(st.just("members"), _segments),
)


def answer(
    ledger: Ledger, segment_id: str, answers: dict[str, tuple[Outcome, MemberStatus | None, Refusal | None]]
) -> None:
    by_hash = {subscriber_hash(email): said for email, said in answers.items()}
    for piece in ledger.differences(segment_id):
        keys = by_hash.keys() & set(piece["subscriber_hash"])
        ledger.record(piece, [MemberOutcome(key, *by_hash[key]) for key in keys])


def see(ledger: Ledger, statuses: dict[str, MemberStatus]) -> None:
    ledger.take_over([Standing(subscriber_hash(email), status) for email, status in statuses.items()])


def found(ledger: Ledger, segment_id: str) -> tuple[list[object], object]:
    pieces = pd.concat([pd.DataFrame(), *ledger.differences(segment_id)])
    rows = pieces.astype(object).where(pieces.notna(), None).to_dict("records")
    return rows, ledger.standing_counts(segment_id)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mine=_segments, other=_segments, steps=st.lists(_steps, max_size=5))
def test_the_ledger_and_the_fake_never_disagree(
    database: Database, mine: list[Member], other: list[Member], steps: list[tuple[str, Any]]
) -> None:
    organisation_id = f"organisation-{next(_numbers)}"
    segments = [a_segment(database, organisation_id) for _ in range(2)]
    first, second = segments
    real = DatabaseLedger(database, organisation_id, LIST, lambda: AT, piece=2)
    fake = FakeLedger({first.id: members(*mine), second.id: members(*other)})
    put_members(database, first, *mine)
    put_members(database, second, *other)
    for step in steps:
        match step:
            case ("answers", dict(answers)):
                answer(real, first.id, answers)
                answer(fake, first.id, answers)
            case ("seen", dict(statuses)):
                see(real, statuses)
                see(fake, statuses)
            case (_, rows):
                put_members(database, first, *rows)
                fake.replace_members(first.id, members(*rows))
        for segment in segments:
            assert found(real, segment.id) == found(fake, segment.id)
        assert real.knows_unsubscribed() == fake.knows_unsubscribed()
