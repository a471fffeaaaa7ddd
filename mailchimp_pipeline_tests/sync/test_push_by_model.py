"""Whatever an audience holds and refuses: all are accounted for, nobody is mailed who must not be, twice is once."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from mailchimp_pipeline.sync import MemberStatus, Refusal
from mailchimp_pipeline_tests.database.builders import LIST, a_member, members
from mailchimp_pipeline_tests.sync.stage import SEGMENT, Stage, a_stage, parts

_REFUSING = st.sampled_from([Refusal.FAKE, Refusal.FORGOTTEN, Refusal.MERGE_FIELD])


@dataclass(frozen=True)
class Person:
    """A member of the segment: how it stands at Mailchimp, if at all, and why that would not take it."""

    number: int
    status: MemberStatus | None
    arrives_late: bool
    refusal: Refusal | None
    is_renamed: bool

    @property
    def email(self) -> str:
        return f"p{self.number}@acme.test"

    def member(self, first_name: str = "Ann") -> dict[str, str | None]:
        return a_member(self.email, entity_id=str(self.number), first_name=first_name)


@st.composite
def populations(draw: st.DrawFn) -> list[Person]:
    return [
        Person(
            number,
            status=draw(st.sampled_from([None, *MemberStatus])),
            arrives_late=draw(st.booleans()),
            refusal=draw(st.none() | _REFUSING),
            is_renamed=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 12)))
    ]


def staged(population: list[Person], *, double_optin: bool) -> Stage:
    refusals = {person.email: person.refusal for person in population if person.refusal}
    stage = a_stage(*(person.member() for person in population), double_optin=double_optin, refusals=refusals, piece=5)
    put(stage, population, late=False)
    return stage


def put(stage: Stage, population: list[Person], *, late: bool) -> None:
    for person in population:
        if person.status and person.arrives_late is late:
            stage.audiences.put(LIST, person.email, person.status)


@given(populations(), st.booleans())
@settings(max_examples=40)
def test_everybody_wanted_is_in_exactly_one_part_of_the_report(population: list[Person], double_optin: bool) -> None:
    stage = staged(population, double_optin=double_optin)
    first = stage.sync()
    put(stage, population, late=True)
    renamed = [person.member("Zoe" if person.is_renamed else "Ann") for person in population]
    stage.ledger.replace_members(SEGMENT, members(*renamed))
    for report in (first, stage.push(), stage.sync()):
        assert report.wanted == parts(report) == len(population)


@given(populations(), st.booleans())
@settings(max_examples=40)
def test_nobody_is_subscribed_who_stood_in_another_way(population: list[Person], double_optin: bool) -> None:
    stage = staged(population, double_optin=double_optin)
    stage.sync()
    stood = {person.email: person.status for person in population if person.status and not person.arrives_late}
    assert {email: stage.status(email) for email in stood} == stood


@given(populations(), st.booleans())
@settings(max_examples=40)
def test_a_second_sync_of_the_same_sends_nothing(population: list[Person], double_optin: bool) -> None:
    stage = staged(population, double_optin=double_optin)
    stage.sync()
    assert stage.sync().calls == 0
