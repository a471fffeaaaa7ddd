"""Opt-outs in Dagster: the job that pushes outstanding opt-outs to Mailchimp.

A sync pushes the opt-outs of its organisations. This job is for organisations without segments, and for opt-outs that
the API could not push because Mailchimp did not answer.
"""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

import dagster as dg

from mailchimp_pipeline.defs.pipeline_resources import Pipeline

_URGENT = {"dagster/priority": "10"}
"""A priority above that of syncs."""


@dg.op(
    name="propagate_opt_outs",
    out=dg.Out(dg.Nothing),
    description=(
        "Pulls all audiences of organisations with new opt-outs, and unsubscribes contacts who opted out. Failed? "
        "The log names the organisation and what to do; the opt-outs stay outstanding. It is safe to run again."
    ),
)
def propagate_opt_outs(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Push the opt-outs of each organisation. Fails at the end if an organisation failed."""
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
    """Request one run for all organisations, at most every ten minutes."""
    if not pipeline.organisations_with_opt_outs():
        return dg.SkipReason("Every opt-out has reached every audience.")
    now = pipeline.now()
    key = f"{now:%Y-%m-%d %H}:{now.minute // 10}"
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key, tags=_URGENT)])
