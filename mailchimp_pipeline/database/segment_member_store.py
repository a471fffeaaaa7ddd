"""The stored members of segments, and the members that Mailchimp rejected.

Members are written in bulk, and only if they changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Select, and_, select, tuple_, update

from mailchimp_pipeline.consent.decision import SUPPRESSED_MEMBERS
from mailchimp_pipeline.contacts import content_digest
from mailchimp_pipeline.contacts.text_columns import pc, text_column
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.bulk import copied, copy_in, counted
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.ledger import merge_tags_of
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.segment_store import locked_segment
from mailchimp_pipeline.database.session import OrganisationSession, driver_connection
from mailchimp_pipeline.database.tables import RejectedContactRow, SegmentMemberRow, row_id
from mailchimp_pipeline.segments import MassDeparture, OnLeave, Segment, Suppressions, is_mass_departure
from mailchimp_pipeline.sync import MERGE_FIELDS

_COMPARED = ("subscriber_hash", "digest", "entity_type", "entity_id")
_COLUMNS = ("subscriber_hash", "entity_type", "entity_id", "email", "first_name", "last_name")

_STAGE = """
create temporary table wanted_members (
    subscriber_hash text collate "C", entity_type text, entity_id text collate "C",
    email text, first_name text, last_name text, digest text
) on commit drop
"""

_LEFT = "string_to_array(%(left)s, ',')"
"""The subscriber hashes in the comma-separated placeholder `left`. One text is faster than an array parameter."""

_MARK = """
update audience_members as member set leaving = true
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and first_pushed_at is not null
"""

_MARK_LEAVING = f"{_MARK} and subscriber_hash = any ({_LEFT})"

_MARK_LEAVING_ELSEWHERE = f"""{_MARK}
    and replaced_hash = any ({_LEFT}) and exists (
        select from segment_members as known
        where known.organisation_id = %(organisation_id)s and known.segment_id = %(segment_id)s
            and known.subscriber_hash = member.replaced_hash
            and (known.entity_type, known.entity_id) = (member.entity_type, member.entity_id)
    )
"""
"""Mark audience members as leaving whose contacts left, and who changed their address at Mailchimp.

The member is found by the source's address, which it replaced. The contact must be the same, because another contact
may have that address now.
"""

_MARK_MOVED = """
update audience_members as member set leaving = true
from wanted_members as wanted
where member.organisation_id = %(organisation_id)s and member.mailchimp_list_id = %(list_id)s
    and member.first_pushed_at is not null
    and member.entity_type = wanted.entity_type and member.entity_id = wanted.entity_id
    and wanted.subscriber_hash not in (member.subscriber_hash, coalesce(member.replaced_hash, ''))
"""
"""Mark the audience members at former addresses of the segment's contacts as leaving.

This does not depend on the segment's `on_leave`. A contact whose former address stayed subscribed
would get each e-mail twice.
"""

_REMOVE = f"""
delete from segment_members
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s and subscriber_hash = any ({_LEFT})
"""

_CHANGE = """
update segment_members as known
set entity_type = wanted.entity_type, entity_id = wanted.entity_id, email = wanted.email,
    first_name = wanted.first_name, last_name = wanted.last_name, digest = wanted.digest
from wanted_members as wanted
where known.organisation_id = %(organisation_id)s and known.segment_id = %(segment_id)s
    and wanted.subscriber_hash = known.subscriber_hash
"""

_ADD = """
insert into segment_members (
    organisation_id, segment_id, mailchimp_list_id,
    subscriber_hash, entity_type, entity_id, email, first_name, last_name, digest
)
select %(organisation_id)s, %(segment_id)s, %(list_id)s,
    subscriber_hash, entity_type, entity_id, email, first_name, last_name, digest
from wanted_members as wanted order by subscriber_hash
"""

_CLAIM = """
update audience_members as known
set entity_type = wanted.entity_type, entity_id = wanted.entity_id, replaced_hash = null, leaving = false
from wanted_members as wanted
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.subscriber_hash = wanted.subscriber_hash and known.entity_id is not null and (
        known.leaving
        or (known.entity_type, known.entity_id) is distinct from (wanted.entity_type, wanted.entity_id)
    )
"""
"""Attribute audience members to the contacts who now have their addresses.

