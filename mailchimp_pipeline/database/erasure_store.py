"""Erasure requests: remove a contact's data from the database, and store what is left to delete at Mailchimp.

The rows of a contact are found by its id in the source, its addresses and its Mailchimp contact ids. They are removed
from every table except the audit log, which is immutable. The audit log names a contact by its id in the source, or by
a keyed hash of the id. What is left to delete at Mailchimp (`erasure.Targets`) is stored encrypted, and removed when
the erasure is completed.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, member_ids
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.audience_members import audiences_known
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.locks import erased_lock, erasure_lock, hold, hold_audience, lock_for_transaction
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import (
    AudienceMemberRow,
    ConnectionRow,
    ConsentStatementRow,
    ErasureRequestRow,
    PreferenceRow,
    RejectedContactRow,
    SegmentMemberRow,
    as_value,
    of_contact,
    row_id,
)
from mailchimp_pipeline.erasure import (
    AccountHistory,
    Demand,
    ErasureRequest,
    ErasureStatus,
    Targets,
    Trace,
    UnknownContact,
)
from mailchimp_pipeline.errors import PermanentError

_MEMBERSHIPS, _LEDGER = "memberships", "audience_members"


class RowRemoval:
    """Removes a contact's rows from the tables, and collects the addresses and audiences that the rows name.

    Rows are found by the contact's id, by the addresses and Mailchimp ids in `targets`, and by those in removed rows.
    `rows` counts the removed rows.
    """

    def __init__(self, session: OrganisationSession, targets: Targets) -> None:
        self.rows = dict.fromkeys(("preferences", _MEMBERSHIPS, _LEDGER), 0)
        self._session = session
        self._contact = (targets.entity_type, targets.entity_id)
        self._addresses = set(targets.addresses)
        self._contact_ids = {trace.contact_id for trace in targets.traces if trace.contact_id}
        self._traces: list[Trace] = []

    def found_with(self, targets: Targets) -> Targets:
        """Return the targets with the addresses and audiences that the removed rows named.

        An audience is included if the contact was sent to it, or if Mailchimp reported the contact there.
        """
        return targets.with_addresses(self._addresses).with_traces(self._traces)

    def remove_preference(self) -> None:
        """Remove the contact's preference and consent statements."""
        for row in (ConsentStatementRow, PreferenceRow):
            contact = and_(self._session.owns(row), of_contact(row, self._contact))
            gone = self._session.scalars(delete(row).where(contact).returning(row.subscriber_hash)).all()
            self._addresses.update(address for address in gone if address)
            self.rows["preferences"] += len(gone) if row is PreferenceRow else 0

    def remove_address_from_others(self) -> None:
        """Remove the contact's addresses from rows of other contacts.

        Consent statements about one of these addresses without a contact are deleted.
        """
        ours, there = self._session.owns(ConsentStatementRow), ConsentStatementRow.subscriber_hash.in_(self._addresses)
        self._session.execute(delete(ConsentStatementRow).where(ours, there, ConsentStatementRow.entity_id.is_(None)))
        for row, column in (
            (ConsentStatementRow, ConsentStatementRow.subscriber_hash),
            (PreferenceRow, PreferenceRow.subscriber_hash),
            (AudienceMemberRow, AudienceMemberRow.replaced_hash),
        ):
            kept = update(row).where(self._session.owns(row), column.in_(self._addresses))
            self._session.execute(kept.values({column: None}))

    def remove_members(self, *, list_id: str | None = None) -> None:
        """Remove the contact from segment members, rejected contacts and audience members.

        With `list_id`, only the rows of this audience are removed. Removed rows may name another address of the
        contact, so the removal is repeated as long as it finds new addresses or ids.
        """
        while True:
            known = (len(self._addresses), len(self._contact_ids))
            memberships = self._removed(SegmentMemberRow, list_id, SegmentMemberRow.email)
            rejections = self._removed(RejectedContactRow, list_id, RejectedContactRow.subscriber_hash)
            self._addresses.update(address for (address,) in rejections)
            self._addresses.update(key for (email,) in memberships for key in member_ids(email))
            self.rows[_MEMBERSHIPS] += len(memberships)
            self._remove_from_ledger(list_id)
            if known == (len(self._addresses), len(self._contact_ids)):
                return

    def _remove_from_ledger(self, list_id: str | None) -> None:
        row = AudienceMemberRow
        was_there = or_(row.pushed_at.is_not(None), row.status.is_not(None)).label("was_there")
        columns = (row.mailchimp_list_id, row.subscriber_hash, row.contact_id, row.member_id)
        gone = self._removed(row, list_id, *columns, row.replaced_hash, row.email, was_there)
        self.rows[_LEDGER] += len(gone)
        for list_of_row, address, contact_id, member_id, replaced, email, is_trace in gone:
            self._addresses |= {address, replaced or address, *(member_ids(email) if email else ())}
            self._contact_ids |= {contact_id} if contact_id else set()
            if is_trace:
                self._traces.append(
                    Trace(list_id=list_of_row, subscriber_hash=address, contact_id=contact_id, member_id=member_id)
                )

    def _removed(
        self,
        row: type[SegmentMemberRow | RejectedContactRow | AudienceMemberRow],
        list_id: str | None,
        *columns: InstrumentedAttribute[Any] | ColumnElement[Any],
    ) -> Sequence[Sequence[Any]]:
        """Delete the contact's rows from a table, with `list_id` only those of this audience.

        Return the values of `columns` of each deleted row.
        """
        theirs = [of_contact(row, self._contact), row.subscriber_hash.in_(self._addresses)]
        if row is AudienceMemberRow:
            theirs.append(AudienceMemberRow.contact_id.in_(self._contact_ids))
        there = [row.mailchimp_list_id == list_id] if list_id else []
        gone = delete(row).where(self._session.owns(row), or_(*theirs), *there)
        return self._session.execute(gone.returning(*columns)).all()


