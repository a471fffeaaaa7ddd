"""Work in child processes that tests kill: a run, an erasure, a refresh, the API.

The children are forked from a process that has imported everything, since imports would take most of the time.
"""

from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from api.app import build_app
from api.serving import listen, serve
from mailchimp_pipeline.services.pipeline import open_pipeline
from mailchimp_pipeline.services.refresh_campaigns import open_campaigns
from mailchimp_pipeline.services.resources import open_resources
from mailchimp_pipeline.settings import Settings

Environment = Mapping[str, str]


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start the work in a child process."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def sync(environment: Environment, key: str, run_id: str, request_id: str | None) -> None:
    """Run a sync of one segment, as Dagster's run process does."""
    with open_pipeline(Settings.from_environment(environment)) as pipeline, pipeline.hold_run_lock(run_id):
        request_ids = [request_id] if request_id else []
        for _ in pipeline.sync([key], run_id=run_id, push=True, request_ids=request_ids):
            pass


def erase(environment: Environment) -> None:
    """Continue the due erasures."""
    with open_resources(Settings.from_environment(environment)) as parts:
        for _ in parts.erasures().retry_pending():
            pass


def refresh(environment: Environment) -> None:
    """Refresh the campaigns."""
    with open_campaigns(Settings.from_environment(environment)) as campaigns:
        for _ in campaigns.refresh():
            pass


def api(environment: Environment, port: int) -> None:
    """Run the API."""
    serve(build_app(Settings.from_environment(environment)), listen(port))
