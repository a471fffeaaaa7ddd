"""`mailchimp-pipeline reconcile`: after an older database was restored, reads every audience and mends its ledger.

It pushes nobody, and asks Mailchimp to change nothing. What does not belong here: restoring (`docs/backup.md`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

from rich.console import Console

from mailchimp_pipeline.assembly import Parts, open_parts
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.connections import connected_organisations
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.database.mending import audiences_known, members_known, note_deleted
from mailchimp_pipeline.errors import LastingError, PipelineError
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.sync import Audiences, MemberStatus, Standing
from mailchimp_pipeline.sync.mending import Comparison, Mending
from mailchimp_pipeline.tables import mending_table

_BY = "reconcile"
_LOCK_SECONDS = 600


class NotReconciled(LastingError):
    """There is nothing to reconcile with, by that name."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One organisation's audiences against its ledgers. A dry run writes nothing."""

    parts: Parts
    organisation_id: str
    open_mailchimp: Callable[[], AbstractContextManager[Audiences]]
    clock: Clock = utc_now
    dry_run: bool = False

    def mendings(self) -> Iterator[Mending]:
        """Mend one audience after the other, and yield what was found; one that cannot be read says why."""
        with self.parts.database.organisation(self.organisation_id) as session:
            list_ids = audiences_known(session)
        with self.open_mailchimp() as mailchimp:
            for list_id in list_ids:
                try:
                    yield self._mended(mailchimp, list_id)
                except PipelineError as error:
                    yield Mending(self.organisation_id, list_id, error=str(error))

    def _mended(self, mailchimp: Audiences, list_id: str) -> Mending:
        database, begun = self.parts.database, self.clock()
        ledger = DatabaseLedger(database, self.organisation_id, list_id, self.clock, keyring=self.parts.keyring)
        with hold_audience(database, self.organisation_id, list_id, wait_seconds=_LOCK_SECONDS):
            with database.organisation(self.organisation_id) as session:
                comparison = Comparison(members_known(session, list_id))
            for status in (None, MemberStatus.ARCHIVED):
                for page in mailchimp.standings(list_id, status=status):
                    comparison.add(page)
                    if not self.dry_run:
                        ledger.take_over(page)
            # Members come and go between two pages: each who seems to be missing is asked for by itself.
            said = {key: mailchimp.member_status(list_id, key) for key in comparison.missing()}
            withdrawn = 0 if self.dry_run else self._note_missing(ledger, said)
            if not self.dry_run:
                ledger.finish_reading(begun)
        return Mending(
            self.organisation_id,
            list_id,
            read=comparison.read,
            unknown=comparison.unknown,
            changed=comparison.changed,
            unsubscribed=comparison.unsubscribed,
            deleted=sum(status is None for status in said.values()),
            withdrawn=withdrawn,
        )

    def _note_missing(self, ledger: DatabaseLedger, said: Mapping[str, MemberStatus | None]) -> int:
        ledger.take_over([Standing(key, status) for key, status in said.items() if status is not None])
        deleted = [key for key, status in said.items() if status is None]
        with self.parts.database.organisation(self.organisation_id) as session:
            return note_deleted(session, ledger.list_id, deleted, by=_BY, at=self.clock())


def reconcile(
    console: Console, organisation_id: str | None, *, dry_run: bool, settings: Settings | None = None
) -> bool:
    """Reconcile one organisation, or all that are connected; print what was found. Tell whether all could be read."""
    with open_parts(settings) as parts:
        found = [
            mending
            for each in _organisations(parts, organisation_id)
            for mending in _reconciled(parts, each, dry_run=dry_run)
        ]
    title = "What would be mended" if dry_run else "What was mended"
    console.print(mending_table(found, title=title))
    if any(mending.deleted for mending in found):
        console.print(
            "Members that Mailchimp deleted for good are mailed in no audience until they opt in again. "
            "Erase again whoever was erased after the backup: docs/backup.md says how.",
            soft_wrap=True,
        )
    return all(mending.error is None for mending in found)


def _organisations(parts: Parts, organisation_id: str | None) -> list[str]:
    with parts.database.everyone() as session:
        connected = connected_organisations(session)
    if organisation_id is not None and organisation_id not in connected:
        raise NotReconciled(f"Organisation {organisation_id} is not connected to Mailchimp. Check its id.")
    return list(connected) if organisation_id is None else [organisation_id]


def _reconciled(parts: Parts, organisation_id: str, *, dry_run: bool) -> Iterator[Mending]:
    opened = Reconciliation(parts, organisation_id, lambda: closing(parts.client(organisation_id)), dry_run=dry_run)
    try:
        yield from opened.mendings()
    except PipelineError as error:
        yield Mending(organisation_id, "all", error=str(error))
