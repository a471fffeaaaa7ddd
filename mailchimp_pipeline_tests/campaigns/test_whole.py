"""The campaign job in Dagster: the database, the API, Dagster and Mailchimp have the same figures."""

from collections.abc import Mapping

import dagster as dg

from mailchimp_pipeline.campaigns import Campaign
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline_tests.campaigns.stage import Stage
from mailchimp_pipeline_tests.test_log_ids import lines
from sandbox import CampaignStatus, Fault, FaultKind, Figures

FIGURES = Figures(emails_sent=110, hard_bounces=10, opens=90, unique_opens=40, clicks=30, unique_clicks=25)


def run(stage: Stage) -> dg.ExecuteInProcessResult:
    stage.hours.pass_hour()
    definitions = build_definitions(
        {"pipeline": object(), "campaigns": stage.campaigns, "erasures": object(), "retention": object()}
    )
    return definitions.resolve_job_def("mailchimp_campaign_stats_refresh").execute_in_process()


def rows(result: dg.ExecuteInProcessResult, table: str = "campaigns") -> list[Mapping[str, object]]:
    (materialization,) = result.asset_materializations_for_node("campaign_stats")
    logged = materialization.metadata[table]
    assert isinstance(logged, dg.TableMetadataValue)
    return [dict(record.data) for record in logged.records]


def move(stage: Stage, campaign: Campaign, status: CampaignStatus, figures: Figures) -> None:
    stage.sandbox.move_campaign(campaign.mailchimp_campaign_id, status)
    stage.sandbox.set_figures(campaign.mailchimp_campaign_id, figures)


def test_what_dagster_shows_is_what_is_stored_and_what_mailchimp_said(stage: Stage) -> None:
    stage.connect()
    campaign = stage.track()
    for status, figures in ((CampaignStatus.SENDING, FIGURES), (CampaignStatus.SENT, FIGURES)):
        move(stage, campaign, status, figures)
        (row,) = rows(run(stage))
        stored = stage.now(campaign)
        assert (row["status"], row["open_rate"], row["click_rate"]) == (status, figures.open_rate, figures.click_rate)
        assert (stored.status, stored.open_rate, stored.click_rate) == (status, figures.open_rate, figures.click_rate)


def test_a_call_that_is_tried_again_is_told_with_the_ids_of_organisation_and_run(stage: Stage) -> None:
    stage.connect()
    stage.track()
    stage.sandbox.add_fault(Fault(kind=FaultKind.THROTTLED, times=1))
    with lines() as logged:
        result = run(stage)
    (line,) = [line for line in logged if line["event"] == "mailchimp call tried again"]
    assert (line["organisation_id"], line["run_id"]) == ("acme", result.run_id)


def test_a_revoked_key_is_named_by_the_check_and_the_rest_is_fresh(stage: Stage) -> None:
    for organisation in ("acme", "bolt"):
        stage.connect(organisation)
        move(stage, stage.track(organisation), CampaignStatus.SENDING, FIGURES)
    stage.sandbox.revoke_key(stage.key_of("acme"))
    result = run(stage)
    (judged,) = result.get_asset_check_evaluations()
    assert (result.success, judged.passed) == (True, False)
    assert [row["organisation"] for row in rows(result)] == ["bolt"]
    assert [(row["organisation"], row["campaign"]) for row in rows(result, "failed")] == [("acme", "*")]
