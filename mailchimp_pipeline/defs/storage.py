"""Dagster's storage: PostgreSQL by `dagster-postgres`, the embedded one where no URL is set.

`dagster.yaml` names this class, so that `dagster dev` works in a checkout with an empty environment.
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster_postgres import DagsterPostgresStorage


class PipelineStorage(DagsterPostgresStorage):
    """Takes its address from the settings, never from a file or a command line, where others could read it."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in `dagster.yaml`."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:  # noqa: ANN401 - Dagster's
        """Connect to DAGSTER_POSTGRES_URL, or start the embedded server."""
        from mailchimp_pipeline.assembly import dagster_postgres_url  # noqa: PLC0415 - only where a storage is made

        return cls(inst_data=inst_data, postgres_url=dagster_postgres_url(), **config_value)
