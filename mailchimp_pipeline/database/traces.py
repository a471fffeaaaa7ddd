"""Remove the rows of an erased contact from every table, by entity, address and contact id.

The audit log stays, because it is immutable. It names a contact by its id in the source or a keyed hash of the id. What
does not belong here: deletion at Mailchimp (`erasures`), reading the rows for the contact (`contact_data`).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, update
from sqlalchemy.orm import InstrumentedAttribute

from mailchimp_pipeline.contacts import member_ids
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import (
    AudienceMemberRow,
    ConsentStatementRow,
    PreferenceRow,
    RejectedContactRow,
    SegmentMemberRow,
    of_contact,
)
from mailchimp_pipeline.erasure import Targets, Trace

_MEMBERSHIPS, _LEDGER = "memberships", "audience_members"


class Traces:
    """The rows of one contact in the session's organisation. `rows` counts the removed rows.

    Rows are found by the addresses and ids in `targets`, and by those found in removed rows.
    """

    def __init__(self, session: OrganisationSession, targets: Targets) -> None:
        self.rows = dict.fromkeys(("preferences", _MEMBERSHIPS, _LEDGER), 0)
        self._session = session
        self._contact = (targets.entity_type, targets.entity_id)
        self._addresses = set(targets.addresses)
        self._contact_ids = {trace.contact_id for trace in targets.traces if trace.contact_id}
        self._traces: list[Trace] = []

    def found_with(self, targets: Targets) -> Targets:
        """Return the targets with the addresses and audiences found in removed rows.

        An audience is included if the contact was sent to it or Mailchimp reported a status.
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
        """Remove the contact's addresses from rows of other contacts, and delete statements about an address alone."""
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
        """Remove the contact from segments and from the ledgers of one audience or of all.

        Removed rows may contain another address of the contact, so the removal is repeated until there is no new one.
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
        """Delete the contact's rows of a table, in one audience or all. Return these columns of each row."""
        theirs = [of_contact(row, self._contact), row.subscriber_hash.in_(self._addresses)]
        if row is AudienceMemberRow:
            theirs.append(AudienceMemberRow.contact_id.in_(self._contact_ids))
        there = [row.mailchimp_list_id == list_id] if list_id else []
        gone = delete(row).where(self._session.owns(row), or_(*theirs), *there)
        return self._session.execute(gone.returning(*columns)).all()
