"""Erasures and opt-outs in Dagster: the jobs that carry them to Mailchimp, and the sensors that start the jobs.

A sync pushes the opt-outs of its organisations. The job for opt-outs is for organisations without segments, and for
opt-outs that the API could not push because Mailchimp did not answer.
"""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

import hashlib
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg
from structlog.contextvars import bound_contextvars

from mailchimp_pipeline.defs.pipeline_resources import Erasures, Pipeline
from mailchimp_pipeline.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailchimp_pipeline.erasure import Attempt, ErasureRequest

_URGENT = {"dagster/priority": "10"}
"""A priority above that of syncs."""

_log = logger("mailchimp_pipeline.erasures")


@dg.op(
    name="retry_pending_erasures",
    out=dg.Out(dg.Nothing),
    description=(
        "Deletes contacts at Mailchimp whose erasure is pending. Failed? An erasure needs a person: the log says "
        "which one and what to do; `mailchimp-pipeline erasures list` shows them. It is safe to run again."
    ),
)
def retry_pending_erasures(context: dg.OpExecutionContext, erasures: dg.ResourceParam[Erasures]) -> None:
    """Retry each erasure that is due. Raises `dagster.Failure` at the end if one needs a person's help."""
    counts: Counter[str] = Counter()
    waiting: list[str] = []
    with bound_contextvars(run_id=context.run.run_id):
        for attempt in erasures.retry_pending():
            counts[attempt.request.status.value] += 1
            waiting += [attempt.request.id] if attempt.needs_person else []
            for problem in attempt.problems:
                context.log.warning("Erasure %s: %s", attempt.request.id, problem)
            _log_attempt(attempt)
    figures = {
        "completed": dg.MetadataValue.int(counts["completed"]),
        "pending": dg.MetadataValue.int(counts["pending"]),
        "waiting_for_a_person": dg.MetadataValue.int(len(waiting)),
    }
    if waiting:
        text = f"{len(waiting)} erasures wait for a person: {', '.join(waiting)}. The log says what each needs."
        raise dg.Failure(text, metadata=figures, allow_retries=False)
    context.add_output_metadata(figures)


def _log_attempt(attempt: "Attempt") -> None:
    request = attempt.request
    ids = {"organisation_id": request.organisation_id, "erasure_id": request.id}
    _log.info("erasure", **ids, status=request.status.value, attempts=request.attempts, problems=len(attempt.problems))


@dg.job(
    name="mailchimp_erasure",
    executor_def=dg.in_process_executor,
    description="Carries on with erasures until Mailchimp has confirmed each for every audience.",
)
def mailchimp_erasure() -> None:
    """Run `retry_pending_erasures`."""
    retry_pending_erasures()


@dg.sensor(
    name="erasures_due",
    job_name="mailchimp_erasure",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run where an erasure is to be tried again: after a minute, then after growing pauses.",
)
def erasures_due(erasures: dg.ResourceParam[Erasures]) -> dg.SensorResult | dg.SkipReason:
    """Request one run for all due erasures, with a run key that prevents a second run for the same attempts."""
    due = erasures.due()
    if not due:
        return dg.SkipReason("No erasure is due.")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=_run_key(due, erasures.clock()), tags=_URGENT)])


def _run_key(due: "Sequence[ErasureRequest]", now: datetime) -> str:
    """Return a run key that changes with the due erasures and after each attempt.

    It also changes every hour, so that the run is repeated if it died.
    """
    tried = sorted(f"{request.id}:{request.attempts}" for request in due)
    return hashlib.sha256(",".join([now.strftime("%Y-%m-%d %H"), *tried]).encode()).hexdigest()


@dg.op(
    name="propagate_opt_outs",
    out=dg.Out(dg.Nothing),
    description=(
        "Pulls all audiences of organisations with new opt-outs, and unsubscribes contacts who opted out. Failed? "
        "The log names the organisation and what to do; the opt-outs stay outstanding. It is safe to run again."
    ),
)
def propagate_opt_outs(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Push the opt-outs of each organisation. Raises `dagster.Failure` at the end if one organisation failed."""
    unsubscribed, failed = 0, list[str]()
    for organisation_id, counts, error in pipeline.propagate():
        unsubscribed += sum(counts.values())
        if error:
            failed.append(organisation_id)
            context.log.error("Organisation %s: %s", organisation_id, error)
    figures = {"unsubscribed": dg.MetadataValue.int(unsubscribed), "failed": dg.MetadataValue.int(len(failed))}
    if failed:
        text = f"The opt-outs of {len(failed)} organisations did not reach every audience: {', '.join(failed)}."
        raise dg.Failure(text, metadata=figures, allow_retries=False)
    context.add_output_metadata(figures)


@dg.job(
    name="mailchimp_opt_outs",
    executor_def=dg.in_process_executor,
    description="Pushes opt-outs to every audience of the connected accounts, also where nothing is synced.",
)
def mailchimp_opt_outs() -> None:
    """Run `propagate_opt_outs`."""
    propagate_opt_outs()


@dg.sensor(
    name="opt_outs_due",
    job_name="mailchimp_opt_outs",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run where opt-outs have not reached every audience, at most every ten minutes.",
)
def opt_outs_due(pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult | dg.SkipReason:
    """Request one run for all organisations with outstanding opt-outs, at most every ten minutes."""
    if not pipeline.organisations_with_opt_outs():
        return dg.SkipReason("Every opt-out has reached every audience.")
    now = pipeline.now()
    key = f"{now:%Y-%m-%d %H}:{now.minute // 10}"
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key, tags=_URGENT)])
