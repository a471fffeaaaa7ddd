"""A source that is opened when it is read: a wrong setting fails each read, not the start.

What does not belong here: which source it is (`open_source`).
"""

from collections.abc import Callable
from functools import cached_property

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, RelationVersion, Source


class LateSource:
    """The source that `open_it` opens on first use. While opening fails, every read raises its error."""

    def __init__(self, open_it: Callable[[], Source]) -> None:
        self._open = open_it

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation."""
        return self._source.read(relation, organisation_id)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the rows of one contact."""
        return self._source.find(relation, organisation_id, entity_id)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return how many rows the relation has, and which version it is."""
        return self._source.describe(relation)

    @cached_property
    def _source(self) -> Source:
        return self._open()
