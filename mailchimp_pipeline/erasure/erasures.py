"""Carry out erasures: attempts to delete a contact at Mailchimp, and the errors that keep an erasure pending.

An attempt deletes each of the contact's addresses from each audience of the account. It holds the audience's lock
meanwhile, so that no sync adds the contact again. The contact's Mailchimp ids are stored before it is deleted, because
Mailchimp does not return them afterwards.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, present_member_ids
from mailchimp_pipeline.erasure.erasure_request import (
    AccountHistory,
    AttemptRecords,
    Deletion,
    Demand,
    ErasureAudiences,
    ErasureRecords,
    ErasureRequest,
    OpenDeletion,
    Targets,
    Trace,
)
from mailchimp_pipeline.errors import PermanentError, PipelineError, TransientError
from mailchimp_pipeline.sync import MemberRef, MemberStatus

_CONFIRM = "then confirm it with `mailchimp-pipeline erasures confirm`"


class UnknownContact(PermanentError):
    """Neither the source nor the database has the contact that is to be erased."""

    def __init__(self, entity_type: str) -> None:
        super().__init__(
            f"Nothing is known of such a contact: the source has no {entity_type} with this id, and nothing is kept of "
            "one. Check the id and the entity type. A person who is at Mailchimp alone is deleted there."
        )


class MovedAtMailchimp(PermanentError):
    """An audience no longer has the address at which it had the contact, and the contact was not found otherwise.

    A person must look for the contact in the audience.
    """

    def __init__(self, list_id: str) -> None:
        super().__init__(
            f"Audience {list_id} had the contact, and no longer knows the address: it was deleted there, or changed. "
            "Look in the audience for the person under another address, delete them permanently there, "
            f"{_CONFIRM}."
        )


class AudienceElsewhere(PermanentError):
    """An audience that had the contact is not in the Mailchimp account that is connected now."""

    def __init__(self, list_id: str) -> None:
        super().__init__(
            f"Audience {list_id} had the contact, and is not in the connected account: it belongs to one that was "
            "connected before, or is deleted. Connect that account, or delete the person permanently there, "
            f"{_CONFIRM}."
        )


class NobodyToAsk(PermanentError):
    """The organisation is not connected to Mailchimp, but its audiences had the contact."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(
            f"Organisation {organisation_id} is not connected to Mailchimp, and audiences of its account had the "
            f"contact. Connect it again, or delete the person permanently there, {_CONFIRM}."
        )


class NotAllAsked(TransientError):
    """The attempt ran out of time before the contact was deleted from all audiences."""

    def __init__(self) -> None:
        super().__init__("Not all audiences could be asked in time. The others are asked by the next attempt.")


class NewTraces(TransientError):
    """Further addresses or audiences of the contact became known during the attempt."""

    def __init__(self) -> None:
        super().__init__("More became known of the contact meanwhile. The next attempt sees to it.")


