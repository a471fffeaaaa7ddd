"""Dagster's storage: PostgreSQL by `dagster-postgres`, the embedded one where no URL is set.

`dagster.yaml` names this class, so that `dagster dev` works in a checkout with an empty environment.
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster_postgres import DagsterPostgresStorage

from mailchimp_pipeline.settings import Settings


class PipelineStorage(DagsterPostgresStorage):
    """Takes its address from the settings, never from a file or a command line, where others could read it."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in `dagster.yaml`."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:  # noqa: ANN401 - Dagster's
        """Connect to DAGSTER_POSTGRES_URL, or start the embedded server."""
        return cls(inst_data=inst_data, postgres_url=_postgres_url(Settings.from_environment()), **config_value)


def _postgres_url(settings: Settings) -> str:
    if settings.dagster_postgres_url is not None:
        return settings.dagster_postgres_url.get_secret_value()
    from mailchimp_pipeline.embedded.server import EmbeddedServer  # noqa: PLC0415 - SQLAlchemy, psycopg load here

    # Not stopped: it runs until this process, whose storage is in it, ends.
    return EmbeddedServer(settings.home).dagster_url
