"""Traffic during a migration: API requests, syncs, and a long-running reader.

Requests are repeated after a 503. Every other failure is kept in `failed_answers`.
"""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

from sqlalchemy import text

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline_tests.api.procedures.stage import NO_INPUT, Tenant
from mailchimp_pipeline_tests.api.trpc.wire import Answer
from mailchimp_pipeline_tests.waiting import eventually

_BACK_SECONDS = 0.1


@dataclass
class Traffic:
    """Requests in background threads, and their results."""

    tenant: Tenant
    segment_input: Mapping[str, object]
    """The segment to sync."""
    opt_out_ids: Sequence[str]
    """The ids of employees that opt out. The segment does not contain them."""
    partition_key: str = ""
    created_segments: set[str] = field(default_factory=set[str])
    opted_out: set[str] = field(default_factory=set[str])
    failed_answers: list[Answer] = field(default_factory=list[Answer])
    errors: set[str | None] = field(default_factory=set["str | None"])
    slowest: float = 0
    opt_out_count: int = 0
    sync_count: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _futures: list[Future[None]] = field(default_factory=list[Future[None]])

    def create_segments(self) -> None:
        """Connect, then create and list segments repeatedly."""
        self._connect()
        for number in count():
            if self._stop.is_set():
                return
            segment = {"name": f"Segment {number}", "segmentType": "vendor", "mailchimpListId": self.tenant.list_id}
            self.created_segments.add(self._call_until_available("segments.create", segment)["id"])
            self._call_until_available("segments.list")

    def record_opt_outs(self) -> None:
        """Record one opt-out after the other, and read each preference."""
        for entity_id in cycle(self.opt_out_ids):
            if self._stop.is_set():
                return
            entity = {"entityId": entity_id, "entityType": "employee"}
            self._call_until_available(
                "preferences.updateOptStatus", {**entity, "optedIn": False, "consentSource": "form"}
            )
            self.opted_out.add(self._call_until_available("preferences.getForEntity", entity)["entityId"])
            self.opt_out_count += 1

    def sync(self) -> None:
        """Connect and create the segment, then sync it repeatedly and record the errors."""
        self._connect()
        segment_id = self._call_until_available(
            "segments.create", {"mailchimpListId": self.tenant.list_id, **self.segment_input}
        )["id"]
        self.partition_key = f"{self.tenant.organisation_id}/{segment_id}"
        for number in count():
            if self._stop.is_set():
                return
            self.errors.add(self.sync_once(f"run-{number}"))
            self.sync_count += 1

    def sync_once(self, run_id: str) -> str | None:
        """Sync, and return the error or None."""
        pipeline = Pipeline(self.tenant.stage.parts)
        (result,) = pipeline.sync([self.partition_key], run_id=run_id, push=True)
        return result.error

    def _connect(self) -> None:
        self._call_until_available("connection.connect", {"apiKey": self.tenant.api_key})

    def _call_until_available(self, path: str, value: object = NO_INPUT) -> Any:  # noqa: ANN401 - JSON
        ask = self.tenant.query if path.rpartition(".")[2] in {"list", "getForEntity"} else self.tenant.mutate
        while True:
            begun = time.monotonic()
            answer = ask(path, value)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answer.status != 503:
                break
            time.sleep(_BACK_SECONDS)
        if answer.status != 200:
            self.failed_answers.append(answer)
        return answer.data

    @contextmanager
    def running(self) -> Generator[None]:
        """Run all requests in threads until the end of the block."""
        with ThreadPoolExecutor(3) as pool:
            self._futures += [pool.submit(kind) for kind in (self.create_segments, self.record_opt_outs, self.sync)]
            try:
                yield
            finally:
                self._stop.set()
        self._raise_errors()

    def wait_for_progress(self, times: int = 3) -> None:
        """Wait until each kind of request has been repeated this many times."""
        before = self._counts()

        def progressed() -> bool:
            self._raise_errors()
            return all(now - then >= times for now, then in zip(self._counts(), before, strict=True))

        eventually(progressed)

    def _counts(self) -> tuple[int, int, int]:
        return len(self.created_segments), self.opt_out_count, self.sync_count

    def _raise_errors(self) -> None:
        for one in self._futures:
            if one.done():
                one.result()


@contextmanager
def open_read_transaction(database_url: str) -> Generator[None]:
    """Keep a transaction open that has read the members, until the end of the block."""
    with Database(database_url, pool_size=1) as database, database.unrestricted() as connection:
        connection.execute(text("select count(*) from segment_members, audience_members"))
        yield
