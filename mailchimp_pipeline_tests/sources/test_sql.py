"""Databases as a source: tables and queries, types, names and errors."""

import socket

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from mailchimp_pipeline.contacts import EntityType, Source
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.sources import SourceAwayError, SqlSource, UnreadableSourceError, open_source
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.waiting import eventually

EMPLOYEE, VENDOR = EntityType.EMPLOYEE, EntityType.VENDOR


@pytest.fixture(params=["postgres", "sqlite"])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    return request.getfixturevalue(request.param)


def execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def source_at(engine: sa.Engine, employees: str | None = None) -> Source:
    return open_source(engine.url.render_as_string(hide_password=False), employees=employees)


def test_numbers_and_what_is_missing_come_as_the_database_writes_them(engine: sa.Engine) -> None:
    execute(
        engine,
        "create table employees (organisation_id text, id integer, email varchar(50), location numeric(6, 2))",
        "insert into employees values ('acme', 7, 'a@x.test', 1.5), ('acme', 8, null, null)",
        "insert into employees values ('acme', 100000000, '', 2)",
    )
    frame = source_at(engine).read(EMPLOYEE, "acme").sort_values("id", ignore_index=True)
    assert frame["id"].tolist() == ["100000000", "7", "8"]
    assert frame["email"].isna().tolist() == [False, False, True]


def test_an_organisation_may_be_a_number(engine: sa.Engine) -> None:
    execute(
        engine,
        "create table employees (organisation_id bigint, id bigint)",
        "insert into employees values (12, 1), (120, 2)",
    )
    assert source_at(engine).read(EMPLOYEE, "12")["id"].tolist() == ["1"]


@pytest.mark.parametrize("entity_id", ["abc", "007", "1e2", "99999999999999999999", "ada@acme.test"])
def test_an_invalid_number_matches_no_contact(engine: sa.Engine, entity_id: str) -> None:
    execute(
        engine,
        "create table employees (organisation_id text, id bigint, employment_status boolean)",
        "insert into employees values ('acme', 7, true), ('acme', 100, null)",
    )
    source = source_at(engine)
    assert source.find(EMPLOYEE, "acme", entity_id).empty
    read = source.read(EMPLOYEE, "acme")
    assert source.find(EMPLOYEE, "acme", "7").to_dict("records") == read[read["id"] == "7"].to_dict("records")


def test_one_contact_is_looked_up_by_the_index_of_a_table(postgres: sa.Engine) -> None:
    execute(
        postgres,
        "create table employees (organisation_id varchar, id varchar, primary key (organisation_id, id))",
        "insert into employees select 'acme', n::text from generate_series(1, 20000) as n",
        "analyze employees",
    )
    assert source_at(postgres).find(EMPLOYEE, "acme", "777")["id"].tolist() == ["777"]
    with postgres.connect() as connection:
        read = sa.text("select seq_tup_read = 0 and idx_tup_fetch = 1 from pg_stat_user_tables")
        assert eventually(lambda: connection.execution_options(isolation_level="AUTOCOMMIT").scalar(read))


def test_names_in_another_case_or_with_odd_blanks_are_ours_too(engine: sa.Engine) -> None:
    execute(
        engine,
        'create table "Staff" ("Organisation_ID" text, "\u200bID\u00a0" text, "Order" text)',
        "insert into \"Staff\" values ('acme', '1', 'x')",
    )
    frame = source_at(engine, "Staff").read(EMPLOYEE, "acme")
    assert frame.to_dict("records") == [{"organisation_id": "acme", "id": "1"}]
    assert source_at(engine, "Staff").find(EMPLOYEE, "acme", "1").to_dict("records") == frame.to_dict("records")
    assert source_at(engine, "Staff").describe(EMPLOYEE).rows == 1


@pytest.mark.parametrize(
    "query",
    [
        "select 'acme' as organisation_id, 'a:b %s {x} ::' || id as id, 1 as salary from people where id like '0%'",
        "  SELECT 'acme' AS organisation_id, 'a:b %s {x} ::' || id AS id FROM people WHERE id LIKE '0%';\n",
        """with p as (select * from people where id < '1')
        select 'acme' as organisation_id, 'a:b %s {x} ::' || id as id from p -- and ':that' is all""",
    ],
)
def test_a_query_may_stand_for_a_table(engine: sa.Engine, query: str) -> None:
    execute(engine, "create table people (id text)", "insert into people values ('007'), ('1')")
    source = source_at(engine, query)
    assert source.read(EMPLOYEE, "acme").to_dict("records") == [{"organisation_id": "acme", "id": "a:b %s {x} ::007"}]
    assert source.read(EMPLOYEE, "globe").empty
    assert source.describe(EMPLOYEE).rows == 1


def test_a_table_may_be_in_a_schema(postgres: sa.Engine) -> None:
    execute(
        postgres,
        "create schema hr",
        "create table hr.people as select 'acme' as organisation_id, '1' as id",
    )
    source = source_at(postgres, "hr.people")
    assert source.read(EMPLOYEE, "acme")["id"].tolist() == ["1"]
    assert source.describe(EMPLOYEE).rows == 1


def test_the_version_does_not_hang_on_the_order_of_rows(engine: sa.Engine) -> None:
    execute(
        engine,
        "create table people (organisation_id text, id text)",
        "insert into people values ('a', '1'), ('b', null)",
    )
    up = source_at(engine, "select * from people order by id").describe(EMPLOYEE)
    down = source_at(engine, "select * from people order by id desc").describe(EMPLOYEE)
    execute(engine, "update people set id = '' where id is null")
    assert up == down
    assert source_at(engine, "people").describe(EMPLOYEE).version != up.version


