"""A campaign from its draft to its final figures, refreshed by the schedule alone."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from sqlalchemy import text

from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.services.refresh_campaigns import campaign_refresh
from mailchimp_pipeline_tests.api.procedures.stage import Tenant, a_stage, a_tenant
from mailchimp_pipeline_tests.sandbox.calls import Api
from sandbox import CampaignStatus as There
from sandbox import Figures, Sandbox

FIRST_TICK = datetime(2026, 3, 1, tzinfo=UTC)
LIFE = {There.SAVE: "draft", There.SCHEDULE: "scheduled", There.SENDING: "sending", There.SENT: "sent"}

Row = tuple[object, ...]
"""Status, open rate, click rate and e-mails sent. None is not counted yet."""


def launched(tenant: Tenant, tick: datetime) -> dg.ExecuteInProcessResult:
    """Run the requests of a schedule's tick."""
    campaigns = campaign_refresh(tenant.stage.parts)
    location = build_definitions(
        {"pipeline": object(), "campaigns": campaigns, "erasures": object(), "retention": object()}
    )
    schedule = location.resolve_schedule_def("mailchimp_campaign_stats_refresh")
    with dg.DagsterInstance.ephemeral() as instance:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=tick) as context:
            (request,) = schedule.evaluate_tick(context).run_requests or []
        job = location.resolve_job_def(request.job_name or schedule.job_name)
        return job.execute_in_process(request.run_config, instance=instance, tags=dict(request.tags))


def in_metadata(result: dg.ExecuteInProcessResult) -> Row:
    (materialization,) = result.asset_materializations_for_node("campaign_stats")
    table = materialization.metadata["campaigns"]
    assert isinstance(table, dg.TableMetadataValue)
    (record,) = table.records
    return tuple(
        None if value == "" else value
        for value in (record.data[name] for name in ("status", "open_rate", "click_rate", "emails_sent"))
    )


def in_api(tenant: Tenant, campaign: Mapping[str, str]) -> Row:
    shown = tenant.query("campaigns.get", {"id": campaign["id"]}).data
    return shown["status"], shown["openRate"], shown["clickRate"], shown["emailsSent"]


def in_database(tenant: Tenant) -> Row:
    query = text("select status, open_rate, click_rate, emails_sent from campaign_tracking")
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        return tuple(session.execute(query).one())


def at_mailchimp(tenant: Tenant, campaign: Mapping[str, str]) -> Row:
    with Api(tenant.stage.sandbox.api_root, tenant.api_key) as api:
        status = LIFE[api.get(f"/campaigns/{campaign['mailchimpCampaignId']}").json()["status"]]
        answer = api.get(f"/reports/{campaign['mailchimpCampaignId']}")
    if answer.status_code == 404:
        return status, None, None, None
    report = answer.json()
    return status, report["opens"]["open_rate"], report["clicks"]["click_rate"], report["emails_sent"]


def test_a_campaign_is_followed_by_the_ticks_of_the_schedule_and_all_tell_the_same(
    database_url: str, tmp_path: Path
) -> None:
    with Sandbox.running() as sandbox, a_stage(database_url, tmp_path, sandbox) as stage:
        tenant = a_tenant(stage, connected=True)
        there = sandbox.add_campaign(tenant.list_id, "Spring")
        campaign = tenant.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": there}).data
        seen = list[Row]()
        for number, status in enumerate(LIFE):
            sandbox.move_campaign(there, status, datetime(2030, 1, 1, tzinfo=UTC) if status is There.SCHEDULE else None)
            if number > 1:
                sandbox.set_figures(
                    there, Figures(emails_sent=110, hard_bounces=10, unique_opens=20 * number, unique_clicks=5)
                )
            shown = in_metadata(launched(tenant, FIRST_TICK + number * timedelta(hours=6)))
            assert shown == in_database(tenant) == in_api(tenant, campaign) == at_mailchimp(tenant, campaign)
            seen.append(shown)
        assert seen == [
            ("draft", None, None, None),
            ("scheduled", None, None, None),
            ("sending", 0.4, 0.05, 110),
            ("sent", 0.6, 0.05, 110),
        ]
