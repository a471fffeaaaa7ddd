"""Who is in a segment, as it is kept: written in bulk, and only where it differs.

What does not belong here: who belongs in a segment (`mailchimp_pipeline.segments`), what audiences have (`ledger`).
"""

from dataclasses import dataclass

import pandas as pd
from psycopg import sql
from sqlalchemy import func, select

from mailchimp_pipeline.contacts import ARROW_STRING, content_digest
from mailchimp_pipeline.database.bulk import copy_in, copy_out, counted, driver_connection
from mailchimp_pipeline.database.segments.rows import locked_segment
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentMemberRow, row_id
from mailchimp_pipeline.segments import MassDeparture, OnLeave, Segment, is_mass_departure

_COLUMNS = ("subscriber_hash", "entity_type", "entity_id", "email", "first_name", "last_name")

_STAGE = """
create temporary table wanted_members (
    subscriber_hash text collate "C", entity_type text, entity_id text collate "C",
    email text, first_name text, last_name text, digest text
) on commit drop
"""

_LEAVING = """
select count(*) from segment_members as known
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
    and not exists (select from wanted_members as wanted where wanted.subscriber_hash = known.subscriber_hash)
"""

_MARK_LEAVING = """
update audience_members as member set leaving = true
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and state = 'pushed'
    and exists (
        select from segment_members as known
        where known.organisation_id = %(organisation_id)s and known.segment_id = %(segment_id)s
            and known.subscriber_hash = member.subscriber_hash
            and not exists (select from wanted_members as wanted where wanted.subscriber_hash = known.subscriber_hash)
    )
"""

_REMOVE = """
delete from segment_members as known
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
    and not exists (select from wanted_members as wanted where wanted.subscriber_hash = known.subscriber_hash)
"""

_CHANGE = """
update segment_members as known
set entity_type = wanted.entity_type, entity_id = wanted.entity_id, email = wanted.email,
    first_name = wanted.first_name, last_name = wanted.last_name, digest = wanted.digest
from wanted_members as wanted
where known.organisation_id = %(organisation_id)s and known.segment_id = %(segment_id)s
    and wanted.subscriber_hash = known.subscriber_hash
    and (known.digest, known.entity_type, known.entity_id)
        is distinct from (wanted.digest, wanted.entity_type, wanted.entity_id)
"""

_ADD = """
insert into segment_members (
    organisation_id, segment_id, mailchimp_list_id,
    subscriber_hash, entity_type, entity_id, email, first_name, last_name, digest
)
select %(organisation_id)s, %(segment_id)s, %(list_id)s,
    subscriber_hash, entity_type, entity_id, email, first_name, last_name, digest
from wanted_members as wanted
where not exists (
    select from segment_members as known
    where known.segment_id = %(segment_id)s and known.subscriber_hash = wanted.subscriber_hash
)
order by subscriber_hash
"""

_OF_SEGMENT = """
select subscriber_hash, entity_type, entity_id, email, first_name, last_name from segment_members
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
order by subscriber_hash
"""


@dataclass(frozen=True, slots=True)
class MemberChange:
    """How a segment's members differ from those before, in members."""

    before: int
    added: int
    changed: int
    removed: int


class MemberStore:
    """The members of the segments of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def replace(self, segment: Segment, members: pd.DataFrame, *, departures_confirmed: bool = False) -> MemberChange:
        """Make these the segment's members; nobody is where the segment was deleted meanwhile.

        `members` has, one row an address, at least subscriber_hash, entity_type, entity_id, email, first_name
        and last_name. Raises `segments.MassDeparture` where too many would leave, unless a person confirmed that.
        """
        if locked_segment(self._session, segment.id) is None:
            return MemberChange(0, 0, 0, 0)
        before = self.count(segment.id)
        self._stage(members)
        parameters = self._parameters(segment.id) | {"list_id": segment.mailchimp_list_id}
        connection = driver_connection(self._session)
        leaving = counted(connection, _LEAVING, parameters)
        if is_mass_departure(before, leaving) and not departures_confirmed:
            raise MassDeparture(segment.name, before, leaving)
        if segment.on_leave is OnLeave.ARCHIVE:
            connection.execute(_MARK_LEAVING, parameters)
        removed, changed, added = (
            connection.execute(statement, parameters).rowcount for statement in (_REMOVE, _CHANGE, _ADD)
        )
        connection.execute("drop table wanted_members")
        return MemberChange(before, added, changed, removed)

    def count(self, segment_id: str) -> int:
        """Count the segment's members."""
        query = select(func.count()).where(
            SegmentMemberRow.organisation_id == self._session.organisation_id,
            SegmentMemberRow.segment_id == row_id(segment_id),
        )
        return self._session.scalars(query).one()

    def of(self, segment_id: str) -> pd.DataFrame:
        """Return the segment's members by hash, with the columns that `replace` asks for, as `ARROW_STRING`."""
        nobody = pd.DataFrame({name: pd.Series(dtype=ARROW_STRING) for name in _COLUMNS})
        connection = driver_connection(self._session)
        pieces = copy_out(connection, sql.SQL(_OF_SEGMENT), _COLUMNS, self._parameters(segment_id))
        return pd.concat([nobody, *pieces], ignore_index=True)

    def _stage(self, members: pd.DataFrame) -> None:
        connection = driver_connection(self._session)
        connection.execute(_STAGE)
        wanted = members.loc[:, list(_COLUMNS)].assign(digest=content_digest(members))
        copy_in(connection, "wanted_members", wanted)
        connection.execute("analyze wanted_members")

    def _parameters(self, segment_id: str) -> dict[str, object]:
        return {"organisation_id": self._session.organisation_id, "segment_id": row_id(segment_id)}
