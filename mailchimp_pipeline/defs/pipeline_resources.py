"""Dagster's resources: each opens a use case for one run, or for one tick of a sensor, and closes it at the end.

They have no configuration: settings and secrets are read from the environment at the start of a run.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from mailchimp_pipeline.logs import log_our_lines

if TYPE_CHECKING:
    from mailchimp_pipeline.erasure import Erasures
    from mailchimp_pipeline.services.apply_retention import ApplyRetention
    from mailchimp_pipeline.services.pipeline import Pipeline
    from mailchimp_pipeline.services.refresh_campaigns import CampaignRefresh
else:
    # Dagster evaluates annotations when the code location loads, when pandas and SQLAlchemy are not needed yet.
    ApplyRetention = CampaignRefresh = Erasures = Pipeline = object


class PipelineResource(dg.ConfigurableResource[Pipeline]):
    """Provides the `Pipeline`."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Pipeline]:  # noqa: ARG002 - Dagster's
        """Open a `Pipeline` for one run or tick."""
        from mailchimp_pipeline.services.pipeline import open_pipeline  # noqa: PLC0415 - pandas loads here

        log_our_lines()
        with open_pipeline() as pipeline:
            yield pipeline


class CampaignsResource(dg.ConfigurableResource[CampaignRefresh]):
    """Provides the `CampaignRefresh`."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[CampaignRefresh]:  # noqa: ARG002 - Dagster's
        """Open a `CampaignRefresh` for one run."""
        from mailchimp_pipeline.services.refresh_campaigns import open_campaigns  # noqa: PLC0415 - pandas loads here

        log_our_lines()
        with open_campaigns() as campaigns:
            yield campaigns


class ErasuresResource(dg.ConfigurableResource[Erasures]):
    """Provides the `Erasures`."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Erasures]:  # noqa: ARG002 - Dagster's
        """Open an `Erasures` for one run or tick."""
        from mailchimp_pipeline.services.resources import open_resources  # noqa: PLC0415 - pandas loads here

        log_our_lines()
        with open_resources() as resources:
            yield resources.erasures()


class RetentionResource(dg.ConfigurableResource[ApplyRetention]):
    """Provides the `ApplyRetention`."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[ApplyRetention]:  # noqa: ARG002 - Dagster's
        """Open an `ApplyRetention` for one run."""
        from mailchimp_pipeline.services.apply_retention import open_retention  # noqa: PLC0415 - pandas loads here

        log_our_lines()
        with open_retention() as retention:
            yield retention
