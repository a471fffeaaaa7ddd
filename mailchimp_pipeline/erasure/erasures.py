"""Erasures, from the request to the last confirmation.

What does not belong here: the calls of an attempt (`asking`).
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
    """The result of an attempt, with its problems. `cut_short` is the error that ended the attempt early.

    The errors' texts have no personal data.
    """

    request: ErasureRequest
    problems: tuple[PipelineError, ...] = ()
    cut_short: PipelineError | None = None

    @property
    def needs_person(self) -> bool:
        """Return whether the erasure needs a person's help."""
        return any(isinstance(problem, PermanentError) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Erasures:
    """Erases contacts. `mailchimp` opens an organisation's account.

    `source` may raise an error if none is configured.
    """

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
        """Delete the contact from the database, and from Mailchimp as far as it answers. The rest stays pending.

        A repeated request reopens the same erasure. Raises `UnknownContact` if neither the source nor the database has
        the contact.
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
        """Return the pending erasures that are due for an attempt."""
        now = self.clock()
        return [request for request in self.records.pending() if request.is_due(now)]

    def carry_on(self) -> Iterator[Attempt]:
        """Continue the due erasures, and yield each attempt. After a failure, skip the account's remaining erasures."""
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
        """Store the contact's present address in the source, unless it is stored or the source has just failed."""
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
        """Delete the contact at Mailchimp. Return the error that ended the attempt early, or None."""
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
