"""The steps of the demo on real parts, without Dagster's daemon, which `make demo` adds."""

# The steps are private; the tests call them one by one.
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from dataclasses import dataclass
from io import StringIO

import pytest
from rich.console import Console

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.local import sample_organisations
from mailchimp_pipeline.local.demo import DemoFailed, _Demo, _settings
from mailchimp_pipeline.local.sample_data import change_sample
from mailchimp_pipeline.local.stack import sandbox_stack
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.services.pipeline import open_pipeline
from mailchimp_pipeline.sources import FileSource, Quiet
from mailchimp_pipeline_tests.conftest import server_directory
from sandbox import SandboxControl


@dataclass
class Played:
    """A demo and its output."""

    demo: _Demo
    text: StringIO

    def sync(self) -> set[str | None]:
        """Sync every segment as a Dagster run does, and return the errors."""
        segments = self.demo.pipeline.due_segments()
        keys = [segment.partition_key for segment in segments]
        results = self.demo.pipeline.sync(keys, run_id=str(utc_now()), push=True)
        return {result.error for result in results}

    def received(self) -> int:
        """Return the number of contacts sent to Mailchimp."""
        return self.demo.sandbox.counts().total.contacts_received


@pytest.fixture
def played() -> Generator[Played]:
    text = StringIO()
    with (
        server_directory("demo-") as home,
        sandbox_stack(_settings(home)) as stack,
        open_pipeline(stack.settings) as pipeline,
        SandboxControl(stack.sandbox_url) as sandbox,
    ):
        stack.start_api()
        vars(pipeline.resources)["source"] = FileSource(home / "sample", quiet=Quiet(seconds=0))
        yield Played(_Demo(Console(file=text, width=200), stack, pipeline, sandbox), text)


def test_the_demo_tells_what_becomes_of_two_people_and_a_campaign(played: Played) -> None:
    demo = played.demo
    demo._set_up()
    assert played.sync() == {None}
    demo._show_audiences()
    opted_out, erased = demo._two_people()
    demo._opt_out(opted_out)
    demo._erase(erased)
    assert played.sync() == {None}
    demo._show_standing(opted_out, erased)
    demo._refresh_a_campaign()
    shown = played.text.getvalue()
    assert "Connected them and created 8 segments, through the API." in shown
    assert "opts out. At Mailchimp, at once: unsubscribed." in shown
    assert "asks to be erased. completed" in shown
    assert "neither came back" in shown
    assert "(Autumn news, draft) and sent; refreshed it is sent, 1106 mails, 46.5% opened, 8.9% clicked." in shown
    with pytest.raises(DemoFailed, match="brought somebody back"):
        demo._show_standing(erased, opted_out)


def test_a_day_of_hr_work_sends_the_new_contact_alone_and_a_segment_that_fails_ends_the_demo(played: Played) -> None:
    played.demo._set_up()
    begun = utc_now()
    played.sync()
    assert played.demo._wait(begun, played.demo._segments) == [SegmentStatus.SYNCED]
    before = played.received()
    change_sample(played.demo.stack.settings.home / "sample")
    assert played.sync() == {None}
    # The other contact is known, so only its data changes.
    assert played.received() - before == 1
    (played.demo.stack.settings.home / "sample" / "vendors.csv").unlink()
    played.sync()
    with pytest.raises(DemoFailed, match=r"ended in error.*There is no vendors.csv"):
        played.demo._wait(utc_now(), played.demo._segments)


def test_a_sandbox_that_was_started_anew_is_made_to_fit_what_the_database_knows(played: Played) -> None:
    demo = played.demo
    for _ in range(2):
        demo.sandbox.reset()
        sample_organisations.set_up(demo.stack, demo.sandbox)
        assert played.sync() == {None}
        _, audience = next(sample_organisations.audiences())
        assert sum(demo.sandbox.statuses(audience.id).values()) > 1000
    assert len(demo.pipeline.due_segments()) == 8
