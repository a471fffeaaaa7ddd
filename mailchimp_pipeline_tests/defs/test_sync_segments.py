"""Sync runs: what Dagster shows of successful and failed segments."""

from collections.abc import Generator, Mapping

import dagster as dg
import pytest

from mailchimp_pipeline.contacts import RelationVersion
from mailchimp_pipeline.database.segment_store import CheckedSegments
from mailchimp_pipeline.defs.assets import AUDIENCE, MEMBERSHIP
from mailchimp_pipeline.defs.sync_runs import SEGMENTS, TRIGGER_TAG, SyncConfig
from mailchimp_pipeline.sync.segment_results import SegmentResult, Trigger
from mailchimp_pipeline_tests.defs.pipeline_fake import (
    FakePipeline,
    RequestedSync,
    a_result,
    a_segment,
    a_segment_name,
    code_location,
    failing_partitions,
)

KEYS = ("acme/1", "acme/2", "globex/3")
EVERY_KEY = SyncConfig(segments=list(KEYS))
ONE_KEY = SyncConfig(segments=[KEYS[0]])


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        made.add_dynamic_partitions("segments", list(KEYS))
        yield made


def run(
    instance: dg.DagsterInstance,
    pipeline: FakePipeline,
    config: SyncConfig = EVERY_KEY,
    *,
    tags: Mapping[str, str] | None = None,
    only: dg.AssetKey | None = None,
) -> dg.ExecuteInProcessResult:
    definitions = code_location(pipeline)
    job = definitions.resolve_job_def("mailchimp_scheduled_sync")
    return job.execute_in_process(
        run_config=config.run_config,
        instance=instance,
        tags=dict(tags or {}),
        raise_on_error=False,
        asset_selection=[only] if only else None,
    )


def failed(
    key: str, error: str = "Mailchimp refused the API key.", defect: str | None = None
) -> dict[str, SegmentResult]:
    return {key: SegmentResult(a_segment(key), error=error, defect=defect)}


def materialized(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    return instance.get_materialized_partitions(asset)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def logged(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))


def shown(instance: dg.DagsterInstance) -> dict[str, str | None]:
    statuses = instance.get_status_by_partition(AUDIENCE, list(KEYS), SEGMENTS)
    return {key: status and status.value for key, status in (statuses or {}).items()}


def test_a_run_syncs_the_segments_of_its_config(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline()
    assert run(instance, pipeline).success
    assert pipeline.requested_syncs == [RequestedSync(KEYS, push=True)]
    assert materialized(instance, AUDIENCE) == materialized(instance, MEMBERSHIP) == set(KEYS)


BY_HAND = [
    ({"dagster/partition": "acme/1"}, ("acme/1",)),
    ({"dagster/asset_partition_range_start": "acme/2", "dagster/asset_partition_range_end": "globex/3"}, KEYS[1:]),
]


@pytest.mark.parametrize(("tags", "keys"), BY_HAND)
def test_a_run_that_a_person_starts_syncs_the_partitions_that_were_chosen(
    instance: dg.DagsterInstance, tags: Mapping[str, str], keys: tuple[str, ...]
) -> None:
    pipeline = FakePipeline(results=failed(keys[0]))
    assert not run(instance, pipeline, SyncConfig(), tags=tags).success
    assert pipeline.requested_syncs == [RequestedSync(keys, push=True)]
    assert shown(instance) == {
        key: None if key not in keys else "FAILED" if key == keys[0] else "MATERIALIZED" for key in KEYS
    }


@pytest.mark.parametrize("job", ["mailchimp_segment_sync", "mailchimp_scheduled_sync"])
def test_a_run_without_segments_says_how_to_start_one(instance: dg.DagsterInstance, job: str) -> None:
    pipeline = FakePipeline()
    started = code_location(pipeline).resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event.step_failure_data for event in started.all_events if event.is_step_failure]
    assert failure.user_failure_data
    assert "Choose partitions when you start it" in (failure.user_failure_data.description or "")
    assert pipeline.requested_syncs == []


def test_of_many_segments_the_bad_one_is_shown_as_failed_and_the_others_as_done(instance: dg.DagsterInstance) -> None:
    assert not run(instance, FakePipeline(results=failed("acme/2"))).success
    assert shown(instance) == {"acme/1": "MATERIALIZED", "acme/2": "FAILED", "globex/3": "MATERIALIZED"}
    assert run(instance, FakePipeline()).success
    assert set(shown(instance).values()) == {"MATERIALIZED"}


