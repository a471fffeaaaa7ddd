"""The audit log: who changed the state of which entity, and when.

An entry is written in the transaction of its change, and never updated. Erasures do not remove entries, so the log must
not contain addresses, personal names or keys. `actor_names` gives the name of an actor, `contact_entity` the identifier
of a contact, and the details are counts and options.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, select, tuple_

from mailchimp_pipeline.consent import Contact
from mailchimp_pipeline.contacts import may_hold_address
from mailchimp_pipeline.database.encryption import Keyring, keyed_hashes
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor, row_number
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import AuditRow

PIPELINE = "mailchimp-pipeline"
"""The actor of changes that the pipeline makes by itself."""

OWN_ACTORS = frozenset({PIPELINE, "mailchimp", "command line"})
"""Actors that are not users: the pipeline, Mailchimp and the operator."""


_HASHED_ACTOR = re.compile(r"user-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Entity:
    """An object of the organisation, such as a segment, by its type and id."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of state. `action` is a name such as `segment.created`."""

    actor: str
    action: str
    entity: Entity
    at: datetime
    details: Mapping[str, object] = field(default_factory=dict[str, object])


def actor_names(keyring: Keyring, organisation_id: str, subject: str) -> Sequence[str]:
    """Return the names of a user in the audit log, the current name first. `subject` is the user's id in API tokens.

    The name is the subject itself. But if the subject may be an e-mail address, the name is `user-` and a keyed hash of
    the subject, with one name for each encryption key. This also applies to a subject that looks like such a name.
    """
    if not may_hold_address(subject) and _HASHED_ACTOR.fullmatch(subject) is None:
        return (subject,)
    return [f"user-{each[:16]}" for each in keyring.keyed_hashes(f"actor\0{organisation_id}\0{subject}")]


def contact_entity(session: OrganisationSession, keyring: Keyring, contact: Contact) -> Entity:
    """Return the contact as it appears in the audit log: by its id, or a keyed hash if the id may be an address."""
    entity_type, entity_id = contact
    if may_hold_address(entity_id):
        entity_id = keyed_hashes(session, keyring).of_entity(entity_type, entity_id)
    return Entity(entity_type.value, entity_id)


def write(session: OrganisationSession, entry: Entry) -> None:
    """Add an entry to the log, in the session's transaction."""
    session.add(
        AuditRow(
            organisation_id=session.organisation_id,
            actor=entry.actor,
            action=entry.action,
            entity_type=entry.entity.type,
            entity_id=entry.entity.id,
            at=entry.at,
            details=dict(entry.details),
        )
    )


def entries(
    session: OrganisationSession,
    *,
    limit: int,
    cursor: str | None = None,
    entity: Entity | None = None,
    actor: str | None = None,
) -> Page[Entry]:
    """Return a page of the organisation's entries, newest first.

    With `entity`, only entries about it are returned, and with `actor`, only entries by it.

    Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
    """
    query = select(AuditRow).where(AuditRow.organisation_id == session.organisation_id)
    if entity is not None:
        query = query.where(and_(AuditRow.entity_type == entity.type, AuditRow.entity_id == entity.id))
    if actor is not None:
        query = query.where(AuditRow.actor == actor)
    if cursor is not None:
        query = query.where(tuple_(AuditRow.at, AuditRow.id) < read_cursor(cursor, row_number))
    query = query.order_by(AuditRow.at.desc(), AuditRow.id.desc()).limit(limit + 1)
    rows = session.scalars(query).all()
    return page(rows, limit, _entry, lambda row: cursor_after(row.at, row.id))


def _entry(row: AuditRow) -> Entry:
    return Entry(row.actor, row.action, Entity(row.entity_type, row.entity_id), row.at, row.details)
