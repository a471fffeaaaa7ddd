"""`mailchimp-pipeline demo`: a sync from start to end on an embedded database, printed step by step."""

import csv
import json
import shutil
import signal
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from rich.console import Console

from mailchimp_pipeline.cli.terminal_tables import audience_table, segment_table
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.embedded.processes import isolated
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.local import sample_organisations
from mailchimp_pipeline.local.sample_data import change_sample, write_sample
from mailchimp_pipeline.local.stack import SandboxStack, free_port, sandbox_stack, workspace_arguments
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.services.pipeline import Pipeline, open_pipeline
from mailchimp_pipeline.settings import Settings
from sandbox import CampaignStatus, Figures, SandboxControl, Status

_FIGURES = Figures(emails_sent=1106, opens=812, unique_opens=514, clicks=140, unique_clicks=121, subscriber_clicks=98)
_PATIENCE_SECONDS = 180
_LOOK_EVERY_SECONDS = 0.25


class DemoFailed(PermanentError):
    """A step of the demo failed."""


def run_demo(console: Console) -> None:
    """Run the demo, and print its steps. Raises `DemoFailed` if a step or a process fails.

    The demo uses a new home directory, and neither the environment's settings nor a file `.env`.
    """
    # SIGTERM and SIGHUP end the demo like Ctrl-C, including its child processes.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    begun = time.monotonic()
    with _new_home() as home, isolated(home):
        console.print("Starting PostgreSQL, the Mailchimp sandbox, the API and Dagster's daemon.")
        with sandbox_stack(_settings(home)) as stack:
            stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
            stack.start_api()
            with open_pipeline(stack.settings) as pipeline, closing(SandboxControl(stack.sandbox_url)) as sandbox:
                _Demo(console, stack, pipeline, sandbox).run()
    console.print(
        f"\nDone in {time.monotonic() - begun:.0f} s, and nothing keeps running. `make dev` brings it up to stay, and "
        "prints a link to the dashboard."
    )


def _settings(home: Path) -> Settings:
    given = {"MAILCHIMP_PIPELINE_HOME": str(home)}
    ports = {"MAILCHIMP_PIPELINE_SANDBOX_PORT": free_port(), "MAILCHIMP_PIPELINE_API_PORT": free_port()}
    return Settings.from_environment(given | {name: str(port) for name, port in ports.items()})