_AUDIENCE_WAIT_SECONDS = 2.0
"""How long to wait for a running sync of the audience. If it is still running, a later attempt tries again."""


class NoSuchErasure(PermanentError):
    """No pending erasure has the given id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"No erasure {request_id} is pending: it was completed, or the id is another. "
            "`mailchimp-pipeline erasures list` shows those that are."
        )


class ErasureStore:
    """The erasure requests of the session's organisation."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring
        self._erased = ErasedContacts(session, keyring)

    def ask(self, demand: Demand, *, at: datetime) -> ErasureRequest:
        """Remove the contact from the database, suppress it, and store what is left to delete at Mailchimp.

        A suppressed contact is not sent again. A repeated request reopens the same erasure, because the contact may be
        at Mailchimp again. Raises `UnknownContact` if neither the source nor the database has the contact.
        """
        self._lock()
        row = self._in_force(demand)
        is_new = row is None
        known = row and self._targets_of(row)
        new = Targets(entity_type=demand.entity_type, entity_id=demand.entity_id)
        targets = known.asked_again() if known else new
        removal = RowRemoval(self._session, targets.with_addresses(demand.addresses or ()))
        removal.remove_preference()
        removal.remove_members()
        if is_new and not demand.is_known and not any(removal.rows.values()):
            raise UnknownContact(demand.entity_type.value)
        removal.remove_address_from_others()
        if row is None:
            entity_hash = self._erased.keyed.of_entity(demand.entity_type, demand.entity_id)
            row = ErasureRequestRow(entity_hash=entity_hash, requested_by=demand.by, requested_at=at, attempts=0)
            row.organisation_id = self._session.organisation_id
            self._session.add(row)
        targets = removal.found_with(targets).model_copy(update={"source_read": demand.addresses is not None})
        if row.status != ErasureStatus.PENDING:
            row.attempts, row.last_tried_at = 0, None
        row.status, row.completed_at, row.last_error = ErasureStatus.PENDING.value, None, None
        self._write(row, targets)
        self._suppress(row, targets, at=at)
        action = "erasure.requested" if is_new else "erasure.asked_again"
        self._audit(row, action, by=demand.by, at=at, details={"removed": removal.rows})
        return _request(row)

    def get(self, request_id: str) -> ErasureRequest | None:
        """Return the erasure, None if it does not exist."""
        row = self._session.scalar(self._query(request_id))
        return row and _request(row)

    def of(self, entity_type: EntityType, entity_id: str) -> Sequence[ErasureRequest]:
        """Return the erasures of an employee or vendor, latest first."""
        return [_request(row) for row in self._session.scalars(self._of(entity_type, entity_id)).all()]

    def begin(self, request_id: str, *, at: datetime) -> Targets | None:
        """Count an attempt. Return what is left to delete, None if the erasure is not pending."""
        row = self._pending(request_id)
        if row is None:
            return None
        row.attempts, row.last_tried_at = row.attempts + 1, at
        return self._targets_of(row)

    def save(self, request_id: str, targets: Targets, *, error: str | None, at: datetime) -> None:
        """Store the targets, which have the progress of the attempt, and its error.

        Addresses that the attempt has found are suppressed too: they are not sent again.
        """
        if (row := self._pending(request_id)) is not None:
            self._keep(row, targets, at=at)
            row.last_error = error

    def remove_new_rows(self, request_id: str, targets: Targets, *, list_id: str, at: datetime) -> Targets:
        """Remove rows about the contact that a sync of the audience has written since the request.

        Return the targets with the addresses found in the removed rows.
        """
        self._lock()
        found = self._with_rows_removed(targets, list_id)
        row = self._pending(request_id) if found != targets else None
        if row is not None:  # The removed rows may have been the only record of an address.
            self._keep(row, found, at=at)
        return found

    def conclude(self, request_id: str, targets: Targets, *, at: datetime) -> bool:
        """Complete the erasure, unless something is left to delete at Mailchimp. Return whether it is completed.

        Further rows about the contact are removed first. If they name addresses or audiences that were not known to the
        attempt, these are stored for the next attempt, and the result is False.
        """
        self._lock()
        row = self._pending(request_id)
        if row is None:
            return True
        now_known = self._with_rows_removed(targets.joined_with(self._targets_of(row) or targets))
        if now_known.is_anywhere or now_known.addresses != targets.addresses:
            self._keep(row, now_known, at=at)
            return False
        self._complete(row, now_known, "erasure.completed", by=audit_log.PIPELINE, at=at)
        return True

    def confirm(self, request_id: str, *, by: str, at: datetime) -> ErasureRequest | None:
        """Complete a pending erasure, because a person has deleted the contact at Mailchimp by hand.

        Return the erasure, None if it is not pending.
        """
        self._lock()
        row = self._pending(request_id)
        if row is None:
            return None
        targets = self._targets_of(row)
        self._complete(row, targets and self._with_rows_removed(targets), "erasure.confirmed_by_hand", by=by, at=at)
        return _request(row)

    def _lock(self) -> None:
        lock_for_transaction(self._session, erased_lock(self._session.organisation_id))

    def _in_force(self, demand: Demand) -> ErasureRequestRow | None:
        """Return the contact's latest erasure. None if there is none, or if it is completed and an opt-in ended it."""
        latest = self._session.scalar(self._of(demand.entity_type, demand.entity_id).limit(1).with_for_update())
        is_over = latest is None or latest.status == ErasureStatus.COMPLETED
        if is_over and not self._erased.holds((demand.entity_type, demand.entity_id)):
            return None
        return latest

    def _with_rows_removed(self, targets: Targets, list_id: str | None = None) -> Targets:
        removal = RowRemoval(self._session, targets)
        removal.remove_members(list_id=list_id)
        return removal.found_with(targets)

    def _keep(self, row: ErasureRequestRow, targets: Targets, *, at: datetime) -> None:
        known = targets.joined_with(self._targets_of(row) or targets)
        self._write(row, known)
        # An opt-in since the request stays valid. The request itself still runs.
        if self._erased.holds((targets.entity_type, targets.entity_id)):
            self._suppress(row, known, at=at)

    def _write(self, row: ErasureRequestRow, targets: Targets) -> None:
        row.audiences = targets.audiences
        row.targets_encrypted = self._keyring.encrypt(targets.model_dump_json(), self._session.organisation_id)
        self._session.flush()

    def _suppress(self, row: ErasureRequestRow, targets: Targets, *, at: datetime) -> None:
        entity = (targets.entity_type, targets.entity_id)
        self._erased.add(entity, targets.addresses, erasure_request_id=str(row.id), at=at)

    def _complete(self, row: ErasureRequestRow, targets: Targets | None, action: str, *, by: str, at: datetime) -> None:
        if targets is not None:
            row.status, row.completed_at = ErasureStatus.COMPLETED.value, at
            row.audiences, row.targets_encrypted, row.last_error = targets.audiences, None, None
        self._audit(row, action, by=by, at=at, details={"audiences": row.audiences, "attempts": row.attempts})

    def _targets_of(self, row: ErasureRequestRow) -> Targets | None:
        if row.targets_encrypted is None:
            return None
        return Targets.model_validate_json(self._keyring.decrypt(row.targets_encrypted, self._session.organisation_id))

    def _pending(self, request_id: str) -> ErasureRequestRow | None:
        query = self._query(request_id).where(ErasureRequestRow.status == ErasureStatus.PENDING.value)
        return self._session.scalar(query.with_for_update(), execution_options={"populate_existing": True})

    def _of(self, entity_type: EntityType, entity_id: str) -> Select[ErasureRequestRow]:
        of_entity = ErasureRequestRow.entity_hash == self._erased.keyed.of_entity(entity_type, entity_id)
        query = select(ErasureRequestRow).where(self._session.owns(ErasureRequestRow), of_entity)
        return query.order_by(ErasureRequestRow.requested_at.desc(), ErasureRequestRow.id)

    def _query(self, request_id: str) -> Select[ErasureRequestRow]:
        ours = self._session.owns(ErasureRequestRow)
        return select(ErasureRequestRow).where(ours, ErasureRequestRow.id == row_id(request_id))

    def _audit(
        self, row: ErasureRequestRow, action: str, *, by: str, at: datetime, details: Mapping[str, object]
    ) -> None:
        # The entry names the request, not the contact.
        audit_log.write(
            self._session, audit_log.Entry(by, action, audit_log.Entity("erasure", str(row.id)), at, details)
        )


