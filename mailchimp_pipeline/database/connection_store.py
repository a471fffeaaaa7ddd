"""The organisations' connections to Mailchimp accounts, and the check that they do not share accounts or audiences.

An organisation has at most one live connection, that is one that has not ended. Its API key is stored encrypted. Each
organisation archives, unsubscribes and erases members in its account. An account therefore belongs to one organisation,
unless the operator permits sharing, and an audience always belongs to one organisation. Organisations that shared an
account before this check existed keep it.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.locks import account_lock, connection_lock, lock_for_transaction
from mailchimp_pipeline.database.session import OrganisationSession, read_all_organisations, restrict_to
from mailchimp_pipeline.database.tables import AudienceReadRow, ConnectionRow, SegmentRow, as_value
from mailchimp_pipeline.errors import PermanentError


class AccountTaken(PermanentError):
    """Another organisation is connected to the Mailchimp account, and the operator does not permit sharing."""

    def __init__(self) -> None:
        super().__init__(
            "This Mailchimp account is already connected to another organisation of this platform, and the two would "
            "change each other's members. Connect an account of your own, or disconnect the other organisation first."
        )


class AudienceTaken(PermanentError):
    """A segment of another organisation already feeds the audience."""

    def __init__(self) -> None:
        super().__init__(
            "A segment of another organisation of this platform already feeds the audience, and the two would change "
            "each other's members. Choose another audience, or delete the other organisation's segment first."
        )


def claim_account(session: OrganisationSession, account_id: str, *, may_share: bool) -> None:
    """Reserve the Mailchimp account for the organisation until the transaction ends.

    Raises `AccountTaken` if another organisation uses the account, unless `may_share`. Raises `AudienceTaken` if
    segments of this and of another organisation would feed the same audience.
    """
    lock_for_transaction(session, account_lock(account_id))
    if not may_share and _is_connected_elsewhere(session, account_id):
        raise AccountTaken
    ours = select(SegmentRow.mailchimp_list_id).where(
        SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None)
    )
    if audiences_of_others(session, account_id).intersection(session.scalars(ours)):
        raise AudienceTaken


def claim_audience(session: OrganisationSession, list_id: str) -> None:
    """Reserve the audience for the organisation until the transaction ends.

    Raises `AudienceTaken` if a segment of another organisation feeds the audience.
    """
    ours = _live_connections(ConnectionRow.account_id).where(ConnectionRow.organisation_id == session.organisation_id)
    account_id: str | None = session.scalar(ours)
    if account_id is None:
        return
    lock_for_transaction(session, account_lock(account_id))
    if list_id in audiences_of_others(session, account_id):
        raise AudienceTaken


def audiences_of_others(session: OrganisationSession, account_id: str) -> frozenset[str]:
    """Return the ids of the account's audiences that segments of other organisations feed."""
    others = _fed_audiences(SegmentRow.mailchimp_list_id).where(
        ConnectionRow.account_id == account_id, SegmentRow.organisation_id != session.organisation_id
    )
    with _all_organisations(session):
        return frozenset(session.scalars(others))


def sharing_organisations(session: Session) -> list[tuple[str, ...]]:
    """Return, for each account that several organisations share, the ids of these organisations.

    The session must be able to read all organisations.
    """
    return _several(session.execute(_live_connections(ConnectionRow.account_id, ConnectionRow.organisation_id)))


def sharing_audiences(session: Session) -> list[tuple[str, ...]]:
    """Return, for each audience that several organisations share, the ids of these organisations.

    The session must be able to read all organisations.
    """
    fed = _fed_audiences(
        func.concat(ConnectionRow.account_id, "/", SegmentRow.mailchimp_list_id), SegmentRow.organisation_id
    )
    return _several(session.execute(fed.distinct()))