An opt-out of the new contact then unsubscribes the member, and the former contact's departure does not archive it.
"""

_KNOWN = sql.SQL("""
select subscriber_hash, digest, entity_type, entity_id from segment_members
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
""")

_COUNT_SUPPRESSED = sql.SQL(f"select count(*) from ({SUPPRESSED_MEMBERS}) as member")

_REMOVE_SUPPRESSED = sql.SQL(f"""
delete from segment_members
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
    and subscriber_hash in ({SUPPRESSED_MEMBERS})
""")


@dataclass(frozen=True, slots=True)
class MemberChange:
    """How many members a segment had before a change, and how many were added, changed and removed."""

    before: int
    added: int
    changed: int
    removed: int


class MemberStore:
    """The stored members of the segments of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def replace(
        self,
        segment: Segment,
        members: pd.DataFrame,
        suppressions: Suppressions,
        *,
        departures_confirmed: bool = False,
    ) -> MemberChange:
        """Replace the segment's stored members by `members`, and return how many changed.

        `members` has one row for each address, with at least subscriber_hash, entity_type, entity_id, email, first_name
        and last_name. If the segment was deleted meanwhile, nothing is written. Raises `segments.MassDeparture` if more
        than half of the members would leave, unless `departures_confirmed`. Contacts in `suppressions` and those who
        lack a required opt-in are left out of that comparison.
        """
        if locked_segment(self._session, segment.id) is None:
            return MemberChange(0, 0, 0, 0)
        parameters = self._parameters(segment.id) | {"list_id": segment.mailchimp_list_id}
        tags = merge_tags_of(self._session, segment.mailchimp_list_id)
        fields = {tag: column for tag, column in MERGE_FIELDS.items() if tag in tags}
        wanted = members.loc[:, list(_COLUMNS)].assign(digest=content_digest(members, fields))
        # Compared in Python, because PostgreSQL would need all rows written first, even without a change.
        known = copied(driver_connection(self._session), _KNOWN, _COMPARED, parameters)
        added, changed, left, taken_over = _difference(known, wanted)
        suppressed = _suppressed(known, left, suppressions)
        before, leaving = len(known) - suppressed, len(left) - suppressed
        if is_mass_departure(before, leaving) and not departures_confirmed:
            raise MassDeparture(segment.name, before, leaving)
        if segment.on_leave is OnLeave.ARCHIVE:
            self._do_for(left, _MARK_LEAVING, parameters)
            self._do_for([*left, *taken_over], _MARK_LEAVING_ELSEWHERE, parameters)
        self._do_for(left, _REMOVE, parameters)
        self._write(_CHANGE, changed, parameters)
        self._write(_ADD, added, parameters)
        return MemberChange(len(known), len(added), len(changed), len(left))

    def remove_suppressed(self, segment_id: str, erased: ErasedAmong) -> int:
        """Remove the segment's members who may no longer be e-mailed. Return how many were removed."""
        parameters = {**self._parameters(segment_id), **erased.parameters()}
        return driver_connection(self._session).execute(_REMOVE_SUPPRESSED, parameters).rowcount

    def count_suppressed(self, segment_id: str, erased: ErasedAmong) -> int:
        """Return the number of the segment's members who may not be e-mailed. It is zero unless there is a defect."""
        parameters = {**self._parameters(segment_id), **erased.parameters()}
        return counted(driver_connection(self._session), _COUNT_SUPPRESSED, parameters)

    def _do_for(self, left: Sequence[str], statement: LiteralString, parameters: Mapping[str, object]) -> None:
        if left:
            driver_connection(self._session).execute(statement, {**parameters, "left": ",".join(left)})

    def _write(self, statement: LiteralString, rows: pd.DataFrame, parameters: Mapping[str, object]) -> None:
        if not rows.empty:
            connection = driver_connection(self._session)
            connection.execute(_STAGE)
            copy_in(connection, "wanted_members", rows)
            connection.execute(statement, parameters)
            connection.execute(_CLAIM, parameters)
            connection.execute(_MARK_MOVED, parameters)
            connection.execute("drop table wanted_members")

    def _parameters(self, segment_id: str) -> dict[str, object]:
        return {"organisation_id": self._session.organisation_id, "segment_id": row_id(segment_id)}


