"""Who gets the threads: nobody's calls keep everybody else's waiting, and none that was taken is lost."""

from collections import Counter
from collections.abc import Hashable

from api.trpc import Hooks, Limits
from api.trpc.lanes import Lanes
from mailchimp_pipeline_tests.api.trpc.sample import Caller, Gate, sample
from mailchimp_pipeline_tests.api.trpc.wire import wire


def by_role(caller: Caller) -> Hashable:
    return caller.role


def test_more_than_may_wait_is_refused_and_told_when_to_come_back() -> None:
    gate, limits = Gate(), Limits(threads=2, lane_threads=1, lane_waiting=2)
    gate.opened.set()
    with wire(sample(gate.procedure), limits=limits, hooks=Hooks(lane_of=by_role)) as served:
        answer = served.ask("gate,gate,gate,gate,gate?batch=1", method="POST", body="")
    codes = Counter(one.get("error", {}).get("data", {}).get("code", "OK") for one in answer.json)
    assert codes == {"OK": 3, "TOO_MANY_REQUESTS": 2}
    assert answer.headers["retry-after"] == "5"


def test_what_waits_when_the_threads_are_closed_is_done_all_the_same() -> None:
    done: list[int] = []
    lanes = Lanes(threads=2, share=1, waiting=5000)
    lanes.close()
    lanes.run("acme", [lambda each=each: done.append(each) for each in range(3000)])
    assert done == list(range(3000))
    assert lanes.room("acme") == 5001
