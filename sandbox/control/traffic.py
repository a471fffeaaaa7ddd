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
from sandbox.model.state import SandboxResourceError
from sandbox.model.webhooks import EVENTS, Webhook


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
        return self._state.behaviours

    def configure(self, **changes: object) -> Behaviours:
        """Change some fields of `Behaviours` and return all of them."""
        with self._state.lock:
            before = self._state.behaviours.model_dump()
            self._state.behaviours = Behaviours.model_validate({**before, **changes})
            return self._state.behaviours

    def add_fault(self, fault: Fault) -> None:
        """Plan another fault."""
        with self._state.lock:
            self._state.faults.add(fault)

    def start_outage(self, kind: FaultKind = FaultKind.CUT) -> None:
        """Make every request fail from now on. An outage takes precedence over planned faults."""
        with self._state.lock:
            self._state.faults.outage = Fault(kind=kind)

    def end_outage(self) -> None:
        """End the outage. Planned faults stay planned."""
        with self._state.lock:
            self._state.faults.outage = None

    def clear_faults(self) -> None:
        """Remove all planned faults and end the outage."""
        with self._state.lock:
            self._state.faults.clear()

    def faults_struck(self) -> dict[FaultKind, int]:
        """Return the number of faults by kind since the start or the last `reset`."""
        with self._state.lock:
            return dict(self._state.faults.counts)

    def limit_signups(self, limit: SignupLimit) -> None:
        """Reject signups as the limit says."""
        with self._state.lock:
            self._state.limits.add(limit, self._state.now())

    def lift_signup_limits(self) -> None:
        """Remove all signup limits."""
        with self._state.lock:
            self._state.limits.clear()

    def add_hook(self, hook: Hook, act: str, arguments: Mapping[str, object]) -> None:
        """Run the control operation `act` when the hook fires. An operation that is impossible then has no effect."""
        operation = getattr(self, act, None)
        if act.startswith("_") or not callable(operation):
            msg = f"The sandbox has no operation {act}. See `Controls` for their names."
            raise SandboxResourceError(msg)
        checked = partial(validate_call(operation), **arguments)

        def run_operation() -> None:
            with suppress(PipelineError):
                checked()

        with self._state.lock:
            self._state.hooks.add(hook, run_operation)

    def clear_hooks(self) -> int:
        """Remove the hooks that have not fired, and return their number."""
        with self._state.lock:
            return self._state.hooks.clear()

    def keep_journal(self, *, kept: bool = True) -> None:
        """Start or stop recording the journal of calls and member changes."""
        with self._state.lock:
            self._state.journal.is_kept = kept

    def journal(self, after: int = 0) -> list[JournalEntry]:
        """Return the journal entries with a number above `after`."""
        with self._state.lock:
            return self._state.journal.entries[after:]

    def journal_length(self) -> int:
        """Return the number of journal entries."""
        with self._state.lock:
            return len(self._state.journal.entries)

    def add_webhook(
        self, list_id: str, url: str, *, sources: Sequence[Actor] = (Actor.USER, Actor.ADMIN), signed: bool = False
    ) -> str:
        """Create a webhook for all events from these sources without checking its URL, and return its id."""
        with self._state.lock:
            webhook_id = self._state.new_id()
            secret = self._state.new_id(64) if signed else None
            webhook = Webhook(webhook_id, url, frozenset(EVENTS), frozenset(sources), secret)
            self._state.audience(list_id).webhooks.add(webhook)
            return webhook_id

    def take_webhooks(self) -> list[HeldWebhook]:
        """Return and discard the held webhook deliveries, oldest first."""
        unix = int(self._state.now().timestamp())
        held: list[HeldWebhook] = []
        for delivery in self._sender.take_held():
            body = delivery.body()
            held.append(HeldWebhook(delivery.webhook.url, body.decode(), delivery.signature(body, unix)))
        return held

    def counts(self) -> Counts:
        """Return the request counts since the start or the last reset."""
        with self._state.lock:
            return self._state.recorder.counts()

    def sent(self, list_id: str) -> dict[str, int]:
        """Return how often batch requests to an audience contained each address, by hash, answered or not."""
        with self._state.lock:
            return self._state.recorder.sent(list_id)

    def carried_out(self, list_id: str) -> dict[str, int]:
        """Return how often processed batches contained each address, by hash."""
        with self._state.lock:
            return self._state.recorder.carried_out(list_id)

    def times_sent(self, list_id: str, address: str) -> int:
        """Return how often batch requests to an audience contained an address."""
        return self.sent(list_id).get(address_hash(address), 0)

    def reset_counts(self) -> None:
        """Reset all request counts to zero."""
        with self._state.lock:
            self._state.recorder = Recorder()

    def reset(self) -> None:
        """Reset the sandbox to its initial, empty state."""
        with self._state.lock:
            self._sender.clear()
            self._state.reset()

    def wait_for_deliveries(self, timeout_seconds: float = 60) -> bool:
        """Wait until all webhook deliveries have ended. Return False after the timeout."""
        return self._sender.wait_idle(timeout_seconds)
