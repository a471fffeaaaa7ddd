"""The rows that hold a contact, in every table: removed for an erasure, by entity, by address and by lasting id.

The audit log is not touched: it cannot be changed, and names a contact by nothing but its id in the source, or by a
keyed hash of that.
What does not belong here: what an audience confirmed (`erasures`), reading the rows for the contact (`holdings`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, delete, or_, update

from mailchimp_pipeline.contacts import EntityType, member_ids
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import (
    AudienceMemberRow,
    ConsentStatementRow,
    PreferenceRow,
    RejectedContactRow,
    SegmentMemberRow,
)
from mailchimp_pipeline.erasure import Trace

_MEMBERSHIPS, _LEDGER = "memberships", "audience_members"


@dataclass(slots=True)
class Removed:
    """What was removed: the contact's addresses as hashes, which audiences had it, and how many rows of what."""

    addresses: set[str]
    contact_ids: set[str] = field(default_factory=set[str])
    traces: list[Trace] = field(default_factory=list[Trace])
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("preferences", _MEMBERSHIPS, _LEDGER), 0))


class Traces:
    """One contact's rows in the session's organisation."""

    def __init__(self, session: OrganisationSession, entity_type: EntityType, entity_id: str) -> None:
        self._session = session
        self._entity = (entity_type.value, entity_id)

    def remove_preference(self, removed: Removed) -> None:
        """Remove the contact's preference and consent statements."""
        for row in (ConsentStatementRow, PreferenceRow):
            contact = and_(
                row.organisation_id == self._session.organisation_id,
                row.entity_type == self._entity[0],
                row.entity_id == self._entity[1],
            )
            gone = self._session.scalars(delete(row).where(contact).returning(row.subscriber_hash)).all()
            removed.addresses.update(address for address in gone if address)
            removed.rows["preferences"] += len(gone) if row is PreferenceRow else 0

    def remove_address_from_others(self, removed: Removed) -> None:
        """Take the contact's addresses out of what is kept of others; statements about an address alone go."""
        ours = ConsentStatementRow.organisation_id == self._session.organisation_id
        there = ConsentStatementRow.subscriber_hash.in_(removed.addresses)
        self._session.execute(delete(ConsentStatementRow).where(ours, there, ConsentStatementRow.entity_id.is_(None)))
        self._session.execute(update(ConsentStatementRow).where(ours, there).values(subscriber_hash=None))
        preferences = update(PreferenceRow).where(
            PreferenceRow.organisation_id == self._session.organisation_id,
            PreferenceRow.subscriber_hash.in_(removed.addresses),
        )
        self._session.execute(preferences.values(subscriber_hash=None))
        replaced = update(AudienceMemberRow).where(
            AudienceMemberRow.organisation_id == self._session.organisation_id,
            AudienceMemberRow.replaced_hash.in_(removed.addresses),
        )
        self._session.execute(replaced.values(replaced_hash=None))

    def remove_members(self, removed: Removed, *, list_id: str | None = None) -> None:
        """Remove the contact from segments and from the ledger, of one audience or of all.

        A row found by the contact may tell another address of it: looked for until none is new.
        """
        while True:
            known = (len(removed.addresses), len(removed.contact_ids))
            self._remove_memberships(removed, list_id)
            self._remove_rejections(removed, list_id)
            self._remove_from_ledger(removed, list_id)
            if known == (len(removed.addresses), len(removed.contact_ids)):
                return

    def _remove_memberships(self, removed: Removed, list_id: str | None) -> None:
        row = SegmentMemberRow
        contact = and_(row.entity_type == self._entity[0], row.entity_id == self._entity[1])
        where = [row.organisation_id == self._session.organisation_id]
        where.append(or_(contact, row.subscriber_hash.in_(removed.addresses)))
        where += [row.mailchimp_list_id == list_id] if list_id else []
        gone = self._session.execute(delete(row).where(*where).returning(row.subscriber_hash, row.email)).all()
        removed.rows[_MEMBERSHIPS] += len(gone)
        for subscriber_hash, email in gone:
            removed.addresses |= {subscriber_hash, *member_ids(email)}

    def _remove_rejections(self, removed: Removed, list_id: str | None) -> None:
        row = RejectedContactRow
        contact = and_(row.entity_type == self._entity[0], row.entity_id == self._entity[1])
        where = [row.organisation_id == self._session.organisation_id]
        where.append(or_(contact, row.subscriber_hash.in_(removed.addresses)))
        where += [row.mailchimp_list_id == list_id] if list_id else []
        removed.addresses.update(self._session.scalars(delete(row).where(*where).returning(row.subscriber_hash)))

    def _remove_from_ledger(self, removed: Removed, list_id: str | None) -> None:
        row = AudienceMemberRow
        contact = and_(row.entity_type == self._entity[0], row.entity_id == self._entity[1])
        where = [row.organisation_id == self._session.organisation_id]
        where.append(or_(contact, row.subscriber_hash.in_(removed.addresses), row.contact_id.in_(removed.contact_ids)))
        where += [row.mailchimp_list_id == list_id] if list_id else []
        columns = (row.mailchimp_list_id, row.subscriber_hash, row.replaced_hash, row.contact_id, row.member_id)
        for list_of_row, address, replaced, contact_id, member_id, email, was_there in self._session.execute(
            delete(row).where(*where).returning(*columns, row.email, _was_there())
        ):
            removed.rows[_LEDGER] += 1
            removed.addresses |= {address, replaced or address, *(member_ids(email) if email else ())}
            removed.contact_ids |= {contact_id} if contact_id else set()
            if was_there:
                removed.traces.append(
                    Trace(list_id=list_of_row, subscriber_hash=address, contact_id=contact_id, member_id=member_id)
                )


def removed_by(addresses: Iterable[str], traces: Iterable[Trace]) -> Removed:
    """Return what to begin a removal with, of a contact that is known by these."""
    return Removed(set(addresses), {trace.contact_id for trace in traces if trace.contact_id})


def _was_there() -> ColumnElement[bool]:
    """Return whether a row of the ledger says that the audience had the contact."""
    row = AudienceMemberRow
    return or_(row.pushed_at.is_not(None), row.status.is_not(None)).label("was_there")
