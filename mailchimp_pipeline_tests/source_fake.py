"""A source in memory, and builders of rows and files. `sources/test_contract.py` tests it with the real sources."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mailchimp_pipeline.contacts import (
    ARROW_STRING,
    RELATION_COLUMNS,
    EntityType,
    MissingColumnError,
    RelationVersion,
    normalised,
)
from mailchimp_pipeline.errors import PermanentError

Row = Mapping[str, str | None]


def an_employee(**changes: str | None) -> dict[str, str | None]:
    """Return an employee row of acme with these changes."""
    return {
        "organisation_id": "acme",
        "id": "1",
        "email": "ada@acme.test",
        "first_name": "Ada",
        "last_name": "Byron",
        "department": "Engineering",
        "location": "Berlin",
        "employment_type": "full_time",
        "employment_status": "active",
        **changes,
    }


def a_vendor(**changes: str | None) -> dict[str, str | None]:
    """Return a vendor row of acme with a company name and these changes."""
    return {
        "organisation_id": "acme",
        "id": "1",
        "email": "orders@bolts.test",
        "company_name": "Bolts & Sons, Ltd.",
        **changes,
    }


def backdate(path: Path) -> Path:
    """Set the file's modification time into the past, since a source waits for files that are being written."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 60 * 10**9))
    return path


def rows(*given: Row) -> pd.DataFrame:
    """Return rows as a source returns them, with the columns of the first."""
    return pd.DataFrame(list(given), columns=list(given[0]), dtype=ARROW_STRING)


class FakeSource:
    """A source of these relations, with one frame for all organisations."""

    def __init__(self, relations: Mapping[EntityType, pd.DataFrame]) -> None:
        self.relations = dict(relations)

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows."""
        frame = self._relation(relation)
        return frame[frame["organisation_id"] == organisation_id].reset_index(drop=True)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the contact's rows."""
        frame = self.read(relation, organisation_id)
        if "id" not in frame.columns:
            raise MissingColumnError(relation.relation, "id")
        ids = frame["id"].map(normalised, na_action="ignore")
        return frame[ids == normalised(entity_id)].reset_index(drop=True)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows and their digest."""
        frame = self._relation(relation)
        return RelationVersion(rows=len(frame), version=hashlib.sha256(frame.to_csv().encode()).hexdigest())

    def _relation(self, relation: EntityType) -> pd.DataFrame:
        if relation not in self.relations:
            message = f"The source has no {relation.relation}. Give the fake a frame of them."
            raise PermanentError(message)
        frame = self.relations[relation]
        if "organisation_id" not in frame.columns:
            raise MissingColumnError(relation.relation, "organisation_id")
        return frame[[name for name in RELATION_COLUMNS if name in frame.columns]]
