"""How many calls pass, whose they count as, and what those hear that do not."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from api.auth import Caller
from api.limits import Rate, RateLimit, Rates
from api.trpc import Limits, Procedures, Role, TRPCError
from mailchimp_pipeline_tests.api.served import an_api, notes
from mailchimp_pipeline_tests.api.trpc.sample import Gate

ALICE = Caller("alice", "acme", Role.VIEWER)
BOB = Caller("bob", "acme", Role.ADMIN)
CAROL = Caller("carol", "umbrella", Role.VIEWER)


@dataclass
class Limited:
    """A limit of so many calls at once, one a second afterwards, and its clock."""

    caller: int = 3
    organisation: int = 100
    max_buckets: int = 100
    seconds: float = 50.0
    limit: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        rates = Rates(Rate(self.caller, per_second=1), Rate(self.organisation, per_second=1))
        self.limit = RateLimit(rates, clock=lambda: self.seconds, max_buckets=self.max_buckets)

    def passed(self, caller: Caller, tries: int = 10) -> int:
        """Return how many of so many calls passed."""
        return sum(self._passes(caller) for _ in range(tries))

    def _passes(self, caller: Caller) -> bool:
        try:
            self.limit.take(caller)
        except TRPCError:
            return False
        return True


def test_a_burst_passes_and_then_one_call_a_second() -> None:
    limited = Limited()

    assert limited.passed(ALICE) == 3
    limited.seconds += 2
    assert limited.passed(ALICE) == 2
    limited.seconds += 1000
    assert limited.passed(ALICE) == 3


def test_one_caller_does_not_use_up_anothers_calls() -> None:
    limited = Limited()
    limited.passed(ALICE)

    assert limited.passed(BOB) == 3


def test_an_organisation_has_a_limit_of_its_own() -> None:
    limited = Limited(caller=3, organisation=4)

    assert limited.passed(ALICE) == 3
    assert limited.passed(BOB) == 1
    assert limited.passed(CAROL) == 3


def test_a_call_that_is_refused_counts_for_nobody() -> None:
    limited = Limited(caller=3, organisation=5)
    limited.passed(ALICE, tries=50)

    assert limited.passed(BOB) == 2


def test_who_is_refused_hears_when_to_come_back() -> None:
    limited = Limited()
    limited.passed(ALICE)
    limited.seconds += 0.25

    with pytest.raises(TRPCError, match="try again in 1 s") as caught:
        limited.limit.take(ALICE)
    assert (caught.value.code, caught.value.retry_after) == ("TOO_MANY_REQUESTS", 1)


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    limited = Limited(max_buckets=4)
    for caller in (ALICE, CAROL, ALICE, Caller("dave", "initech", Role.VIEWER)):
        limited.passed(caller)

    assert limited.passed(CAROL) == 3


def test_threads_cannot_slip_past_together() -> None:
    limited = Limited(caller=100)
    passed: list[int] = []
    threads = [threading.Thread(target=lambda: passed.append(limited.passed(ALICE, 50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(passed) == 100


def test_the_calls_of_a_batch_are_counted_each() -> None:
    with an_api(rates=Rates(caller=Rate(3, per_second=0.1)), clock=lambda: 0.0) as api:
        answer = api.call(",".join(["notes.whoami"] * 5) + "?batch=1")
        other = api.call("notes.whoami", actor="bob")

    assert answer.status == 207
    assert sorted(one["error"]["data"]["code"] for one in answer.json if "error" in one) == ["TOO_MANY_REQUESTS"] * 2
    assert (answer.headers["retry-after"], other.status) == ("10", 200)


def test_calls_of_one_organisation_do_not_keep_another_waiting() -> None:
    gate, limits = Gate(), Limits(threads=3, lane_threads=2)
    with (
        an_api(procedures=Procedures(notes, gate.procedure), limits=limits) as api,
        ThreadPoolExecutor() as pool,
    ):
        many = pool.submit(api.call, "gate,gate,gate,gate?batch=1", method="POST", body="")
        assert gate.entered.wait(5)
        try:
            assert api.call("notes.whoami", organisation_id="umbrella").status == 200
        finally:
            gate.opened.set()
        assert many.result().status == 200
