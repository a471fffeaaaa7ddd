"""An account belongs to one organisation unless the operator allows sharing. An audience always belongs to one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import select

from mailchimp_pipeline.database.connection_store import (
    AccountTaken,
    AudienceTaken,
    Connection,
    ConnectionStore,
    audiences_of_others,
    sharing_audiences,
    sharing_organisations,
)
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import ConnectionRow
from mailchimp_pipeline.segments import SegmentType
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    KEYRING,
    LIST,
    a_connection,
    a_segment,
    an_account,
    start_in_thread,
)

GLOBEX = "globex"


def connect_in(session: OrganisationSession, *, account_id: str = "account-1", may_share: bool = False) -> Connection:
    account = an_account(account_id=account_id)
    return ConnectionStore(session, KEYRING).connect(account, by="bob", at=AT, may_share=may_share)


def connect(database: Database, organisation_id: str = GLOBEX, *, may_share: bool = False) -> Connection:
    with database.organisation(organisation_id) as session:
        return connect_in(session, may_share=may_share)


def share(database: Database) -> None:
    a_connection(database)
    connect(database, may_share=True)


def disconnect(database: Database, organisation_id: str) -> None:
    with database.organisation(organisation_id) as session:
        ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT)


def account_of(database: Database, organisation_id: str) -> str | None:
    with database.organisation(organisation_id) as session:
        connection = ConnectionStore(session, KEYRING).live()
    return connection and connection.account_id


def test_an_account_of_another_organisation_is_refused_and_the_former_one_stays(database: Database) -> None:
    a_connection(database)
    a_connection(database, GLOBEX)
    with pytest.raises(AccountTaken, match="already connected to another organisation") as refusal:
        connect(database)
    assert ACME not in str(refusal.value)
    assert account_of(database, GLOBEX) == "account of globex"


def test_an_account_is_free_again_once_its_organisation_disconnected(database: Database) -> None:
    a_connection(database)
    disconnect(database, ACME)
    connect(database)
    with pytest.raises(AccountTaken):
        connect(database, ACME)


def test_one_of_two_organisations_that_connect_an_account_at_once_wins(database: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as session:
            connect_in(session)
            connecting = start_in_thread(database, pool, partial(connect, database))
        with pytest.raises(AccountTaken):
            connecting.result()
    assert (account_of(database, ACME), account_of(database, GLOBEX)) == ("account-1", None)


def test_organisations_may_share_an_account_where_the_operator_allows_it(database: Database) -> None:
    share(database)
    assert account_of(database, ACME) == account_of(database, GLOBEX) == "account-1"
    with database.everyone() as session:
        assert sharing_organisations(session) == [(ACME, GLOBEX)]
        assert sharing_audiences(session) == []


def test_an_organisation_that_shares_an_account_may_replace_its_key(database: Database) -> None:
    share(database)
    assert connect(database).account_id == "account-1"


def test_an_audience_of_another_organisation_is_refused_also_where_accounts_are_shared(database: Database) -> None:
    share(database)
    first = a_segment(database, ACME)
    with pytest.raises(AudienceTaken, match="Choose another audience") as refusal:
        a_segment(database, GLOBEX)
    assert ACME not in str(refusal.value)
    a_segment(database, ACME, name="Others")
    a_segment(database, GLOBEX, list_id="another")
    with database.organisation(ACME) as session:
        assert audiences_of_others(session, "account-1") == {"another"}
        SegmentStore(session).delete(first.id, by="alice", at=AT)


def test_an_audience_is_free_after_its_last_segment(database: Database) -> None:
    share(database)
    segment = a_segment(database, ACME)
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(segment.id, by="alice", at=AT)
    assert a_segment(database, GLOBEX).mailchimp_list_id == LIST


def test_one_of_two_organisations_that_claim_an_audience_at_once_wins(database: Database) -> None:
    share(database)
    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as session:
            SegmentStore(session).create(NewSegment("First", SegmentType.MIXED, LIST), by="alice", at=AT)
            creating = start_in_thread(database, pool, partial(a_segment, database, GLOBEX))
        with pytest.raises(AudienceTaken):
            creating.result()


def test_reconnecting_to_an_audience_of_another_organisation_is_rejected(
    database: Database,
) -> None:
    share(database)
    disconnect(database, GLOBEX)
    a_segment(database, GLOBEX)
    a_segment(database, ACME)
    with pytest.raises(AudienceTaken):
        connect(database, may_share=True)


def test_the_same_audience_id_in_two_accounts_is_two_audiences(database: Database) -> None:
    for organisation_id in (ACME, GLOBEX):
        a_connection(database, organisation_id)
        a_segment(database, organisation_id)
    with database.everyone() as session:
        assert (sharing_organisations(session), sharing_audiences(session)) == ([], [])


@pytest.mark.parametrize("do", [connect_in, partial(audiences_of_others, account_id="account-1")])
def test_after_the_check_across_organisations_the_transaction_sees_its_own_rows_only(
    database: Database, do: Callable[[OrganisationSession], object]
) -> None:
    a_connection(database, GLOBEX)
    with database.organisation(ACME) as session:
        do(session)
        assert set(session.scalars(select(ConnectionRow.organisation_id))) <= {ACME}
