"""The asset `campaign_stats`: its metadata and its asset check."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from mailchimp_pipeline.campaigns import Campaign, CampaignStatus, Stats
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.defs.metadata import CAMPAIGNS_LISTED, CAMPAIGNS_PLOTTED
from mailchimp_pipeline.defs.pipeline_resources import CampaignsResource
from mailchimp_pipeline.services.refresh_campaigns import CampaignResult, OrganisationRefresh
from mailchimp_pipeline_tests.campaigns.builders import HOUR, a_campaign, some_stats
from mailchimp_pipeline_tests.test_log_ids import lines

JOB = "mailchimp_campaign_stats_refresh"


class FakeCampaigns:
    """A `services.refresh_campaigns.CampaignRefresh` with a given result."""

    def __init__(self, *refreshes: OrganisationRefresh) -> None:
        self._refreshes = refreshes

    def refresh(self) -> Iterator[OrganisationRefresh]:
        """See `services.refresh_campaigns.CampaignRefresh`."""
        return iter(self._refreshes)

    def histories(self, campaigns: Sequence[Campaign], *, latest: int) -> Mapping[str, Sequence[Stats]]:
        """See `services.refresh_campaigns.CampaignRefresh`."""
        assert latest > 1
        return {campaign.id: [some_stats(), some_stats(0.5, after=HOUR)] for campaign in campaigns}


def refreshed(*campaigns: Campaign, organisation_id: str = "acme") -> OrganisationRefresh:
    return OrganisationRefresh(organisation_id, tuple(map(CampaignResult, campaigns)), seconds=1.5)


def run(*refreshes: OrganisationRefresh, instance: dg.DagsterInstance | None = None) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(
        {"pipeline": object(), "campaigns": FakeCampaigns(*refreshes), "erasures": object(), "retention": object()}
    )
    return definitions.resolve_job_def(JOB).execute_in_process(instance=instance)


def metadata(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.MetadataValue]:
    (materialization,) = result.asset_materializations_for_node("campaign_stats")
    return materialization.metadata


def rows(table: dg.MetadataValue) -> list[Mapping[str, object]]:
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def test_a_refresh_says_how_the_campaigns_do_in_fractions() -> None:
    sending, draft = a_campaign(1, open_rate=0.4), a_campaign(2, status=CampaignStatus.DRAFT)
    reported = metadata(run(refreshed(sending, draft)))
    assert (reported["organisations"].value, reported["refreshed"].value, reported["missing_at_mailchimp"].value) == (
        1,
        2,
        0,
    )
    assert reported["statuses"].value == {"draft": 1, "sending": 1}
    assert [(row["campaign"], row["open_rate"], row["click_rate"]) for row in rows(reported["campaigns"])] == [
        ("c2", "", ""),
        ("c1", 0.4, 0.2),
    ]


def test_the_rates_over_time_are_a_picture_inside_the_markdown() -> None:
    picture = metadata(run(refreshed(a_campaign(open_rate=0.4, title="Spring & [co]"))))["rates"]
    assert isinstance(picture, dg.MarkdownMetadataValue)
    assert picture.md_str is not None
    head, _, encoded = picture.md_str.partition("data:image/svg+xml;base64,")
    svg = ET.fromstring(base64.b64decode(encoded.removesuffix(")")))  # noqa: S314 - our own text
    assert head == "![Open and click rates over time. Spring &  co  50.0% opened, 20.0% clicked]("
    assert "Spring & [co]" in [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_nothing_is_drawn_where_nothing_was_sent() -> None:
    assert "rates" not in metadata(run(refreshed(a_campaign(status=CampaignStatus.DRAFT))))
    assert metadata(run())["refreshed"].value == 0


def test_what_is_shown_has_a_limit() -> None:
    reported = metadata(run(refreshed(*(a_campaign(number, open_rate=0.4) for number in range(1000)))))
    assert len(rows(reported["campaigns"])) == CAMPAIGNS_LISTED
    assert isinstance(reported["rates"], dg.MarkdownMetadataValue)
    svg = base64.b64decode((reported["rates"].md_str or "").partition("base64,")[2].removesuffix(")"))
    assert (svg.count(b"<g "), len(svg) < 20_000) == (CAMPAIGNS_PLOTTED, True)


def test_the_check_passes_where_all_is_fresh() -> None:
    (judged,) = run(refreshed(a_campaign())).get_asset_check_evaluations()
    assert (judged.check_name, judged.passed) == ("campaigns_are_fresh", True)


def test_an_organisation_that_fails_is_named_and_fails_the_check_but_not_the_run() -> None:
    failed = OrganisationRefresh("bolt", (CampaignResult(a_campaign(2)),), error="Mailchimp refused the API key.")
    result = run(refreshed(a_campaign(1)), failed)
    (judged,) = result.get_asset_check_evaluations()
    named = [{"organisation": "bolt", "campaign": "*", "error": "Mailchimp refused the API key."}]
    assert (result.success, judged.passed, rows(judged.metadata["failed"])) == (True, False, named)
    assert (rows(metadata(result)["failed"]), metadata(result)["refreshed"].value) == (named, 1)


def test_a_campaign_that_fails_is_named_too() -> None:
    failed = CampaignResult(a_campaign(2), "Try later.", is_refreshed=False)
    result = run(OrganisationRefresh("acme", (CampaignResult(a_campaign(1)), failed)))
    (judged,) = result.get_asset_check_evaluations()
    named = [{"organisation": "acme", "campaign": "c2", "error": "Try later."}]
    assert (judged.passed, rows(judged.metadata["failed"])) == (False, named)
    assert (metadata(result)["refreshed"].value, [row["campaign"] for row in rows(metadata(result)["campaigns"])]) == (
        1,
        ["c1"],
    )


def test_the_log_counts_as_refreshed_what_was() -> None:
    away = OrganisationRefresh("bolt", tuple(CampaignResult(a_campaign(n)) for n in range(50)), error="It is away.")
    partly = CampaignResult(a_campaign(2), "Try later.", is_refreshed=False)
    with lines() as reported:
        run(away, OrganisationRefresh("acme", (CampaignResult(a_campaign(1)), partly)))
    counted = {line["organisation_id"]: (line["refreshed"], line["failed"]) for line in reported}
    assert counted == {"bolt": (0, 50), "acme": (1, 1)}


def test_an_unforeseen_error_leaves_its_place_in_the_log_of_the_run() -> None:
    failed = OrganisationRefresh("acme", (), error="Unexpected KeyError.", defect='File "snapshots.py", line 1')
    with dg.DagsterInstance.ephemeral() as instance:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        result = run(failed, instance=instance)
        logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any("snapshots.py" in text for text in logged)


def test_the_campaigns_are_opened_from_the_environment_when_a_run_begins(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS", "test:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=")
    monkeypatch.setenv("MAILCHIMP_PIPELINE_HOME", str(tmp_path))
    job = build_definitions(
        {"pipeline": object(), "campaigns": CampaignsResource(), "erasures": object(), "retention": object()}
    ).resolve_job_def(JOB)
    assert metadata(job.execute_in_process())["refreshed"].value == 0