class AudienceDeletions:
    """One attempt to delete an erased contact from the audiences of a Mailchimp account.

    The attempt updates `targets`, which says what to delete and what is done, and collects errors in `problems`.
    """

    def __init__(
        self, records: AttemptRecords, request: ErasureRequest, targets: Targets, *, stopping: Callable[[], bool]
    ) -> None:
        self.targets = targets
        self.problems: list[PipelineError] = []
        self._records = records
        self._request = request
        self._stopping = stopping
        self._asked: set[tuple[str, str]] = set()
        """The deletions that this attempt has already tried, as pairs of audience id and subscriber hash."""

    @property
    def organisation_id(self) -> str:
        """The id of the contact's organisation."""
        return self._request.organisation_id

    def learn(self, targets: Targets) -> None:
        """Replace the targets, and store them if they have changed."""
        if targets != self.targets:
            self._records.save(self._request, targets)
            self.targets = targets

    def everywhere(self, mailchimp: ErasureAudiences, accounts: AccountHistory) -> None:
        """Delete the contact from all audiences of the account.

        An error that concerns one audience is added to `problems`. An error that ends the attempt is raised, for
        example if Mailchimp does not answer, or `NotAllAsked` if the time is up.
        """
        list_ids = [audience.id for audience in mailchimp.audiences()]
        self.remove_rows_elsewhere(list_ids)
        self._conclude_missing_audiences(list_ids, accounts)
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

    def remove_rows_elsewhere(self, list_ids: Collection[str]) -> None:
        """Remove the contact's new rows for all audiences of the organisation except `list_ids`.

        A sync may have written such rows since the request. An audience with a running sync is skipped, and the error
        is added to `problems`.
        """
        for list_id in self._records.audiences_known(self._request):
            if list_id not in list_ids:
                with self._held(list_id) as is_held:
                    if is_held:
                        self.targets = self._records.remove_new_rows(self._request, self.targets, list_id)

    def _recognise(self, mailchimp: ErasureAudiences, list_ids: Sequence[str]) -> None:
        """Search all members of the audiences for the contact's addresses.

        This is only done if the database has no address of the contact, but keyed hashes of them.
        """
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
        return next((open_deletion.list_id for open_deletion in self._todo(list_ids)), None)

    def _todo(self, list_ids: Sequence[str]) -> Sequence[OpenDeletion]:
        """Return the open deletions from these audiences that this attempt has not tried yet."""
        return [
            each
            for each in self.targets.open_deletions(list_ids)
            if each.list_id in list_ids and each.key not in self._asked
        ]

    def _conclude_missing_audiences(self, list_ids: Sequence[str], accounts: AccountHistory) -> None:
        """Settle the deletions from audiences that the connected account does not have.

        If the organisation had no other account, the audience was deleted, and nothing is left to do. Otherwise the
        audience may be in a former account, which is a problem for a person.
        """
        missing = [each for each in self.targets.open_deletions(()) if each.list_id not in list_ids]
        for open_deletion in missing:
            if not accounts.had_other_accounts:
                self.targets = self.targets.with_settled(open_deletion, deleted=False)
            elif open_deletion.was_there:
                self.problems.append(AudienceElsewhere(open_deletion.list_id))

    def _audience(self, mailchimp: ErasureAudiences, list_id: str) -> None:
        with self._held(list_id) as is_held:
            if not is_held:
                self._asked |= {each.key for each in self._todo([list_id])}
                return
            self.targets = self._records.remove_new_rows(self._request, self.targets, list_id)
            for open_deletion in self._todo([list_id]):
                self._asked.add(open_deletion.key)
                self._ask(mailchimp, open_deletion)
            self._records.save(self._request, self.targets)

    @contextmanager
    def _held(self, list_id: str) -> Generator[bool]:
        """Hold the audience's lock during the block, and yield True. If the lock is not free, yield False instead."""
        with ExitStack() as held:
            try:
                held.enter_context(self._records.hold_audience(self._request, list_id))
            except TransientError as busy:
                self.problems.append(busy)
                yield False
                return
            yield True

    def _ask(self, mailchimp: ErasureAudiences, open_deletion: OpenDeletion) -> None:
        known = self._identified(mailchimp, open_deletion)
        if known is None:
            self.problems.append(MovedAtMailchimp(open_deletion.list_id))
            return
        deletion = mailchimp.delete_permanently(known.list_id, known.ref)
        if known.member_id is not None:
            # The audience may have the address in another spelling too.
            mailchimp.delete_permanently(known.list_id, MemberRef(known.subscriber_hash))
        if known.is_settled_by(deletion):
            self.targets = self.targets.with_settled(known, deleted=deletion is not Deletion.UNKNOWN)
        elif known.contact_id is None:
            self.problems.append(MovedAtMailchimp(open_deletion.list_id))
        else:
            self._ask_for_contact(mailchimp, known, known.contact_id)

    def _identified(self, mailchimp: ErasureAudiences, open_deletion: OpenDeletion) -> OpenDeletion | None:
        """Look up the member's contact id, if it is not known, and return the deletion with it.

        Return None if the audience had the member and no longer has it.
        """
        if not open_deletion.was_there or open_deletion.contact_id is not None:
            return open_deletion
        found = mailchimp.member_state(open_deletion.list_id, open_deletion.ref)
        if found is None:
            return None
        trace = Trace(
            list_id=open_deletion.list_id,
            subscriber_hash=open_deletion.subscriber_hash,
            contact_id=found.contact_id,
            member_id=found.member_id,
        )
        self.learn(self.targets.with_traces([trace]))
        return replace(open_deletion, contact_id=found.contact_id, member_id=found.member_id)

    def _ask_for_contact(self, mailchimp: ErasureAudiences, open_deletion: OpenDeletion, contact_id: str) -> None:
        """Delete the contact at the address to which it changed, found by its contact id.

        If no member has this contact id, the contact is gone, and the deletion is settled.
        """
        deletion = Deletion.UNKNOWN
        found = mailchimp.find_contact(open_deletion.list_id, contact_id)
        if found is not None:
            self.learn(self.targets.with_addresses([found.subscriber_hash]))
            # Permanent deletion is the only call that does not accept a contact id.
            ref = MemberRef(found.subscriber_hash, contact_id, found.member_id)
            deletion = mailchimp.delete_permanently(open_deletion.list_id, ref)
            if (
                deletion is not Deletion.DELETED
                and mailchimp.find_contact(open_deletion.list_id, contact_id) is not None
            ):
                self.problems.append(MovedAtMailchimp(open_deletion.list_id))
                return
        self.targets = self.targets.with_settled(open_deletion, deleted=deletion is not Deletion.UNKNOWN)


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of an attempt to carry out an erasure.

    `request` is the erasure after the attempt. `problems` are the errors of the attempt, without personal data. They
    include `cut_short`, the error that ended the attempt early, if any.
    """

    request: ErasureRequest
    problems: tuple[PipelineError, ...] = ()
    cut_short: PipelineError | None = None

    @property
    def needs_person(self) -> bool:
        """Whether a person must help, because repeating the attempt is not enough."""
        return any(isinstance(problem, PermanentError) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Erasures:
    """Erases contacts from the database and from Mailchimp.

    `source` returns the source of contacts, or raises an error if none is configured. `mailchimp` opens the Mailchimp
    account of an organisation, given by its id.
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
        """Delete the contact from the database at once, and try to delete it from all audiences at Mailchimp.

        If that fails, the erasure stays pending, and `retry_pending` continues it. A repeated request reopens the same
        erasure. `stopping` is asked whether to end the attempt. Raises `UnknownContact` if neither the source nor the
        database has the contact.
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
        """Continue the erasures that are due, and yield the result of each attempt.

        After an error that ended an attempt early, the organisation's remaining erasures are skipped with that error.
        """
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
        """Read the contact's current address from the source and add it to the targets, unless that was done before.

        `unread` is the error if the source could not be read just before. It is then not read again.
        """
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
        """Delete the contact from all audiences. Return the error that ended the attempt early, or None."""
        try:
            accounts = self.records.account_history(request.organisation_id)
            if accounts.is_connected:
                with self.mailchimp(request.organisation_id) as mailchimp:
                    deletions.everywhere(mailchimp, accounts)
                return None
            deletions.remove_rows_elsewhere(())
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
