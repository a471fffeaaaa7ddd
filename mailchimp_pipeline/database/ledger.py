"""The ledger of an audience: the database's record of the members that the audience has. Implements `sync.Ledger`.

Threads may share a ledger, because each call is its own transaction. To compare a segment's members with the audience,
ranges of subscriber hashes are read by COPY and compared in Arrow. The same comparison in SQL takes ten times as long,
because it looks up each unchanged member.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, LiteralString, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.consent import MAILCHIMP
from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.contacts.text_columns import pc, text_column
from mailchimp_pipeline.database import ledger_sql
from mailchimp_pipeline.database.bulk import as_texts, contact_arrays, copied, text_array
from mailchimp_pipeline.database.consent_statements import as_statement, record_statements
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import NOBODY, ErasedAmong, ErasedContacts
from mailchimp_pipeline.database.locks import consent_lock, lock_for_transaction
from mailchimp_pipeline.database.session import Database, DriverConnection, OrganisationSession, driver_connection
from mailchimp_pipeline.database.tables import AudienceMemberRow, AudienceReadRow, row_id
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.sync import (
    MERGE_FIELDS,
    Compared,
    KnownStatus,
    MemberRef,
    MemberState,
    MemberStatus,
    MergeField,
    Recheck,
    Rejection,
    Withdrawal,
)
from mailchimp_pipeline.sync.member_states import after_archiving
from mailchimp_pipeline.sync.rejections import is_final, next_attempt

_HASHES = 2**32
"""The number of values of a subscriber hash's first eight hex digits.

The values are evenly distributed, so equal ranges of them have about equally many members.
"""


_LOOKED_THROUGH = 20
"""How many times larger than the segment the audience may be to be read whole.