@dataclass(frozen=True, slots=True)
class DatabaseErasures:
    """The stored erasures of all organisations. Implements `erasure.ErasureRecords`; each call is a transaction."""

    database: Database
    keyring: Keyring
    clock: Clock

    def ask(self, organisation_id: str, demand: Demand) -> ErasureRequest:
        """Remove the contact from the database, and store what is left to delete at Mailchimp.

        Raises `UnknownContact` if neither the source nor the database has the contact.
        """
        with self._store(organisation_id) as store:
            return store.ask(demand, at=self.clock())

    def audiences_known(self, request: ErasureRequest) -> Sequence[str]:
        """Return the ids of all audiences that the database knows of the organisation, in any account."""
        with self.database.organisation(request.organisation_id) as session:
            return audiences_known(session)

    def keeps_addresses(self, request: ErasureRequest) -> bool:
        """Return whether keyed hashes of the contact's addresses are stored."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasedContacts(session, self.keyring).has_addresses(request.id)

    def recognised(self, request: ErasureRequest, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return those of the subscriber hashes that are addresses of the contact, found by their keyed hashes."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasedContacts(session, self.keyring).recognised(request.id, subscriber_hashes)

    def get(self, request: ErasureRequest) -> ErasureRequest:
        """Return the current state of the erasure."""
        with self._store(request.organisation_id) as store:
            return store.get(request.id) or request

    def pending(self) -> Sequence[ErasureRequest]:
        """Return the pending erasures of all organisations, oldest first."""
        with self.database.everyone() as session:
            return pending_erasures(session)

    @contextmanager
    def hold(self, request: ErasureRequest) -> Generator[None]:
        """Hold the erasure's lock during a `with` block. Raises `TransientError` if another process holds it."""
        with hold(self.database, erasure_lock(request.id), what=f"erasure {request.id}"):
            yield

    @contextmanager
    def hold_audience(self, request: ErasureRequest, list_id: str) -> Generator[None]:
        """Hold the audience's lock during a `with` block. Raises `TransientError` if a sync of it is running."""
        wait = _AUDIENCE_WAIT_SECONDS
        with hold_audience(self.database, request.organisation_id, list_id, wait_seconds=wait):
            yield

    def begin(self, request: ErasureRequest) -> Targets | None:
        """Count an attempt. Return what is left to delete, None if the erasure is not pending."""
        with self._store(request.organisation_id) as store:
            return store.begin(request.id, at=self.clock())

    def save(self, request: ErasureRequest, targets: Targets, *, error: str | None = None) -> None:
        """Store the targets, which have the progress of the attempt, and its error."""
        with self._store(request.organisation_id) as store:
            store.save(request.id, targets, error=error, at=self.clock())

    def remove_new_rows(self, request: ErasureRequest, targets: Targets, list_id: str) -> Targets:
        """Remove rows about the contact that a sync of the audience has written since the request.

        Return the targets with the addresses found in the removed rows.
        """
        with self._store(request.organisation_id) as store:
            return store.remove_new_rows(request.id, targets, list_id=list_id, at=self.clock())

    def conclude(self, request: ErasureRequest, targets: Targets) -> bool:
        """Complete the erasure, unless something is left to delete at Mailchimp. Return whether it is completed."""
        with self._store(request.organisation_id) as store:
            return store.conclude(request.id, targets, at=self.clock())

    def account_history(self, organisation_id: str) -> AccountHistory:
        """Return whether the organisation is connected now, and whether it used other accounts before."""
        with self.database.organisation(organisation_id) as session:
            query = select(ConnectionRow.account_id, ConnectionRow.soft_deleted_at).where(session.owns(ConnectionRow))
            accounts = session.execute(query).all()
        live = {account for account, ended_at in accounts if ended_at is None}
        return AccountHistory(
            is_connected=bool(live), had_other_accounts=bool({account for account, _ in accounts} - live)
        )

    def confirm(self, request_id: str, *, by: str) -> ErasureRequest:
        """Complete a pending erasure, because a person has deleted the contact at Mailchimp by hand.

        Raises `NoSuchErasure` if no pending erasure has this id.
        """
        with self.database.everyone() as session:
            query = select(ErasureRequestRow.organisation_id).where(ErasureRequestRow.id == row_id(request_id))
            organisation_id = session.scalar(query)
        if organisation_id is not None:
            with self._store(organisation_id) as store:
                if confirmed := store.confirm(request_id, by=by, at=self.clock()):
                    return confirmed
        raise NoSuchErasure(request_id)

    @contextmanager
    def _store(self, organisation_id: str) -> Generator[ErasureStore]:
        with self.database.organisation(organisation_id) as session:
            yield ErasureStore(session, self.keyring)


def pending_erasures(session: Session, organisation_id: str | None = None) -> tuple[ErasureRequest, ...]:
    """Return the pending erasures, oldest first. With `organisation_id`, only those of this organisation."""
    query = select(ErasureRequestRow).where(ErasureRequestRow.status == ErasureStatus.PENDING.value)
    if organisation_id is not None:
        query = query.where(ErasureRequestRow.organisation_id == organisation_id)
    query = query.order_by(ErasureRequestRow.requested_at, ErasureRequestRow.id)
    return tuple(map(_request, session.scalars(query)))


def count_pending(session: OrganisationSession) -> tuple[int, datetime | None]:
    """Return the number of the organisation's pending erasures, and when the oldest of them was requested."""
    row = ErasureRequestRow
    query = select(func.count(), func.min(row.requested_at)).where(
        session.owns(row), row.status == ErasureStatus.PENDING.value
    )
    count, oldest = session.execute(query).one()
    return count, oldest


def _request(row: ErasureRequestRow) -> ErasureRequest:
    return as_value(ErasureRequest, row, id=str(row.id), status=ErasureStatus(row.status))
