"""Erasures that were asked for: what they remove here at once, and what is still to be deleted at Mailchimp.

Until an erasure is completed its targets are kept encrypted; then they are forgotten. What does not belong here:
asking Mailchimp and which answer counts (`mailchimp_pipeline.erasure`), the rows removed (`traces`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from sqlalchemy import ColumnElement, Select, select

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.keyed_hashes import KeyedHashes, keyed_hashes
from mailchimp_pipeline.database.locks.held import lock_for_transaction
from mailchimp_pipeline.database.locks.keys import erased_lock
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import ErasureRequestRow, row_id
from mailchimp_pipeline.database.traces import Traces, removed_by
from mailchimp_pipeline.erasure import Demand, ErasureRequest, ErasureStatus, Targets, UnknownContact


class ErasureStore:
    """The erasures of the session's organisation."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring
        self._erased = ErasedContacts(session, keyring)

    def ask(self, demand: Demand, *, at: datetime) -> ErasureRequest:
        """Remove the contact here, keep it from coming back, and write down what Mailchimp is to be asked.

        Asked for again it stays the same erasure, and is carried out again: the contact may be back at Mailchimp.
        Raises `UnknownContact`.
        """
        self._alone()
        row = self._in_force(demand)
        is_new = row is None
        targets = (row and self._targets_of(row)) or Targets(entity_type=demand.entity_type, entity_id=demand.entity_id)
        removed = removed_by({*targets.addresses, *(demand.addresses or ())}, targets.traces)
        traces = Traces(self._session, demand.entity_type, demand.entity_id)
        traces.remove_preference(removed)
        traces.remove_members(removed)
        if is_new and not demand.is_known and not any(removed.rows.values()):
            raise UnknownContact(demand.entity_type.value)
        traces.remove_address_from_others(removed)
        row = row or self._new(demand, at)
        targets = targets.with_addresses(removed.addresses).with_traces(removed.traces)
        targets = targets.model_copy(update={"source_read": demand.addresses is not None})
        if row.status != ErasureStatus.PENDING:
            row.attempts, row.last_tried_at = 0, None
        row.status, row.completed_at, row.last_error = ErasureStatus.PENDING.value, None, None
        self._write(row, targets)
        self._suppress(row, targets, at=at)
        action = "erasure.requested" if is_new else "erasure.asked_again"
        self._tell(row, action, by=demand.by, at=at, details={"removed": removed.rows})
        return as_request(row)

    def get(self, request_id: str) -> ErasureRequest | None:
        """Return the erasure, None where there is none."""
        row = self._session.scalar(self._query(request_id))
        return row and as_request(row)

    def of(self, entity_type: EntityType, entity_id: str) -> Sequence[ErasureRequest]:
        """Return the erasures of an entity, the latest first."""
        rows = self._session.scalars(self._of(entity_type, entity_id)).all()
        return [as_request(row) for row in rows]

    def begin(self, request_id: str, *, at: datetime) -> Targets | None:
        """Note that somebody is at it; return its targets, None where nothing is left to do."""
        row = self._pending(request_id)
        if row is None:
            return None
        row.attempts, row.last_tried_at = row.attempts + 1, at
        return self._targets_of(row)

    def save(self, request_id: str, targets: Targets, *, error: str | None, at: datetime) -> None:
        """Keep how far it has come, and why not further. Addresses learnt on the way are erased too."""
        if (row := self._pending(request_id)) is not None:
            self._keep(row, targets, at=at)
            row.last_error = error

    def sweep(self, request_id: str, targets: Targets, *, list_id: str, at: datetime) -> Targets:
        """Remove what a sync that was under way wrote of the contact since; return the targets with it."""
        self._alone()
        swept = self._swept(targets, list_id)
        row = self._pending(request_id) if swept != targets else None
        if row is not None:  # what was just removed is known nowhere else
            self._keep(row, swept, at=at)
        return swept

    def conclude(self, request_id: str, targets: Targets, *, at: datetime) -> bool:
        """Complete it, unless more is known of the contact than was asked for: then this is kept. Tell which."""
        self._alone()
        row = self._pending(request_id)
        if row is None:
            return True
        now_known = self._swept(targets.joined_with(self._targets_of(row) or targets))
        if now_known.is_anywhere or now_known.addresses != targets.addresses:
            self._keep(row, now_known, at=at)
            return False
        self._complete(row, now_known, at=at)
        self._tell(row, "erasure.completed", by=audit.PIPELINE, at=at, details=_figures(row))
        return True

    def confirm(self, request_id: str, *, by: str, at: datetime) -> ErasureRequest | None:
        """Complete it on the word of a person who saw to it at Mailchimp; None where no such erasure is pending."""
        self._alone()
        row = self._pending(request_id)
        if row is None:
            return None
        targets = self._targets_of(row)
        if targets is not None:
            self._complete(row, self._swept(targets), at=at)
        self._tell(row, "erasure.confirmed_by_hand", by=by, at=at, details=_figures(row))
        return as_request(row)

    def _alone(self) -> None:
        lock_for_transaction(self._session, erased_lock(self._session.organisation_id))

    def _in_force(self, demand: Demand) -> ErasureRequestRow | None:
        """Return the contact's erasure, unless an opt-in has lifted it since."""
        latest = self._session.scalar(self._of(demand.entity_type, demand.entity_id).limit(1).with_for_update())
        is_over = latest is None or latest.status == ErasureStatus.COMPLETED
        if is_over and not self._erased.holds((demand.entity_type, demand.entity_id)):
            return None
        return latest

    def _new(self, demand: Demand, at: datetime) -> ErasureRequestRow:
        row = ErasureRequestRow(
            organisation_id=self._session.organisation_id,
            entity_hash=self._hash(demand.entity_type, demand.entity_id),
            requested_by=demand.by,
            requested_at=at,
            attempts=0,
        )
        self._session.add(row)
        return row

    def _swept(self, targets: Targets, list_id: str | None = None) -> Targets:
        removed = removed_by(targets.addresses, targets.traces)
        Traces(self._session, targets.entity_type, targets.entity_id).remove_members(removed, list_id=list_id)
        return targets.with_addresses(removed.addresses).with_traces(removed.traces)

    def _keep(self, row: ErasureRequestRow, targets: Targets, *, at: datetime) -> None:
        known = targets.joined_with(self._targets_of(row) or targets)
        self._write(row, known)
        # Who opted in again meanwhile stays lifted; what was asked for before is still carried out.
        if self._erased.holds((targets.entity_type, targets.entity_id)):
            self._suppress(row, known, at=at)

    def _write(self, row: ErasureRequestRow, targets: Targets) -> None:
        row.audiences = targets.audiences
        row.targets_encrypted = self._keyring.encrypt(targets.model_dump_json(), self._session.organisation_id)
        self._session.flush()

    def _suppress(self, row: ErasureRequestRow, targets: Targets, *, at: datetime) -> None:
        entity = (targets.entity_type, targets.entity_id)
        self._erased.add(entity, targets.addresses, erasure_request_id=str(row.id), at=at)

    def _complete(self, row: ErasureRequestRow, targets: Targets, *, at: datetime) -> None:
        row.status, row.completed_at = ErasureStatus.COMPLETED.value, at
        row.audiences, row.targets_encrypted, row.last_error = targets.audiences, None, None

    def _targets_of(self, row: ErasureRequestRow) -> Targets | None:
        if row.targets_encrypted is None:
            return None
        return Targets.model_validate_json(self._keyring.decrypt(row.targets_encrypted, self._session.organisation_id))

    def _pending(self, request_id: str) -> ErasureRequestRow | None:
        query = self._query(request_id).where(ErasureRequestRow.status == ErasureStatus.PENDING.value)
        return self._session.scalar(query.with_for_update(), execution_options={"populate_existing": True})

    def _of(self, entity_type: EntityType, entity_id: str) -> Select[ErasureRequestRow]:
        of_entity = ErasureRequestRow.entity_hash == self._hash(entity_type, entity_id)
        query = select(ErasureRequestRow).where(self._is_ours(), of_entity)
        return query.order_by(ErasureRequestRow.requested_at.desc(), ErasureRequestRow.id)

    def _query(self, request_id: str) -> Select[ErasureRequestRow]:
        return select(ErasureRequestRow).where(self._is_ours(), ErasureRequestRow.id == row_id(request_id))

    def _is_ours(self) -> ColumnElement[bool]:
        return ErasureRequestRow.organisation_id == self._session.organisation_id

    def _hash(self, entity_type: EntityType, entity_id: str) -> str:
        return self._keyed.of_entity(entity_type, entity_id)

    @cached_property
    def _keyed(self) -> KeyedHashes:
        return keyed_hashes(self._session, self._keyring)

    def _tell(
        self, row: ErasureRequestRow, action: str, *, by: str, at: datetime, details: Mapping[str, object]
    ) -> None:
        # By the request's id: the contact's own is not written down once more.
        audit.write(self._session, audit.Entry(by, action, audit.Entity("erasure", str(row.id)), at, details))


def as_request(row: ErasureRequestRow) -> ErasureRequest:
    """Return a row as a value, without its targets."""
    return ErasureRequest(
        id=str(row.id),
        organisation_id=row.organisation_id,
        status=ErasureStatus(row.status),
        audiences=row.audiences,
        attempts=row.attempts,
        last_tried_at=row.last_tried_at,
        last_error=row.last_error,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        completed_at=row.completed_at,
    )


def _figures(row: ErasureRequestRow) -> Mapping[str, object]:
    return {"audiences": row.audiences, "attempts": row.attempts}
