"""What goes on while tables change: requests to the API, syncs, and somebody who reads for long.

A request that is told to come back later comes back. What is answered otherwise than well is kept as lost.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import text

from mailchimp_pipeline.assembly import DatabasePipeline
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline_tests.api.procedures.stage import NOTHING, Tenant
from mailchimp_pipeline_tests.api.trpc.wire import Answer

_BACK_SECONDS = 0.1


@dataclass
class Traffic:
    """What was asked and answered. `told_later` counts answers that say to come back."""

    tenant: Tenant
    partition_key: str
    made: set[str] = field(default_factory=set[str])
    withdrawn: set[str] = field(default_factory=set[str])
    lost: list[Answer] = field(default_factory=list[Answer])
    errors: set[str | None] = field(default_factory=set["str | None"])
    answered: int = 0
    told_later: int = 0
    slowest: float = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def create_segments(self) -> None:
        """Create and list, again and again."""
        for number in count():
            if self._over.is_set():
                return
            wanted = {"name": f"Segment {number}", "segmentType": "vendor", "mailchimpListId": self.tenant.list_id}
            self.made.add(self._insist("segments.create", wanted)["id"])
            self._insist("segments.list")

    def withdraw(self) -> None:
        """Let one contact after the other opt out, and look whether it counts."""
        for number in count(1000):
            if self._over.is_set():
                return
            entity = {"entityId": str(number), "entityType": "employee"}
            self._insist("preferences.updateOptStatus", {**entity, "optedIn": False, "consentSource": "form"})
            self.withdrawn.add(self._insist("preferences.getForEntity", entity)["entityId"])

    def sync(self) -> None:
        """Sync, again and again, and keep what each says."""
        for number in count():
            if self._over.is_set():
                return
            self.errors.add(self.sync_once(f"run-{number}"))

    def sync_once(self, run_id: str) -> str | None:
        """Sync, and return the error if there was one."""
        pipeline = DatabasePipeline(self.tenant.stage.parts)
        (result,) = pipeline.sync([self.partition_key], run_id=run_id, request_id=None, push=True)
        return result.error

    def _insist(self, path: str, value: object = NOTHING) -> Any:  # noqa: ANN401 - JSON
        ask = self.tenant.query if path.rpartition(".")[2] in {"list", "getForEntity"} else self.tenant.mutate
        while True:
            begun = time.monotonic()
            answer = ask(path, value)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answer.status != 503:
                break
            self.told_later += 1
            time.sleep(_BACK_SECONDS)
        self.answered += 1
        if answer.status != 200:
            self.lost.append(answer)
        return answer.data

    @contextmanager
    def going_on(self) -> Generator[None]:
        """Keep all of it going in threads until the end of the block."""
        kinds: tuple[Callable[[], None], ...] = (self.create_segments, self.withdraw, self.sync)
        threads = [threading.Thread(target=kind, daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(timeout=60)


@contextmanager
def reading_for(database_url: str, seconds: float) -> Generator[None]:
    """Keep a transaction open, that reads members, for so long beside the block."""
    reads = threading.Event()

    def read() -> None:
        with Database(database_url, pool_size=1) as database, database.unrestricted() as connection:
            connection.execute(text("select count(*) from segment_members, audience_members"))
            reads.set()
            time.sleep(seconds)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert reads.wait(timeout=30)
    yield
    thread.join(timeout=60)
