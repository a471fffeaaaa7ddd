"""The text of a failed run's error, if it is one of this project's errors.

Dagster stores an error as text that starts with the error's class. Texts of other errors may contain personal data.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mailchimp_pipeline.errors import PipelineError


def foreseen(event: dg.DagsterEvent) -> str | None:
    """Return the text of the `PipelineError` that ended the run, None for other errors."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in _kinds(PipelineError)}
    # Dagster wraps the raised error, and stores it as the cause.
    error: Any = getattr(event.event_specific_data, "error", None)
    while error is not None:
        kind, _, text = str(error.message).partition(": ")
        if kind in kinds:
            return text.strip()
        error = error.cause
    return None


def _kinds(kind: type[PipelineError]) -> Iterator[type[PipelineError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