def test_a_failed_run_names_the_segments_that_failed_and_why(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/1") | failed("acme/2", "The source is gone.")))
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    described = failure.user_failure_data.description or ""
    table = failure.user_failure_data.metadata["failed"]
    assert described.startswith("2 of 3 segments failed. acme: Everybody: Mailchimp refused the API key. (and 1 more")
    assert isinstance(table, dg.TableMetadataValue)
    assert [dict(record.data) for record in table.records] == [
        {"segment": "acme: Everybody", "error": "Mailchimp refused the API key.", "partition": "acme/1"},
        {"segment": "acme: Everybody", "error": "The source is gone.", "partition": "acme/2"},
    ]


def test_the_log_has_the_traceback_of_an_unexpected_error(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/2", "Unexpected KeyError.", defect="line 7, in read")))
    assert "Segment acme/2: Unexpected KeyError." in logged(instance, result)
    assert "raised at\nline 7, in read" in logged(instance, result)


def test_a_segments_metadata_is_counts_and_a_link(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(), ONE_KEY)
    materialized = {event.asset_key: event for event in result.asset_materializations_for_node("sync_segments")}
    push = {name: value.value for name, value in materialized[AUDIENCE].metadata.items()}
    assert push.items() >= {"wanted": 4, "new": 2, "unchanged": 1, "calls": 1, "seconds": 1.5}.items()
    assert push["rejected"] == {"looks_fake": 1}
    assert push["audience_page"] == "https://admin.mailchimp.com/lists/members?id=7"
    assert materialized[MEMBERSHIP].metadata["excluded"].value == {"invalid_address": 1}


def test_a_segment_with_nothing_to_tell_is_still_done(instance: dg.DagsterInstance) -> None:
    results = {"acme/1": SegmentResult(a_segment("acme/1")), "acme/2": a_result("acme/2", web_id=None)}
    result = run(instance, FakePipeline(results=results), SyncConfig(segments=["acme/1", "acme/2"]))
    all_metadata = [event.metadata for event in result.asset_materializations_for_node("sync_segments")]
    assert (result.success, materialized(instance, AUDIENCE)) == (True, {"acme/1", "acme/2"})
    assert not any("audience_page" in metadata for metadata in all_metadata)


def test_requests_are_handed_on(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline()
    run(instance, pipeline, SyncConfig(segments=["acme/1"], requests=["request-1"]))
    assert pipeline.requested_syncs == [RequestedSync(("acme/1",), push=True, request_ids=("request-1",))]


def test_the_membership_alone_is_made_without_a_push(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline()
    result = run(instance, pipeline, only=MEMBERSHIP)
    assert pipeline.requested_syncs == [RequestedSync(KEYS, push=False)]
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
    assert "The vendors could not be observed: unexpected PermissionError" in logged(instance, result)
    assert "Ada" not in logged(instance, result)


def test_checks_speak_of_all_segments_whichever_the_run_synced(instance: dg.DagsterInstance) -> None:
    checked = CheckedSegments(
        14,
        against_consent=[a_segment_name("acme/1")],
        collapsed=[a_segment_name("acme/2"), a_segment_name("globex/4")],
        rejected=(),
    )
    evaluations = checks(run(instance, FakePipeline(checked=checked), ONE_KEY))
    assert {name: (each.passed, failing_partitions(each)) for name, each in evaluations.items()} == {
        "membership_honours_consent": (False, ["acme/1"]),
        "membership_did_not_collapse": (False, ["acme/2", "globex/4"]),
        "refusals_are_few": (True, []),
    }
    assert [each.metadata["segments"].value for each in evaluations.values()] == [14, 14, 14]
    assert evaluations["membership_honours_consent"].blocking


def test_no_event_holds_a_person(instance: dg.DagsterInstance) -> None:
    result = run(instance, FakePipeline(results=failed("acme/2")))
    assert "@" not in "".join(map(str, result.all_events))


def test_a_run_is_at_work_before_it_describes_the_sources(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline(segments=KEYS)
    assert run(instance, pipeline).success
    assert pipeline.was_alive_at_describe == [True, True]
    assert not pipeline.alive


@pytest.mark.parametrize("trigger", list(Trigger))
def test_what_started_the_run_is_handed_on(instance: dg.DagsterInstance, trigger: Trigger) -> None:
    pipeline = FakePipeline()
    run(instance, pipeline, ONE_KEY, tags={} if trigger is Trigger.DAGSTER else {TRIGGER_TAG: trigger.value})
    assert pipeline.requested_syncs == [RequestedSync(KEYS[:1], push=True, trigger=trigger)]
