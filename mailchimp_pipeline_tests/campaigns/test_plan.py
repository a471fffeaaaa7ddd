"""Changes of a campaign by a refresh: statuses, rates, and what stays."""

from dataclasses import replace

import pytest

from mailchimp_pipeline.campaigns import CampaignSnapshot, CampaignStatus, MailchimpReport, refresh
from mailchimp_pipeline_tests.campaigns.builders import AT, a_mailchimp_campaign, a_report, a_sent_one


def rates(report: MailchimpReport) -> tuple[float, float | None, float]:
    figures = refresh(None, CampaignSnapshot(a_mailchimp_campaign(), report), AT).figures
    assert figures is not None
    return figures.open_rate, figures.open_rate_without_machine_opens, figures.click_rate


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("save", "draft"),
        ("schedule", "scheduled"),
        ("sending", "sending"),
        ("sent", "sent"),
        ("paused", "paused"),
        ("canceled", "cancelled"),
        ("canceling", "cancelled"),
    ],
)
def test_each_mailchimp_status_has_one_meaning(word: str, status: str) -> None:
    found = refresh(CampaignStatus.PAUSED, CampaignSnapshot(a_mailchimp_campaign(status=word)), AT)
    assert (found.status, found.is_missing, found.problem) == (status, False, None)


@pytest.mark.parametrize(("before", "after"), [(None, "sent"), (CampaignStatus.CANCELLED, "cancelled")])
def test_an_archived_campaign_keeps_what_it_was_or_counts_as_sent(before: CampaignStatus | None, after: str) -> None:
    found = refresh(before, CampaignSnapshot(a_mailchimp_campaign(status="archived"), a_report()), AT)
    assert (found.status, found.is_missing, found.problem) == (after, True, None)
    assert found.figures is not None


def test_a_campaign_that_is_gone_keeps_its_status() -> None:
    found = refresh(CampaignStatus.SCHEDULED, None, AT)
    assert (found.status, found.is_missing, found.seen, found.figures) == ("scheduled", True, None, None)


def test_a_campaign_that_was_never_seen_is_not_made_up() -> None:
    with pytest.raises(ValueError, match="nobody has seen"):
        refresh(None, None, AT)


@pytest.mark.parametrize("before", [None, CampaignStatus.PAUSED])
def test_an_unknown_status_is_reported_and_fetched_again(before: CampaignStatus | None) -> None:
    found = refresh(before, CampaignSnapshot(a_mailchimp_campaign(status="resting" + "g" * 100)), AT)
    assert found.status is (before or CampaignStatus.SENDING)
    assert found.problem is not None
    assert "'resting" in found.problem
    assert len(found.problem) < 250


def test_figures_are_those_that_mailchimp_gives() -> None:
    figures = refresh(None, a_sent_one(), AT).figures
    assert figures is not None
    assert (figures.open_rate, figures.click_rate, figures.open_rate_without_machine_opens) == (0.4, 0.2, None)
    assert (figures.bounces, figures.delivered, figures.unique_clicks) == (10, 100, 25)


def test_a_rate_that_is_not_given_is_made_of_the_counts() -> None:
    assert rates(replace(a_report(), open_rate=None, click_rate=None)) == (0.4, None, 0.2)


@pytest.mark.parametrize("said", [40.0, -0.1, float("nan")])
def test_a_rate_that_is_no_fraction_is_made_of_the_counts(said: float) -> None:
    assert rates(replace(a_report(), open_rate=said)) == (0.4, None, 0.2)


def test_no_rate_passes_one_and_none_needs_deliveries() -> None:
    assert rates(MailchimpReport("c1", emails_sent=2, unique_opens=3))[0] == 1.0
    assert rates(MailchimpReport("c1", emails_sent=2, soft_bounces=2, unique_opens=1, unique_clicks=1)) == (0, None, 0)


def test_the_rate_without_machines_is_there_only_where_mailchimp_counts_it() -> None:
    counted = replace(a_report(), proxy_excluded_unique_opens=25)
    assert rates(counted)[1] == 0.25
    assert rates(replace(counted, proxy_excluded_open_rate=0.3))[1] == 0.3
