"""Control operations on behaviours, faults, hooks, webhooks, the journal and the request counts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pydantic import validate_call

from mailchimp_pipeline.errors import PipelineError
from sandbox.control.operations import Operations
from sandbox.model.addresses import address_hash
from sandbox.model.behaviours import Behaviours
from sandbox.model.faults import Fault, FaultKind
from sandbox.model.hooks import Hook
from sandbox.model.journal import JournalEntry
from sandbox.model.members import Actor
from sandbox.model.recorder import Counts, Recorder
from sandbox.model.signup_limits import SignupLimit
from sandbox.model.webhooks import EVENTS, Webhook
from sandbox.model.world import UnknownThingError


@dataclass(frozen=True, slots=True)
class HeldWebhook:
    """A held webhook delivery: its form body, and its signature unless the webhook is unsigned."""

    url: str
    body: str
    signature: str | None


class TrafficControls(Operations):
    """Change behaviours, plan faults and read counts."""

    def behaviours(self) -> Behaviours:
        """Return the current behaviours."""
        return self._world.behaviours

    def configure(self, **changes: object) -> Behaviours:
        """Change some fields of `Behaviours` and return all of them."""
        with self._world.lock:
            before = self._world.behaviours.model_dump()
            self._world.behaviours = Behaviours.model_validate({**before, **changes})
            return self._world.behaviours

    def add_fault(self, fault: Fault) -> None:
        """Plan another fault."""
        with self._world.lock:
            self._world.faults.add(fault)

    def start_outage(self, kind: FaultKind = FaultKind.CUT) -> None:
        """Make every request fail from now on. An outage takes precedence over planned faults."""
        with self._world.lock:
            self._world.faults.outage = Fault(kind=kind)

    def end_outage(self) -> None:
        """End the outage. Planned faults stay planned."""
        with self._world.lock:
            self._world.faults.outage = None

    def clear_faults(self) -> None:
        """Remove all planned faults and end the outage."""
        with self._world.lock:
            self._world.faults.clear()

    def faults_struck(self) -> dict[FaultKind, int]:
        """Return the number of faults by kind since the start or the last `reset`."""
        with self._world.lock:
            return dict(self._world.faults.struck)

    def limit_signups(self, limit: SignupLimit) -> None:
        """Reject signups as the limit says."""
        with self._world.lock:
            self._world.limits.add(limit, self._world.now())

    def lift_signup_limits(self) -> None:
        """Remove all signup limits."""
        with self._world.lock:
            self._world.limits.clear()

    def add_hook(self, hook: Hook, act: str, arguments: Mapping[str, object]) -> None:
        """Run the control operation `act` when the hook fires. An operation that is impossible then has no effect."""
        operation = getattr(self, act, None)
        if act.startswith("_") or not callable(operation):
            msg = f"The sandbox has no operation {act}; name another."
            raise UnknownThingError(msg)
        checked = partial(validate_call(operation), **arguments)

        def carry_out() -> None:
            with suppress(PipelineError):
                checked()

        with self._world.lock:
            self._world.hooks.add(hook, carry_out)

    def clear_hooks(self) -> int:
        """Remove the hooks that have not fired, and return their number."""
        with self._world.lock:
            return self._world.hooks.clear()

    def keep_journal(self, *, kept: bool = True) -> None:
        """Start or stop recording the journal of calls and member changes."""
        with self._world.lock:
            self._world.journal.is_kept = kept

    def journal(self, after: int = 0) -> list[JournalEntry]:
        """Return the journal entries with a number above `after`."""
        with self._world.lock:
            return self._world.journal.entries[after:]

    def journal_length(self) -> int:
        """Return the number of journal entries."""
        with self._world.lock:
            return len(self._world.journal.entries)

    def add_webhook(
        self, list_id: str, url: str, *, sources: Sequence[Actor] = (Actor.USER, Actor.ADMIN), signed: bool = False
    ) -> str:
        """Create a webhook for all events from these sources without checking its URL, and return its id."""
        with self._world.lock:
            webhook_id = self._world.new_id()
            secret = self._world.new_id(64) if signed else None
            webhook = Webhook(webhook_id, url, frozenset(EVENTS), frozenset(sources), secret)
            self._world.audience(list_id).webhooks.add(webhook)
            return webhook_id

    def take_webhooks(self) -> list[HeldWebhook]:
        """Return and discard the held webhook deliveries, oldest first."""
        unix = int(self._world.now().timestamp())
        held: list[HeldWebhook] = []
        for delivery in self._courier.take_held():
            body = delivery.body()
            held.append(HeldWebhook(delivery.webhook.url, body.decode(), delivery.signature(body, unix)))
        return held

    def counts(self) -> Counts:
        """Return the request counts since the start or the last reset."""
        with self._world.lock:
            return self._world.recorder.counts()

    def sent(self, list_id: str) -> dict[str, int]:
        """Return how often batch requests to an audience contained each address, by hash, answered or not."""
        with self._world.lock:
            return self._world.recorder.sent(list_id)

    def carried_out(self, list_id: str) -> dict[str, int]:
        """Return how often processed batches contained each address, by hash."""
        with self._world.lock:
            return self._world.recorder.carried_out(list_id)

    def times_sent(self, list_id: str, address: str) -> int:
        """Return how often batch requests to an audience contained an address."""
        return self.sent(list_id).get(address_hash(address), 0)

    def reset_counts(self) -> None:
        """Reset all request counts to zero."""
        with self._world.lock:
            self._world.recorder = Recorder()

    def reset(self) -> None:
        """Reset the sandbox to its initial, empty state."""
        with self._world.lock:
            self._courier.clear()
            self._world.reset()

    def wait_for_deliveries(self, timeout_seconds: float = 60) -> bool:
        """Wait until all webhook deliveries have ended. Return False after the timeout."""
        return self._courier.wait_idle(timeout_seconds)
