"""Whatever happens in whatever order, and wherever a process dies: nobody who said no is mailed by us.

`make test` plays some histories, drawn alike each time, though the threads of a sync may take turns otherwise;
`make histories HISTORIES=2000` plays so many new ones, and says what happened in them. With `--survey` a history that
finds something wrong ends there, and the next begins: at the end all kinds of wrongs are counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps
from itertools import cycle
from operator import attrgetter
from typing import Any, Literal, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, SegmentType
from mailchimp_pipeline_tests.consent.company import (
    ADDRESSES,
    DEPARTMENTS,
    LATER_IDS,
    OWN_ADDRESSES,
    PEOPLE,
    Entity,
    Person,
    key_of,
)
from mailchimp_pipeline_tests.consent.crash_after import CrashAfter
from mailchimp_pipeline_tests.consent.harness import Harness
from mailchimp_pipeline_tests.consent.product import SegmentSpec, SyncOutcome
from mailchimp_pipeline_tests.consent.scenario import ACTS, LISTS, ConsentScenario
from mailchimp_pipeline_tests.consent.steady_state import reach_steady_state, steady_state_wrongs
from sandbox import Fault, FaultKind, Hook, SignupLimit, SignupLimitKind, Status

NAMES = ("first", "second", "third")
NEIGHBOUR = "neighbour"
"""Another organisation, which would share the account."""
ADMINISTRATORS_ACTS = ("unsubscribe_as_admin", "archive_as_admin", "delete_as_admin", "subscribe_as_admin")
SKEWS = ((0, 0), (0, 0), (0, 2), (0, -2), (0, 10), (0, -10), (-5, 5), (10, 0))
"""Minutes by which our clock and Mailchimp's are ahead of the true time: ten minutes apart at most."""
_ENOUGH = 3
"""So many histories may end because another organisation could connect the account."""
_IN_EVERY_TEST_RUN = 12
"""Histories in `make test`."""
_AT_A_TIME = 9
"""Of ten and more Hypothesis makes the first tenth very short, and later ones out of earlier ones."""
_RESTLESS = 20
"""Steps between two steady states at least: one costs as much as all of them, and comes at the end anyway."""

entities = st.sampled_from((*PEOPLE, *LATER_IDS))
addresses = st.sampled_from(ADDRESSES)
departments = st.sampled_from(DEPARTMENTS)
lists = st.sampled_from(LISTS)
names = st.sampled_from(NAMES)
crashes = st.none() | st.integers(0, 90)
acts = st.sampled_from(ACTS)
criteria = st.sampled_from([FilterCriteria(), *(FilterCriteria(department=(name,)) for name in DEPARTMENTS)])


@dataclass
class Findings:
    """What happened in all histories, and what was wrong: by kind, how often and in which history first."""

    is_survey: bool
    looked_for: str = ""
    """A regular expression: what else is wrong does not count."""
    tally: Counter[str] = field(default_factory=Counter[str])
    wrongs: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, int] = field(default_factory=dict[str, int])
    examples: dict[str, str] = field(default_factory=dict[str, str])

    def note(self, wrong: str, happened: Sequence[str]) -> None:
        """Count something wrong."""
        kind = kind_of(wrong)
        self.wrongs[kind] += 1
        self.first.setdefault(kind, self.tally["histories"])
        self.examples.setdefault(kind, "\n".join([wrong, "", *happened, ""]))

    @property
    def knows_neighbours(self) -> bool:
        """Whether enough histories ended because another organisation could connect the account."""
        return sum(times for kind, times in self.wrongs.items() if "could connect" in kind) >= _ENOUGH

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to read at the end."""
        for what, times in sorted(self.tally.items()):
            yield f"{times:12,}  {what}"
        for kind, times in self.wrongs.most_common():
            yield f"{times:12,}  wrong, first in history {self.first[kind]}: {kind}"


def kind_of(wrong: str) -> str:
    """Return what is wrong, whoever it is about."""
    for pattern, name in ((r"\S+@[\w.-]+", "somebody"), (r"(employee|vendor)/\d+", "somebody"), (r"\d+", "n")):
        wrong = re.sub(pattern, name, wrong)
    return re.sub(rf"\b({'|'.join(LISTS)})\b", "audience", wrong)


def step(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Declare a rule of a history that is not over."""
    drawn = cast("Callable[[Callable[..., None]], Any]", rule(**cast("Any", strategies)))
    is_sound = cast("Callable[[Any], bool]", attrgetter("is_sound"))
    return lambda function: precondition(is_sound)(drawn(noted(function)))