def _difference(
    known: pd.DataFrame, wanted: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, Sequence[str], Sequence[str]]:
    """Compare the stored with the wanted members. Return four results, the last two as lists of subscriber hashes.

    They are: new members, changed members, members who left, and addresses that now belong to another contact.
    """
    before = {name: text_column(known[name]) for name in _COMPARED}
    now = {name: text_column(wanted[name]) for name in _COMPARED}
    hashes, hashes_before = now["subscriber_hash"], before["subscriber_hash"]
    place = pc.index_in(hashes, value_set=hashes_before)
    other = {
        name: _flags(pc.fill_null(pc.not_equal(now[name], pc.take(before[name], place)), fill_value=False))
        for name in _COMPARED[1:]
    }
    is_somebody_else = other["entity_type"] | other["entity_id"]
    gone = pc.invert(pc.is_in(hashes_before, value_set=hashes))
    left: list[str] = pc.filter(hashes_before, gone).to_pylist()
    is_new = _flags(pc.is_null(place))
    # For a new segment, the copy would double the memory.
    added = wanted if is_new.all() else wanted[is_new]
    taken_over: list[str] = wanted["subscriber_hash"][is_somebody_else].tolist()
    return added, wanted[other["digest"] | is_somebody_else], left, taken_over


_CONTACT = ["entity_type", "entity_id"]


def _suppressed(known: pd.DataFrame, left: Sequence[str], suppressions: Suppressions) -> int:
    """Return how many of the members who left did so because they may not be e-mailed. `left` has subscriber hashes."""
    if not left:
        return 0
    rows = known[known["subscriber_hash"].isin(left)]
    contacts = pd.MultiIndex.from_frame(rows[_CONTACT])
    by_address = rows["subscriber_hash"].isin(suppressions.addresses["subscriber_hash"]).to_numpy(dtype=np.bool_)
    found = by_address | contacts.isin(pd.MultiIndex.from_frame(suppressions.entities[_CONTACT]))
    if suppressions.consented is not None:
        found |= ~contacts.isin(pd.MultiIndex.from_frame(suppressions.consented[_CONTACT]))
    return int(found.sum())


def _flags(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - an Arrow array of booleans
    return column.to_numpy(zero_copy_only=False)


def rejected_contacts(
    session: OrganisationSession, segment_id: str, *, limit: int, cursor: str | None = None
) -> Page[RejectedContactRow]:
    """Return a page of the segment's members that Mailchimp rejected, latest rejection first.

    `next_attempt_at` is null if a contact is sent again only after its data or the audience's merge fields change.
    Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
    """
    row, query = RejectedContactRow, _of_segment(session, segment_id)
    if cursor is not None:
        query = query.where(tuple_(row.rejected_at, row.subscriber_hash) < read_cursor(cursor, str))
    rows = session.scalars(query.order_by(row.rejected_at.desc(), row.subscriber_hash.desc()).limit(limit + 1)).all()
    return page(rows, limit, lambda row: row, lambda one: cursor_after(one.rejected_at, one.subscriber_hash))


def retry_rejected(session: OrganisationSession, segment_id: str, *, by: str, at: datetime) -> int:
    """Make the segment's next sync send its rejected contacts again. Return how many there are."""
    row = RejectedContactRow
    key = tuple_(row.mailchimp_list_id, row.subscriber_hash)
    hashes = _of_segment(session, segment_id).with_only_columns(row.mailchimp_list_id, row.subscriber_hash)
    retried = update(row).where(session.owns(row), key.in_(hashes)).values(is_final=False, next_attempt_at=at)
    count = len(session.scalars(retried.returning(row.subscriber_hash)).all())
    entity = audit_log.Entity("segment", segment_id)
    audit_log.write(session, audit_log.Entry(by, "segment.rejected_retried", entity, at, {"contacts": count}))
    return count


def _of_segment(session: OrganisationSession, segment_id: str) -> Select[RejectedContactRow]:
    row, member = RejectedContactRow, SegmentMemberRow
    columns = ("organisation_id", "mailchimp_list_id", "subscriber_hash")
    same = and_(*(getattr(member, name) == getattr(row, name) for name in columns))
    return select(row).join(member, same).where(session.owns(row), member.segment_id == row_id(segment_id))
