"""Correct the database after the restore of a backup: read all audiences, and record what they have now.

Changes nothing at Mailchimp.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.audience_members import audiences_known, members_known, record_deleted
from mailchimp_pipeline.database.connection_store import connected_organisations
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.sync import Audiences, MemberRef, MemberState, MemberStatus

_BY = "reconcile"
_LOCK_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ReconciledAudience:
    """The number of members in which an audience differed from the database, or the error of reading the audience.

    `read` counts all members of the audience. `unknown` members were not in the database. `changed` members had another
    status there. `unsubscribed` counts those of both that are unsubscribed at Mailchimp. `deleted` members were in the
    database, and Mailchimp has deleted them permanently. `opted_out` counts the contacts who count as opted out because
    of that.
    """

    organisation_id: str
    list_id: str
    read: int = 0
    unknown: int = 0
    changed: int = 0
    unsubscribed: int = 0
    deleted: int = 0
    opted_out: int = 0
    error: str | None = None


class NotReconciled(PermanentError):
    """The organisation to reconcile is not connected."""


@dataclass(slots=True)
class _Comparison:
    """Counts the differences page by page. `known` has the database's status and ids by subscriber hash."""

    known: Mapping[str, tuple[str | None, MemberRef]]
    unknown: int = 0
    changed: int = 0
    unsubscribed: int = 0
    there: set[str] = field(default_factory=set[str])
    contact_ids: set[str] = field(default_factory=set[str])

    def add(self, page: Sequence[MemberState]) -> None:
        """Compare a page of members. A repeated member is ignored, because pages shift while members change."""
        for member in page:
            if member.subscriber_hash in self.there:
                continue
            self.there.add(member.subscriber_hash)
            self.contact_ids |= {member.contact_id} if member.contact_id else set()
            is_known = member.subscriber_hash in self.known
            status, _ = self.known.get(member.subscriber_hash, (None, None))
            is_archived_by_us = status == "removed" and member.status is MemberStatus.ARCHIVED
            differs = not is_known or not (status == member.status.value or is_archived_by_us)
            self.unknown += not is_known
            self.changed += differs and is_known
            self.unsubscribed += differs and member.status is MemberStatus.UNSUBSCRIBED

    def missing(self) -> list[MemberRef]:
        """Return the members that the database has and the audience does not, under any address."""
        return [
            ref
            for key, (status, ref) in sorted(self.known.items())
            if status is not None and key not in self.there and ref.contact_id not in self.contact_ids
        ]


def reconcile_audiences(
    database: Database,
    keyring: Keyring,
    open_mailchimp: Callable[[str], AbstractContextManager[Audiences]],
    *,
    organisation_id: str | None,
    dry_run: bool,
) -> Iterator[ReconciledAudience]:
    """Correct the database's record of the audiences of one organisation, or of all connected ones if the id is None.

    Yield a result for each audience. If a whole account fails, a result with the list id `all` has the error. A dry run
    only counts differences. Raises `NotReconciled` if the organisation is not connected.
    """
    with database.everyone() as session:
        connected = connected_organisations(session)
    if organisation_id is not None and organisation_id not in connected:
        raise NotReconciled(f"Organisation {organisation_id} is not connected to Mailchimp. Check its id.")
    for each in connected if organisation_id is None else [organisation_id]:
        reconciliation = Reconciliation(database, keyring, each, partial(open_mailchimp, each), dry_run=dry_run)
        try:
            yield from reconciliation.audiences()
        except PipelineError as error:
            yield ReconciledAudience(each, "all", error=str(error))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Compares one organisation's audiences with the database, and corrects the database. A dry run writes nothing."""

    database: Database
    keyring: Keyring
    organisation_id: str
    open_mailchimp: Callable[[], AbstractContextManager[Audiences]]
    clock: Clock = utc_now
    dry_run: bool = False

    def audiences(self) -> Iterator[ReconciledAudience]:
        """Correct the database's record of each audience. Yield a result for each.

        If an audience cannot be read, its result has the error, and the others continue.
        """
        with self.database.organisation(self.organisation_id) as session:
            list_ids = audiences_known(session)
        with self.open_mailchimp() as mailchimp:
            for list_id in list_ids:
                try:
                    yield self._reconciled(mailchimp, list_id)
                except PipelineError as error:
                    yield ReconciledAudience(self.organisation_id, list_id, error=str(error))

    def _reconciled(self, mailchimp: Audiences, list_id: str) -> ReconciledAudience:
        database, begun = self.database, self.clock()
        ledger = DatabaseLedger(database, self.keyring, self.organisation_id, list_id, self.clock)
        with hold_audience(database, self.organisation_id, list_id, wait_seconds=_LOCK_SECONDS):
            with database.organisation(self.organisation_id) as session:
                comparison = _Comparison(members_known(session, list_id))
            for status in (None, MemberStatus.ARCHIVED):
                for page in mailchimp.member_states(list_id, status=status):
                    comparison.add(page)
                    if not self.dry_run:
                        ledger.record_member_states(page)
            # A member may be missing because pages shifted, so each missing member is read.
            found = {ref.subscriber_hash: mailchimp.member_state(list_id, ref) for ref in comparison.missing()}
            opted_out = 0 if self.dry_run else self._record_missing(ledger, found)
            if not self.dry_run:
                ledger.finish_reading(begun)
        return ReconciledAudience(
            self.organisation_id,
            list_id,
            read=len(comparison.there),
            unknown=comparison.unknown,
            changed=comparison.changed,
            unsubscribed=comparison.unsubscribed,
            deleted=sum(member is None for member in found.values()),
            opted_out=opted_out,
        )

    def _record_missing(self, ledger: DatabaseLedger, found: Mapping[str, MemberState | None]) -> int:
        ledger.record_member_states([member for member in found.values() if member is not None])
        deleted = [key for key, member in found.items() if member is None]
        with self.database.organisation(self.organisation_id) as session:
            return record_deleted(session, self.keyring, ledger.list_id, deleted, by=_BY, at=self.clock())
