"""The ledger against the fake, which is written without SQL, over random histories of an audience."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import Ledger, MemberOutcome, MemberStatus, Outcome, Refusal, Standing
from mailchimp_pipeline_tests.database.builders import AT, LIST, a_member, a_segment, members, put_members
from mailchimp_pipeline_tests.ledger_fake import FakeLedger

Member = dict[str, str | None]


@dataclass(frozen=True)
class Answer:
    """What becomes of a contact that is sent."""

    outcome: Outcome
    status: MemberStatus | None
    refusal: Refusal


@dataclass(frozen=True)
class Push:
    """The differences are sent; who has no answer is not reached."""

    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class Read:
    """The audience is read."""

    statuses: Mapping[str, MemberStatus]


@dataclass(frozen=True)
class Replace:
    """The segment gets other members."""

    members: list[Member]


Step = Push | Read | Replace

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
_statuses = st.sampled_from(list(MemberStatus))
_answers = st.builds(
    Answer, st.sampled_from([Outcome.PUSHED, Outcome.REFUSED]), st.none() | _statuses, st.sampled_from(list(Refusal))
)
_steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Push, st.dictionaries(_emails, _answers)),
    st.builds(Read, st.dictionaries(_emails, _statuses, max_size=3)),
    st.builds(Replace, _segments),
)


def do(step: Push | Read, ledger: Ledger, segment: Segment) -> None:
    if isinstance(step, Read):
        ledger.take_over([Standing(subscriber_hash(email), status) for email, status in step.statuses.items()])
        return
    answers = {subscriber_hash(email): answer for email, answer in step.answers.items()}
    for piece in (each.differences for each in ledger.compare(segment.id)):
        reached = [(key, answers[key]) for key in piece["subscriber_hash"].tolist() if key in answers]
        ledger.record(piece, [MemberOutcome(key, it.outcome, it.status, it.refusal) for key, it in reached])


def found(ledger: Ledger, segment: Segment) -> object:
    pieces = list(ledger.compare(segment.id))
    differences = pd.concat([each.differences for each in pieces])
    rows = differences.astype(object).where(differences.notna(), None).to_dict("records")
    left_out = sum(each.unchanged for each in pieces), sum(each.refused_before for each in pieces)
    return rows, left_out, ledger.knows_unsubscribed()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(mine=_segments, other=_segments, steps=st.lists(_steps, max_size=5))
def test_the_ledger_and_the_fake_never_disagree(
    database: Database, mine: list[Member], other: list[Member], steps: list[Step]
) -> None:
    organisation_id = f"organisation-{next(_numbers)}"
    first, second = (a_segment(database, organisation_id) for _ in range(2))
    real = DatabaseLedger(database, organisation_id, LIST, lambda: AT, piece=2)
    fake = FakeLedger({first.id: members(), second.id: members(*other)}, clock=lambda: AT)
    put_members(database, second, *other)
    for step in (Replace(mine), *steps):
        if isinstance(step, Replace):
            put_members(database, first, *step.members, departures_confirmed=True)
            fake.replace_members(first.id, members(*step.members))
        else:
            do(step, real, first)
            do(step, fake, first)
        assert [found(real, it) for it in (first, second)] == [found(fake, it) for it in (first, second)]
