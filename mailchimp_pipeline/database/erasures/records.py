"""The port `erasure.Records` over PostgreSQL. Each call is a transaction of its own."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.erasures.store import ErasureStore, as_request
from mailchimp_pipeline.database.locks import hold, hold_audience
from mailchimp_pipeline.database.locks.keys import erasure_lock
from mailchimp_pipeline.database.reconciliation import audiences_known
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ConnectionRow, ErasureRequestRow, row_id
from mailchimp_pipeline.erasure import Demand, ErasureRequest, ErasureStatus, Reach, Targets
from mailchimp_pipeline.errors import LastingError

_AUDIENCE_WAIT_SECONDS = 2.0
"""How long to wait for a sync that is at the audience: the job comes back later."""


class NoSuchErasure(LastingError):
    """There is no pending erasure with this id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"No erasure {request_id} is pending: it was completed, or the id is another. "
            "`mailchimp-pipeline erasures list` shows those that are."
        )


@dataclass(frozen=True, slots=True)
class DatabaseErasures:
    """`erasure.Records` over the database."""

    database: Database
    keyring: Keyring
    clock: Clock

    def ask(self, organisation_id: str, demand: Demand) -> ErasureRequest:
        """Remove the contact here, and write down what Mailchimp is to be asked."""
        with self.database.organisation(organisation_id) as session:
            return ErasureStore(session, self.keyring).ask(demand, at=self.clock())

    def audiences_known(self, request: ErasureRequest) -> Sequence[str]:
        """Return the audiences that the organisation's segments or ledgers name."""
        with self.database.organisation(request.organisation_id) as session:
            return audiences_known(session)

    def keeps_addresses(self, request: ErasureRequest) -> bool:
        """Tell whether keyed hashes of the contact's addresses are kept."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasedContacts(session, self.keyring).has_addresses(request.id)

    def recognised(self, request: ErasureRequest, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return which of the addresses are the contact's."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasedContacts(session, self.keyring).recognised(request.id, subscriber_hashes)

    def get(self, request: ErasureRequest) -> ErasureRequest:
        """Return the erasure as it stands now."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasureStore(session, self.keyring).get(request.id) or request

    def pending(self) -> Sequence[ErasureRequest]:
        """Return the erasures of all organisations that are pending, the oldest first."""
        with self.database.everyone() as session:
            return pending_erasures(session)

    @contextmanager
    def hold(self, request: ErasureRequest) -> Generator[None]:
        """Keep others from carrying out the same erasure; a passing error where somebody is at it."""
        with hold(self.database, erasure_lock(request.id), what=f"erasure {request.id}"):
            yield

    @contextmanager
    def hold_audience(self, request: ErasureRequest, list_id: str) -> Generator[None]:
        """Keep syncs out of the audience; a passing error where one is at it."""
        wait = _AUDIENCE_WAIT_SECONDS
        with hold_audience(self.database, request.organisation_id, list_id, wait_seconds=wait):
            yield

    def begin(self, request: ErasureRequest) -> Targets | None:
        """Count an attempt; return the targets, None where nothing is left to do."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasureStore(session, self.keyring).begin(request.id, at=self.clock())

    def save(self, request: ErasureRequest, targets: Targets, *, error: str | None = None) -> None:
        """Keep how far it has come, and why not further."""
        with self.database.organisation(request.organisation_id) as session:
            ErasureStore(session, self.keyring).save(request.id, targets, error=error, at=self.clock())

    def sweep(self, request: ErasureRequest, targets: Targets, list_id: str) -> Targets:
        """Remove what a sync wrote of the contact in the audience since; return the targets with it."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasureStore(session, self.keyring).sweep(request.id, targets, list_id=list_id, at=self.clock())

    def conclude(self, request: ErasureRequest, targets: Targets) -> bool:
        """Complete it, unless more is known of the contact than was asked for. Tell which."""
        with self.database.organisation(request.organisation_id) as session:
            return ErasureStore(session, self.keyring).conclude(request.id, targets, at=self.clock())

    def reach(self, organisation_id: str) -> Reach:
        """Return which accounts the organisation has and had."""
        with self.database.organisation(organisation_id) as session:
            ours = ConnectionRow.organisation_id == organisation_id
            accounts = session.execute(
                select(ConnectionRow.account_id, ConnectionRow.soft_deleted_at).where(ours)
            ).all()
        live = {account for account, ended_at in accounts if ended_at is None}
        return Reach(is_connected=bool(live), had_other_accounts=bool({account for account, _ in accounts} - live))

    def confirm(self, request_id: str, *, by: str) -> ErasureRequest:
        """Complete a pending erasure on the word of a person who saw to it at Mailchimp. Raises `NoSuchErasure`."""
        with self.database.everyone() as session:
            query = select(ErasureRequestRow.organisation_id).where(ErasureRequestRow.id == row_id(request_id))
            organisation_id = session.scalar(query)
        if organisation_id is None:
            raise NoSuchErasure(request_id)
        with self.database.organisation(organisation_id) as session:
            confirmed = ErasureStore(session, self.keyring).confirm(request_id, by=by, at=self.clock())
        if confirmed is None:
            raise NoSuchErasure(request_id)
        return confirmed


def pending_erasures(session: Session, organisation_id: str | None = None) -> tuple[ErasureRequest, ...]:
    """Return the erasures that are pending, of one organisation or of all, the oldest first."""
    query = select(ErasureRequestRow).where(ErasureRequestRow.status == ErasureStatus.PENDING.value)
    if organisation_id is not None:
        query = query.where(ErasureRequestRow.organisation_id == organisation_id)
    query = query.order_by(ErasureRequestRow.requested_at, ErasureRequestRow.id)
    return tuple(map(as_request, session.scalars(query)))
