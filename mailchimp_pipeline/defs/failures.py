"""What a failed run may say on its segments: the text of a failure that was foreseen, and of no other.

Dagster keeps a failure as text, which begins with its class. What nobody foresaw may quote data, so the class decides.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mailchimp_pipeline.errors import PipelineError


def foreseen(event: dg.DagsterEvent) -> str | None:
    """Return the text of the `PipelineError` that a run failed with; None where it was another failure, or none."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in _kinds(PipelineError)}
    # Dagster wraps what is raised, and keeps it as the cause.
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
