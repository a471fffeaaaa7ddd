"""Preferences of contacts, read; and who of an organisation may not be e-mailed, for its memberships.

What does not belong here: recording statements (`consent_statements`), the rule (`consent.decision`).
"""

from collections.abc import Sequence
from typing import LiteralString

import pandas as pd
from psycopg import sql
from sqlalchemy import Select, select, tuple_

from mailchimp_pipeline.consent import Preference
from mailchimp_pipeline.consent.decision import (
    CONSENT_REQUIRED,
    CONSENTED_CONTACTS,
    SUPPRESSED_ADDRESSES,
    SUPPRESSED_CONTACTS,
)
from mailchimp_pipeline.contacts import ARROW_STRING, EntityType
from mailchimp_pipeline.database.bulk import driver_connection
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import PreferenceRow
from mailchimp_pipeline.segments import Exclusion, Suppressions


class PreferenceStore:
    """The preferences of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def get(self, entity_type: EntityType, entity_id: str) -> Preference | None:
        """Return the contact's preference, None where it never made a statement."""
        query = self._all().where(PreferenceRow.entity_type == entity_type.value, PreferenceRow.entity_id == entity_id)
        row = self._session.scalar(query, execution_options={"populate_existing": True})
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

    def _all(self) -> Select[PreferenceRow]:
        return select(PreferenceRow).where(PreferenceRow.organisation_id == self._session.organisation_id)


def suppressions(session: OrganisationSession, erased: ErasedAmong) -> Suppressions:
    """Return which contacts and addresses of the organisation may not be e-mailed; `erased` are those of rule 1."""
    out = _rows(session, SUPPRESSED_CONTACTS, ["entity_type", "entity_id"])
    addresses = _rows(session, SUPPRESSED_ADDRESSES, ["subscriber_hash"])
    gone = pd.DataFrame(sorted(erased.contacts), columns=["entity_type", "entity_id"], dtype=ARROW_STRING)
    gone_addresses = pd.DataFrame({"subscriber_hash": sorted(erased.addresses)}, dtype=ARROW_STRING)
    required = driver_connection(session).execute(
        sql.SQL(f"select {CONSENT_REQUIRED}"), {"organisation_id": session.organisation_id}
    )
    is_required = (required.fetchone() or (False,))[0]
    return Suppressions(
        entities=_together(out.assign(reason=Exclusion.OPTED_OUT.value), gone.assign(reason=Exclusion.ERASED.value)),
        addresses=_together(
            addresses.assign(reason=Exclusion.OPTED_OUT.value), gone_addresses.assign(reason=Exclusion.ERASED.value)
        ),
        consented=_rows(session, CONSENTED_CONTACTS, ["entity_type", "entity_id"]) if is_required else None,
    )


def suppressed_relations(session: OrganisationSession) -> frozenset[EntityType]:
    """Return the relations in which somebody opted out: their present addresses decide for others, too."""
    contacts = _rows(session, SUPPRESSED_CONTACTS, ["entity_type", "entity_id"])
    return frozenset(map(EntityType, contacts["entity_type"].unique()))


def _rows(session: OrganisationSession, query: LiteralString, columns: Sequence[str]) -> pd.DataFrame:
    found = driver_connection(session).execute(query, {"organisation_id": session.organisation_id}).fetchall()
    return pd.DataFrame(found, columns=[*columns], dtype=ARROW_STRING)


def _together(*frames: pd.DataFrame) -> pd.DataFrame:
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
