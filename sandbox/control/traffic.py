"""Operations on how the sandbox behaves and fails, and on what it was asked.

What does not belong here: what the settings mean (`model.behaviours`, `model.faults`).
"""

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
    """A delivery that was held: its form, and its signature where it has one."""

    url: str
    body: str
    signature: str | None


class TrafficControls(Operations):
    """Set how it behaves, plan faults, read counts."""

    def behaviours(self) -> Behaviours:
        """Return how the sandbox behaves now."""
        return self._world.behaviours

    def configure(self, **changes: object) -> Behaviours:
        """Change some of the fields of `Behaviours`; the others stay. Returns all of them."""
        with self._world.lock:
            before = self._world.behaviours.model_dump()
            self._world.behaviours = Behaviours.model_validate({**before, **changes})
            return self._world.behaviours

    def add_fault(self, fault: Fault) -> None:
        """Plan one more fault."""
        with self._world.lock:
            self._world.faults.add(fault)

    def start_outage(self, kind: FaultKind = FaultKind.CUT) -> None:
        """Let every request fail from now on; this comes before all other faults."""
        with self._world.lock:
            self._world.faults.outage = Fault(kind=kind)

    def end_outage(self) -> None:
        """Let requests through again; other faults stay planned."""
        with self._world.lock:
            self._world.faults.outage = None

    def clear_faults(self) -> None:
        """Plan no faults any more, and end an outage."""
        with self._world.lock:
            self._world.faults.clear()

    def faults_struck(self) -> dict[FaultKind, int]:
        """Return how often each kind of fault happened since the start or the last reset of everything."""
        with self._world.lock:
            return dict(self._world.faults.struck)

    def limit_signups(self, limit: SignupLimit) -> None:
        """Refuse to sign up addresses for now."""
        with self._world.lock:
            self._world.limits.add(limit, self._world.now())

    def lift_signup_limits(self) -> None:
        """Refuse no address any more for having signed up too often."""
        with self._world.lock:
            self._world.limits.clear()

    def add_hook(self, hook: Hook, act: str, arguments: Mapping[str, object]) -> None:
        """Carry out the operation `act` at the moment that the hook names, unless it is impossible then."""
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
        """Forget the hooks that have not come; return how many there were."""
        with self._world.lock:
            return self._world.hooks.clear()

    def keep_journal(self, *, kept: bool = True) -> None:
        """Keep a journal of calls and of changes of members from now on, or no longer."""
        with self._world.lock:
            self._world.journal.is_kept = kept

    def journal(self, after: int = 0) -> list[JournalEntry]:
        """Return the entries of the journal with greater numbers."""
        with self._world.lock:
            return self._world.journal.entries[after:]

    def journal_length(self) -> int:
        """Return how many entries the journal has by now."""
        with self._world.lock:
            return len(self._world.journal.entries)

    def add_webhook(
        self, list_id: str, url: str, *, sources: Sequence[Actor] = (Actor.USER, Actor.ADMIN), signed: bool = False
    ) -> str:
        """Give an audience a webhook for all events from some sources, which nobody verifies; returns its id."""
        with self._world.lock:
            webhook_id = self._world.new_id()
            secret = self._world.new_id(64) if signed else None
            webhook = Webhook(webhook_id, url, frozenset(EVENTS), frozenset(sources), secret)
            self._world.audience(list_id).webhooks.add(webhook)
            return webhook_id

    def take_webhooks(self) -> list[HeldWebhook]:
        """Return the deliveries held since the last time, the first first; they are not made any more."""
        unix = int(self._world.now().timestamp())
        held: list[HeldWebhook] = []
        for delivery in self._courier.take_held():
            body = delivery.body()
            held.append(HeldWebhook(delivery.webhook.url, body.decode(), delivery.signature(body, unix)))
        return held

    def counts(self) -> Counts:
        """Return what was asked since the start or the last reset."""
        with self._world.lock:
            return self._world.recorder.counts()

    def sent(self, list_id: str) -> dict[str, int]:
        """Return how often each address, as its hash, came to an audience in a batch, answered or not."""
        with self._world.lock:
            return self._world.recorder.sent(list_id)

    def carried_out(self, list_id: str) -> dict[str, int]:
        """Return how often each address, as its hash, was in a batch that was carried out."""
        with self._world.lock:
            return self._world.recorder.carried_out(list_id)

    def times_sent(self, list_id: str, address: str) -> int:
        """Return how often one address came to an audience in a batch."""
        return self.sent(list_id).get(address_hash(address), 0)

    def reset_counts(self) -> None:
        """Count from nothing again."""
        with self._world.lock:
            self._world.recorder = Recorder()

    def reset(self) -> None:
        """Forget everything: accounts, members, behaviours, faults, counts, deliveries that are due."""
        with self._world.lock:
            self._courier.clear()
            self._world.reset()

    def wait_for_deliveries(self, timeout_seconds: float = 60) -> bool:
        """Wait until no webhook delivery is due or under way; returns whether that came in time."""
        return self._courier.wait_idle(timeout_seconds)
