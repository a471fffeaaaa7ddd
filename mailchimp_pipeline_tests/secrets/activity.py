"""One run of every job and procedure with marked secrets and personal data, including failures.

Jobs and procedures are taken from their registries, so new ones are included.
"""

import io
from collections.abc import Callable, Container, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from api.procedures.registry import PROCEDURES
from api.trpc import Kind
from mailchimp_pipeline.cli.doctor import examine
from mailchimp_pipeline.cli.sync import reconcile_and_print
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.defs.sync_runs import SEGMENTS
from mailchimp_pipeline.services.apply_retention import apply_retention
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.refresh_campaigns import campaign_refresh
from mailchimp_pipeline_tests.api.procedures.examples import EXAMPLES, OWNED
from mailchimp_pipeline_tests.api.procedures.stage import NO_INPUT, Tenant
from mailchimp_pipeline_tests.api.trpc.wire import send
from mailchimp_pipeline_tests.consent.erasing import LATER, impatient
from mailchimp_pipeline_tests.consent.whole import Places, Whole, a_whole
from mailchimp_pipeline_tests.secrets import marked

LAST = ("mailchimp.preferences.gdprDelete", "mailchimp.connection.disconnect")
"""The procedures that end everything, so they run last."""


@dataclass(frozen=True)
class Activity:
    """The answers, the job results, the output, and the places of the markers."""

    answers: list[tuple[str, int, str]]
    jobs: dict[str, bool]
    printed: str
    places: Places
    stored_keys: list[str]


def run_everything(files: Path) -> Activity:
    """Run everything, and search for the markers when the tables are fullest."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), a_whole(files) as whole:
        tenant = a_marked_tenant(whole)
        answers = list(connect(tenant))
        segment_id = tenant.create().data["id"]
        jobs = dict(run_jobs(whole, f"{tenant.organisation_id}/{segment_id}"))
        answers += [answer for path in procedures_in_order() for answer in call_procedure(tenant, path, segment_id)]
        run_commands(whole)
        whole.analyze()
        places = whole.places(*marked.KEYS, *marked.PERSONAL_DATA, *marked.HASHES)
        stored = stored_keys_in_database(whole)
        answers += [answer for path in LAST for answer in call_procedure(tenant, path, segment_id)]
        answers += list(call_during_failures(whole, tenant, jobs, segment_id))
        after = whole.places(*marked.KEYS)
    everywhere = {place: {*places.get(place, ()), *after.get(place, ())} for place in {*places, *after}}
    return Activity(answers, jobs, printed.getvalue(), everywhere, stored)


def a_marked_tenant(whole: Whole) -> Tenant:
    """Create an organisation with the marked key and contacts, without a connection."""
    stage = whole.office.tenant.stage
    account_id = stage.sandbox.add_account(marked.API_KEY, "Marked")
    tenant = Tenant(stage, "marked", marked.API_KEY, account_id, stage.sandbox.add_audience(account_id, "Staff"))
    # Enough contacts that one rejection does not stop the sync.
    tenant.add_employees(*marked.PEOPLE, {}, {}, {}, {}, {})
    return tenant


def connect(tenant: Tenant) -> Iterator[tuple[str, int, str]]:
    """Connect with a malformed key, a rejected key and the valid key."""
    for key in (marked.MALFORMED_KEY, marked.REFUSED_KEY, marked.API_KEY):
        answer = tenant.mutate("connection.connect", {"apiKey": key})
        yield "mailchimp.connection.connect", answer.status, answer.body.decode()


def procedures_in_order() -> list[str]:
    """Return the paths of all other procedures."""
    return [procedure.path for procedure in PROCEDURES if procedure.path not in LAST]


def call_procedure(tenant: Tenant, path: str, segment_id: str) -> Iterator[tuple[str, int, str]]:
    """Call a procedure with a valid and an invalid input."""
    procedure = PROCEDURES.get(path)
    assert procedure is not None
    ask = tenant.query if procedure.kind is Kind.QUERY else tenant.mutate
    for value in (valid_input(tenant, path, segment_id), {"id": 1, "entityType": 7, "limit": "many"}):
        answer = ask(path.removeprefix("mailchimp."), value)
        yield path, answer.status, answer.body.decode()


def valid_input(tenant: Tenant, path: str, segment_id: str) -> Any:  # noqa: ANN401 - JSON
    example = EXAMPLES[path]
    if example is NO_INPUT or not isinstance(example, dict):
        return example
    given: dict[str, Any] = dict(example)  # pyright: ignore[reportUnknownArgumentType] - JSON
    own: dict[str, Callable[[], str]] = {
        "apiKey": lambda: marked.API_KEY,
        "mailchimpListId": lambda: tenant.list_id,
        "mailchimpCampaignId": lambda: tenant.stage.sandbox.add_campaign(tenant.list_id),
        "id": lambda: segment_id if path == "mailchimp.segments.sync" else OWNED[path.rpartition(".")[0]](tenant),
    }
    given |= {name: make() for name, make in own.items() if name in given}
    return given | {"entityId": "2"} if path == LAST[0] else given


def run_jobs(whole: Whole, partition_key: str, but: Container[str] = ()) -> Iterator[tuple[str, bool]]:
    """Run every other job and yield whether it succeeded."""
    parts = whole.office.parts
    resources = {
        "pipeline": Pipeline(parts),
        "campaigns": campaign_refresh(parts),
        "erasures": replace(impatient(parts), clock=lambda: LATER),
        "retention": apply_retention(parts),
    }
    definitions = build_definitions(resources)
    whole.instance.add_dynamic_partitions(SEGMENTS.name or "", [partition_key])
    for name in sorted({str(job.name) for job in definitions.jobs or () if job.name not in but}):
        job = definitions.resolve_job_def(name)
        key = partition_key if job.partitions_def else None
        result = job.execute_in_process(instance=whole.instance, partition_key=key, raise_on_error=False)
        yield name, result.success


def call_during_failures(
    whole: Whole, tenant: Tenant, jobs: dict[str, bool], segment_id: str
) -> Iterator[tuple[str, int, str]]:
    """Call the API during an outage of Mailchimp, then run the jobs with a revoked key."""
    yield from connect(tenant)
    tenant.stage.sandbox.start_outage()
    for path in ("mailchimp.connection.listAudiences", "mailchimp.connection.connect", LAST[0]):
        yield from call_procedure(tenant, path, segment_id)
    tenant.stage.sandbox.end_outage()
    tenant.stage.sandbox.revoke_key(marked.API_KEY)
    without = {"mailchimp_freshness", "mailchimp_segment_sync"}
    for name, success in run_jobs(whole, f"{tenant.organisation_id}/{segment_id}", without):
        jobs[f"{name} with a refused key"] = success
    for target in ("/metrics", "/readyz", "/healthz"):
        answer = send(tenant.stage.port, target, "GET", None, {})
        yield target, answer.status, answer.body.decode()


def run_commands(whole: Whole) -> None:
    """Run the commands that read everything and print."""
    console = Console(width=200)
    settings = whole.office.parts.settings
    examine(console, settings)
    reconcile_and_print(console, None, dry_run=True, settings=settings)


def stored_keys_in_database(whole: Whole) -> list[str]:
    """Return the stored API keys."""
    with whole.office.parts.database.everyone() as session:
        stored = session.connection().exec_driver_sql("select api_key_encrypted from mailchimp_connections")
        return [str(key) for (key,) in stored if key]