def test_a_source_is_only_read(postgres: sa.Engine) -> None:
    execute(postgres, "create table people (organisation_id text)")
    emptying = "with gone as (delete from people returning *) select * from gone"
    with pytest.raises(UnreadableSourceError, match="employees cannot be read"):
        source_at(postgres, emptying).read(EMPLOYEE, "acme")


def test_a_table_that_is_not_there_is_named_by_its_setting(engine: sa.Engine) -> None:
    with pytest.raises(UnreadableSourceError, match=r"employees cannot be read .*MAILCHIMP_PIPELINE_EMPLOYEES"):
        source_at(engine, "hr_secret").read(EMPLOYEE, "acme")
    with pytest.raises(UnreadableSourceError, match=r"vendors cannot be read .*MAILCHIMP_PIPELINE_VENDORS"):
        source_at(engine).describe(VENDOR)


def test_an_error_over_a_row_does_not_quote_it(postgres: sa.Engine) -> None:
    query = "select 'acme' as organisation_id, cast(id as integer)::text as id from (values ('secret')) as people (id)"
    with pytest.raises(UnreadableSourceError, match="SQLSTATE 22P02") as error:
        source_at(postgres, query).read(EMPLOYEE, "acme")
    assert "secret" not in str(error.value)
    assert error.value.__suppress_context__


def test_a_database_that_does_not_answer_is_a_passing_error_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    source = open_source(f"postgresql+psycopg2://hr:hunter2@127.0.0.1:{port}/hr")
    with pytest.raises(SourceAwayError, match="does not answer") as error:
        source.read(EMPLOYEE, "acme")
    assert isinstance(error.value, TransientError)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "location", ["nosuchthing://hr:hunter2@host/hr", "://hunter2", "postgresql://h:x@host:hunter2/hr"]
)
def test_a_location_that_is_no_url_of_ours_is_refused_without_repeating_it(location: str) -> None:
    with pytest.raises(UnreadableSourceError, match="MAILCHIMP_PIPELINE_SOURCE is not the URL") as error:
        open_source(location)
    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
def test_a_database_that_is_not_kept_in_utf8_is_read_all_the_same(
    postgres_server: PostgresServer, encoding: str
) -> None:
    name, text = f"hr_{encoding.lower()}", {"LATIN1": "Zoë", "EUC_JP": "花子"}[encoding]
    made = sql.SQL("create database {} encoding {} locale 'C' template template0")
    postgres_server.execute(made.format(sql.Identifier(name), sql.Literal(encoding)))
    engine = sa.create_engine(f"{postgres_server.url_of(name)}&client_encoding=utf8", poolclass=sa.NullPool)
    execute(engine, f"create table employees as select 'acme' as organisation_id, '1' as id, '{text}' as first_name")
    assert open_source(postgres_server.url_of(name)).read(EMPLOYEE, "acme")["first_name"].tolist() == [text]
    postgres_server.drop(name)


def test_text_that_is_in_no_encoding_is_a_clear_failure(postgres_server: PostgresServer) -> None:
    postgres_server.execute(sql.SQL("create database ascii encoding 'SQL_ASCII' locale 'C' template template0"))
    source = open_source(
        postgres_server.url_of("ascii"), "select 'acme' as organisation_id, convert_from('\\xe9', 'SQL_ASCII') as id"
    )
    with pytest.raises(UnreadableSourceError, match="SQLSTATE 22021"):
        source.read(EMPLOYEE, "acme")
    postgres_server.drop("ascii")


LIMIT = "select 'acme' as organisation_id, current_setting('statement_timeout') as id"


def test_a_read_has_a_limit_of_time_and_the_databases_own_goes_before_ours(postgres: sa.Engine) -> None:
    assert source_at(postgres, LIMIT).read(EMPLOYEE, "acme")["id"].tolist() == ["15min"]
    execute(postgres, f"alter database {postgres.url.database} set statement_timeout = '100ms'")
    assert source_at(postgres, LIMIT).read(EMPLOYEE, "acme")["id"].tolist() == ["100ms"]
    slow = "select 'acme' as organisation_id, pg_sleep(60)::text as id"
    with pytest.raises(UnreadableSourceError, match=r"took longer than .* 15 minutes.*MAILCHIMP_PIPELINE_EMPLOYEES"):
        source_at(postgres, slow).read(EMPLOYEE, "acme")


def test_a_server_that_vanishes_is_noticed(postgres: sa.Engine) -> None:
    source = SqlSource.at(postgres.url.render_as_string(hide_password=False), employees="employees", vendors="vendors")
    with source._connect() as connection:  # pyright: ignore[reportPrivateUsage] - no reading shows it
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        assert driver.info.get_parameters().items() >= {"keepalives_idle": "30", "keepalives_interval": "10"}.items()


def test_a_connection_that_breaks_is_a_passing_error(postgres: sa.Engine) -> None:
    execute(postgres, "create table people (organisation_id text, id text)", "insert into people values ('acme', '1')")
    suicide = "select organisation_id, id, pg_terminate_backend(pg_backend_pid())::text as email from people"
    with pytest.raises(SourceAwayError, match="does not answer"):
        source_at(postgres, suicide).read(EMPLOYEE, "acme")
