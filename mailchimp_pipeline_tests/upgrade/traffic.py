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
from mailchimp_pipeline_tests.api.procedures.stage import NOTHING, Tenant
from mailchimp_pipeline_tests.api.trpc.wire import Answer
from mailchimp_pipeline_tests.waiting import eventually

_BACK_SECONDS = 0.1


@dataclass
class Traffic:
    """Requests in background threads, and their results."""

    tenant: Tenant
    staying: Mapping[str, object]
    """The segment to sync."""
    leaving: Sequence[str]
    """The ids of employees that opt out. The segment does not contain them."""
    partition_key: str = ""
    made: set[str] = field(default_factory=set[str])
    withdrawn: set[str] = field(default_factory=set[str])
    lost: list[Answer] = field(default_factory=list[Answer])
    errors: set[str | None] = field(default_factory=set["str | None"])
    slowest: float = 0
    withdrawals: int = 0
    syncs: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _going: list[Future[None]] = field(default_factory=list[Future[None]])

    def create_segments(self) -> None:
        """Connect, then create and list segments repeatedly."""
        self._connect()
        for number in count():
            if self._over.is_set():
                return
            wanted = {"name": f"Segment {number}", "segmentType": "vendor", "mailchimpListId": self.tenant.list_id}
            self.made.add(self._insist("segments.create", wanted)["id"])
            self._insist("segments.list")

    def withdraw(self) -> None:
        """Record one opt-out after the other, and read each preference."""
        for entity_id in cycle(self.leaving):
            if self._over.is_set():
                return
            entity = {"entityId": entity_id, "entityType": "employee"}
            self._insist("preferences.updateOptStatus", {**entity, "optedIn": False, "consentSource": "form"})
            self.withdrawn.add(self._insist("preferences.getForEntity", entity)["entityId"])
            self.withdrawals += 1

    def sync(self) -> None:
        """Connect and create the segment, then sync it repeatedly and record the errors."""
        self._connect()
        segment_id = self._insist("segments.create", {"mailchimpListId": self.tenant.list_id, **self.staying})["id"]
        self.partition_key = f"{self.tenant.organisation_id}/{segment_id}"
        for number in count():
            if self._over.is_set():
                return
            self.errors.add(self.sync_once(f"run-{number}"))
            self.syncs += 1

    def sync_once(self, run_id: str) -> str | None:
        """Sync, and return the error or None."""
        pipeline = Pipeline(self.tenant.stage.parts)
        (result,) = pipeline.sync([self.partition_key], run_id=run_id, push=True)
        return result.error

    def _connect(self) -> None:
        self._insist("connection.connect", {"apiKey": self.tenant.api_key})

    def _insist(self, path: str, value: object = NOTHING) -> Any:  # noqa: ANN401 - JSON
        ask = self.tenant.query if path.rpartition(".")[2] in {"list", "getForEntity"} else self.tenant.mutate
        while True:
            begun = time.monotonic()
            answer = ask(path, value)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answer.status != 503:
                break
            time.sleep(_BACK_SECONDS)
        if answer.status != 200:
            self.lost.append(answer)
        return answer.data

    @contextmanager
    def going_on(self) -> Generator[None]:
        """Run all requests in threads until the end of the block."""
        with ThreadPoolExecutor(3) as pool:
            self._going += [pool.submit(kind) for kind in (self.create_segments, self.withdraw, self.sync)]
            try:
                yield
            finally:
                self._over.set()
        self._raise_what_broke_off()

    def go_on(self, times: int = 3) -> None:
        """Wait until each kind of request has been repeated this many times."""
        before = self._done()

        def all_were() -> bool:
            self._raise_what_broke_off()
            return all(now - then >= times for now, then in zip(self._done(), before, strict=True))

        eventually(all_were)

    def _done(self) -> tuple[int, int, int]:
        return len(self.made), self.withdrawals, self.syncs

    def _raise_what_broke_off(self) -> None:
        for one in self._going:
            if one.done():
                one.result()


@contextmanager
def reading(database_url: str) -> Generator[None]:
    """Keep a transaction open that has read the members, until the end of the block."""
    with Database(database_url, pool_size=1) as database, database.unrestricted() as connection:
        connection.execute(text("select count(*) from segment_members, audience_members"))
        yield
