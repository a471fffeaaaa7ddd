"""COPY in both directions preserves every value."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.database.bulk import copy_in, copy_out, text_array
from mailchimp_pipeline.database.session import Database, StatementRefused, driver_connection

_texts = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.sampled_from(
        ["", " ", '"', '""', ",", "\\", "\\.", "\\N", "\n", "\r\n", "NULL", "a\n\\.\nb", "é", "\u200b", "🙂"]
    ),
)


def through(database: Database, frame: pd.DataFrame) -> pd.DataFrame:
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in frame.columns)
    with database.everyone() as session:
        connection = driver_connection(session)
        connection.execute(sql.SQL("create temporary table kept (place serial, {}) on commit drop").format(columns))
        copy_in(connection, "kept", frame)
        names = list(frame.columns)
        query = sql.SQL("select {} from kept order by place").format(sql.SQL(", ").join(map(sql.Identifier, names)))
        return pd.concat([frame.iloc[:0], *copy_out(connection, query, names)], ignore_index=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(_texts, _texts), max_size=6))
def test_two_columns_of_any_text_come_back_as_they_went(database: Database, rows: list[tuple[str, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["name", "Other name"], dtype=ARROW_STRING)
    pd.testing.assert_frame_equal(through(database, frame), frame)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(values=st.lists(_texts, max_size=6))
def test_one_column_of_any_text_comes_back_as_it_went(database: Database, values: list[str]) -> None:
    frame = pd.DataFrame({"name": pd.Series(values, dtype=ARROW_STRING)})
    pd.testing.assert_frame_equal(through(database, frame), frame)


@pytest.mark.parametrize("dtype", ["object", "str", "string"])
def test_missing_values_are_null_whatever_the_frames_dtype(database: Database, dtype: str) -> None:
    frame = pd.DataFrame({"name": pd.Series(["", None, "x"], dtype=dtype)})
    assert through(database, frame)["name"].isna().tolist() == [False, True, False]


def test_many_rows_come_in_pieces_that_leave_none_out(database: Database) -> None:
    query = sql.SQL("select number, repeat('line\n', 40) as text from generate_series(1, %(rows)s) as number")
    with database.everyone() as session:
        pieces = list(copy_out(driver_connection(session), query, ["number", "text"], {"rows": 60_000}))
    numbers = pd.concat(pieces)["number"].astype(int)
    assert len(pieces) > 1
    assert numbers.tolist() == list(range(1, 60_001))


def test_more_rows_than_a_piece_go_in(database: Database) -> None:
    frame = pd.DataFrame({"name": pd.Series([str(number) for number in range(120_000)], dtype=ARROW_STRING)})
    assert through(database, frame)["name"].tolist() == frame["name"].tolist()


def test_a_query_without_rows_yields_nothing(database: Database) -> None:
    with database.everyone() as session:
        assert list(copy_out(driver_connection(session), sql.SQL("select 1 as one where false"), ["one"])) == []


def test_a_percent_sign_in_a_query_without_parameters_is_a_percent_sign(database: Database) -> None:
    with database.everyone() as session:
        [piece] = copy_out(driver_connection(session), sql.SQL("select '100%' as share"), ["share"])
    assert piece["share"].tolist() == ["100%"]


def test_invalid_utf8_is_reported_without_the_row(database: Database) -> None:
    frame = pd.DataFrame({"name": pd.Series(["secret\0person"], dtype=ARROW_STRING)})
    with pytest.raises(StatementRefused) as raised:
        through(database, frame)
    assert "secret" not in str(raised.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(texts=st.lists(_texts, max_size=6))
def test_an_array_of_any_text_arrives_as_it_is(database: Database, texts: list[str | None]) -> None:
    with database.everyone() as session:
        query, given_texts = "select %(texts)s::text[]", {"texts": text_array(texts)}
        assert driver_connection(session).execute(query, given_texts).fetchone() == (texts,)
