"""Dagster's handle on the pipeline: made from the settings when a run or a tick begins, closed when it ends."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from mailchimp_pipeline.logs import log_our_lines
from mailchimp_pipeline.runs.pipeline import Pipeline


class PipelineResource(dg.ConfigurableResource[Pipeline]):
    """Hands out the `Pipeline`. There is nothing to configure here: all settings come from the environment."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Pipeline]:  # noqa: ARG002 - Dagster's
        """Open the pipeline for one run or tick. A secret is read now, not when the code location loads."""
        from mailchimp_pipeline.assembly import open_pipeline  # noqa: PLC0415 - pandas and SQLAlchemy load here

        log_our_lines()
        with open_pipeline() as pipeline:
            yield pipeline
