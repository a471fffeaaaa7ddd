"""A source that is opened at the first read, so that a wrong setting fails reads and not the start.

What does not belong here: choosing the source (`open_source`).
"""

from collections.abc import Callable
from functools import cached_property

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, RelationVersion, Source


class LateSource:
    """The source that `open_it` returns. It is opened at the first read.

    An error of `open_it` is raised by every read.
    """

    def __init__(self, open_it: Callable[[], Source]) -> None:
        self._open = open_it

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation."""
        return self._source.read(relation, organisation_id)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the rows of one contact, as the source's `find` does."""
        return self._source.find(relation, organisation_id, entity_id)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows and the version of the relation."""
        return self._source.describe(relation)

    @cached_property
    def _source(self) -> Source:
        return self._open()
