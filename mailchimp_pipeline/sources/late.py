"""A source that is opened when it is read: what is wrong with its settings fails whoever reads, each for itself.

What does not belong here: which source it is (`open_source`).
"""

from collections.abc import Callable
from functools import cached_property

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, RelationVersion, Source


class LateSource:
    """The source that the function opens, once it can be opened; until then every read raises what that raises."""

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
