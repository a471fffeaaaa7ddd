"""Mailchimp accounts that more than one organisation is connected to, and keeping them from each other's members.

An organisation archives, unsubscribes and erases in the account that it is connected to. So an account belongs to one
organisation unless the operator allows otherwise, and an audience always does. Organisations that shared an account
before this was checked go on: nothing is taken from them.
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
    """The account is another organisation's, and the operator does not let organisations share one."""

    def __init__(self) -> None:
        super().__init__(
            "This Mailchimp account is already connected to another organisation of this platform, and the two would "
            "change each other's members. Connect an account of your own, or disconnect the other organisation first."
        )


class AudienceTaken(PermanentError):
    """The audience is another organisation's."""

    def __init__(self) -> None:
        super().__init__(
            "A segment of another organisation of this platform already feeds the audience, and the two would change "
            "each other's members. Choose another audience, or delete the other organisation's segment first."
        )


def claim_account(session: OrganisationSession, account_id: str, *, may_share: bool) -> None:
    """Let nobody else claim the account until the transaction ends. Raises `AccountTaken` or `AudienceTaken`."""
    lock_for_transaction(session, account_lock(account_id))
    if not may_share and _is_connected_elsewhere(session, account_id):
        raise AccountTaken
    ours = select(SegmentRow.mailchimp_list_id).where(
        SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None)
    )
    if audiences_of_others(session, account_id).intersection(session.scalars(ours)):
        raise AudienceTaken


def claim_audience(session: OrganisationSession, list_id: str) -> None:
    """Let nobody else claim the audience until the transaction ends. Raises `AudienceTaken`."""
    ours = _live_connections(ConnectionRow.account_id).where(ConnectionRow.organisation_id == session.organisation_id)
    account_id: str | None = session.scalar(ours)
    if account_id is None:
        return
    lock_for_transaction(session, account_lock(account_id))
    if list_id in audiences_of_others(session, account_id):
        raise AudienceTaken


def audiences_of_others(session: OrganisationSession, account_id: str) -> frozenset[str]:
    """Return the audiences that segments of other organisations connected to the account feed."""
    others = _fed_audiences(SegmentRow.mailchimp_list_id).where(
        ConnectionRow.account_id == account_id, SegmentRow.organisation_id != session.organisation_id
    )
    with _all_organisations(session):
        return frozenset(session.scalars(others))


def sharing_organisations(session: Session) -> list[tuple[str, ...]]:
    """Return the organisations of each account that several are connected to; the session looks across all."""
    return _several(session.execute(_live_connections(ConnectionRow.account_id, ConnectionRow.organisation_id)))


def sharing_audiences(session: Session) -> list[tuple[str, ...]]:
    """Return the organisations of each audience that segments of several feed; the session looks across all."""
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
    """Return the query over live segments of connected organisations."""
    return (
        _live_connections(*columns)
        .select_from(SegmentRow)
        .join(ConnectionRow, ConnectionRow.organisation_id == SegmentRow.organisation_id)
        .where(SegmentRow.soft_deleted_at.is_(None))
    )


@contextmanager
def _all_organisations(session: OrganisationSession) -> Generator[None]:
    """Let the transaction see the rows of all organisations for the block; if the block raises, it is rolled back."""
    session.flush()
    look_across(session)
    yield
    work_for(session, session.organisation_id)
