"""Connections to Mailchimp. An organisation has at most one live connection; its API key is stored encrypted.

What does not belong here: checking a key (`mailchimp`), the format of keys (`mailchimp_pipeline.connections`).
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.locks.held import lock_for_transaction
from mailchimp_pipeline.database.locks.keys import connection_lock
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.shared_accounts import claim_account
from mailchimp_pipeline.database.tables import AudienceReadRow, ConnectionRow, as_value


@dataclass(frozen=True, slots=True)
class Connection:
    """An organisation's connection without its API key. `api_key_hint` is `ApiKey.hint`."""

    id: str
    organisation_id: str
    account_id: str
    account_name: str
    data_center: str
    api_key_hint: str
    connected_by: str
    connected_at: datetime
    key_refused_at: datetime | None
    opt_in_only: bool
    soft_deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """A Mailchimp account and an API key that Mailchimp accepted."""

    id: str
    name: str
    api_key: ApiKey


class ConnectionStore:
    """The connection of the session's organisation."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def live(self) -> Connection | None:
        """Return the live connection, None if the organisation is not connected."""
        row = self._live()
        return row and _connection(row)

    def api_key(self, *, lock: bool = False) -> ApiKey | None:
        """Return the live connection's API key, None if there is none. Raises `encryption.SecretUnreadable`.

        With `lock`, the key cannot change until the transaction ends.
        """
        row = self._live(lock=lock)
        if row is None or row.api_key_encrypted is None:
            return None
        return ApiKey.parse(self._keyring.decrypt(row.api_key_encrypted, self._session.organisation_id))

    def connect(self, account: Account, *, by: str, at: datetime, may_share: bool = False) -> Connection:
        """Connect the organisation to an account. For the same account as before, only the API key is replaced.

        Another account ends the former connection, and its audiences are read again from the start, because changes
        meanwhile are unknown. Raises `AccountTaken` if another organisation uses the account, unless `may_share`, and
        `AudienceTaken` if both would sync into one audience.
        """
        row, latest = self._live(lock=True), self._latest()
        if latest is not None and latest.account_id != account.id:
            unread = update(AudienceReadRow).where(self._session.owns(AudienceReadRow))
            self._session.execute(unread.values(read_through=None, merge_fields=None, push_unfinished=False))
        if row is not None and row.account_id != account.id:
            self._end(row, by, at)
            row = None
        if row is None:
            claim_account(self._session, account.id, may_share=may_share)
        action = "connection.connected" if row is None else "connection.key_replaced"
        if row is None:
            row = ConnectionRow(organisation_id=self._session.organisation_id, account_id=account.id)
            # The organisation's last choice stays for every account.
            row.opt_in_only = latest is not None and latest.opt_in_only
            self._session.add(row)
        row.account_name, row.data_center = account.name, account.api_key.data_center
        row.api_key_encrypted = self._keyring.encrypt(account.api_key.reveal(), self._session.organisation_id)
        row.api_key_hint = account.api_key.hint
        row.connected_by, row.connected_at, row.key_refused_at = by, at, None
        self._session.flush()
        self._tell(row, action, by, at)
        return _connection(row)

    def disconnect(self, *, by: str, at: datetime) -> Connection | None:
        """End the live connection and delete its API key. Return the ended connection, None if there was none."""
        row = self._live(lock=True)
        if row is None:
            return None
        self._end(row, by, at)
        return _connection(row)

    def set_opt_in_only(self, *, opt_in_only: bool, by: str, at: datetime) -> Connection | None:
        """Set whether only contacts who opted in are pushed. Return the connection, None if there is none."""
        row = self._live(lock=True)
        if row is None:
            return None
        if row.opt_in_only != opt_in_only:
            row.opt_in_only = opt_in_only
            self._tell(row, "connection.opt_in_only_set", by, at, {"opt_in_only": opt_in_only})
        return _connection(row)

    def mark_key_refused(self, at: datetime) -> None:
        """Record the time at which Mailchimp first refused the API key."""
        row = self._live(lock=True)
        if row is not None and row.key_refused_at is None:
            row.key_refused_at = at
            self._tell(row, "connection.key_refused", audit.PIPELINE, at)

    def clear_key_refused(self, at: datetime) -> None:
        """Record that Mailchimp accepts the API key again."""
        row = self._live(lock=True)
        if row is not None and row.key_refused_at is not None:
            row.key_refused_at = None
            self._tell(row, "connection.key_accepted", audit.PIPELINE, at)

    def _latest(self) -> ConnectionRow | None:
        ours = select(ConnectionRow).where(self._session.owns(ConnectionRow))
        return self._session.scalar(ours.order_by(ConnectionRow.connected_at.desc()).limit(1))

    def _live(self, *, lock: bool = False) -> ConnectionRow | None:
        query = select(ConnectionRow).where(self._session.owns(ConnectionRow), ConnectionRow.soft_deleted_at.is_(None))
        if not lock:
            return self._session.scalar(query)
        # Without a connection there is no row to lock.
        lock_for_transaction(self._session, connection_lock(self._session.organisation_id))
        return self._session.scalar(query.with_for_update(), execution_options={"populate_existing": True})

    def _end(self, row: ConnectionRow, by: str, at: datetime) -> None:
        # A new connection brings its own key.
        row.api_key_encrypted, row.soft_deleted_at = None, at
        self._session.flush()
        self._tell(row, "connection.disconnected", by, at)

    def _tell(
        self, row: ConnectionRow, action: str, by: str, at: datetime, details: dict[str, object] | None = None
    ) -> None:
        said = details or {"account_id": row.account_id, "data_center": row.data_center}
        audit.write(self._session, audit.Entry(by, action, audit.Entity("connection", str(row.id)), at, said))


def connected_organisations(session: Session) -> tuple[str, ...]:
    """Return the ids of all organisations with a live connection."""
    query = select(ConnectionRow.organisation_id).where(ConnectionRow.soft_deleted_at.is_(None))
    return tuple(session.scalars(query.order_by(ConnectionRow.organisation_id)))


def _connection(row: ConnectionRow) -> Connection:
    return as_value(Connection, row, id=str(row.id))


def mark_propagated(session: OrganisationSession, *, at: datetime) -> None:
    """Record that every opt-out recorded before `at` reached every audience of the connected account."""
    live = update(ConnectionRow).where(session.owns(ConnectionRow), ConnectionRow.soft_deleted_at.is_(None))
    session.execute(live.values(opt_outs_propagated_at=at))