In a larger audience, each of the segment's members is looked up.
"""

_FEW = 0.1
"""The share of differing contacts above which a range is read again whole. Below it, each of them is looked up."""


def compare(database: Database, parameters: Mapping[str, object], *, size: int) -> Iterator[Compared]:
    """Compare a segment with its audience. Yield partial results in the order of subscriber hashes.

    Each result but the last has at least `size` differences. About `size` members are compared in one transaction, and
    no transaction is open while a result is used. `parameters` has the values of the SQL placeholders:
    `organisation_id`, `list_id`, `segment_id`, the audience's `merge_fields` as stored text, and the current time `at`.
    """
    organisation_id = str(parameters["organisation_id"])
    with database.organisation(organisation_id) as session:
        connection = driver_connection(session)
        sizes = connection.execute(ledger_sql.SIZES, parameters).fetchall()
        ours, sharing, theirs = cast("list[tuple[int, int, int]]", sizes)[0]
        waiting = as_texts(connection.execute(ledger_sql.WAITING, parameters).fetchall(), ledger_sql.WAITING_COLUMNS)
    held: list[Compared] = []
    for after, through in _ranges(-(-ours // size)):
        bounds = {**parameters, "after": after, "through": through}
        with database.organisation(organisation_id) as session:
            part = _HashRange(driver_connection(session), bounds, waiting, shared=sharing > 0)
            held.append(part.compared(_known(ours, theirs)))
        # A result without enough differences would make a small batch.
        if sum(len(each.differences) for each in held) >= size:
            yield _together(held)
            held = []
    if held:
        yield _together(held)


def _known(ours: int, theirs: int) -> sql.SQL | None:
    """Choose the query for the audience's members by the number of members of the segment and of the audience.

    Return None if the audience has no members.
    """
    if theirs == 0:
        return None
    return ledger_sql.KNOWN if theirs <= _LOOKED_THROUGH * ours else ledger_sql.KNOWN_OF_SEGMENT


@dataclass(frozen=True, slots=True)
class _HashRange:
    """The comparison of one range of subscriber hashes, in one transaction.

    `bounds` has the SQL parameters with the bounds of the range. `waiting` are the rejected contacts that
    are not due to be sent again. `shared` says whether other segments feed the audience too.
    """

    connection: DriverConnection
    bounds: Mapping[str, object]
    waiting: pd.DataFrame
    shared: bool

    def compared(self, known: sql.SQL | None) -> Compared:
        if known is None and self.waiting.empty:
            contacts = self._in_range(ledger_sql.CONTACT_COLUMNS)
            nothing = pd.Series([None] * len(contacts), dtype=ARROW_STRING)
            return Compared(contacts.assign(**dict.fromkeys(ledger_sql.STATE_COLUMNS, nothing)))
        wanted = self._in_range(ledger_sql.WANTED_COLUMNS)
        there = copied(self.connection, known or ledger_sql.KNOWN, ledger_sql.KNOWN_COLUMNS, self.bounds)
        unchanged = _unchanged(wanted, there)
        waits, reasons = self._waits(wanted)
        waits &= ~unchanged
        contacts = self._contacts(wanted[~unchanged & ~waits], of=len(wanted))
        return Compared(
            self._with_states(contacts),
            unchanged=int(unchanged.sum()),
            waiting=Counter(
                Rejection(reason) for reason, is_so in zip(reasons, waits, strict=True) if is_so and reason
            ),
        )

    def _waits(self, wanted: pd.DataFrame) -> tuple[NDArray[np.bool_], list[str | None]]:
        """Return, for each wanted contact, whether it waits after a rejection, and the reason of the rejection."""
        keys = text_column(self.waiting["subscriber_hash"])
        place = pc.index_in(text_column(wanted["subscriber_hash"]), value_set=keys)
        digests = pc.take(text_column(self.waiting["digest"]), place)
        is_same = pc.fill_null(pc.equal(digests, text_column(wanted["digest"])), fill_value=True)
        waits = pc.and_(pc.is_valid(place), is_same).to_numpy(zero_copy_only=False)
        return waits.copy(), pc.take(text_column(self.waiting["reason"]), place).to_pylist()

    def _contacts(self, differing: pd.DataFrame, *, of: int) -> pd.DataFrame:
        if len(differing) > _FEW * of:
            everybody = self._in_range(ledger_sql.CONTACT_COLUMNS)
            return everybody[everybody["subscriber_hash"].isin(differing["subscriber_hash"])].reset_index(drop=True)
        # A query parameter does not appear in PostgreSQL's log. `COPY` has no parameters.
        these = {"hashes": ",".join(differing["subscriber_hash"])}
        query = ledger_sql.contacts_in_range(ledger_sql.CONTACT_COLUMNS, shared=self.shared, some=True)
        return self._fetched(query, ledger_sql.CONTACT_COLUMNS, these)

    def _with_states(self, contacts: pd.DataFrame) -> pd.DataFrame:
        """Return the contacts with columns that say what is known of them in the audience."""
        states = self._fetched(ledger_sql.STATES, ledger_sql.STATE_COLUMNS, contact_arrays(contacts))
        return pd.concat([contacts, states], axis="columns")

    def _in_range(self, columns: Sequence[LiteralString]) -> pd.DataFrame:
        return copied(self.connection, ledger_sql.contacts_in_range(columns, shared=self.shared), columns, self.bounds)

    def _fetched(self, query: sql.SQL, columns: Sequence[str], parameters: Mapping[str, object]) -> pd.DataFrame:
        return as_texts(self.connection.execute(query, {**self.bounds, **parameters}).fetchall(), columns)


def _unchanged(wanted: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Return, for each wanted contact, whether the audience has it as subscribed with the same data."""
    place = pc.index_in(text_column(wanted["subscriber_hash"]), value_set=text_column(known["subscriber_hash"]))

    def has(column: str, value: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - a text or a column of it
        equal = pc.equal(pc.take(text_column(known[column]), place), value)
        return pc.fill_null(equal, fill_value=False).to_numpy(zero_copy_only=False)

    return has("status", KnownStatus.SUBSCRIBED.value) & has("digest", text_column(wanted["digest"]))


def _ranges(count: int) -> Iterator[tuple[str, str]]:
    """Split all subscriber hashes into `count` ranges. Yield the exclusive lower and inclusive upper bound of each."""
    bounds = [f"{place * _HASHES // count:08x}" for place in range(1, count)]
    yield from pairwise(["", *bounds, "~"])


def _together(parts: Sequence[Compared]) -> Compared:
    return Compared(
        pd.concat([each.differences for each in parts], ignore_index=True),
        unchanged=sum(each.unchanged for each in parts),
        waiting=sum((Counter(each.waiting) for each in parts), Counter[Rejection]()),
    )


COMPARED_AT_ONCE = 10_000
"""The number of members compared in one transaction. Each result but the last has at least as many differences."""

_T = TypeVar("_T")
_ReportedT = TypeVar("_ReportedT", MemberState, Withdrawal)

_REQUIRED = "*"

_SENT = {"emails": "email", "entity_types": "entity_type", "entity_ids": "entity_id", "digests": "digest"}


class ConnectionEnded(PermanentError):
    """The organisation disconnected from Mailchimp, or connected another account, during a sync."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(
            f"Organisation {organisation_id} ended its connection to Mailchimp during the sync, so no more was sent. "
            "What was sent is kept; connect again, then sync again."
        )


@dataclass(frozen=True, slots=True)
class DatabaseLedger:
    """The ledger of an audience: what the database knows about its members. Implements `sync.Ledger`."""

    database: Database
    keyring: Keyring
    organisation_id: str
    list_id: str
    clock: Clock
    erased: ErasedAmong = NOBODY
    """The erased contacts that are still in the source. Members with their addresses are to be unsubscribed."""
    compared_at_once: int = COMPARED_AT_ONCE

    def read_through(self) -> datetime | None:
        """Return the time up to which changes were pulled, None before the first pull from the connected account."""
        return self._read(AudienceReadRow.read_through)

    def finish_reading(self, through: datetime, merge_fields: Sequence[MergeField] | None = None) -> None:
        """Record that all changes up to the time `through` were pulled. With `merge_fields`, record those too.

        If a merge field is new or was recreated, all members are sent again, because its values are blank.
        """
        read = {} if merge_fields is None else {"merge_fields": _stored(merge_fields)}
        row = insert(AudienceReadRow).values(
            organisation_id=self.organisation_id, mailchimp_list_id=self.list_id, read_through=through, **read
        )
        # The pull included everything that an unfinished push has sent.
        now_known = {"read_through": through, "push_unfinished": False, **read}
        statement = row.on_conflict_do_update(index_elements=["organisation_id", "mailchimp_list_id"], set_=now_known)
        with self._session() as session:
            known = _known_fields(session, self.list_id)
            # After a change of the account, the former state of the merge fields is unknown.
            if merge_fields is not None and (known is None or _has_new_field(known, _stored(merge_fields))):
                # A new or recreated field is blank in every member, so all members are sent again.
                audience = _of_audience(session, AudienceMemberRow, self.list_id)
                session.execute(update(AudienceMemberRow).where(*audience).values(digest=None))
            session.execute(statement)

    def merge_tags(self) -> frozenset[str]:
        """Return the tags of the audience's merge fields, as last read. Before the first read, `FNAME` and `LNAME`."""
        with self._session() as session:
            return merge_tags_of(session, self.list_id)

    def begin_push(self) -> None:
        """Record that a push starts. If `end_push` does not follow, answers of Mailchimp may be lost."""
        self._note_push(push_unfinished=True)

    def end_push(self) -> None:
        """Record that the push ended and that every answer of Mailchimp is recorded."""
        self._note_push(push_unfinished=False)

    def record_member_states(self, members: Sequence[MemberState]) -> None:
        """Record the states of members that Mailchimp reported, and the consent statements that follow from them.

        For example, a member reported as unsubscribed becomes a withdrawal of consent. Members with the address of an
        erased contact are ignored. Everything is recorded in one transaction.
        """
        with self._session() as session:
            reported = self._not_erased(session, members)
            parameters, connection = self._reported(reported.values()), driver_connection(session)
            # Repeated, because a member may move to the address that another member gives up.
            while connection.execute(ledger_sql.MOVE_ADDRESSES, parameters).rowcount:
                pass
            # Statements first: they depend on the states known before.
            statuses = {member.status for member in reported.values()}
            if MemberStatus.UNSUBSCRIBED in statuses:
                self._record_statements(session, ledger_sql.DEPARTURES, parameters)
            if MemberStatus.SUBSCRIBED in statuses:
                self._record_statements(session, ledger_sql.RETURNS, parameters)
            connection.execute(ledger_sql.FORGET_REJECTIONS, parameters)
            connection.execute(ledger_sql.RECORD_STATES, parameters)

    def record_withdrawals(self, withdrawals: Sequence[Withdrawal]) -> None:
        """Record withdrawals of consent, such as spam complaints. Those of erased contacts are ignored."""
        with self._session() as session:
            reported = self._not_erased(session, withdrawals)
            states = [
                MemberState(key, MemberStatus.UNSUBSCRIBED, each.at, channel=each.channel)
                for key, each in reported.items()
            ]
            self._record_statements(session, ledger_sql.WITHDRAWALS, self._reported(states))

    def record_result(self, subscriber_hash: str, member: MemberState | None) -> None:
        """Record the member's state after a call by the pipeline. `member` is None if the audience does not have it.

        Unlike `record_member_states`, this records no consent statement.
        """
        with self._session() as session:
            status = member and member.status.value
            self._record_result(
                session, subscriber_hash, status, member and member.changed_at, member and member.contact_id
            )

    def record_archived(self, subscriber_hash: str, at: datetime | None) -> None:
        """Record that the pipeline archived a member, at the time `at` by Mailchimp's clock.

        Raises `ImpossibleTransition` if the member's known status does not allow that.
        """
        with self._session() as session:
            audience = _of_audience(session, AudienceMemberRow, self.list_id)
            query = select(AudienceMemberRow.status).where(
                *audience, AudienceMemberRow.subscriber_hash == subscriber_hash
            )
            known = session.scalar(query.with_for_update())
            now = after_archiving(None if known is None else KnownStatus(known))
            self._record_result(session, subscriber_hash, now.value, at)

    def compare(self, segment_id: str) -> Iterator[Compared]:
        """Compare the segment's members with the audience. Yield partial results, ordered by subscriber hash."""
        with self._session() as session:
            fields = _fields(session, self.list_id)
        parameters = self._parameters(segment_id=row_id(segment_id), merge_fields=fields, at=self.clock())
        return compare(self.database, parameters, size=self.compared_at_once)

    def recheck(self, segment_id: str, rows: pd.DataFrame) -> Mapping[str, Recheck]:
        """Check the contacts `rows` again right before they are sent.

        Return, by subscriber hash, their known statuses and whether they may be sent. The result is empty if nothing
        changed since the audience was pulled: then all of them may be sent. Raises
        `ConnectionEnded` if the organisation's connection ended meanwhile.
        """
        with self._session() as session:
            connection = driver_connection(session)
            connection_ended, has_news = connection.execute(ledger_sql.NEWS, self._parameters()).fetchone() or (1, 1)
            if connection_ended:
                raise ConnectionEnded(self.organisation_id)
            if not has_news:
                return {}
            # An erased contact is in no segment, so the comparison of keyed hashes can be skipped.
            parameters = self._parameters(segment_id=row_id(segment_id), **contact_arrays(rows), **NOBODY.parameters())
            found = connection.execute(ledger_sql.RECHECK, parameters).fetchall()
        return {
            str(key): Recheck(None if status is None else KnownStatus(str(status)), may_be_sent=bool(may_be_sent))
            for key, status, may_be_sent in found
        }

    def members_to_unsubscribe(self) -> Sequence[MemberRef]:
        """Return the members who are subscribed or pending, but may not be e-mailed."""
        return self._refs(ledger_sql.TO_UNSUBSCRIBE_IN_AUDIENCE, **self.erased.parameters())

    def leavers(self) -> Sequence[MemberRef]:
        """Return the members to archive.

        They are subscribed, left a segment that archives its leavers, and are in no other segment of the audience.
        """
        return self._refs(ledger_sql.LEAVERS)

    def contacts_of(self, members: Sequence[MemberRef]) -> pd.DataFrame:
        """Return entity_type and entity_id of the members' contacts, in the order of subscriber hashes.

        Members without a known contact, and erased contacts, are left out.
        """
        columns, row = ("entity_type", "entity_id", "subscriber_hash"), AudienceMemberRow
        with self._session() as session:
            query = select(*(getattr(row, name) for name in columns)).where(
                *_of_audience(session, row, self.list_id),
                row.entity_id.is_not(None),
                row.subscriber_hash.in_([member.subscriber_hash for member in members]),
            )
            found = as_texts([tuple(each) for each in session.execute(query.order_by(row.subscriber_hash))], columns)
            erased = ErasedContacts(session, self.keyring).among(found)
        is_erased = pd.MultiIndex.from_frame(found[["entity_type", "entity_id"]]).isin(erased.contacts)
        return found[~is_erased & ~found["subscriber_hash"].isin(erased.addresses)]

    def record_address(self, former: str, row: pd.DataFrame, member: MemberState) -> None:
        """Record that a member's address was changed to that of `row`, and record the member's state.

        `former` is the subscriber hash of the old address. `row` is a frame with the one contact.
        """
        new, email = str(row["subscriber_hash"].iloc[0]), str(row["email"].iloc[0])
        parameters = self._parameters(
            former=former,
            new=new,
            email=email,
            member_id=None if member.member_id == new else member.member_id,
            contact_id=member.contact_id,
        )
        with self._session() as session:
            connection = driver_connection(session)
            connection.execute(ledger_sql.MAKE_ROOM, parameters)
            connection.execute(ledger_sql.RECORD_ADDRESS, parameters)
        # An unsubscribe right before the change of the address is a consent statement.
        self.record_member_states([member])

    def record_accepted(
        self, rows: pd.DataFrame, accepted: Mapping[str, MemberRef], status: MemberStatus, at: datetime | None
    ) -> None:
        """Record in one transaction that Mailchimp accepted contacts, at the time `at` by Mailchimp's clock.

        `rows` has the sent data, `accepted` the accepted contacts by subscriber hash.
        """
        if not accepted:
            return
        parameters = self._parameters(
            at=self.clock(),
            changed_at=at,
            status=status.value,
            contact_ids=text_array(ref.contact_id for ref in accepted.values()),
            member_ids=text_array(ref.member_id for ref in accepted.values()),
            **_arrays(rows, accepted),
        )
        with self._session() as session:
            connection = driver_connection(session)
            connection.execute(ledger_sql.RECORD_ACCEPTED, parameters)
            connection.execute(ledger_sql.ACCEPTED_AFTER_ALL, parameters)

    def record_rejected(self, rows: pd.DataFrame, rejected: Mapping[str, Rejection], *, of_whole_batch: bool) -> None:
        """Record why Mailchimp rejected contacts, and when they are sent again. Their known statuses stay the same.

        `rows` has the sent data, `rejected` the reasons by subscriber hash. `of_whole_batch` says whether Mailchimp
        rejected every contact of the call.
        """
        if not rejected:
            return
        at, arrays = self.clock(), _arrays(rows, rejected)
        with self._session() as session:
            connection = driver_connection(session)
            known = connection.execute(ledger_sql.ATTEMPTS, self._parameters(hashes=arrays["hashes"]))
            former = {str(key): attempts for key, attempts in known if isinstance(attempts, int)}
            attempts = {key: former.get(key, 0) + 1 for key in rejected}
            parameters = self._parameters(
                at=at,
                merge_fields=_fields(session, self.list_id),
                reasons=text_array(reason.value for reason in rejected.values()),
                finals=[is_final(reason) for reason in rejected.values()],
                attempts=[*attempts.values()],
                next_attempts=[
                    next_attempt(reason, attempts=attempts[key], at=at, of_whole_batch=of_whole_batch)
                    for key, reason in rejected.items()
                ],
                **arrays,
            )
            connection.execute(ledger_sql.RECORD_REJECTED, parameters)

    def _record_statements(
        self, session: OrganisationSession, query: sql.SQL, parameters: Mapping[str, object]
    ) -> None:
        found = driver_connection(session).execute(query, parameters).fetchall()
        recorded = [as_statement(row, source=MAILCHIMP, list_id=self.list_id) for row in found]
        record_statements(session, self.keyring, recorded, by=MAILCHIMP, at=self.clock())

    def _not_erased(self, session: OrganisationSession, reported: Sequence[_ReportedT]) -> dict[str, _ReportedT]:
        """Take the consent lock. Return the reports by subscriber hash, without those about erased addresses."""
        # The consent lock is taken before any row lock and before the lock of erased contacts, as everywhere.
        lock_for_transaction(session, consent_lock(self.organisation_id))
        by_hash = {each.subscriber_hash: each for each in reported}
        erased = ErasedContacts(session, self.keyring).of_addresses(by_hash)
        return {key: each for key, each in by_hash.items() if key not in erased}

    def _record_result(
        self,
        session: OrganisationSession,
        subscriber_hash: str,
        status: str | None,
        changed_at: datetime | None,
        contact_id: str | None = None,
    ) -> None:
        result = {"status": status, "changed_at": changed_at, "contact_id": contact_id}
        parameters = self._parameters(subscriber_hash=subscriber_hash, **result)
        driver_connection(session).execute(ledger_sql.RECORD_RESULT, parameters)

    def _session(self) -> AbstractContextManager[OrganisationSession]:
        return self.database.organisation(self.organisation_id)

    def _read(self, column: InstrumentedAttribute[_T]) -> _T | None:
        with self._session() as session:
            return session.scalar(select(column).where(*_of_audience(session, AudienceReadRow, self.list_id)))

    def _note_push(self, **noted: object) -> None:
        with self._session() as session:
            audience = _of_audience(session, AudienceReadRow, self.list_id)
            session.execute(update(AudienceReadRow).where(*audience).values(noted))

    def _refs(self, query: sql.SQL, **more: object) -> list[MemberRef]:
        with self._session() as session:
            rows = driver_connection(session).execute(query, self._parameters(**more)).fetchall()
        return [
            MemberRef(str(key), str(contact_id) if contact_id else None, str(member_id) if member_id else None)
            for key, contact_id, member_id in rows
        ]

    def _reported(self, members: Collection[MemberState]) -> dict[str, object]:
        return self._parameters(
            at=self.clock(),
            hashes=text_array(member.subscriber_hash for member in members),
            statuses=text_array(member.status.value for member in members),
            changed=text_array(each.changed_at and each.changed_at.isoformat() for each in members),
            contact_ids=text_array(member.contact_id for member in members),
            member_ids=text_array(member.member_id for member in members),
            channels=text_array(member.channel and member.channel.value for member in members),
        )

    def _parameters(self, **more: object) -> dict[str, object]:
        return {"organisation_id": self.organisation_id, "list_id": self.list_id, **more}


def _of_audience(
    session: OrganisationSession, row: type[AudienceReadRow | AudienceMemberRow], list_id: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return session.owns(row), row.mailchimp_list_id == list_id


def forget_audiences(session: OrganisationSession) -> None:
    """Delete everything recorded about the members of the organisation's audiences.

    The next sync reads all audiences again from the start.
    """
    for row in (AudienceMemberRow, AudienceReadRow):
        session.execute(delete(row).where(session.owns(row)))


def merge_tags_of(session: OrganisationSession, list_id: str) -> frozenset[str]:
    """Return the tags of the audience's merge fields, as last read. Before the first read, `FNAME` and `LNAME`."""
    return frozenset(_merge_ids(_fields(session, list_id)))


def _fields(session: OrganisationSession, list_id: str) -> str:
    stored = _known_fields(session, list_id)
    return _stored([MergeField(tag) for tag in MERGE_FIELDS]) if stored is None else stored


def _known_fields(session: OrganisationSession, list_id: str) -> str | None:
    audience = _of_audience(session, AudienceReadRow, list_id)
    return session.scalar(select(AudienceReadRow.merge_fields).where(*audience))


def _stored(merge_fields: Sequence[MergeField]) -> str:
    """Return merge fields as the text to store: sorted `tag:merge_id`, with `*` after the tag of a required field."""
    return ",".join(
        sorted(f"{field.tag}{_REQUIRED * field.is_required}:{field.merge_id or ''}" for field in merge_fields)
    )


def _merge_ids(stored: str) -> Mapping[str, str]:
    """Parse stored merge fields. Return their ids by tag, with an empty text for an unknown id."""
    parts = (field.partition(":") for field in stored.split(",") if field)
    return {tag.removesuffix(_REQUIRED): merge_id for tag, _, merge_id in parts}


def _has_new_field(before: str, after: str) -> bool:
    """Compare stored merge fields. Return whether one that is sent is new, or was recreated with the same tag.

    A field with an empty id in `before` counts as known, because its id was not read yet.
    """
    known = _merge_ids(before)
    return any(
        known.get(tag) not in {"", merge_id} for tag, merge_id in _merge_ids(after).items() if tag in MERGE_FIELDS
    )


def _arrays(rows: pd.DataFrame, hashes: Collection[str]) -> dict[str, str]:
    """Return the sent data of the contacts with these subscriber hashes as PostgreSQL arrays, in that order."""
    place = {key: row for row, key in enumerate(text_column(rows["subscriber_hash"]).to_pylist())}
    sent = [place[key] for key in hashes]
    columns = {name: text_column(rows[column]).take(sent).to_pylist() for name, column in _SENT.items()}
    return {"hashes": text_array(hashes), **{name: text_array(values) for name, values in columns.items()}}
