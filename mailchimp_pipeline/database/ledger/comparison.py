"""Compare a segment's members with its audience, in pieces read by `COPY` and compared in Arrow.

The same comparison in SQL takes ten times as long, because it looks up each unchanged member. What does not belong
here: the actions after a comparison (`sync`), the queries (`statements`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, LiteralString, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psycopg import sql

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.contacts.text_columns import pc, text_column
from mailchimp_pipeline.database.bulk import DriverConnection, as_texts, contact_arrays, copied, driver_connection
from mailchimp_pipeline.database.ledger import statements
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import Compared, KnownStatus, Rejection

_HASHES = 2**32
"""The number of values of a hash's first eight hex digits, which are evenly distributed. Pieces are ranges of them."""


_LOOKED_THROUGH = 20
"""The largest ratio of audience to segment members up to which the whole audience is read, without lookups."""

_FEW = 0.1
"""The largest share of differing contacts in a piece up to which these contacts are looked up by hash."""


def compare(database: Database, parameters: Mapping[str, object], *, size: int) -> Iterator[Compared]:
    """Yield pieces in the order of hashes, each but the last with at least `size` differences.

    About `size` members are compared in one transaction; between pieces no transaction is open. `parameters` are those
    of the queries: `organisation_id`, `list_id`, `segment_id`, `merge_fields` of the audience, and the time `at`.
    """
    organisation_id = str(parameters["organisation_id"])
    with database.organisation(organisation_id) as session:
        connection = driver_connection(session)
        sizes = connection.execute(statements.SIZES, parameters).fetchall()
        ours, sharing, theirs = cast("list[tuple[int, int, int]]", sizes)[0]
        waiting = as_texts(connection.execute(statements.WAITING, parameters).fetchall(), statements.WAITING_COLUMNS)
    held: list[Compared] = []
    for after, through in _ranges(-(-ours // size)):
        bounds = {**parameters, "after": after, "through": through}
        with database.organisation(organisation_id) as session:
            piece = _Piece(driver_connection(session), bounds, waiting, shared=sharing > 0)
            held.append(piece.compared(_known(ours, theirs)))
        # A piece without enough differences would make a small batch.
        if sum(len(each.differences) for each in held) >= size:
            yield _together(held)
            held = []
    if held:
        yield _together(held)


def _known(ours: int, theirs: int) -> sql.SQL | None:
    """Return the query for the audience's members, None if the audience has none."""
    if theirs == 0:
        return None
    return statements.KNOWN if theirs <= _LOOKED_THROUGH * ours else statements.KNOWN_OF_SEGMENT


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range of hashes in one transaction. `shared` is true if other segments have the same audience."""

    connection: DriverConnection
    bounds: Mapping[str, object]
    waiting: pd.DataFrame
    shared: bool

    def compared(self, known: sql.SQL | None) -> Compared:
        if known is None and self.waiting.empty:
            contacts = self._piece(statements.CONTACT_COLUMNS)
            nothing = pd.Series([None] * len(contacts), dtype=ARROW_STRING)
            return Compared(contacts.assign(**dict.fromkeys(statements.STATE_COLUMNS, nothing)))
        wanted = self._piece(statements.WANTED_COLUMNS)
        there = copied(self.connection, known or statements.KNOWN, statements.KNOWN_COLUMNS, self.bounds)
        unchanged = _unchanged(wanted, there)
        waits, reasons = self._waits(wanted)
        waits &= ~unchanged
        contacts = self._contacts(wanted[~unchanged & ~waits], of=len(wanted))
        return Compared(
            self._with_states(contacts),
            unchanged=int(unchanged.sum()),
            waiting=Counter(
                Rejection(reason) for reason, is_so in zip(reasons, waits, strict=True) if is_so and reason
            ),
        )

    def _waits(self, wanted: pd.DataFrame) -> tuple[NDArray[np.bool_], list[str | None]]:
        """Return, for each wanted contact, whether it is not due after a rejection, and the reason."""
        keys = text_column(self.waiting["subscriber_hash"])
        place = pc.index_in(text_column(wanted["subscriber_hash"]), value_set=keys)
        digests = pc.take(text_column(self.waiting["digest"]), place)
        is_same = pc.fill_null(pc.equal(digests, text_column(wanted["digest"])), fill_value=True)
        waits = pc.and_(pc.is_valid(place), is_same).to_numpy(zero_copy_only=False)
        return waits.copy(), pc.take(text_column(self.waiting["reason"]), place).to_pylist()

    def _contacts(self, differing: pd.DataFrame, *, of: int) -> pd.DataFrame:
        if len(differing) > _FEW * of:
            everybody = self._piece(statements.CONTACT_COLUMNS)
            return everybody[everybody["subscriber_hash"].isin(differing["subscriber_hash"])].reset_index(drop=True)
        # A query parameter does not appear in PostgreSQL's log. `COPY` has no parameters.
        these = {"hashes": ",".join(differing["subscriber_hash"])}
        query = statements.piece(statements.CONTACT_COLUMNS, shared=self.shared, some=True)
        return self._fetched(query, statements.CONTACT_COLUMNS, these)

    def _with_states(self, contacts: pd.DataFrame) -> pd.DataFrame:
        """Return the contacts with their known states in the audience."""
        states = self._fetched(statements.STATES, statements.STATE_COLUMNS, contact_arrays(contacts))
        return pd.concat([contacts, states], axis="columns")

    def _piece(self, columns: Sequence[LiteralString]) -> pd.DataFrame:
        return copied(self.connection, statements.piece(columns, shared=self.shared), columns, self.bounds)

    def _fetched(self, query: sql.SQL, columns: Sequence[str], parameters: Mapping[str, object]) -> pd.DataFrame:
        return as_texts(self.connection.execute(query, {**self.bounds, **parameters}).fetchall(), columns)


def _unchanged(wanted: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which contacts are subscribed with the wanted data."""
    place = pc.index_in(text_column(wanted["subscriber_hash"]), value_set=text_column(known["subscriber_hash"]))

    def has(column: str, value: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - a text or a column of it
        equal = pc.equal(pc.take(text_column(known[column]), place), value)
        return pc.fill_null(equal, fill_value=False).to_numpy(zero_copy_only=False)

    return has("status", KnownStatus.SUBSCRIBED.value) & has("digest", text_column(wanted["digest"]))


def _ranges(count: int) -> Iterator[tuple[str, str]]:
    """Yield `count` ranges that contain all hashes, as exclusive lower and inclusive upper bounds."""
    bounds = [f"{place * _HASHES // count:08x}" for place in range(1, count)]
    yield from pairwise(["", *bounds, "~"])


def _together(pieces: Sequence[Compared]) -> Compared:
    return Compared(
        pd.concat([each.differences for each in pieces], ignore_index=True),
        unchanged=sum(each.unchanged for each in pieces),
        waiting=sum((Counter(each.waiting) for each in pieces), Counter[Rejection]()),
    )
