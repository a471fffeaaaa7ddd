"""Whatever happens in whatever order, and wherever a process dies: nobody who said no is mailed by us.

`make test` plays some histories, drawn alike each time, though the threads of a sync may take turns otherwise;
`make histories HISTORIES=2000` plays so many new ones, longer ones, and says what happened in them.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count, cycle

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sandbox import Fault, FaultKind, Sandbox
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, SegmentType
from mailchimp_pipeline_tests.consent.calm import wrongs_when_calm
from mailchimp_pipeline_tests.consent.company import ADDRESSES, DEPARTMENTS, OWN_ADDRESSES, PEOPLE, Entity, Person
from mailchimp_pipeline_tests.consent.happenings import Clock, Done
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import LISTS, World

ACTS = (
    "unsubscribe_by_link",
    "sign_up",
    "confirm",
    "bounce",
    "archive_as_admin",
    "unsubscribe_as_admin",
)
NAMES = ("first", "second", "third")
_BRIEFLY = 16
"""Histories in `make test`."""
_RESTLESS = 8
"""Steps between two calms at least: calm costs as much as all of them, and comes at the end anyway."""
_CASES = (str, str.upper, str.title)

entities = st.sampled_from(PEOPLE)
addresses = st.sampled_from(ADDRESSES)
departments = st.sampled_from(DEPARTMENTS)
lists = st.sampled_from(LISTS)
names = st.sampled_from(NAMES)
deaths = st.none() | st.integers(0, 60)
criteria = st.sampled_from([FilterCriteria(), *(FilterCriteria(department=(name,)) for name in DEPARTMENTS)])


class Histories(RuleBasedStateMachine):
    """One organisation from its first segment on."""

    database: Database
    sandbox: Sandbox
    clock: Clock
    numbers: "count[int]"
    tally: "Counter[str]"
    """What happened in all histories."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.database, self.sandbox, self.clock, f"organisation-{next(self.numbers)}")
        self.is_sound = True
        self.restless = 0
        self.tally["histories"] += 1

    @initialize(
        list_id=lists,
        on_leave=st.sampled_from(OnLeave),
        staff=st.lists(addresses, min_size=4, max_size=len(PEOPLE)),
        before=st.lists(st.tuples(st.sampled_from(ACTS), lists, addresses), max_size=6),
    )
    def begin(self, list_id: str, on_leave: OnLeave, staff: list[str], before: "list[tuple[str, str, str]]") -> None:
        for entity, email, department in zip(PEOPLE, staff, cycle(DEPARTMENTS)):
            self.world.company.put(Person(entity, email, department))
        for act, there, email in before:
            self.world.act_at_mailchimp("sign_up", there, email)
            self.world.act_at_mailchimp(act, there, email)
        self.world.add_segment("first", NewSegment("first", SegmentType.MIXED, list_id, on_leave=on_leave))
        self.judge(self.world.sync(["first"], confirmed=False, life=Life()))

    @rule(entity=entities, email=addresses, department=departments)
    def somebody_is_hired(self, entity: Entity, email: str, department: str) -> None:
        self.world.company.put(Person(entity, email, department))

    @rule(entity=entities)
    def somebody_leaves(self, entity: Entity) -> None:
        self.world.company.leave(entity)

    @rule(entity=entities, email=addresses, case=st.sampled_from(_CASES))
    def an_address_changes(self, entity: Entity, email: str, case: "type[str]") -> None:
        self.world.company.change(entity, email=case(email))

    @rule(entity=entities, department=departments, first_name=st.sampled_from(["Ada", "Eva"]))
    def somebody_moves_on(self, entity: Entity, department: str, first_name: str) -> None:
        self.world.company.change(entity, department=department, first_name=first_name)

    @rule(entity=entities, opted_in=st.booleans(), carried=st.booleans(), steps=deaths)
    def somebody_tells_us(self, entity: Entity, steps: int | None, *, opted_in: bool, carried: bool) -> None:
        self.world.say(entity, opted_in=opted_in)
        if carried:
            self.world.carry_withdrawals(Life(steps))

    @rule(act=st.sampled_from(ACTS), list_id=lists, email=addresses)
    def somebody_acts_at_mailchimp(self, act: str, list_id: str, email: str) -> None:
        self.world.act_at_mailchimp(act, list_id, email)

    @rule(list_id=lists, email=addresses, new_email=st.sampled_from([*OWN_ADDRESSES, *ADDRESSES[:1]]))
    def somebody_gives_mailchimp_another_address(self, list_id: str, email: str, new_email: str) -> None:
        self.world.change_address_at_mailchimp(list_id, email, new_email)

    @precondition(lambda self: self.world.calls)
    @rule(data=st.data(), is_repeated=st.booleans())
    def mailchimp_calls(self, data: st.DataObject, *, is_repeated: bool) -> None:
        call = data.draw(st.sampled_from(self.world.calls), label="call")
        if not is_repeated:
            self.world.calls.remove(call)
        self.world.be_called(call)

    @rule(opt_in_only=st.booleans())
    def the_organisation_asks_for_opt_ins(self, *, opt_in_only: bool) -> None:
        self.world.ask_for_opt_ins(opt_in_only=opt_in_only)

    @rule(entity=st.sampled_from(PEOPLE[-2:]), steps=deaths)
    def somebody_is_erased(self, entity: Entity, steps: int | None) -> None:
        self.world.erase(entity, Life(steps))

    @rule(
        name=names,
        kind=st.sampled_from(SegmentType),
        list_id=lists,
        asked=criteria,
        on_leave=st.sampled_from(OnLeave),
    )
    def a_segment_is_made_or_changed(
        self, name: str, kind: SegmentType, list_id: str, asked: FilterCriteria, on_leave: OnLeave
    ) -> None:
        if name in self.world.segments:
            self.world.change_segment(name, {"filter_criteria": asked, "on_leave": on_leave})
        else:
            new = NewSegment(name, kind, list_id, filter_criteria=asked, on_leave=on_leave)
            self.world.add_segment(name, new)

    @precondition(lambda self: len(self.world.segments) > 1)
    @rule(data=st.data())
    def a_segment_is_deleted(self, data: st.DataObject) -> None:
        self.world.delete_segment(data.draw(st.sampled_from(sorted(self.world.segments)), label="segment"))

    @rule(is_connected=st.sampled_from([True, True, False]))
    def the_connection_ends_or_comes_back(self, *, is_connected: bool) -> None:
        if is_connected and not self.world.is_connected:
            self.world.connect()
        if self.world.is_connected and not is_connected:
            self.world.disconnect()

    @precondition(lambda self: self.world.is_connected)
    @rule(entity=entities, opted_in=st.booleans(), steps=deaths)
    def another_account_is_connected_for_a_while(self, entity: Entity, steps: int | None, *, opted_in: bool) -> None:
        self.world.connect_another_account()
        self.world.say(entity, opted_in=opted_in)
        self.world.carry_withdrawals(Life(steps))
        self.world.sync(sorted(self.world.segments), confirmed=False, life=Life(steps))
        self.world.connect()

    @rule(kind=st.sampled_from([None, None, FaultKind.CUT, FaultKind.BLOCKED]))
    def mailchimp_goes_away_or_comes_back(self, kind: FaultKind | None) -> None:
        if kind is None:
            self.sandbox.end_outage()
        else:
            self.sandbox.start_outage(kind)

    @rule(
        kind=st.sampled_from([FaultKind.CUT, FaultKind.BAD_GATEWAY, FaultKind.MALFORMED]),
        method=st.sampled_from(["POST", "PATCH", "DELETE", "*"]),
        skip=st.integers(0, 3),
        times=st.sampled_from([1, 5]),
    )
    def an_answer_will_be_lost(self, kind: FaultKind, method: str, skip: int, times: int) -> None:
        self.sandbox.add_fault(Fault(kind=kind, method=method, skip=skip, times=times, applied=True))

    @rule(minutes=st.sampled_from([4, 10, 1440]))
    def time_passes(self, minutes: int) -> None:
        self.clock.move(60 * minutes)

    @rule(steps=deaths)
    def what_was_left_is_looked_after(self, steps: int | None) -> None:
        self.world.tick(Life(steps))

    @rule(confirmed=st.booleans(), steps=deaths)
    def everything_is_synced(self, steps: int | None, *, confirmed: bool) -> None:
        self.judge(self.world.sync(sorted(self.world.segments), confirmed=confirmed, life=Life(steps)))

    @rule(entity=entities, at=st.integers(0, 60), carried=st.booleans(), confirmed=st.booleans())
    def somebody_opts_out_during_a_sync(self, entity: Entity, at: int, *, carried: bool, confirmed: bool) -> None:
        def opt_out() -> None:
            self.tally["opted out during a sync"] += 1
            self.world.say(entity, opted_in=False)
            if carried:
                self.world.carry_withdrawals(Life())

        life = Life(meanwhile=opt_out, at=at)
        done = self.world.sync(sorted(self.world.segments), confirmed=confirmed, life=life)
        self.judge(done, meanwhile=True)

    @rule(data=st.data(), confirmed=st.booleans(), steps=deaths)
    def one_segment_is_synced(self, data: st.DataObject, steps: int | None, *, confirmed: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.segments)), label="segment")
        self.judge(self.world.sync([name], confirmed=confirmed, life=Life(steps)))

    @precondition(lambda self: self.restless > _RESTLESS)
    @rule()
    def all_becomes_calm(self) -> None:
        self.restless = 0
        self.tally["calms"] += 1
        with self.unless_wrong():
            self.sandbox.clear_faults()
            if not self.world.is_connected:
                self.world.connect()
        for _ in range(2):
            self.clock.move(24 * 3600)
            self.world.tick(Life())
            self.world.carry_withdrawals(Life())
            done = self.world.sync(sorted(self.world.segments), confirmed=True, life=Life())
            self.judge(done)
            self.expect_none([result.error for result in done.results if result.error])
        self.expect_none(wrongs_when_calm(self.world))

    @invariant()
    def time_goes_on(self) -> None:
        self.restless += 1
        self.tally["steps"] += 1

    def teardown(self) -> None:
        if self.is_sound:
            self.all_becomes_calm()

    def judge(self, done: Done, *, meanwhile: bool = False) -> None:
        self.tally["segments synced"] += sum(not result.error for result in done.results)
        self.tally["segments whose sync failed or died"] += sum(bool(result.error) for result in done.results)
        self.tally["members sent"] += len(done.sent)
        for result in done.results:
            note(f"{result.segment.name}: {result.error or (result.report and result.report.as_dict())}")
            self.expect_none([result.defect] if result.defect and "Died" not in str(result.error) else [])
        self.expect_none(self.world.wrongs_of(done, meanwhile=meanwhile))

    def expect_none(self, wrongs: "Iterator[str] | list[str]") -> None:
        with self.unless_wrong():
            found = list(wrongs)
            assert not found, "\n".join(found)

    @contextmanager
    def unless_wrong(self) -> Generator[None]:
        """Note that something is wrong: then calm would not come, and hide what it was."""
        try:
            yield
        except BaseException:
            self.is_sound = False
            raise


def test_nobody_who_said_no_is_mailed(
    database_url: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: int | None = request.config.getoption("--histories", None)
    bounds = settings(
        max_examples=asked or _BRIEFLY,
        stateful_step_count=50 if asked else 30,
        derandomize=not asked,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    clock, tally = Clock(), Counter[str]()
    with Database(database_url, pool_size=20) as database, Sandbox.running(clock=clock) as sandbox:
        parts = {"database": database, "sandbox": sandbox, "clock": clock, "numbers": count(), "tally": tally}
        try:
            run_state_machine_as_test(type("History", (Histories,), parts), settings=bounds)
        finally:
            with capsys.disabled():
                terminal = request.config.get_terminal_writer()
                for what, times in sorted(tally.items() if asked else ()):
                    terminal.line(f"{times:12,}  {what}")
