"""Dagster's storage: PostgreSQL by `dagster-postgres`, the embedded server if no URL is set.

`dagster.yaml` names this class, so that `dagster dev` works in a checkout with an empty environment.
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster_postgres import DagsterPostgresStorage

from mailchimp_pipeline.settings import Settings


class PipelineStorage(DagsterPostgresStorage):
    """Dagster's storage with the URL from the settings, which keeps the password out of files and command lines."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return an empty schema, because nothing is configured in `dagster.yaml`."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:  # noqa: ANN401 - Dagster's
        """Return the storage at DAGSTER_POSTGRES_URL. If that is not set, start the embedded server and use it."""
        return cls(inst_data=inst_data, postgres_url=_postgres_url(Settings.from_environment()), **config_value)


def _postgres_url(settings: Settings) -> str:
    if settings.dagster_postgres_url is not None:
        return settings.dagster_postgres_url.get_secret_value()
    from mailchimp_pipeline.embedded.postgres import EmbeddedServer  # noqa: PLC0415 - SQLAlchemy, psycopg load here

    # The server is not stopped here: it runs until the end of this process.
    return EmbeddedServer(settings.home).dagster_url
