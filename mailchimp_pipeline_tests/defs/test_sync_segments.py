"""Runs over partitions: what Dagster shows of segments that went well and of those that did not."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg
import pytest

from mailchimp_pipeline.contacts import RelationVersion
from mailchimp_pipeline.defs.assets import AUDIENCE, MEMBERSHIP, REQUEST_TAG
from mailchimp_pipeline.defs.partitions import SEGMENTS, range_tags
from mailchimp_pipeline.runs.results import SegmentResult
from mailchimp_pipeline.sync import Refusal, SyncReport
from mailchimp_pipeline_tests.defs.pipeline_fake import Asked, FakePipeline, a_result, a_segment, location
from mailchimp_pipeline_tests.runs.records_fake import FakeRecords
from mailchimp_pipeline_tests.runs.stage import Stage

KEYS = ("acme/1", "acme/2", "globex/3")
EVERY_KEY = range_tags(KEYS[0], KEYS[-1])


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        made.add_dynamic_partitions("segments", list(KEYS))
        yield made


def run(
    instance: dg.DagsterInstance,
    pipeline: FakePipeline,
    tags: Mapping[str, str] = EVERY_KEY,
    *,
    only: dg.AssetKey | None = None,
) -> dg.ExecuteInProcessResult:
    definitions = location(pipeline)
    job = definitions.resolve_job_def("mailchimp_scheduled_sync")
    return job.execute_in_process(
        instance=instance, tags=dict(tags), raise_on_error=False, asset_selection=[only] if only else None
    )


def failed(
    key: str, error: str = "Mailchimp refused the API key.", defect: str | None = None
) -> dict[str, SegmentResult]:
    return {key: SegmentResult(a_segment(key), error=error, defect=defect)}


def materialized(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    return instance.get_materialized_partitions(asset)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failing(evaluation: dg.AssetCheckEvaluation) -> object:
    return evaluation.metadata["failing"].value


def logged(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))


def test_a_run_takes_a_range_of_segments(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline()
    assert run(instance, pipeline).success
    assert pipeline.asked == [Asked(KEYS, None, push=True)]
    assert materialized(instance, AUDIENCE) == materialized(instance, MEMBERSHIP) == set(KEYS)


def test_of_many_segments_the_bad_one_is_shown_as_failed_and_the_others_as_done(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/2")))
    assert not result.success
    shown = instance.get_status_by_partition(AUDIENCE, list(KEYS), SEGMENTS)
    assert shown is not None
    assert {key: status and status.value for key, status in shown.items()} == {
        "acme/1": "MATERIALIZED",
        "acme/2": "FAILED",
        "globex/3": "MATERIALIZED",
    }


def test_a_failed_run_names_the_segments_that_failed_and_why(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/1") | failed("acme/2", "The source is gone.")))
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    described = failure.user_failure_data.description or ""
    table = failure.user_failure_data.metadata["failed"]
    assert described.startswith("2 of 3 segments failed. acme/1: Mailchimp refused the API key. (and 1 more")
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["error"] for record in table.records] == [
        "Mailchimp refused the API key.",
        "The source is gone.",
    ]


def test_where_an_unforeseen_error_was_raised_stands_in_the_log(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/2", "Unforeseen KeyError.", defect="line 7, in read")))
    assert "Segment acme/2: Unforeseen KeyError." in logged(instance, result)
    assert "raised at\nline 7, in read" in logged(instance, result)


def test_what_a_segment_says_is_counts_and_where_to_look(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(), {"dagster/partition": "acme/1"})
    told = {event.asset_key: event for event in result.asset_materializations_for_node("sync_segments")}
    push = {name: value.value for name, value in told[AUDIENCE].metadata.items()}
    assert push.items() >= {"wanted": 4, "new": 2, "unchanged": 1, "calls": 1, "seconds": 1.5}.items()
    assert push["refused"] == {"looks_fake": 1}
    assert push["audience_page"] == "https://admin.mailchimp.com/lists/members?id=7"
    assert told[MEMBERSHIP].metadata["excluded"].value == {"invalid_address": 1}


def test_a_segment_with_nothing_to_tell_is_still_done(instance: dg.DagsterInstance) -> None:
    results = {"acme/1": SegmentResult(a_segment("acme/1")), "acme/2": a_result("acme/2", web_id=None)}
    result = run(instance, FakePipeline(results=results), range_tags("acme/1", "acme/2"))
    told = [event.metadata for event in result.asset_materializations_for_node("sync_segments")]
    assert (result.success, materialized(instance, AUDIENCE)) == (True, {"acme/1", "acme/2"})
    assert not any("audience_page" in metadata for metadata in told)


def test_a_request_is_handed_on(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline()
    run(instance, pipeline, {"dagster/partition": "acme/1", REQUEST_TAG: "request-1"})
    assert pipeline.asked == [Asked(("acme/1",), "request-1", push=True)]


def test_the_membership_alone_is_made_without_a_push(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline()
    result = run(instance, pipeline, only=MEMBERSHIP)
    assert pipeline.asked == [Asked(KEYS, None, push=False)]
    assert (materialized(instance, MEMBERSHIP), materialized(instance, AUDIENCE)) == (set(KEYS), set())
    assert checks(result).keys() == {"membership_honours_consent", "membership_did_not_collapse"}


def test_the_sources_are_observed(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(unreadable=frozenset({"vendor"})))
    observed = [
        event.asset_observation_data.asset_observation
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION
    ]
    assert [(each.asset_key.to_user_string(), each.metadata["rows"].value) for each in observed] == [("employees", 12)]
    assert "There is no vendors.csv." in logged(instance, result)
    assert result.success


def test_sources_that_cannot_be_observed_for_whatever_reason_fail_no_run(instance: dg.DagsterInstance) -> None:
    class Breaking(FakePipeline):
        def describe(self, relation: str) -> RelationVersion:
            raise PermissionError(f"{relation} Ada Byron")

    result = run(instance, Breaking())
    assert result.success
    assert "The vendors could not be observed: unforeseen PermissionError" in logged(instance, result)
    assert "Ada" not in logged(instance, result)


def test_checks_pass_where_all_is_well(instance: dg.DagsterInstance) -> None:
    evaluations = checks(run(instance, FakePipeline(results={"acme/1": a_result("acme/1", SyncReport(4, new=4))})))
    assert evaluations["membership_honours_consent"].passed
    assert evaluations["membership_did_not_collapse"].passed
    assert evaluations["membership_honours_consent"].metadata["segments"].value == 3


def test_checks_name_the_segments_that_fail_them(instance: dg.DagsterInstance) -> None:
    refused = SyncReport(4, new=3, refused={Refusal.FAKE: 1})
    results = {
        "acme/1": replace(failed("acme/1")["acme/1"], violations=2),
        "acme/2": replace(failed("acme/2")["acme/2"], departures_stopped=40),
        "globex/3": a_result("globex/3", refused),
    }
    evaluations = checks(run(instance, FakePipeline(results=results)))
    assert {name: failing(each) for name, each in evaluations.items()} == {
        "membership_honours_consent": ["acme/1"],
        "membership_did_not_collapse": ["acme/2"],
        "refusals_are_few": ["globex/3"],
    }


@dataclass
class RealRuns(FakePipeline):
    """Syncs as real runs do, over parts in memory."""

    stage: Stage = field(default_factory=Stage)

    def sync(self, keys: Sequence[str], *, run_id: str, request_id: str | None, push: bool) -> Iterator[SegmentResult]:
        return self.stage.run(push=push).results(map(a_segment, keys))


def test_where_the_check_of_consent_fails_nothing_was_sent(instance: dg.DagsterInstance) -> None:
    pipeline = RealRuns(stage=Stage(records=FakeRecords(violating={"1": 2})))
    result = run(instance, pipeline, {"dagster/partition": "acme/1"})
    evaluation = checks(result)["membership_honours_consent"]
    assert (evaluation.passed, evaluation.blocking, failing(evaluation)) == (False, True, ["acme/1"])
    assert (result.success, pipeline.stage.sent()) == (False, [])


def test_where_the_check_of_consent_passes_the_segment_is_sent(instance: dg.DagsterInstance) -> None:
    pipeline = RealRuns()
    result = run(instance, pipeline, {"dagster/partition": "acme/1"})
    assert checks(result)["membership_honours_consent"].passed
    assert pipeline.stage.sent() == ["ann@acme.test"]


def test_no_event_holds_a_person(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/2")))
    assert "@" not in "".join(map(str, result.all_events))


def test_a_run_is_at_work_before_it_describes_the_sources(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline(segments=KEYS)
    assert run(instance, pipeline).success
    assert pipeline.alive_when_described == [True, True]
    assert not pipeline.alive
