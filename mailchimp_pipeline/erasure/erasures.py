"""Erasures from the demand to the last answer.

What does not belong here: what is asked of Mailchimp within an attempt (`asking`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, present_member_ids
from mailchimp_pipeline.erasure.asking import Asking
from mailchimp_pipeline.erasure.decisions import Demand, ErasureRequest
from mailchimp_pipeline.erasure.obstacles import NewTraces, NobodyToAsk
from mailchimp_pipeline.erasure.ports import ErasureAudiences, ErasureRecords
from mailchimp_pipeline.errors import PermanentError, PipelineError, TransientError


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended, and why not better; `cut_short` is what kept it from asking on.

    The texts hold no personal data.
    """

    request: ErasureRequest
    problems: tuple[PipelineError, ...] = ()
    cut_short: PipelineError | None = None

    @property
    def needs_person(self) -> bool:
        """Tell whether somebody has to do something before it can be completed."""
        return any(isinstance(problem, PermanentError) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Erasures:
    """Erases contacts. `mailchimp` opens an organisation's account; `source` may raise where none is set."""

    records: ErasureRecords
    source: Callable[[], Source]
    mailchimp: Callable[[str], AbstractContextManager[ErasureAudiences]]
    clock: Clock

    def erase(
        self,
        organisation_id: str,
        contact: tuple[EntityType, str],
        *,
        by: str,
        stopping: Callable[[], bool] = _never,
    ) -> Attempt:
        """Remove the contact here, and from Mailchimp as far as it answers now; the rest stays pending.

        Asked for again it is the same erasure, carried out anew. Raises `UnknownContact` where nothing is known of any.
        """
        unread: PipelineError | None = None
        demand = Demand(*contact, None, by)
        try:
            addresses = present_member_ids(self.source(), organisation_id, *contact)
            demand = Demand(*contact, addresses or (), by, is_known=addresses is not None)
        except PipelineError as error:
            unread = error
        request = self.records.ask(organisation_id, demand)
        return self._attempt(request, stopping, unread)

    def due(self) -> Sequence[ErasureRequest]:
        """Return the pending erasures that should be tried again now."""
        now = self.clock()
        return [request for request in self.records.pending() if request.is_due(now)]

    def carry_on(self) -> Iterator[Attempt]:
        """Go on with those that are due. An account that cannot be asked is not asked for the next of them."""
        away: dict[str, PipelineError] = {}
        for request in self.due():
            if (known := away.get(request.organisation_id)) is not None:
                yield Attempt(request, (known,))
                continue
            try:
                attempt = self._attempt(request, _never, None)
            except PipelineError as error:
                attempt = Attempt(request, (error,))
            if attempt.cut_short is not None:
                away[request.organisation_id] = attempt.cut_short
            yield attempt

    def _attempt(self, request: ErasureRequest, stopping: Callable[[], bool], unread: PipelineError | None) -> Attempt:
        with ExitStack() as held:
            try:
                held.enter_context(self.records.hold(request))
            except TransientError as taken:
                return Attempt(self.records.get(request), (taken,))
            targets = self.records.begin(request)
            if targets is None:
                return Attempt(self.records.get(request))
            asking = Asking(self.records, request, targets, stopping=stopping)
            self._ask_source(asking, unread)
            cut_short = self._ask_mailchimp(asking, request)
            problems = self._end(asking, request)
        return Attempt(self.records.get(request), problems, cut_short)

    def _ask_source(self, asking: Asking, unread: PipelineError | None) -> None:
        """Learn the contact's present address, unless it is known, or the source was asked just now in vain."""
        targets = asking.targets
        if targets.source_read:
            return
        try:
            if unread is not None:
                raise unread
            contact = (targets.entity_type, targets.entity_id)
            addresses = present_member_ids(self.source(), asking.organisation_id, *contact)
        except PipelineError as error:
            asking.problems.append(error)
            return
        asking.learn(targets.with_addresses(addresses or ()).model_copy(update={"source_read": True}))

    def _ask_mailchimp(self, asking: Asking, request: ErasureRequest) -> PipelineError | None:
        """Ask as far as it goes; return what cut it short."""
        try:
            reach = self.records.reach(request.organisation_id)
            if reach.is_connected:
                with self.mailchimp(request.organisation_id) as mailchimp:
                    asking.everywhere(mailchimp, reach)
                return None
            asking.sweep_all_but(())
            if asking.targets.is_anywhere:
                raise NobodyToAsk(request.organisation_id)
        except PipelineError as error:
            asking.problems.append(error)
            return error
        return None

    def _end(self, asking: Asking, request: ErasureRequest) -> tuple[PipelineError, ...]:
        if not asking.problems and not self.records.conclude(request, asking.targets):
            asking.problems.append(NewTraces())
        if asking.problems:
            errors = dict.fromkeys(str(problem) for problem in asking.problems)
            self.records.save(request, asking.targets, error="\n".join(errors))
        return tuple(asking.problems)
