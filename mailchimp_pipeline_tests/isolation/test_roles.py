"""The role of a session is never the owner of the tables. A login without tables of its own suffices."""

import pytest
from psycopg import sql
from sqlalchemy import make_url, select, text

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.locks import audience_lock, hold, is_held
from mailchimp_pipeline.database.migrations import current_revision, expected_revision, migrate
from mailchimp_pipeline.database.session import Database, RoleNotGranted, StatementRefused
from mailchimp_pipeline.database.tables import SegmentMemberRow
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_member, a_segment, put_members
from mailchimp_pipeline_tests.isolation.tenants import ROLES, a_login

_WHO = text("select current_user")
_OWNS = text("select count(*) from pg_class where relowner = current_user::regrole and relname = 'audit_log'")


def as_login(url: str, login: str) -> str:
    return make_url(url).set(username=login).render_as_string(hide_password=False)


def test_no_session_uses_the_role_of_the_table_owner(database: Database) -> None:
    with database.organisation(ACME) as session:
        assert (session.scalar(_WHO), session.scalar(_OWNS)) == (ROLES[0], 0)
    with database.everyone() as session:
        assert (session.scalar(_WHO), session.scalar(_OWNS)) == (ROLES[1], 0)
    with database.dedicated() as connection:
        assert (connection.scalar(_WHO), connection.scalar(_OWNS)) == (ROLES[0], 0)


def test_a_pooled_connection_keeps_no_organisation(database_url: str) -> None:
    with Database(database_url, pool_size=1) as database:
        with database.organisation(ACME) as session:
            session.execute(text("select 1"))
        with database.unrestricted() as connection:
            left = connection.execute(
                text("select current_user = session_user, current_setting('mailchimp_pipeline.organisation_id')")
            )
            assert tuple(left.one()) == (True, "")


def test_a_login_that_owns_nothing_does_all_that_a_sync_needs(
    postgres_server: PostgresServer, database_url: str
) -> None:
    with a_login(postgres_server) as login, Database(as_login(database_url, login)) as database:
        segment = a_segment(database)
        put_members(database, segment, a_member(), a_member("bob@acme.test", entity_id="2"))
        ledger = DatabaseLedger(database, KEYRING, ACME, LIST, lambda: AT)
        assert [len(piece.differences) for piece in ledger.compare(segment.id)] == [2]
        with database.organisation(ACME) as session:
            assert len(session.scalars(select(SegmentMemberRow)).all()) == 2
            assert len(audit_log.entries(session, limit=10).items) == 1


def test_a_login_that_owns_nothing_can_use_locks(postgres_server: PostgresServer, database_url: str) -> None:
    lock = audience_lock(ACME, LIST)
    with a_login(postgres_server) as login, Database(as_login(database_url, login)) as database:
        with hold(database, lock, what="an audience"), database.everyone() as session:
            assert is_held(session, lock)
        assert current_revision(database) == expected_revision()


def test_a_login_without_a_role_sees_no_rows(postgres_server: PostgresServer, database_url: str) -> None:
    with (
        a_login(postgres_server) as login,
        Database(as_login(database_url, login)) as database,
        pytest.raises(StatementRefused, match="permission denied"),
        database.unrestricted() as connection,
    ):
        connection.execute(text("select 1 from audience_members"))


def test_a_login_that_may_not_take_on_the_roles_is_told_what_to_ask_for(
    postgres_server: PostgresServer, database_url: str
) -> None:
    with (
        a_login(postgres_server, member=False) as login,
        Database(as_login(database_url, login)) as database,
        pytest.raises(RoleNotGranted, match=f"grant {', '.join(ROLES)} to"),
        database.organisation(ACME),
    ):
        pass


def test_an_owner_that_is_no_superuser_migrates_and_works_by_one_url(
    postgres_server: PostgresServer, empty_database_url: str
) -> None:
    with a_login(postgres_server) as login:
        name = sql.Identifier(str(make_url(empty_database_url).database))
        postgres_server.execute(sql.SQL("alter database {} owner to {}").format(name, sql.Identifier(login)))
        url = as_login(empty_database_url, login)
        migrate(url)
        with Database(url) as database:
            put_members(database, a_segment(database), a_member())
            with database.organisation("globex") as session:
                assert session.scalar(text("select count(*) from segment_members")) == 0
        postgres_server.execute(sql.SQL("alter database {} owner to postgres").format(name))
        postgres_server.drop(str(make_url(empty_database_url).database))
        postgres_server.execute(sql.SQL("create database {}").format(name))
