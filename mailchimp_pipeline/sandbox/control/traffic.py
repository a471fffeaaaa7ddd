"""Operations on how the sandbox behaves and fails, and on what it was asked.

What does not belong here: what the settings mean (`model.behaviours`, `model.faults`).
"""

from mailchimp_pipeline.sandbox.control.operations import Operations
from mailchimp_pipeline.sandbox.model.addresses import address_hash
from mailchimp_pipeline.sandbox.model.behaviours import Behaviours
from mailchimp_pipeline.sandbox.model.faults import Fault, FaultKind
from mailchimp_pipeline.sandbox.model.recorder import Counts, Recorder


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
