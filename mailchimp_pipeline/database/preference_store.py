"""Read whether contacts are opted in, and whom an organisation may not e-mail."""

from collections.abc import Sequence
from typing import LiteralString

import pandas as pd
from psycopg import sql
from sqlalchemy import Select, select, tuple_

from mailchimp_pipeline.consent import Preference
from mailchimp_pipeline.consent.decision import (
    CONSENT_REQUIRED,
    CONSENTED_CONTACTS,
    EXCLUSION,
    SUPPRESSED_ADDRESSES,
    SUPPRESSED_CONTACTS,
)
from mailchimp_pipeline.contacts import ARROW_STRING, EntityType
from mailchimp_pipeline.database.bulk import as_texts, contact_arrays
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession, driver_connection
from mailchimp_pipeline.database.tables import PreferenceRow, as_value, of_contact
from mailchimp_pipeline.segments import Exclusion, Suppressions

_ENTITY, _ADDRESS = ("entity_type", "entity_id"), ("subscriber_hash",)


class PreferenceStore:
    """The preferences of the contacts of the session's organisation: whether each of them is opted in."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def get(self, entity_type: EntityType, entity_id: str) -> Preference | None:
        """Return the contact's preference, None if the contact made no statement."""
        query = self._all().where(of_contact(PreferenceRow, (entity_type, entity_id)))
        row = self._session.scalar(query, execution_options={"populate_existing": True})
        return row and _preference(row)

    def list(self, *, limit: int, cursor: str | None = None) -> Page[Preference]:
        """Return a page of preferences, latest changed first.

        Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
        """
        query, place = self._all(), (PreferenceRow.updated_at, PreferenceRow.entity_type, PreferenceRow.entity_id)
        if cursor is not None:
            at, (entity_type, entity_id) = read_cursor(cursor, _entity_key)
            query = query.where(tuple_(*place) < (at, entity_type, entity_id))
        rows = self._session.scalars(query.order_by(*(column.desc() for column in place)).limit(limit + 1)).all()
        return page(
            rows, limit, _preference, lambda row: cursor_after(row.updated_at, f"{row.entity_type}/{row.entity_id}")
        )

    def _all(self) -> Select[PreferenceRow]:
        return select(PreferenceRow).where(self._session.owns(PreferenceRow))


def suppressions(session: OrganisationSession, erased: ErasedAmong) -> Suppressions:
    """Return the contacts and addresses that may not be e-mailed, by the rules of `consent.decision`.

    `erased` are the erased contacts that are still in the source.
    """
    connection, ours = driver_connection(session), {"organisation_id": session.organisation_id}

    def found(query: LiteralString, columns: Sequence[str]) -> pd.DataFrame:
        return as_texts(connection.execute(query, ours).fetchall(), columns)

    is_required = connection.execute(sql.SQL(f"select {CONSENT_REQUIRED}"), ours).fetchone() == (True,)
    return Suppressions(
        entities=_with_reasons(found(SUPPRESSED_CONTACTS, _ENTITY), as_texts(sorted(erased.contacts), _ENTITY)),
        addresses=_with_reasons(
            found(SUPPRESSED_ADDRESSES, _ADDRESS), as_texts([(key,) for key in sorted(erased.addresses)], _ADDRESS)
        ),
        consented=found(CONSENTED_CONTACTS, _ENTITY) if is_required else None,
    )


def suppressions_among(session: OrganisationSession, contacts: pd.DataFrame, erased: ErasedAmong) -> Suppressions:
    """Return which of a few contacts may not be e-mailed, by the same rules as `suppressions`.

    `contacts` has entity_type, entity_id and subscriber_hash, and `erased` those of them that are erased.
    """
    parameters = {"organisation_id": session.organisation_id, **contact_arrays(contacts), **erased.parameters()}
    rows = driver_connection(session).execute(_EXCLUSIONS, parameters).fetchall()
    decided = as_texts(rows, (*_ENTITY, *_ADDRESS, "reason"))
    lacks_consent = decided["reason"].eq(Exclusion.NO_CONSENT.value).fillna(value=False).astype(bool)
    suppressed = decided[decided["reason"].notna() & ~lacks_consent]
    has_address = suppressed["subscriber_hash"].notna()
    return Suppressions(
        # A contact's other address may be allowed.
        entities=suppressed.loc[~has_address, [*_ENTITY, "reason"]],
        addresses=suppressed.loc[has_address, [*_ADDRESS, "reason"]],
        consented=decided.loc[decided["reason"].isna(), [*_ENTITY]] if lacks_consent.any() else None,
    )


_EXCLUSIONS: LiteralString = f"""
select about.entity_type, about.entity_id, about.subscriber_hash, {EXCLUSION}
from unnest(%(entity_types)s::text[], %(entity_ids)s::text[], %(keys)s::text[])
    as about (entity_type, entity_id, subscriber_hash)
"""


def suppressed_relations(session: OrganisationSession) -> frozenset[EntityType]:
    """Return the entity types (employee, vendor) that have contacts who opted out."""
    opted_out = select(PreferenceRow.entity_type).where(session.owns(PreferenceRow), ~PreferenceRow.opted_in)
    return frozenset(map(EntityType, session.scalars(opted_out.distinct())))


def _with_reasons(opted_out: pd.DataFrame, erased: pd.DataFrame) -> pd.DataFrame:
    frames = [opted_out.assign(reason=Exclusion.OPTED_OUT.value), erased.assign(reason=Exclusion.ERASED.value)]
    return pd.concat(frames, ignore_index=True).astype(ARROW_STRING)


def _entity_key(text: str) -> tuple[str, str]:
    entity_type, _, entity_id = text.partition("/")
    return EntityType(entity_type).value, entity_id


def _preference(row: PreferenceRow) -> Preference:
    return as_value(Preference, row, entity_type=EntityType(row.entity_type))
