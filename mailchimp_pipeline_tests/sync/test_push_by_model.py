"""Random audiences and rejections: every contact is counted, consent holds, and a repeated push changes nothing."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import SyncReport
from mailchimp_pipeline_tests.mailchimp.builders import a_client
from mailchimp_pipeline_tests.source_fake import Row, an_employee
from mailchimp_pipeline_tests.sync.scenario import BATCH, SetClock, SyncScenario
from sandbox import Sandbox, Status

_numbers = count()


@dataclass(frozen=True)
class Person:
    """An employee with its status at Mailchimp, if any, at the first sync or later. A fake address is rejected."""

    number: int
    status: Status | None
    arrives_late: bool
    looks_fake: bool
    is_renamed: bool

    @property
    def email(self) -> str:
        return f"p{self.number}@{'example.com' if self.looks_fake else 'acme.test'}"

    def row(self, organisation_id: str, first_name: str = "Ada") -> Row:
        return an_employee(
            organisation_id=organisation_id, id=str(self.number), email=self.email, first_name=first_name
        )


@st.composite
def populations(draw: st.DrawFn) -> list[Person]:
    return [
        Person(
            number,
            status=draw(st.sampled_from([None, *Status])),
            arrives_late=draw(st.booleans()),
            looks_fake=draw(st.booleans()),
            is_renamed=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 15)))
    ]


def parts(report: SyncReport) -> int:
    """Return the sum of the parts of `wanted`."""
    by_reason = (report.rejected, report.waiting, report.withheld)
    return report.new + report.changed + report.unchanged + sum(sum(each.values()) for each in by_reason)


def synced(scenario: SyncScenario, population: list[Person]) -> Iterator[SyncReport]:
    """Sync the contacts; again, while some join the audience just before a batch; and once more."""
    yield scenario.sync()
    scenario.set_employees(
        *(person.row(scenario.organisation_id, "Zoe" if person.is_renamed else "Ada") for person in population)
    )
    for person in population:
        if person.status and person.arrives_late and scenario.status(person.email) is None:
            scenario.before_call("POST", BATCH, partial(scenario.add_member, person.email, person.status))
    yield scenario.sync()
    scenario.sandbox.clear_hooks()
    yield scenario.sync()


@given(populations(), st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_contact_is_counted_and_no_suppressed_contact_is_mailed(
    database: Database,
    scenario_sandbox: tuple[Sandbox, SetClock],
    population: list[Person],
    double_optin: bool,
) -> None:
    sandbox, clock = scenario_sandbox
    with ExitStack() as stack:
        client = stack.enter_context(a_client(sandbox.api_root))
        scenario = SyncScenario(database, sandbox, client, clock, f"organisation-{next(_numbers)}")
        stack.callback(scenario.disconnect)
        if double_optin:
            scenario.enable_double_opt_in()
        there = {person.email: person.status for person in population if person.status and not person.arrives_late}
        for email, status in there.items():
            scenario.add_member(email, status)
        scenario.set_employees(*(person.row(scenario.organisation_id) for person in population))
        reports = [*synced(scenario, population)]
        left = [person.email for person in population if scenario.status(person.email) is Status.UNSUBSCRIBED]
        assert [report.wanted for report in reports] == [parts(report) for report in reports]
        assert reports[-1].wanted == len(population) - len(left)
        assert {email: scenario.status(email) for email in there} == there
        assert scenario.sync().calls == 0
