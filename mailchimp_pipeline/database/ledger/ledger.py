"""One audience's ledger. Threads may share it: each call is a transaction of its own."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pandas as pd
from psycopg import sql
from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.contacts.arrow import text_column
from mailchimp_pipeline.database.bulk import copy_out, driver_connection, text_array
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.ledger import statements
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, AudienceReadRow, row_id
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus, Outcome, Refusal, Standing

PIECE = 10_000
"""Members that are compared in one transaction, and at least so many differences in a piece but the last."""

_RECORDS = {Outcome.PUSHED: statements.RECORD_PUSHED, Outcome.REFUSED: statements.RECORD_REFUSED}
_SENT = {"emails": "email", "entity_types": "entity_type", "entity_ids": "entity_id", "digests": "digest"}


@dataclass(frozen=True, slots=True)
class DatabaseLedger:
    """The ledger of one organisation's audience; implements `sync.Ledger`. With the keyring it knows the erased."""

    database: Database
    organisation_id: str
    list_id: str
    clock: Callable[[], datetime]
    piece: int = PIECE
    keyring: Keyring | None = None

    def read_through(self) -> datetime | None:
        """Return the moment up to which the members' standings were read, None before the first time."""
        with self.database.organisation(self.organisation_id) as session:
            return session.scalar(select(AudienceReadRow.read_through).where(*self._its_read()))

    def finish_reading(self, through: datetime) -> None:
        """Note that all standings up to this moment are taken over."""
        row = insert(AudienceReadRow).values(
            organisation_id=self.organisation_id, mailchimp_list_id=self.list_id, read_through=through
        )
        # What a push that did not end has sent was among what was read.
        now_known = {"read_through": through, "push_unfinished": False}
        statement = row.on_conflict_do_update(index_elements=["organisation_id", "mailchimp_list_id"], set_=now_known)
        with self.database.organisation(self.organisation_id) as session:
            session.execute(statement)

    def begin_push(self) -> None:
        """Note that contacts are about to be sent."""
        self._note_push(unfinished=True)

    def end_push(self) -> None:
        """Note that every answer is written down."""
        self._note_push(unfinished=False)

    def push_is_unfinished(self) -> bool:
        """Tell whether a push began and did not end since the members were read."""
        with self.database.organisation(self.organisation_id) as session:
            return bool(session.scalar(select(AudienceReadRow.push_unfinished).where(*self._its_read())))

    def take_over(self, standings: Sequence[Standing]) -> None:
        """Write down what Mailchimp says of members, in one transaction; what it said before is forgotten.

        An unsubscription that is news withdraws the consent of every contact with the address, and who then comes back
        gives it again. Nothing is written of the erased.
        """
        with self.database.organisation(self.organisation_id) as session:
            said = {standing.subscriber_hash: standing for standing in standings}
            for subscriber_hash in self._erased(session, said):
                del said[subscriber_hash]
            parameters, connection = self._seen(said.values()), driver_connection(session)
            # Again where some moved: one may have taken the address that another gave up.
            while connection.execute(statements.MOVE_THERE, parameters).rowcount:
                pass
            # First the words: what is news of them shows in what was known before.
            statuses = {standing.status for standing in said.values()}
            if MemberStatus.UNSUBSCRIBED in statuses:
                connection.execute(statements.WITHDRAW_CONSENT, parameters)
            if MemberStatus.SUBSCRIBED in statuses:
                connection.execute(statements.GIVE_CONSENT, parameters)
            if MemberStatus.PENDING in statuses:
                awaited = {str(key) for (key,) in connection.execute(statements.AWAITED, parameters)}
                if awaited:
                    parameters = self._seen([each for key, each in said.items() if key not in awaited])
            connection.execute(statements.TAKE_OVER, parameters)

    def knows_unsubscribed(self) -> bool:
        """Tell whether any contact is known to be anything but subscribed at Mailchimp."""
        known = exists().where(
            AudienceMemberRow.organisation_id == self.organisation_id,
            AudienceMemberRow.mailchimp_list_id == self.list_id,
            AudienceMemberRow.status != MemberStatus.SUBSCRIBED.value,
        )
        with self.database.organisation(self.organisation_id) as session:
            return bool(session.scalar(select(known)))

    def last_pushed_at(self) -> datetime | None:
        """Return when a contact was last sent, and taken, None where none was."""
        row = AudienceMemberRow
        ours = row.organisation_id == self.organisation_id, row.mailchimp_list_id == self.list_id
        with self.database.organisation(self.organisation_id) as session:
            return session.scalar(select(func.max(row.pushed_at)).where(*ours))

    def differences(self, segment_id: str) -> Iterator[pd.DataFrame]:
        """Yield, in pieces, the segment's members that are not subscribed exactly as they are wanted, by hash.

        No transaction is open between two pieces. What is recorded meanwhile is not taken back.
        """
        held: list[pd.DataFrame] = []
        for after, through in pairwise([statements.FIRST, *self._bounds(segment_id), statements.LAST]):
            held += self._differences(segment_id, after, through)
            # Members that are as they are wanted would otherwise cut the others into small batches.
            if sum(map(len, held)) >= self.piece:
                yield pd.concat(held, ignore_index=True)
                held = []
        if held:
            yield pd.concat(held, ignore_index=True)

    def standing_counts(self, segment_id: str) -> Mapping[str, int]:
        """Count the segment's members that `differences` leaves out: `unchanged` and `refused_before`."""
        parameters = self._parameters(segment_id=row_id(segment_id), after=statements.FIRST, through=statements.LAST)
        with self.database.organisation(self.organisation_id) as session:
            counts = driver_connection(session).execute(statements.COUNTS, parameters).fetchone()
        return dict(zip(("unchanged", "refused_before"), map(_count, counts or ()), strict=True))

    def withdrawn(self) -> Sequence[str]:
        """Return the hashes of members subscribed or pending there whose contact opted out."""
        return self._hashes(statements.WITHDRAWN)

    def leavers(self) -> Sequence[str]:
        """Return the hashes of members from us, subscribed there, that are to be archived."""
        return self._hashes(statements.LEAVERS)

    def note_withdrawn(self, subscriber_hash: str, status: MemberStatus | None) -> None:
        """Note how a member stands whose withdrawal was carried to Mailchimp; None where it does not know it."""
        self._note(subscriber_hash, status, by_us=False)

    def note_archived(self, subscriber_hash: str, status: MemberStatus | None) -> None:
        """Note that a leaver was archived, or how it stands instead; None where the audience does not know it."""
        self._note(subscriber_hash, status, by_us=True)

    def rename(self, subscriber_hash: str, row: pd.DataFrame) -> None:
        """Note that the member has now the address of `row`, and keeps its status."""
        new, email = str(row["subscriber_hash"].iloc[0]), str(row["email"].iloc[0])
        parameters = self._parameters(former=subscriber_hash, new=new, email=email)
        with self.database.organisation(self.organisation_id) as session:
            connection = driver_connection(session)
            connection.execute(statements.MAKE_ROOM, parameters)
            connection.execute(statements.RENAME, parameters)

    def record(self, rows: pd.DataFrame, outcomes: Sequence[MemberOutcome]) -> None:
        """Write down what became of a batch, in one transaction. `rows` are rows of `differences`."""
        at = self.clock()
        with self.database.organisation(self.organisation_id) as session:
            for outcome, statement in _RECORDS.items():
                lines = [line for line in outcomes if line.outcome is outcome]
                if lines:
                    parameters = self._parameters(at=at, **_arrays(rows, lines))
                    driver_connection(session).execute(statement, parameters)

    def _note_push(self, *, unfinished: bool) -> None:
        with self.database.organisation(self.organisation_id) as session:
            session.execute(update(AudienceReadRow).where(*self._its_read()).values(push_unfinished=unfinished))

    def _its_read(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        row = AudienceReadRow
        return row.organisation_id == self.organisation_id, row.mailchimp_list_id == self.list_id

    def _bounds(self, segment_id: str) -> list[str]:
        parameters = self._parameters(segment_id=row_id(segment_id), piece=self.piece)
        with self.database.organisation(self.organisation_id) as session:
            return [str(last) for (last,) in driver_connection(session).execute(statements.BOUNDS, parameters)]

    def _differences(self, segment_id: str, after: str, through: str) -> list[pd.DataFrame]:
        parameters = self._parameters(segment_id=row_id(segment_id), after=after, through=through)
        with self.database.organisation(self.organisation_id) as session:
            connection = driver_connection(session)
            return list(copy_out(connection, statements.DIFFERENCES, statements.DIFFERENCE_COLUMNS, parameters))

    def _hashes(self, statement: sql.SQL) -> list[str]:
        with self.database.organisation(self.organisation_id) as session:
            return [str(key) for (key,) in driver_connection(session).execute(statement, self._parameters())]

    def _note(self, subscriber_hash: str, status: MemberStatus | None, *, by_us: bool) -> None:
        said = status and status.value
        parameters = self._parameters(subscriber_hash=subscriber_hash, status=said, by_us=by_us, at=self.clock())
        with self.database.organisation(self.organisation_id) as session:
            driver_connection(session).execute(statements.NOTE, parameters)

    def _erased(self, session: OrganisationSession, hashes: Iterable[str]) -> frozenset[str]:
        if self.keyring is None:
            return frozenset()
        return ErasedContacts(session, self.keyring).of_addresses(hashes)

    def _seen(self, standings: Collection[Standing]) -> dict[str, object]:
        return self._parameters(
            at=self.clock(),
            hashes=[standing.subscriber_hash for standing in standings],
            statuses=[standing.status.value for standing in standings],
            changed=[standing.changed_at for standing in standings],
            contact_ids=[standing.contact_id for standing in standings],
        )

    def _parameters(self, **more: object) -> dict[str, object]:
        return {"organisation_id": self.organisation_id, "list_id": self.list_id, **more}


def forget_audiences(session: OrganisationSession) -> None:
    """Forget what every audience of the organisation has: the next sync reads them anew, and sends what is missing."""
    for row in (AudienceMemberRow, AudienceReadRow):
        session.execute(delete(row).where(row.organisation_id == session.organisation_id))


def _arrays(rows: pd.DataFrame, lines: Sequence[MemberOutcome]) -> dict[str, object]:
    """Return the lines as arrays of equal length, with what was sent of each contact."""
    place = {key: row for row, key in enumerate(text_column(rows["subscriber_hash"]).to_pylist())}
    sent = [place[line.subscriber_hash] for line in lines]
    columns = {name: text_column(rows[column]).take(sent).to_pylist() for name, column in _SENT.items()}
    told: Mapping[str, Iterable[str | None]] = {
        "hashes": [line.subscriber_hash for line in lines],
        "statuses": [line.status and line.status.value for line in lines],
        "contact_ids": [line.contact_id for line in lines],
        "refusals": [line.refusal.value if line.refusal else Refusal.OTHER.value for line in lines],
        **columns,
    }
    return {name: text_array(values) for name, values in told.items()}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
