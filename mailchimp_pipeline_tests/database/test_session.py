"""Transactions: organisation, rollback, and errors."""

from contextlib import suppress

import pytest
from sqlalchemy import text

from mailchimp_pipeline.database.session import Database, DatabaseAway, DatabaseBusy, StatementRefused, TimeLimits
from mailchimp_pipeline.errors import TransientError, without_places
from mailchimp_pipeline.local.stack import free_port
from mailchimp_pipeline_tests.database.builders import ACME

_SETTING = text("select current_setting('mailchimp_pipeline.organisation_id', true)")


def test_the_organisation_is_set_for_one_transaction(database_url: str) -> None:
    with Database(database_url, pool_size=1) as database:
        with database.organisation(ACME) as session:
            inside = session.scalar(_SETTING)
        with database.everyone() as session:
            assert (inside, session.scalar(_SETTING)) == (ACME, "")


def test_a_transaction_without_an_organisation_is_rejected(database: Database) -> None:
    with pytest.raises(ValueError, match="needs the id of an organisation"), database.organisation(""):
        pass


def test_a_block_that_raises_leaves_nothing_behind(database: Database) -> None:
    with suppress(KeyError), database.organisation(ACME) as session:
        session.execute(text("insert into audience_reads values (:acme, 'list', now())"), {"acme": ACME})
        raise KeyError
    with database.organisation(ACME) as session:
        assert session.scalar(text("select count(*) from audience_reads")) == 0


def test_an_unreachable_server_is_a_transient_error_with_its_address_and_no_password() -> None:
    port = free_port()
    database = Database(f"postgresql+psycopg://someone:hunter2@127.0.0.1:{port}/pipeline")
    with pytest.raises(DatabaseAway) as raised, database.everyone() as session:
        session.execute(text("select 1"))
    message = str(raised.value)
    assert isinstance(raised.value, TransientError)
    assert f"127.0.0.1:{port}/pipeline" in message
    assert "127.0.0.1" not in without_places(message)
    assert "hunter2" not in message
    assert "someone" not in message


def test_a_connection_ended_by_the_server_is_a_transient_error_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(DatabaseAway), database.unrestricted() as connection:
        connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))
    with database.everyone() as session:
        assert session.scalar(text("select 1")) == 1


def test_connections_say_who_they_are_and_speak_utf8(database_url: str) -> None:
    with Database(database_url, application_name="test of sessions") as database, database.everyone() as session:
        settings = text("select current_setting('application_name'), current_setting('client_encoding')")
        assert tuple(session.execute(settings).one()) == ("test of sessions", "UTF8")


def test_a_rejected_statement_is_reported_without_its_row(database: Database) -> None:
    insert = text("insert into audience_reads values (:person, :person, now()), (:person, :person, now())")
    with pytest.raises(StatementRefused, match="pk_audience_reads") as raised, database.unrestricted() as connection:
        connection.execute(insert, {"person": "ann@acme.test"})
    assert "ann@acme.test" not in str(raised.value)
    assert "pk_audience_reads" not in without_places(str(raised.value))
    assert raised.value.__suppress_context__


def test_an_exhausted_pool_is_a_transient_error(database_url: str) -> None:
    with Database(database_url, pool_size=1, pool_wait_seconds=0.05) as database, database.everyone() as session:
        session.execute(text("select 1"))
        with pytest.raises(DatabaseAway, match="in use"), database.everyone() as second:
            second.execute(text("select 1"))


def test_a_statement_that_hangs_is_ended_and_the_connection_serves_on(database_url: str) -> None:
    limits = TimeLimits(statement_seconds=0.2, lock_seconds=0.1)
    with Database(database_url, pool_size=1, time_limits=limits) as database:
        for _ in range(2):
            with pytest.raises(DatabaseBusy, match="QueryCanceled"), database.organisation(ACME) as session:
                session.execute(text("select pg_sleep(30)"))


def test_a_lock_timeout_is_an_error_about_concurrent_work(database: Database, database_url: str) -> None:
    lock = text("lock table audience_reads in access exclusive mode")
    limits = TimeLimits(statement_seconds=20, lock_seconds=0.1)
    with Database(database_url, time_limits=limits) as other, database.unrestricted() as holder:
        holder.execute(lock)
        with pytest.raises(DatabaseBusy, match="LockNotAvailable"), other.unrestricted() as waiting:
            waiting.execute(lock)
