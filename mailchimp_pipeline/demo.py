"""`mailchimp-pipeline demo`: the main job once, end to end, on embedded parts, told step by step.

What does not belong here: the parts (`local_stack`), the organisations (`playground`), how it is printed (`tables`).
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console

from mailchimp_pipeline import playground
from mailchimp_pipeline.assembly import DatabasePipeline, open_pipeline, utc_now
from mailchimp_pipeline.database.requests import SyncRequestStore
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.local_stack import LocalStack, free_port, local_stack, workspace_arguments
from mailchimp_pipeline.sample import change_sample, write_sample
from mailchimp_pipeline.sandbox import SandboxControl
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.tables import audience_table, segment_table

_PATIENCE_SECONDS = 180
_LOOK_EVERY_SECONDS = 0.25


class DemoFailed(LastingError):
    """The demo did not come to its end."""


def run_demo(console: Console) -> None:
    """Do the main job. Raises `DemoFailed` and whatever a part raises."""
    begun = time.monotonic()
    settings = _fresh_settings()
    console.print("Starting PostgreSQL, the Mailchimp sandbox and Dagster's daemon.")
    with local_stack(settings) as stack:
        stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
        sandbox_url = stack.settings.api_root.removesuffix("/3.0")
        with open_pipeline(stack.settings) as pipeline, closing(SandboxControl(sandbox_url)) as sandbox:
            _Demo(console, stack, pipeline, sandbox).run()
    console.print(
        f"\nDone in {time.monotonic() - begun:.0f} s, and nothing keeps running. `make dev` brings it up to stay."
    )


def _fresh_settings() -> Settings:
    """Return settings of an empty home of its own, whatever the environment says: the demo is always the same."""
    home = Settings.from_environment().home / "demo"
    shutil.rmtree(home, ignore_errors=True)
    settings = Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(home)})
    return settings.model_copy(update={"sandbox_port": free_port()})


@dataclass(frozen=True, slots=True)
class _Demo:
    console: Console
    stack: LocalStack
    pipeline: DatabasePipeline
    sandbox: SandboxControl

    def run(self) -> None:
        segments = self._set_up()
        self._sync_one(segments[0])
        self._sync_all("The scheduled sync, fired as at 05:00 UTC: every segment of every organisation")
        self._show_audiences()
        self._change_and_sync_again()

    def _set_up(self) -> list[Segment]:
        source = self.stack.settings.home / "sample"
        size = write_sample(source)
        self.console.print(f"Made {size.employees} employees and {size.vendors} vendors of three organisations.")
        playground.open_accounts(self.sandbox)
        segments: list[Segment] = []
        for organisation in playground.ORGANISATIONS:
            playground.connect(self.pipeline.parts, organisation)
            segments += playground.create_segments(self.pipeline.parts, organisation)
        self.console.print(f"Connected them to Mailchimp and created {len(segments)} segments.")
        return segments

    def _sync_one(self, segment: Segment) -> None:
        self.console.print(f"\n[bold]A person asks for a sync of {segment.name!r}[/] ({segment.organisation_id})")
        begun = utc_now()
        with self.pipeline.parts.database.organisation(segment.organisation_id) as session:
            SyncRequestStore(session).ask(segment.id, by="demo", at=begun)
        seen = self._wait(begun, lambda: [found for found in self._segments() if found.id == segment.id])
        self.console.print(f"{' → '.join(seen)} in {(utc_now() - begun).total_seconds():.1f} s")

    def _sync_all(self, title: str) -> None:
        from mailchimp_pipeline.defs.firing import daily_sync_runs  # noqa: PLC0415 - Dagster takes seconds to import

        begun = utc_now()
        with self.console.status(title):
            runs = daily_sync_runs(self.pipeline, str(self.stack.dagster_home))
            for tags in runs:
                launch = ("job", "launch", *workspace_arguments(), "-j", "mailchimp_scheduled_sync")
                self.stack.run("dagster", *launch, "--tags", json.dumps(dict(tags)))
            self._wait(begun, self._segments)
        seconds = (utc_now() - begun).total_seconds()
        self.console.print()
        self.console.print(segment_table(self._segments(), title=title))
        self.console.print(f"Runs of Dagster's: {len(runs)}; {seconds:.1f} s.")

    def _show_audiences(self) -> None:
        rows = [
            (organisation.id, audience.name, {str(k): v for k, v in self.sandbox.statuses(audience.id).items()})
            for organisation, audience in playground.audiences()
        ]
        self.console.print()
        self.console.print(audience_table(rows, title="What Mailchimp holds now"))
        total = self.sandbox.counts().total
        self.console.print(
            f"It was asked {total.calls} times, and took {total.contacts_processed} contacts in batches; "
            f"never more than {max(each.peak_connections for each in self.sandbox.counts().accounts.values())} "
            "connections of one account at once."
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
        """Wait until all were synced since then; return the statuses that the first went through."""
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
        logs = self.stack.settings.home / "logs"
        raise DemoFailed(f"Not all segments were synced within {_PATIENCE_SECONDS} s; the logs in {logs} say why.")
