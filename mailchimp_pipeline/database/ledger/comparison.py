"""A segment's members against what its audience has of them, in pieces: read by `COPY`, compared in Arrow.

In the database the comparison would take ten times as long: a lookup for each member, also where nothing changed.
What does not belong here: what is done about a difference (`sync`), the queries (`statements`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psycopg import sql

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.contacts.arrow import pc, text_column
from mailchimp_pipeline.database.bulk import DriverConnection, contact_arrays, copy_out, counted, driver_connection
from mailchimp_pipeline.database.ledger import statements
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import row_id
from mailchimp_pipeline.sync import Compared, MemberStatus, Outcome

_HASHES = 2**32
"""A piece ends where the first eight of a hash's hex digits do: they are spread evenly."""


_LOOKED_THROUGH = 20
"""An audience with up to so many times the segment's members is read through; in a larger one each is looked up."""

_FEW = 0.1
"""Up to which share of a piece the contacts that differ are asked for by their hashes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of the segments of one audience; `piece` is how many members are compared in one transaction."""

    database: Database
    organisation_id: str
    list_id: str
    piece: int

    def pieces(self, segment_id: str) -> Iterator[Compared]:
        """Yield pieces by hash, each but the last with at least `piece` differences; no transaction is open between."""
        parameters = self._parameters(segment_id=row_id(segment_id))
        with self.database.organisation(self.organisation_id) as session:
            ours, sharing, theirs = (
                counted(driver_connection(session), query, parameters)
                for query in (statements.COUNT, statements.SHARING, statements.MEMBERS)
            )
        held: list[Compared] = []
        for after, through in _ranges(-(-ours // self.piece)):
            bounds = {**parameters, "after": after, "through": through}
            with self.database.organisation(self.organisation_id) as session:
                piece = _Piece(driver_connection(session), bounds, shared=sharing > 0)
                held.append(piece.compared(_known(ours, theirs)))
            # Members that are as they are wanted would otherwise cut the others into small batches.
            if sum(len(each.differences) for each in held) >= self.piece:
                yield _together(held)
                held = []
        if held:
            yield _together(held)

    def _parameters(self, **more: object) -> dict[str, object]:
        return {"organisation_id": self.organisation_id, "list_id": self.list_id, **more}


def _known(ours: int, theirs: int) -> sql.SQL | None:
    """Return how to read what the audience has of a segment with so many members; None where it has nobody."""
    if theirs == 0:
        return None
    return statements.KNOWN if theirs <= _LOOKED_THROUGH * ours else statements.KNOWN_OF_SEGMENT


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range of hashes, within a transaction; `shared` tells whether other segments have members in the audience."""

    connection: DriverConnection
    bounds: Mapping[str, object]
    shared: bool

    def compared(self, known: sql.SQL | None) -> Compared:
        if known is None:
            contacts = self._copied(statements.contacts(shared=self.shared), statements.CONTACT_COLUMNS)
            nothing = pd.Series([None] * len(contacts), dtype=ARROW_STRING)
            return Compared(contacts.assign(**dict.fromkeys(statements.STANDING_COLUMNS, nothing)))
        wanted = self._copied(statements.wanted(shared=self.shared), statements.WANTED_COLUMNS)
        subscribed, refused = _standing(wanted, self._copied(known, statements.KNOWN_COLUMNS))
        contacts = self._contacts(wanted[~subscribed & ~refused], of=len(wanted))
        return Compared(
            self._with_standings(contacts), unchanged=int(subscribed.sum()), refused_before=int(refused.sum())
        )

    def _contacts(self, differing: pd.DataFrame, *, of: int) -> pd.DataFrame:
        if len(differing) > _FEW * of:
            everybody = self._copied(statements.contacts(shared=self.shared), statements.CONTACT_COLUMNS)
            return everybody[everybody["subscriber_hash"].isin(differing["subscriber_hash"])].reset_index(drop=True)
        # As a parameter, which no log of PostgreSQL quotes; `COPY` takes none.
        these = {"hashes": ",".join(differing["subscriber_hash"])}
        return self._fetched(statements.these_contacts(shared=self.shared), statements.CONTACT_COLUMNS, these)

    def _with_standings(self, contacts: pd.DataFrame) -> pd.DataFrame:
        """Return the contacts with how each stands there."""
        standings = self._fetched(statements.STANDINGS, statements.STANDING_COLUMNS, contact_arrays(contacts))
        return pd.concat([contacts, standings], axis="columns")

    def _copied(self, query: sql.SQL, columns: Sequence[str]) -> pd.DataFrame:
        nobody = pd.DataFrame({name: pd.Series(dtype=ARROW_STRING) for name in columns})
        return pd.concat([nobody, *copy_out(self.connection, query, columns, self.bounds)], ignore_index=True)

    def _fetched(self, query: sql.SQL, columns: Sequence[str], parameters: Mapping[str, object]) -> pd.DataFrame:
        rows = self.connection.execute(query, {**self.bounds, **parameters}).fetchall()
        return pd.DataFrame(rows, columns=list(columns), dtype=ARROW_STRING)


def _standing(wanted: pd.DataFrame, known: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell who is subscribed just as wanted, and who was refused like that before."""
    place = pc.index_in(text_column(wanted["subscriber_hash"]), value_set=text_column(known["subscriber_hash"]))
    digests = text_column(wanted["digest"])

    def has(column: str, value: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - a text or a column of it
        equal = pc.equal(pc.take(text_column(known[column]), place), value)
        return pc.fill_null(equal, fill_value=False).to_numpy(zero_copy_only=False)

    refused = has("state", Outcome.REFUSED.value) & has("attempted_digest", digests)
    subscribed = has("status", MemberStatus.SUBSCRIBED.value) & has("digest", digests)
    return subscribed & ~refused, refused


def _ranges(count: int) -> Iterator[tuple[str, str]]:
    """Yield so many ranges that hold all hashes: after the one bound, up to the other."""
    bounds = [f"{place * _HASHES // count:08x}" for place in range(1, count)]
    yield from pairwise(["", *bounds, "~"])


def _together(pieces: Sequence[Compared]) -> Compared:
    return Compared(
        pd.concat([each.differences for each in pieces], ignore_index=True),
        unchanged=sum(each.unchanged for each in pieces),
        refused_before=sum(each.refused_before for each in pieces),
    )