@contextmanager
def _new_home() -> Generator[Path]:
    """Yield a new directory, and remove it afterwards. After a failure, the logs are kept."""
    with TemporaryDirectory(prefix="mailchimp-demo-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        try:
            yield home
        except PipelineError as error:
            kept = Path(mkdtemp(prefix="mailchimp-demo-logs-"))
            for log in (home / "logs").glob("*.log"):
                shutil.copy(log, kept)
            raise DemoFailed(f"{error}\nThe logs of each part are in {kept}.") from error


@dataclass(frozen=True, slots=True)
class _Demo:
    console: Console
    stack: SandboxStack
    pipeline: Pipeline
    sandbox: SandboxControl

    def run(self) -> None:
        self._sync_one(*self._set_up())
        self._sync_all("The scheduled sync, fired as at 05:00 UTC: every segment of every organisation")
        self._show_audiences()
        opted_out, erased = self._two_people()
        self._opt_out(opted_out)
        self._erase(erased)
        self._change_and_sync_again()
        self._show_standing(opted_out, erased)
        self._refresh_a_campaign()

    def _set_up(self) -> tuple[str, str]:
        """Create sample data, accounts, connections and segments. Return organisation and id of the first segment."""
        size = write_sample(self.stack.settings.home / "sample")
        self.console.print(f"Made {size.employees} employees and {size.vendors} vendors of three organisations.")
        segments = sample_organisations.set_up(self.stack, self.sandbox)
        self.console.print(f"Connected them and created {len(segments)} segments, through the API.")
        return segments[0]

    def _sync_one(self, organisation_id: str, segment_id: str) -> None:
        begun = utc_now()
        with self.stack.dashboard(organisation_id) as dashboard:
            name = dashboard.mutate("mailchimp.segments.sync", id=segment_id)["name"]
        self.console.print(f"\n[bold]A person asks for a sync of {name!r}[/] ({organisation_id})")
        seen = self._wait(begun, lambda: [found for found in self._segments() if found.id == segment_id])
        self.console.print(f"{' → '.join(seen)} in {(utc_now() - begun).total_seconds():.1f} s")

    def _sync_all(self, title: str) -> None:
        from mailchimp_pipeline.defs.schedules import (  # noqa: PLC0415 - Dagster takes seconds to import
            daily_sync_runs,
            opened_instance,
        )

        storage = self.stack.settings.dagster_postgres_url
        if storage is None:
            raise DemoFailed("The demo's database did not say where Dagster's storage is.")
        begun = utc_now()
        with self.console.status(title):
            with opened_instance(str(self.stack.dagster_home), storage.get_secret_value()) as instance:
                runs = daily_sync_runs(self.pipeline, instance)
            for run in runs:
                launch = ("job", "launch", *workspace_arguments(), "-j", "mailchimp_scheduled_sync")
                config, tags = json.dumps(run.run_config), json.dumps(dict(run.tags))
                self.stack.run("dagster", *launch, "--config-json", config, "--tags", tags)
            self._wait(begun, self._segments)
        seconds = (utc_now() - begun).total_seconds()
        self.console.print()
        self.console.print(segment_table(self._segments(), title=title))
        self.console.print(f"Runs of Dagster's: {len(runs)}; {seconds:.1f} s.")

    def _show_audiences(self) -> None:
        rows = [
            (organisation.id, audience.name, {str(k): v for k, v in self.sandbox.statuses(audience.id).items()})
            for organisation, audience in sample_organisations.audiences()
        ]
        self.console.print()
        self.console.print(audience_table(rows, title="What Mailchimp holds now"))
        total = self.sandbox.counts().total
        self.console.print(
            f"It was asked {total.calls} times, and took {total.contacts_processed} contacts in batches; "
            f"never more than {max(each.peak_connections for each in self.sandbox.counts().accounts.values())} "
            "connections of one account at once."
        )

    def _two_people(self) -> list[tuple[str, str]]:
        """Return id and address of two employees of the first organisation who are members of its first audience."""
        organisation, audience = next(sample_organisations.audiences())
        with (self.stack.settings.home / "sample" / "employees.csv").open(encoding="utf-8", newline="") as file:
            staff = [row for row in csv.DictReader(file) if row["organisation_id"] == organisation.id]
        listed = {member.email_address for member in self.sandbox.members(audience.id)}
        return [(row["id"], row["email"]) for row in staff if row["email"] in listed][:2]

    def _opt_out(self, person: tuple[str, str]) -> None:
        organisation, audience = next(sample_organisations.audiences())
        said = {"entityId": person[0], "entityType": "employee", "optedIn": False, "consentSource": "demo"}
        with self.stack.dashboard(organisation.id) as dashboard:
            dashboard.mutate("mailchimp.preferences.updateOptStatus", **said)
        member = self.sandbox.member(audience.id, person[1])
        self.console.print(
            f"\n[bold]Employee {person[0]} opts out.[/] At Mailchimp, at once: {member.status if member else 'gone'}."
        )

    def _erase(self, person: tuple[str, str]) -> None:
        organisation, audience = next(sample_organisations.audiences())
        with self.stack.dashboard(organisation.id) as dashboard:
            done = dashboard.mutate("mailchimp.preferences.gdprDelete", entityId=person[0], entityType="employee")
        self.console.print(
            f"[bold]Employee {person[0]} asks to be erased.[/] {done['status']}, from {done['audiences']} audiences; "
            f"at Mailchimp: {'still there' if self.sandbox.member(audience.id, person[1]) else 'gone'}."
        )

    def _show_standing(self, opted_out: tuple[str, str], erased: tuple[str, str]) -> None:
        _, audience = next(sample_organisations.audiences())
        left, gone = (self.sandbox.member(audience.id, person[1]) for person in (opted_out, erased))
        if gone or not left or left.status is Status.SUBSCRIBED:
            raise DemoFailed("The sync brought somebody back who had said no. Please report this.")
        self.console.print(
            f"Both are still in HR, and neither came back: employee {opted_out[0]} is {left.status}, "
            f"employee {erased[0]} is not there."
        )

    def _refresh_a_campaign(self) -> None:
        organisation, audience = next(sample_organisations.audiences())
        campaign_id = self.sandbox.add_campaign(audience.id, "Autumn news", "What is new in autumn")
        with self.stack.dashboard(organisation.id) as dashboard:
            tracked = dashboard.mutate("mailchimp.campaigns.trackCampaign", mailchimpCampaignId=campaign_id)
            self.sandbox.move_campaign(campaign_id, CampaignStatus.SENT)
            self.sandbox.set_figures(campaign_id, _FIGURES)
            fresh = dashboard.mutate("mailchimp.campaigns.refreshStats", id=tracked["id"])
        self.console.print(
            f"\n[bold]A campaign is imported[/] ({tracked['title']}, {tracked['status']}) and sent; refreshed it is "
            f"{fresh['status']}, {fresh['emailsSent']} mails, {fresh['openRate']:.1%} opened, "
            f"{fresh['clickRate']:.1%} clicked."
        )

    def _change_and_sync_again(self) -> None:
        change = change_sample(self.stack.settings.home / "sample")
        before = self.sandbox.counts().total.contacts_received
        self.console.print(
            f"\n[bold]A day of HR work[/]: {change.renamed} married, {change.moved} moved to another department, "
            f"{change.left} left, {change.hired} was hired."
        )
        self._sync_all("The next day's sync: only what changed goes out")
        sent = self.sandbox.counts().total.contacts_received - before
        self.console.print(f"{sent} contacts were sent to Mailchimp; all others were left alone.")

    def _segments(self) -> Sequence[Segment]:
        return self.pipeline.due_segments()

    def _wait(self, since: datetime, segments: Callable[[], Sequence[Segment]]) -> list[str]:
        """Wait until all segments were synced after `since`. Return the statuses that the first segment had meanwhile.

        Raises `DemoFailed` if a segment fails or the time is up.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        seen: list[str] = []
        while time.monotonic() < deadline:
            self.stack.children.check()
            found = segments()
            seen += [str(found[0].status)] if str(found[0].status) not in seen else []
            failed = [segment for segment in found if segment.status is SegmentStatus.ERROR]
            if failed:
                raise DemoFailed(f"Segment {failed[0].name!r} ended in error: {failed[0].last_error}")
            if all(segment.last_synced_at and segment.last_synced_at >= since for segment in found):
                return seen
            time.sleep(_LOOK_EVERY_SECONDS)
        raise DemoFailed(f"Not all segments were synced within {_PATIENCE_SECONDS} s; the logs say why.")
