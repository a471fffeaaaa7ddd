"""Erasures, from the request to the last confirmation, and the errors that keep an erasure pending.

An attempt deletes a contact at Mailchimp: every address in every audience. The audience's lock is held meanwhile, so
that no sync adds the contact again. Ids of the contact are stored before its deletion, because Mailchimp does not
return them afterwards.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, present_member_ids
from mailchimp_pipeline.erasure.erasure_request import (
    AttemptRecords,
    Deletion,
    Demand,
    ErasureAudiences,
    ErasureRecords,
    ErasureRequest,
    Question,
    Reach,
    Targets,
    Trace,
)
from mailchimp_pipeline.errors import PermanentError, PipelineError, TransientError
from mailchimp_pipeline.sync import MemberRef, MemberStatus

_CONFIRM = "then confirm it with `mailchimp-pipeline erasures confirm`"


class UnknownContact(PermanentError):
    """Neither the source nor the database has the contact."""

    def __init__(self, entity_type: str) -> None:
        super().__init__(
            f"Nothing is known of such a contact: the source has no {entity_type} with this id, and nothing is kept of "
            "one. Check the id and the entity type. A person who is at Mailchimp alone is deleted there."
        )


class MovedAtMailchimp(PermanentError):
    """An audience that had the contact no longer has the address, and the contact id did not lead to a deletion."""

    def __init__(self, list_id: str) -> None:
        super().__init__(
            f"Audience {list_id} had the contact, and no longer knows the address: it was deleted there, or changed. "
            "Look in the audience for the person under another address, delete them permanently there, "
            f"{_CONFIRM}."
        )


class AudienceElsewhere(PermanentError):
    """An audience that had the contact is not in the connected account."""

    def __init__(self, list_id: str) -> None:
        super().__init__(
            f"Audience {list_id} had the contact, and is not in the connected account: it belongs to one that was "
            "connected before, or is deleted. Connect that account, or delete the person permanently there, "
            f"{_CONFIRM}."
        )


class NobodyToAsk(PermanentError):
    """The organisation is not connected, although its audiences had the contact."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(
            f"Organisation {organisation_id} is not connected to Mailchimp, and audiences of its account had the "
            f"contact. Connect it again, or delete the person permanently there, {_CONFIRM}."
        )


class NotAllAsked(TransientError):
    """The attempt's time was up before all audiences were tried."""

    def __init__(self) -> None:
        super().__init__("Not all audiences could be asked in time. The others are asked by the next attempt.")


class NewTraces(TransientError):
    """New addresses or audiences of the contact were found during the attempt."""

    def __init__(self) -> None:
        super().__init__("More became known of the contact meanwhile. The next attempt sees to it.")


