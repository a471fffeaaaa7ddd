"""Prevent organisations from changing each other's members in a shared Mailchimp account.

Each organisation archives, unsubscribes and erases members in its account. An account therefore belongs to one
organisation, unless the operator permits sharing. An audience always belongs to one organisation. Organisations that
shared an account before this check existed keep it.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.locks.held import lock_for_transaction
from mailchimp_pipeline.database.locks.keys import account_lock
from mailchimp_pipeline.database.roles import look_across, work_for
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import ConnectionRow, SegmentRow
from mailchimp_pipeline.errors import PermanentError


class AccountTaken(PermanentError):
    """Another organisation uses the account, and the operator does not permit sharing."""

    def __init__(self) -> None:
        super().__init__(
            "This Mailchimp account is already connected to another organisation of this platform, and the two would "
            "change each other's members. Connect an account of your own, or disconnect the other organisation first."
        )


class AudienceTaken(PermanentError):
    """Another organisation uses the audience."""

    def __init__(self) -> None:
        super().__init__(
            "A segment of another organisation of this platform already feeds the audience, and the two would change "
            "each other's members. Choose another audience, or delete the other organisation's segment first."
        )


def claim_account(session: OrganisationSession, account_id: str, *, may_share: bool) -> None:
    """Reserve the account until the transaction ends. Raises `AccountTaken` or `AudienceTaken`."""
    lock_for_transaction(session, account_lock(account_id))
    if not may_share and _is_connected_elsewhere(session, account_id):
        raise AccountTaken
    ours = select(SegmentRow.mailchimp_list_id).where(
        SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None)
    )
    if audiences_of_others(session, account_id).intersection(session.scalars(ours)):
        raise AudienceTaken


def claim_audience(session: OrganisationSession, list_id: str) -> None:
    """Reserve the audience until the transaction ends. Raises `AudienceTaken`."""
    ours = _live_connections(ConnectionRow.account_id).where(ConnectionRow.organisation_id == session.organisation_id)
    account_id: str | None = session.scalar(ours)
    if account_id is None:
        return
    lock_for_transaction(session, account_lock(account_id))
    if list_id in audiences_of_others(session, account_id):
        raise AudienceTaken


def audiences_of_others(session: OrganisationSession, account_id: str) -> frozenset[str]:
    """Return the audiences that segments of other organisations use in this account."""
    others = _fed_audiences(SegmentRow.mailchimp_list_id).where(
        ConnectionRow.account_id == account_id, SegmentRow.organisation_id != session.organisation_id
    )
    with _all_organisations(session):
        return frozenset(session.scalars(others))


def sharing_organisations(session: Session) -> list[tuple[str, ...]]:
    """Return the organisations of each shared account. The session must read all organisations."""
    return _several(session.execute(_live_connections(ConnectionRow.account_id, ConnectionRow.organisation_id)))


def sharing_audiences(session: Session) -> list[tuple[str, ...]]:
    """Return the organisations of each shared audience. The session must read all organisations."""
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
    """Return the query for live segments of connected organisations."""
    return (
        _live_connections(*columns)
        .select_from(SegmentRow)
        .join(ConnectionRow, ConnectionRow.organisation_id == SegmentRow.organisation_id)
        .where(SegmentRow.soft_deleted_at.is_(None))
    )


@contextmanager
def _all_organisations(session: OrganisationSession) -> Generator[None]:
    """Allow the transaction to read the rows of all organisations in the block.

    If the block raises, it is rolled back.
    """
    session.flush()
    look_across(session)
    yield
    work_for(session, session.organisation_id)