def _several(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    organisations: defaultdict[str, list[str]] = defaultdict(list)
    for shared, organisation_id in rows:
        organisations[shared].append(organisation_id)
    return sorted(tuple(sorted(each)) for each in organisations.values() if len(each) > 1)


def _is_connected_elsewhere(session: OrganisationSession, account_id: str) -> bool:
    others = _live_connections(ConnectionRow.organisation_id).where(
        ConnectionRow.account_id == account_id, ConnectionRow.organisation_id != session.organisation_id
    )
    with _all_organisations(session):
        return session.scalar(others.limit(1)) is not None


def _live_connections(*columns: Any) -> "Select[*tuple[Any, ...]]":  # noqa: ANN401 - columns of any type
    return select(*columns).where(ConnectionRow.soft_deleted_at.is_(None))


def _fed_audiences(*columns: Any) -> "Select[*tuple[Any, ...]]":  # noqa: ANN401 - columns of any type
    """Return the query for the columns of segments that are not deleted, of connected organisations."""
    return (
        _live_connections(*columns)
        .select_from(SegmentRow)
        .join(ConnectionRow, ConnectionRow.organisation_id == SegmentRow.organisation_id)
        .where(SegmentRow.soft_deleted_at.is_(None))
    )


@contextmanager
def _all_organisations(session: OrganisationSession) -> Generator[None]:
    """Let the transaction read the rows of all organisations during the block.

    If the block raises, the transaction keeps this right, because it is rolled back anyway.
    """
    session.flush()
    read_all_organisations(session)
    yield
    restrict_to(session, session.organisation_id)


@dataclass(frozen=True, slots=True)
class Connection:
    """An organisation's connection to a Mailchimp account, without its API key.

    `api_key_hint` is the last few characters of the key, by which a person recognises it. `key_refused_at` is when
    Mailchimp began to refuse the key, `soft_deleted_at` is when the connection ended.
    """

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
    """The connection of the session's organisation to Mailchimp."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def live(self) -> Connection | None:
        """Return the live connection, None if the organisation is not connected."""
        row = self._live()
        return row and _connection(row)

    def api_key(self, *, lock: bool = False) -> ApiKey | None:
        """Return the API key of the live connection, None if the organisation is not connected.

        With `lock`, the key cannot change until the transaction ends. Raises `encryption.SecretUnreadable` if the key
        cannot be decrypted.
        """
        row = self._live(lock=lock)
        if row is None or row.api_key_encrypted is None:
            return None
        return ApiKey.parse(self._keyring.decrypt(row.api_key_encrypted, self._session.organisation_id))

    def connect(self, account: Account, *, by: str, at: datetime, may_share: bool = False) -> Connection:
        """Connect the organisation to a Mailchimp account. If it is connected to it already, replace only the API key.

        If the organisation was connected to another account, that connection ends, and all audiences are read again
        from the start. Raises `AccountTaken` if another organisation uses the account, unless `may_share`. Raises
        `AudienceTaken` if segments of both organisations would feed the same audience.
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
        self._audit(row, action, by, at)
        return _connection(row)

    def disconnect(self, *, by: str, at: datetime) -> Connection | None:
        """End the live connection and delete its API key. Return the ended connection, None if there was none."""
        row = self._live(lock=True)
        if row is None:
            return None
        self._end(row, by, at)
        return _connection(row)

    def set_opt_in_only(self, *, opt_in_only: bool, by: str, at: datetime) -> Connection | None:
        """Set whether only contacts who opted in are sent to Mailchimp.

        Return the connection, None if the organisation is not connected.
        """
        row = self._live(lock=True)
        if row is None:
            return None
        if row.opt_in_only != opt_in_only:
            row.opt_in_only = opt_in_only
            self._audit(row, "connection.opt_in_only_set", by, at, {"opt_in_only": opt_in_only})
        return _connection(row)

    def mark_key_refused(self, at: datetime) -> None:
        """Record that Mailchimp refuses the API key. The time of the first refusal is kept."""
        row = self._live(lock=True)
        if row is not None and row.key_refused_at is None:
            row.key_refused_at = at
            self._audit(row, "connection.key_refused", audit_log.PIPELINE, at)

    def clear_key_refused(self, at: datetime) -> None:
        """Record that Mailchimp accepts the API key again."""
        row = self._live(lock=True)
        if row is not None and row.key_refused_at is not None:
            row.key_refused_at = None
            self._audit(row, "connection.key_accepted", audit_log.PIPELINE, at)

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
        self._audit(row, "connection.disconnected", by, at)

    def _audit(
        self, row: ConnectionRow, action: str, by: str, at: datetime, details: dict[str, object] | None = None
    ) -> None:
        said = details or {"account_id": row.account_id, "data_center": row.data_center}
        audit_log.write(
            self._session, audit_log.Entry(by, action, audit_log.Entity("connection", str(row.id)), at, said)
        )


def connected_organisations(session: Session) -> tuple[str, ...]:
    """Return the ids of all organisations with a live connection."""
    query = select(ConnectionRow.organisation_id).where(ConnectionRow.soft_deleted_at.is_(None))
    return tuple(session.scalars(query.order_by(ConnectionRow.organisation_id)))


def _connection(row: ConnectionRow) -> Connection:
    return as_value(Connection, row, id=str(row.id))


def mark_propagated(session: OrganisationSession, *, at: datetime) -> None:
    """Record that every opt-out recorded before `at` has reached every audience of the connected account."""
    live = update(ConnectionRow).where(session.owns(ConnectionRow), ConnectionRow.soft_deleted_at.is_(None))
    session.execute(live.values(opt_outs_propagated_at=at))
