"""The job `mailchimp_erasure` and its sensor, over erasures that a test writes down."""

# Dagster's makers of instances have types with unknown parts.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mailchimp_pipeline.defs.privacy_jobs import erasures_due, mailchimp_erasure
from mailchimp_pipeline.erasure import Attempt, ErasureRequest, ErasureStatus, MovedAtMailchimp, NotAllAsked
from mailchimp_pipeline.errors import PipelineError

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class WrittenErasures:
    """Those that are due, and how the next attempt at each ends."""

    attempts: Sequence[Attempt] = ()
    now: datetime = NOW
    tried: list[str] = field(default_factory=list[str])

    def clock(self) -> datetime:
        return self.now

    def due(self) -> Sequence[ErasureRequest]:
        return [attempt.request for attempt in self.attempts]

    def retry_pending(self) -> Iterator[Attempt]:
        for attempt in self.attempts:
            self.tried.append(attempt.request.id)
            yield attempt


def an_attempt(*problems: PipelineError, request_id: str = "r1", attempts: int = 1) -> Attempt:
    status = ErasureStatus.PENDING if problems else ErasureStatus.COMPLETED
    request = ErasureRequest(request_id, "acme", status, 1, attempts, NOW, None, "alice", NOW, None)
    return Attempt(request, problems)


def run(*attempts: Attempt) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return mailchimp_erasure.execute_in_process(
            instance=instance, resources={"erasures": WrittenErasures(attempts)}, raise_on_error=False
        )


def figures(event: dg.DagsterEvent) -> dict[str, Any]:
    data = event.step_failure_data.user_failure_data if event.is_step_failure else event.event_specific_data
    metadata: dict[str, dg.MetadataValue] = getattr(data, "metadata")  # noqa: B009 - of either kind of data
    return {name: value.value for name, value in metadata.items()}


def requests(*attempts: Attempt, now: datetime = NOW) -> list[dg.RunRequest]:
    with dg.build_sensor_context(resources={"erasures": WrittenErasures(attempts, now)}) as context:
        return list(erasures_due.evaluate_tick(context).run_requests or [])


def test_a_run_tells_how_many_it_completed() -> None:
    ended = run(an_attempt(), an_attempt(NotAllAsked(), request_id="r2"))
    (output,) = ended.filter_events(lambda event: event.is_successful_output)
    assert ended.success
    assert figures(output) == {"completed": 1, "pending": 1, "waiting_for_a_person": 0}


def test_a_run_fails_where_a_person_has_to_do_something() -> None:
    ended = run(an_attempt(MovedAtMailchimp("l1")), an_attempt(request_id="r2"))
    (failure,) = ended.filter_events(lambda event: event.is_step_failure)
    assert not ended.success
    assert figures(failure) == {"completed": 1, "pending": 1, "waiting_for_a_person": 1}


def test_nothing_due_starts_nothing() -> None:
    assert requests() == []


def test_all_that_are_due_go_into_one_run_before_any_sync() -> None:
    (request,) = requests(an_attempt(NotAllAsked()), an_attempt(NotAllAsked(), request_id="r2"))
    assert request.tags["dagster/priority"] == "10"


def test_another_run_is_asked_for_only_after_one_of_them_was_tried() -> None:
    first = an_attempt(NotAllAsked())
    tried = replace(first, request=replace(first.request, attempts=2))
    keys = [request.run_key for attempt in (first, first, tried) for request in requests(attempt)]
    assert keys[0] == keys[1] != keys[2]


def test_after_an_hour_a_run_that_died_before_it_tried_is_followed_by_another() -> None:
    keys = [requests(an_attempt(NotAllAsked()), now=NOW + timedelta(minutes=minutes)) for minutes in (0, 59, 60)]
    first, same, other = (request.run_key for (request,) in keys)
    assert first == same != other
