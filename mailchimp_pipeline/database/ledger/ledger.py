"""One audience's ledger. Threads may share it: each call is a transaction of its own."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from psycopg import sql
from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts.arrow import text_column
from mailchimp_pipeline.database.bulk import contact_arrays, driver_connection, text_array
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.ledger import statements
from mailchimp_pipeline.database.ledger.comparison import Comparison
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, AudienceReadRow, row_id
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.sync import Compared, MemberOutcome, MemberStatus, Outcome, Refusal, Standing, Withdrawal

PIECE = 10_000
"""Members that are compared in one transaction, and at least so many differences in a piece but the last."""

_BARS = {
    "withdrawn": Refusal.WITHDRAWN,
    MemberStatus.UNSUBSCRIBED: Refusal.UNSUBSCRIBED,
    MemberStatus.CLEANED: Refusal.CLEANED,
    MemberStatus.ARCHIVED: Refusal.ARCHIVED,
}

_RECORDS = {Outcome.PUSHED: statements.RECORD_PUSHED, Outcome.REFUSED: statements.RECORD_REFUSED}
_SENT = {"emails": "email", "entity_types": "entity_type", "entity_ids": "entity_id", "digests": "digest"}


class ConnectionEnded(LastingError):
    """The organisation disconnected, or connected another account, while its audience was synced."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(
            f"Organisation {organisation_id} ended its connection to Mailchimp during the sync, so no more was sent. "
            "What was sent is kept; connect again, then sync again."
        )


@dataclass(frozen=True, slots=True)
class DatabaseLedger:
    """The ledger of one organisation's audience; implements `sync.Ledger`. With the keyring it knows the erased."""

    database: Database
    organisation_id: str
    list_id: str
    clock: Clock
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
        self._note_push(push_unfinished=True)

    def end_push(self, through: datetime | None) -> None:
        """Note that every answer is written down, and when the last of the members changed by it."""
        latest = func.greatest(AudienceReadRow.pushed_through, through)
        self._note_push(push_unfinished=False, pushed_through=latest)

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

    def pushed_through(self) -> datetime | None:
        """Return when members last changed by a push that ended, by Mailchimp's clock; None before the first."""
        with self.database.organisation(self.organisation_id) as session:
            return session.scalar(select(AudienceReadRow.pushed_through).where(*self._its_read()))

    def compare(self, segment_id: str) -> Iterator[Compared]:
        """Yield, in pieces by hash, how the segment's members differ from what the audience has of them."""
        return Comparison(self.database, self.organisation_id, self.list_id, self.piece).pieces(segment_id)

    def barred(self, segment_id: str, rows: pd.DataFrame) -> Mapping[str, Refusal]:
        """Return, by hash, which of these differences must not be sent any more, and why. Raises `ConnectionEnded`."""
        with self.database.organisation(self.organisation_id) as session:
            connection = driver_connection(session)
            connection_ended, has_news = connection.execute(statements.NEWS, self._parameters()).fetchone() or (0, 1)
            if connection_ended:
                raise ConnectionEnded(self.organisation_id)
            if not has_news:
                return {}
            given = contact_arrays(rows)
            parameters = self._parameters(segment_id=row_id(segment_id), **given)
            standings = connection.execute(statements.BARRED, parameters).fetchall()
        return {str(key): _BARS[str(standing)] for key, standing in standings if standing in _BARS}

    def withdrawn(self) -> Sequence[Withdrawal]:
        """Return the members subscribed or pending there whose contact opted out, by hash."""
        with self.database.organisation(self.organisation_id) as session:
            rows = driver_connection(session).execute(statements.WITHDRAWN, self._parameters()).fetchall()
        return [Withdrawal(str(key), str(contact_id) if contact_id else None) for key, contact_id in rows]

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

    def _note_push(self, **noted: object) -> None:
        with self.database.organisation(self.organisation_id) as session:
            session.execute(update(AudienceReadRow).where(*self._its_read()).values(noted))

    def _its_read(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        row = AudienceReadRow
        return row.organisation_id == self.organisation_id, row.mailchimp_list_id == self.list_id

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
            hashes=text_array(standing.subscriber_hash for standing in standings),
            statuses=text_array(standing.status.value for standing in standings),
            changed=text_array(each.changed_at and each.changed_at.isoformat() for each in standings),
            contact_ids=text_array(standing.contact_id for standing in standings),
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