class AudienceDeletions:
    """The deletions of one erasure at Mailchimp. `targets` and `problems` grow during the attempt."""

    def __init__(
        self, records: AttemptRecords, request: ErasureRequest, targets: Targets, *, stopping: Callable[[], bool]
    ) -> None:
        self.targets = targets
        self.problems: list[PipelineError] = []
        self._records = records
        self._request = request
        self._stopping = stopping
        self._asked: set[tuple[str, str]] = set()
        """Audience and address of deletions that this attempt has already tried."""

    @property
    def organisation_id(self) -> str:
        """The organisation of the contact."""
        return self._request.organisation_id

    def learn(self, targets: Targets) -> None:
        """Store new information about the contact."""
        if targets != self.targets:
            self._records.save(self._request, targets)
            self.targets = targets

    def everywhere(self, mailchimp: ErasureAudiences, reach: Reach) -> None:
        """Delete the contact in all audiences of the account.

        Raises errors that end the attempt; others go to `problems`.
        """
        list_ids = [audience.id for audience in mailchimp.audiences()]
        self.sweep_all_but(list_ids)
        self._conclude_missing_audiences(list_ids, reach)
        if not self.targets.addresses:
            self._recognise(mailchimp, list_ids)
        # An address found in one audience is then deleted in all.
        while list_id := self._next(list_ids):
            if self._stopping():
                raise NotAllAsked
            try:
                self._audience(mailchimp, list_id)
            except PermanentError as error:
                self.problems.append(error)

    def sweep_all_but(self, list_ids: Collection[str]) -> None:
        """Remove rows that syncs wrote about the contact in other audiences of the organisation.

        An audience with a running sync is skipped, and added to `problems`.
        """
        for list_id in self._records.audiences_known(self._request):
            if list_id not in list_ids:
                with self._held(list_id) as is_held:
                    if is_held:
                        self.targets = self._records.sweep(self._request, self.targets, list_id)

    def _recognise(self, mailchimp: ErasureAudiences, list_ids: Sequence[str]) -> None:
        """Find the contact's addresses among all members, if an earlier erasure left only their keyed hashes."""
        if not self._records.keeps_addresses(self._request):
            return
        listings = (
            mailchimp.member_states(list_id, status=status)
            for list_id in list_ids
            for status in (None, MemberStatus.ARCHIVED)
        )
        for page in chain.from_iterable(listings):
            if self._stopping():
                raise NotAllAsked
            hashes = {member.subscriber_hash for member in page}
            theirs = frozenset(self._records.recognised(self._request, hashes))
            found = [member for member in page if member.subscriber_hash in theirs]
            self.learn(self.targets.with_addresses(theirs.union(each.member_id for each in found if each.member_id)))

    def _next(self, list_ids: Sequence[str]) -> str | None:
        return next((question.list_id for question in self._todo(list_ids)), None)

    def _todo(self, list_ids: Sequence[str]) -> Sequence[Question]:
        """Return the deletions in these audiences that this attempt has not tried."""
        questions = self.targets.questions(list_ids)
        return [question for question in questions if question.list_id in list_ids and question.key not in self._asked]

    def _conclude_missing_audiences(self, list_ids: Sequence[str], reach: Reach) -> None:
        """Settle deletions in audiences that were deleted. An audience of another account is a problem for a person."""
        missing = [question for question in self.targets.questions(()) if question.list_id not in list_ids]
        for question in missing:
            if not reach.had_other_accounts:
                self.targets = self.targets.with_settled(question, deleted=False)
            elif question.was_there:
                self.problems.append(AudienceElsewhere(question.list_id))

    def _audience(self, mailchimp: ErasureAudiences, list_id: str) -> None:
        with self._held(list_id) as is_held:
            if not is_held:
                self._asked |= {question.key for question in self._todo([list_id])}
                return
            self.targets = self._records.sweep(self._request, self.targets, list_id)
            for question in self._todo([list_id]):
                self._asked.add(question.key)
                self._ask(mailchimp, question)
            self._records.save(self._request, self.targets)

    @contextmanager
    def _held(self, list_id: str) -> Generator[bool]:
        """Hold the audience's lock for the block. Yield whether the lock was free."""
        with ExitStack() as held:
            try:
                held.enter_context(self._records.hold_audience(self._request, list_id))
            except TransientError as busy:
                self.problems.append(busy)
                yield False
                return
            yield True

    def _ask(self, mailchimp: ErasureAudiences, question: Question) -> None:
        known = self._identified(mailchimp, question)
        if known is None:
            self.problems.append(MovedAtMailchimp(question.list_id))
            return
        deletion = mailchimp.delete_permanently(known.list_id, known.ref)
        if known.member_id is not None:
            # The audience may have the address in another spelling too.
            mailchimp.delete_permanently(known.list_id, MemberRef(known.subscriber_hash))
        if known.is_settled_by(deletion):
            self.targets = self.targets.with_settled(known, deleted=deletion is not Deletion.UNKNOWN)
        elif known.contact_id is None:
            self.problems.append(MovedAtMailchimp(question.list_id))
        else:
            self._ask_for_contact(mailchimp, known, known.contact_id)

    def _identified(self, mailchimp: ErasureAudiences, question: Question) -> Question | None:
        """Return the question with the member's contact id, None if the audience no longer has the member."""
        if not question.was_there or question.contact_id is not None:
            return question
        found = mailchimp.member_state(question.list_id, question.ref)
        if found is None:
            return None
        trace = Trace(
            list_id=question.list_id,
            subscriber_hash=question.subscriber_hash,
            contact_id=found.contact_id,
            member_id=found.member_id,
        )
        self.learn(self.targets.with_traces([trace]))
        return replace(question, contact_id=found.contact_id, member_id=found.member_id)

    def _ask_for_contact(self, mailchimp: ErasureAudiences, question: Question, contact_id: str) -> None:
        """Delete the contact at its changed address, found by contact id. If there is none, the contact is gone."""
        deletion = Deletion.UNKNOWN
        found = mailchimp.find_contact(question.list_id, contact_id)
        if found is not None:
            self.learn(self.targets.with_addresses([found.subscriber_hash]))
            # Permanent deletion is the only call that does not accept a contact id.
            ref = MemberRef(found.subscriber_hash, contact_id, found.member_id)
            deletion = mailchimp.delete_permanently(question.list_id, ref)
            if deletion is not Deletion.DELETED and mailchimp.find_contact(question.list_id, contact_id) is not None:
                self.problems.append(MovedAtMailchimp(question.list_id))
                return
        self.targets = self.targets.with_settled(question, deleted=deletion is not Deletion.UNKNOWN)


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

    def retry_pending(self) -> Iterator[Attempt]:
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
            deletions = AudienceDeletions(self.records, request, targets, stopping=stopping)
            self._ask_source(deletions, unread)
            cut_short = self._ask_mailchimp(deletions, request)
            problems = self._end(deletions, request)
        return Attempt(self.records.get(request), problems, cut_short)

    def _ask_source(self, deletions: AudienceDeletions, unread: PipelineError | None) -> None:
        """Store the contact's present address in the source, unless it is stored or the source has just failed."""
        targets = deletions.targets
        if targets.source_read:
            return
        try:
            if unread is not None:
                raise unread
            contact = (targets.entity_type, targets.entity_id)
            addresses = present_member_ids(self.source(), deletions.organisation_id, *contact)
        except PipelineError as error:
            deletions.problems.append(error)
            return
        deletions.learn(targets.with_addresses(addresses or ()).model_copy(update={"source_read": True}))

    def _ask_mailchimp(self, deletions: AudienceDeletions, request: ErasureRequest) -> PipelineError | None:
        """Delete the contact at Mailchimp. Return the error that ended the attempt early, or None."""
        try:
            reach = self.records.reach(request.organisation_id)
            if reach.is_connected:
                with self.mailchimp(request.organisation_id) as mailchimp:
                    deletions.everywhere(mailchimp, reach)
                return None
            deletions.sweep_all_but(())
            if deletions.targets.is_anywhere:
                raise NobodyToAsk(request.organisation_id)
        except PipelineError as error:
            deletions.problems.append(error)
            return error
        return None

    def _end(self, deletions: AudienceDeletions, request: ErasureRequest) -> tuple[PipelineError, ...]:
        if not deletions.problems and not self.records.conclude(request, deletions.targets):
            deletions.problems.append(NewTraces())
        if deletions.problems:
            errors = dict.fromkeys(str(problem) for problem in deletions.problems)
            self.records.save(request, deletions.targets, error="\n".join(errors))
        return tuple(deletions.problems)