def step_of_shared(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Declare a rule of a history in which several people may have had an address."""
    is_shared = cast("Callable[[Any], bool]", attrgetter("is_shared"))
    return lambda function: precondition(is_shared)(step(**strategies)(function))


def noted(function: Callable[..., None]) -> Callable[..., None]:
    """Let what happens be noted: not every history that finds something wrong can be played again."""

    @wraps(function)
    def and_noted(self: "Histories", **drawn: Any) -> None:  # noqa: ANN401 - whatever the rule draws
        arguments = ", ".join(f"{name}={value!r}" for name, value in drawn.items() if name != "data")
        self.happened.append(f"{function.__name__}({arguments})")
        try:
            function(self, **drawn)
        except PipelineError as error:
            # Not an error of the scenario's, which would be one of Python's: what nobody should be told at this point.
            with self.unless_wrong():
                self.wrong([f"{function.__name__} raised {type(error).__name__}: {error}"])
            self.is_sound = False

    return and_noted


class Histories(RuleBasedStateMachine):
    """One organisation from its first segment on."""

    harness: Harness
    findings: Findings
    patch: pytest.MonkeyPatch

    def __init__(self) -> None:
        super().__init__()
        self.scenario: ConsentScenario
        self.is_sound = True
        self.is_shared = True
        """Whether several people may have an address. If not, all that follows from a statement is certain."""
        self.restless = 0
        self.kinds: set[str] = set()
        """Kinds of what was wrong in this history."""
        self.happened: list[str] = []
        """The steps, in words."""
        self.tally = self.findings.tally
        self.tally["histories"] += 1

    @initialize(
        skew=st.sampled_from(SKEWS),
        complaints=st.sampled_from(["unsubscribed", "unsubscribed", "cleaned"]),
        list_id=lists,
        kind=st.sampled_from([SegmentType.MIXED, SegmentType.MIXED, SegmentType.EMPLOYEE]),
        on_leave=st.sampled_from(OnLeave),
        few=st.sampled_from([1, 1, 10]),
        is_shared=st.booleans(),
        staff=st.lists(addresses, min_size=4, max_size=len(PEOPLE)),
        before=st.lists(st.tuples(acts, lists, addresses), max_size=5),
    )
    @noted
    def begin(  # noqa: PLR0913, PLR0917 - each is drawn
        self,
        skew: tuple[int, int],
        complaints: str,
        list_id: str,
        kind: SegmentType,
        on_leave: OnLeave,
        few: int,
        staff: list[str],
        before: list[tuple[str, str, str]],
        *,
        is_shared: bool,
    ) -> None:
        self.is_shared = is_shared
        # So many are changed one by one: where it is only one, even the people of a small company go in batches.
        self.patch.setattr("mailchimp_pipeline.sync.push._FEW", few)
        ours, mailchimps = (timedelta(minutes=minutes) for minutes in skew)
        self.scenario = self.harness.begin(ours_ahead=ours, mailchimp_ahead=mailchimps)
        self.scenario.sandbox.configure(complaint_makes=complaints)
        for entity, email, department in zip(PEOPLE, staff, cycle(DEPARTMENTS), strict=False):
            self.hire(entity, email, department=department)
        for act, there, email in before:
            self.scenario.at_mailchimp("sign_up", there, self.member_address(email))
            self.scenario.at_mailchimp(act, there, self.member_address(email))
        self.scenario.add_segment(SegmentSpec("first", list_id, kind, on_leave=on_leave))
        self.judge(self.scenario.daily_sync())

    # HR

    @step(entity=entities, email=addresses, department=departments)
    def somebody_is_hired(self, entity: Entity, email: str, department: str) -> None:
        self.hire(entity, email, department=department)

    @step(entity=entities)
    def somebody_leaves(self, entity: Entity) -> None:
        self.scenario.company.leave(entity)

    @step(entity=entities, email=addresses, spell=st.sampled_from([str, str.upper, str.title, key_of]))
    def an_address_changes(self, entity: Entity, email: str, spell: Callable[[str], str]) -> None:
        self.scenario.company.change(entity, email=spell(self.address(entity, email)))

    @step_of_shared(entity=st.sampled_from(PEOPLE), other=st.sampled_from(PEOPLE))
    def two_people_swap_addresses(self, entity: Entity, other: Entity) -> None:
        company = self.scenario.company
        if (one := company.find(entity)) and (two := company.find(other)):
            company.change(entity, email=two.email)
            company.change(other, email=one.email)

    @step_of_shared(entity=entities, other=st.sampled_from(LATER_IDS))
    def somebody_comes_back_under_another_id(self, entity: Entity, other: Entity) -> None:
        if entity.entity_type is other.entity_type:
            self.scenario.company.come_back_as(entity, other)

    @step(entity=entities, department=departments, first_name=st.sampled_from(["Ada", "Eva"]))
    def somebody_moves_on(self, entity: Entity, department: str, first_name: str) -> None:
        self.scenario.company.change(entity, department=department, first_name=first_name)

    @step(entity=entities, last_name=st.sampled_from(["", "Byron", "King"]))
    def somebody_has_another_name(self, entity: Entity, last_name: str) -> None:
        self.scenario.company.change(entity, last_name=last_name)

    # What is said here

    @step(entity=entities, opted_in=st.booleans(), crash=crashes)
    def somebody_tells_us(self, entity: Entity, crash: int | None, *, opted_in: bool) -> None:
        (self.scenario.opt_in if opted_in else self.scenario.opt_out)(entity, CrashAfter(crash))
        self.judge()

    @step(opt_in_only=st.booleans())
    def the_organisation_asks_for_opt_ins(self, *, opt_in_only: bool) -> None:
        self.scenario.set_opt_in_only(opt_in_only=opt_in_only)

    @step(entity=st.sampled_from((*PEOPLE[-2:], PEOPLE[0])), crash=crashes)
    def somebody_is_erased(self, entity: Entity, crash: int | None) -> None:
        self.scenario.erase(entity, CrashAfter(crash))
        self.judge()

    @step_of_shared(
        entity=entities, other=entities, email=addresses, act=st.sampled_from(["unsubscribe_by_link", "complain"])
    )
    def one_of_two_who_share_an_address_moves_and_opts_in(
        self, entity: Entity, other: Entity, email: str, act: str
    ) -> None:
        if (person := self.scenario.company.find(entity)) is None or entity == other:
            return
        mailed_in = [each for each in LISTS if self.scenario.status(each, person.key) is Status.SUBSCRIBED]
        self.scenario.hire(other, person.email)
        for list_id in mailed_in[:1]:
            self.scenario.at_mailchimp(act, list_id, person.key)
        self.scenario.company.change(entity, email=email)
        self.scenario.clocks.move(60 * 60)
        self.scenario.opt_in(entity)
        self.judge()

    @step_of_shared(entity=entities, email=addresses)
    def somebody_takes_over_an_erased_contacts_address(self, entity: Entity, email: str) -> None:
        erased = next((each for each in reversed(self.scenario.oracle.erasures) if each.keys), None)
        if erased is None or erased.entity == entity:
            return
        self.scenario.company.change(erased.entity, email=email)
        self.scenario.hire(entity, min(erased.keys))
        self.scenario.opt_in(entity)
        self.judge()

    # What is done at Mailchimp

    @step(act=acts, list_id=lists, email=addresses)
    def somebody_acts_at_mailchimp(self, act: str, list_id: str, email: str) -> None:
        self.scenario.at_mailchimp(act, list_id, self.member_address(email))

    @step(
        entity=entities,
        act=st.sampled_from(["unsubscribe_by_link", "unsubscribe_as_admin", "complain"]),
        list_id=lists,
        minutes=st.sampled_from([1, 1, 5, 9, 15]),
        is_here_first=st.sampled_from([True, True, False]),
    )
    def somebody_says_one_thing_here_and_another_there(
        self, entity: Entity, act: str, list_id: str, minutes: int, *, is_here_first: bool
    ) -> None:
        if (person := self.scenario.company.find(entity)) is None:
            return
        mailed_in = [each for each in LISTS if self.scenario.status(each, person.key) is Status.SUBSCRIBED]
        there = list_id if list_id in mailed_in else next(iter(mailed_in), list_id)
        if is_here_first:
            self.scenario.opt_in(entity)
            self.scenario.clocks.move(60 * minutes)
        self.scenario.at_mailchimp(act, there, person.key)
        if not is_here_first:
            self.scenario.clocks.move(60 * minutes)
            self.scenario.opt_in(entity)
        self.judge()

    @step(list_id=lists, email=addresses, new_email=st.sampled_from([*OWN_ADDRESSES, *ADDRESSES[:1]]))
    def somebody_gives_mailchimp_another_address(self, list_id: str, email: str, new_email: str) -> None:
        if self.is_shared:
            self.scenario.change_address(list_id, email, new_email)
        elif person := self.person_of(email):
            self.scenario.change_address(list_id, person.email, self.address(person.entity, new_email))

    @precondition(lambda self: self.is_sound and self.scenario.calls)
    @rule(data=st.data(), is_repeated=st.booleans())
    @noted
    def mailchimp_calls(self, data: st.DataObject, *, is_repeated: bool) -> None:
        call = data.draw(st.sampled_from(self.scenario.calls), label="call")
        self.happened.append(f"    {call.body.decode()}")
        if not is_repeated:
            self.scenario.calls.remove(call)
        self.scenario.deliver(call)
        self.judge()

    @step(list_id=lists, tag=st.sampled_from(["PHONE", "LNAME"]), required=st.booleans())
    def a_merge_field_is_required_or_no_longer(self, list_id: str, tag: str, *, required: bool) -> None:
        if self.scenario.sandbox.has_merge_field(list_id, tag):
            self.scenario.sandbox.require_merge_field(list_id, tag, required=required)

    @step(list_id=lists, is_there=st.booleans())
    def a_merge_field_is_added_or_removed(self, list_id: str, *, is_there: bool) -> None:
        if is_there and not self.scenario.sandbox.has_merge_field(list_id, "LNAME"):
            self.scenario.sandbox.add_merge_field(list_id, "LNAME")
        if not is_there:
            self.scenario.sandbox.remove_merge_field(list_id, "LNAME")

    @step(entity=entities, email=st.none() | addresses)
    def somebody_whose_change_was_refused_leaves_or_moves(self, entity: Entity, email: str | None) -> None:
        if (person := self.scenario.company.find(entity)) is None:
            return
        for list_id in LISTS:
            if self.scenario.status(list_id, person.key) is Status.SUBSCRIBED:
                self.scenario.sandbox.require_merge_field(list_id, "PHONE", required=True)
        self.scenario.company.change(entity, first_name=f"Eva {self.scenario.clocks.now:%H%M%S}")
        self.judge(self.scenario.daily_sync())
        # And whoever shares the address: while somebody has it, it is to be mailed.
        for holder in self.scenario.company.holders(person.key):
            if email is None:
                self.scenario.company.leave(holder)
            else:
                self.scenario.company.change(holder, email=self.address(holder, email))

    @step(
        who=st.none() | st.sets(addresses, min_size=1, max_size=2),
        kind=st.sampled_from(SignupLimitKind),
        tries=st.none() | st.integers(1, 2),
    )
    def mailchimp_refuses_signups(self, who: set[str] | None, kind: SignupLimitKind, tries: int | None) -> None:
        limited = None
        if who is not None:
            theirs = {self.member_address(email) for email in who}
            limited = frozenset(theirs | set(map(key_of, theirs)))
        self.scenario.sandbox.limit_signups(SignupLimit(addresses=limited, kind=kind, tries=tries, seconds=6 * 3600))

    # Segments and connections

    @step(
        name=names, kind=st.sampled_from(SegmentType), list_id=lists, asked=criteria, on_leave=st.sampled_from(OnLeave)
    )
    def a_segment_is_made_or_changed(
        self, name: str, kind: SegmentType, list_id: str, asked: FilterCriteria, on_leave: OnLeave
    ) -> None:
        if name in self.scenario.segments:
            _, before = self.scenario.segments[name]
            self.scenario.change_segment(SegmentSpec(name, before.list_id, before.segment_type, asked, on_leave))
        else:
            self.scenario.add_segment(SegmentSpec(name, list_id, kind, asked, on_leave))

    @precondition(lambda self: self.is_sound and self.scenario.segments)
    @rule(data=st.data())
    @noted
    def a_segment_is_deleted(self, data: st.DataObject) -> None:
        self.scenario.delete_segment(self.a_segment(data))

    @step(is_connected=st.sampled_from([True, True, False]))
    def the_connection_ends_or_comes_back(self, *, is_connected: bool) -> None:
        if is_connected:
            self.scenario.connect()
        elif self.scenario.is_connected:
            self.scenario.disconnect()

    @precondition(lambda self: self.is_sound and self.scenario.is_connected)
    @rule(entity=entities, opted_in=st.booleans(), crash=crashes)
    @noted
    def another_account_is_connected_for_a_while(self, entity: Entity, crash: int | None, *, opted_in: bool) -> None:
        self.scenario.connect_elsewhere()
        (self.scenario.opt_in if opted_in else self.scenario.opt_out)(entity)
        self.judge(self.scenario.daily_sync(CrashAfter(crash)))
        self.scenario.connect()

    @precondition(
        lambda self: (
            self.is_sound
            and self.scenario.is_connected
            and not self.scenario.is_elsewhere
            and not self.scenario.is_away
            and not self.findings.knows_neighbours
        )
    )
    @rule(list_id=lists, email=addresses, is_erased=st.booleans())
    @noted
    def another_organisation_connects_the_account(self, list_id: str, email: str, *, is_erased: bool) -> None:
        with self.unless_wrong():
            email = self.member_address(email)
            wrongs = list(self.scenario.neighbour_touches(NEIGHBOUR, list_id, email, is_erased=is_erased))
            self.is_sound = not wrongs
            self.wrong(wrongs)

    @step(kind=st.sampled_from([None, None, FaultKind.CUT, FaultKind.BLOCKED]))
    def mailchimp_goes_away_or_comes_back(self, kind: FaultKind | None) -> None:
        self.scenario.leave(kind)

    @step(
        kind=st.sampled_from([FaultKind.CUT, FaultKind.BAD_GATEWAY, FaultKind.MALFORMED]),
        method=st.sampled_from(["POST", "PATCH", "DELETE", "*"]),
        skip=st.integers(0, 3),
        times=st.sampled_from([1, 5]),
    )
    def an_answer_will_be_lost(self, kind: FaultKind, method: str, skip: int, times: int) -> None:
        self.scenario.sandbox.add_fault(Fault(kind=kind, method=method, skip=skip, times=times, applied=True))

    # Time, and what the schedule does

    @step(minutes=st.sampled_from([4, 12, 60, 1440]))
    def time_passes(self, minutes: int) -> None:
        self.scenario.clocks.move(60 * minutes)

    @step(crash=crashes)
    def what_was_left_is_looked_after(self, crash: int | None) -> None:
        self.scenario.tick(CrashAfter(crash))
        self.judge()

    @step(crash=crashes)
    def everything_is_synced(self, crash: int | None) -> None:
        self.judge(self.scenario.daily_sync(CrashAfter(crash)))

    @precondition(lambda self: self.is_sound and self.scenario.segments)
    @rule(data=st.data(), confirmed=st.booleans(), crash=crashes)
    @noted
    def one_segment_is_synced(self, data: st.DataObject, crash: int | None, *, confirmed: bool) -> None:
        name = self.a_segment(data)
        self.judge(self.scenario.manual_sync(name, CrashAfter(crash), confirm_departures=confirmed))

    @step(entity=entities, at=st.integers(0, 70), what=st.sampled_from(["opt_out", "opt_out", "opt_in", "erase"]))
    def somebody_tells_us_during_a_sync(self, entity: Entity, at: int, what: str) -> None:
        self.tally[f"{what} during a sync"] += 1
        say = getattr(self.scenario, what)
        self.judge(self.scenario.daily_sync(CrashAfter(meanwhile=lambda: say(entity), at=at)))

    @step(
        act=st.sampled_from((*ADMINISTRATORS_ACTS, "unsubscribe_by_link", "complain")),
        list_id=lists,
        email=addresses,
        when=st.sampled_from(["before", "after"]),
        method=st.sampled_from(["*", "*", "GET", "POST", "PATCH"]),
        nth=st.integers(1, 8),
    )
    def somebody_acts_at_mailchimp_during_a_sync(  # noqa: PLR0913, PLR0917 - each is drawn
        self, act: str, list_id: str, email: str, when: Literal["before", "after"], method: str, nth: int
    ) -> None:
        email = self.member_address(email)
        # The sync has reason to send everybody again: together, where that is done.
        for person in list(self.scenario.company):
            self.scenario.company.change(person.entity, first_name=f"Eva {self.scenario.clocks.now:%H%M%S}")
        mailed_in = [each for each in LISTS if self.scenario.status(each, email) is Status.SUBSCRIBED]
        list_id = list_id if list_id in mailed_in else next(iter(mailed_in), list_id)
        hook = Hook(when=when, method=method, list_id=list_id, nth=nth)
        self.scenario.on_call(lambda: self.scenario.at_mailchimp(act, list_id, email), hook)
        outcomes = self.scenario.daily_sync()
        self.tally[f"{act} during a sync"] += not self.scenario.sandbox.clear_hooks()
        self.judge(outcomes)

    @precondition(lambda self: self.is_sound and self.restless > _RESTLESS)
    @rule()
    def all_becomes_steady(self) -> None:
        self.restless = 0
        self.tally["steady states"] += 1
        self.happened.append("all_becomes_steady()")
        reach_steady_state(self.scenario)
        self.judge()
        if self.is_sound:
            with self.unless_wrong():
                self.wrong(steady_state_wrongs(self.scenario))

    @precondition(lambda self: not self.is_sound)
    @rule()
    def nothing_more_happens(self) -> None:
        """The history is over."""

    @invariant()
    def time_goes_on(self) -> None:
        self.restless += 1
        self.tally["steps"] += 1

    def teardown(self) -> None:
        if self.is_sound and hasattr(self, "scenario"):
            self.all_becomes_steady()
        self.harness.end()

    def address(self, entity: Entity, email: str) -> str:
        """Return the address that somebody gets for the one drawn: nobody else's, unless addresses are shared."""
        return email if self.is_shared else f"{entity.replace('/', '')}.{email}"

    def person_of(self, email: str) -> Person | None:
        """Return the person whose place in the company is that of the drawn address."""
        people = sorted(self.scenario.company, key=attrgetter("entity"))
        return people[ADDRESSES.index(email) % len(people)] if people else None

    def member_address(self, email: str) -> str:
        """Return the address at which something happens at Mailchimp, for the one drawn."""
        person = None if self.is_shared else self.person_of(email)
        return person.email if person else email

    def hire(self, entity: Entity, email: str, *, department: str) -> None:
        """Hire somebody at the address drawn."""
        self.scenario.hire(entity, self.address(entity, email), department=department)

    def a_segment(self, data: st.DataObject) -> str:
        name = data.draw(st.sampled_from(sorted(self.scenario.segments)), label="segment")
        self.happened.append(f"    segment {name}")
        return name

    def judge(self, outcomes: Sequence[SyncOutcome] = ()) -> None:
        self.tally["segments synced"] += sum(not outcome.error for outcome in outcomes)
        self.tally["segments whose sync failed or died"] += sum(bool(outcome.error) for outcome in outcomes)
        for outcome in outcomes:
            self.happened.append(f"    {outcome.segment_id}: {outcome.error or 'synced'}")
        wrongs, self.scenario.wrongs = self.scenario.wrongs, []
        with self.unless_wrong():
            self.wrong(wrongs)

    def wrong(self, wrongs: Iterator[str] | Sequence[str]) -> None:
        found = [each for each in wrongs if re.search(self.findings.looked_for, each)]
        if self.findings.is_survey:
            for wrong in found:
                if (kind := kind_of(wrong)) not in self.kinds:
                    self.kinds.add(kind)
                    self.findings.note(wrong, self.happened)
        else:
            assert not found, "\n".join([*found, "", *self.happened])

    @contextmanager
    def unless_wrong(self) -> Generator[None]:
        """Note that something is wrong: then no steady state would come, and hide what it was."""
        try:
            yield
        except BaseException:
            self.is_sound = False
            raise


def test_nobody_who_said_no_is_mailed(
    harness: Harness,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: int | None = request.config.getoption("--histories", None)
    survey, looked_for = (request.config.getoption(name, default=None) for name in ("--survey", "--looking-for"))
    findings = Findings(is_survey=bool(survey), looked_for=looked_for or "")
    machine = type("History", (Histories,), {"harness": harness, "findings": findings, "patch": monkeypatch})
    try:
        if asked is None:
            play(machine, _IN_EVERY_TEST_RUN, phases=[Phase.generate], derandomize=True)
        for begun in range(0, asked or 0, _AT_A_TIME):
            play(machine, min(_AT_A_TIME, (asked or 0) - begun), phases=[Phase.generate, Phase.shrink])
    finally:
        with capsys.disabled():
            terminal = request.config.get_terminal_writer()
            for line in findings.lines() if asked else ():
                terminal.line(line)
    assert not findings.wrongs, "\n".join(findings.examples.values())


def play(machine: type[Histories], histories: int, *, phases: Sequence[Phase], derandomize: bool = False) -> None:
    """Play so many histories."""
    bounds = settings(
        max_examples=histories,
        stateful_step_count=30,
        derandomize=derandomize,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=bounds)
