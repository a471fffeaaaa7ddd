"""What contacts said about e-mail: the last word of each, and who must therefore not be pushed.

What does not belong here: telling Mailchimp (`sync`), what an erasure does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Select, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.contacts import ARROW_STRING, EntityType
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import ConnectionRow, PreferenceRow
from mailchimp_pipeline.segments import Exclusion, Suppressions

DELETED_AT_MAILCHIMP = "deleted_at_mailchimp"
"""The consent's source where a member was deleted for good at Mailchimp, and nothing here says why."""

OWN_SOURCES = frozenset({"mailchimp", DELETED_AT_MAILCHIMP})
"""Sources that only the pipeline writes: what was said at Mailchimp can be taken back there."""

Contact = tuple[EntityType, str]
"""Who it is in the source: an employee or a vendor, by its id there."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A contact's last word; the time of the opposite one stays, where there was one."""

    entity_type: EntityType
    entity_id: str
    opted_in: bool
    consent_given_at: datetime | None
    consent_withdrawn_at: datetime | None
    consent_source: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Word:
    """What a contact said, and where. `subscriber_hash` is its address at the time, where it is known."""

    entity_type: EntityType
    entity_id: str
    opted_in: bool
    source: str
    subscriber_hash: str | None = None


class PreferenceStore:
    """The preferences of the session's organisation."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._erased = ErasedContacts(session, keyring)

    def record(self, word: Word, *, by: str, at: datetime) -> Preference:
        """Keep a contact's word. Who was erased and opts in is erased no longer."""
        given, withdrawn = (at, None) if word.opted_in else (None, at)
        statement = insert(PreferenceRow).values(
            organisation_id=self._session.organisation_id,
            entity_type=word.entity_type.value,
            entity_id=word.entity_id,
            subscriber_hash=word.subscriber_hash,
            opted_in=word.opted_in,
            consent_given_at=given,
            consent_withdrawn_at=withdrawn,
            consent_source=word.source,
            updated_at=at,
        )
        said = ["opted_in", "consent_source", "updated_at"]
        said.append("consent_given_at" if word.opted_in else "consent_withdrawn_at")
        said += ["subscriber_hash"] if word.subscriber_hash else []
        statement = statement.on_conflict_do_update(
            index_elements=["organisation_id", "entity_type", "entity_id"],
            set_={name: statement.excluded[name] for name in said},
        )
        returned = statement.returning(PreferenceRow)
        row = self._session.scalars(returned, execution_options={"populate_existing": True}).one()
        lifted = word.opted_in and self._erased.lift((word.entity_type, word.entity_id), word.subscriber_hash)
        action = "preference.opted_in" if word.opted_in else "preference.opted_out"
        entity = audit.Entity(word.entity_type.value, word.entity_id)
        details = {"consent_source": word.source} | ({"erasure_lifted": True} if lifted else {})
        audit.write(self._session, audit.Entry(by, action, entity, at, details))
        return _preference(row)

    def get(self, entity_type: EntityType, entity_id: str) -> Preference | None:
        """Return the contact's preference, None where it never said anything."""
        query = self._all().where(PreferenceRow.entity_type == entity_type.value, PreferenceRow.entity_id == entity_id)
        row = self._session.scalar(query)
        return row and _preference(row)

    def list(self, *, limit: int, cursor: str | None = None) -> Page[Preference]:
        """Return a page of preferences, those that changed last first. Raises `paging.CursorInvalid`."""
        query = self._all()
        if cursor is not None:
            at, (entity_type, entity_id) = read_cursor(cursor, _entity_key)
            place = tuple_(PreferenceRow.updated_at, PreferenceRow.entity_type, PreferenceRow.entity_id)
            query = query.where(place < (at, entity_type, entity_id))
        ordered = query.order_by(
            PreferenceRow.updated_at.desc(), PreferenceRow.entity_type.desc(), PreferenceRow.entity_id.desc()
        )
        rows = self._session.scalars(ordered.limit(limit + 1)).all()
        return page(
            rows, limit, _preference, lambda row: cursor_after(row.updated_at, f"{row.entity_type}/{row.entity_id}")
        )

    def suppressions(self, contacts: pd.DataFrame) -> Suppressions:
        """Return who of the organisation must not be pushed: who opted out, and who of these contacts was erased.

        `contacts` has at least entity_type, entity_id and subscriber_hash; what is kept of the erased tells
        only whether a given contact is one of them.
        """
        out = self._frame(opted_in=False)
        erased_entity, erased_address = self._erased.among(contacts)
        entities = [
            out[["entity_type", "entity_id"]].assign(reason=Exclusion.OPTED_OUT.value),
            contacts.loc[erased_entity, ["entity_type", "entity_id"]].assign(reason=Exclusion.ERASED.value),
        ]
        addresses = [
            out[["subscriber_hash"]].dropna().assign(reason=Exclusion.OPTED_OUT.value),
            contacts.loc[erased_address, ["subscriber_hash"]].assign(reason=Exclusion.ERASED.value),
        ]
        return Suppressions(_together(entities), _together(addresses))

    def opted_out_at(self, subscriber_hash: str) -> Sequence[Contact]:
        """Return who opted out and had this address at the time."""
        row = PreferenceRow
        there = row.opted_in.is_(False), row.subscriber_hash == subscriber_hash
        query = select(row.entity_type, row.entity_id).where(
            row.organisation_id == self._session.organisation_id, *there
        )
        return [(EntityType(kind), entity_id) for kind, entity_id in self._session.execute(query)]

    def give_up_address(self, contacts: Iterable[Contact], subscriber_hash: str, *, by: str, at: datetime) -> None:
        """Let the word of contacts who have this address no more be about them alone."""
        for kind, entity_id in contacts:
            theirs = update(PreferenceRow).where(
                PreferenceRow.organisation_id == self._session.organisation_id,
                PreferenceRow.entity_type == kind.value,
                PreferenceRow.entity_id == entity_id,
                PreferenceRow.subscriber_hash == subscriber_hash,
            )
            if self._session.execute(theirs.values(subscriber_hash=None).returning(PreferenceRow.entity_id)).all():
                entry = audit.Entry(by, "preference.address_given_up", audit.Entity(kind.value, entity_id), at)
                audit.write(self._session, entry)

    def kinds_opted_out(self) -> frozenset[EntityType]:
        """Return of which relations somebody opted out."""
        out = select(PreferenceRow.entity_type).where(
            PreferenceRow.organisation_id == self._session.organisation_id, PreferenceRow.opted_in.is_(False)
        )
        return frozenset(map(EntityType, self._session.scalars(out.distinct())))

    def consented(self) -> pd.DataFrame | None:
        """Return who opted in (entity_type, entity_id), None where the organisation does not ask for that."""
        opt_in_only = select(ConnectionRow.opt_in_only).where(
            ConnectionRow.organisation_id == self._session.organisation_id, ConnectionRow.soft_deleted_at.is_(None)
        )
        if not self._session.scalar(opt_in_only):
            return None
        return self._frame(opted_in=True)[["entity_type", "entity_id"]]

    def _frame(self, *, opted_in: bool) -> pd.DataFrame:
        columns = ("entity_type", "entity_id", "subscriber_hash")
        query = select(PreferenceRow.entity_type, PreferenceRow.entity_id, PreferenceRow.subscriber_hash).where(
            PreferenceRow.organisation_id == self._session.organisation_id, PreferenceRow.opted_in.is_(opted_in)
        )
        rows = self._session.execute(query).all()
        return pd.DataFrame(rows, columns=list(columns), dtype=ARROW_STRING)

    def _all(self) -> Select[PreferenceRow]:
        return select(PreferenceRow).where(PreferenceRow.organisation_id == self._session.organisation_id)


def _together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True).astype(ARROW_STRING)


def _entity_key(text: str) -> tuple[str, str]:
    entity_type, _, entity_id = text.partition("/")
    return EntityType(entity_type).value, entity_id


def _preference(row: PreferenceRow) -> Preference:
    return Preference(
        entity_type=EntityType(row.entity_type),
        entity_id=row.entity_id,
        opted_in=row.opted_in,
        consent_given_at=row.consent_given_at,
        consent_withdrawn_at=row.consent_withdrawn_at,
        consent_source=row.consent_source,
        updated_at=row.updated_at,
    )
