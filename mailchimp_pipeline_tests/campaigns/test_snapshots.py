"""Fetching many campaigns takes few pages, and never treats an existing campaign as missing."""

from datetime import timedelta

import pytest

from mailchimp_pipeline.campaigns import CampaignSnapshot, MailchimpCampaign, fetch_snapshots
from mailchimp_pipeline.errors import PermanentError, TransientError
from mailchimp_pipeline_tests.campaigns.builders import AT, HOUR, FakeAccount, a_draft, a_mailchimp_campaign, a_sent_one


def test_campaigns_are_seen_with_the_reports_they_have() -> None:
    account = FakeAccount(a_sent_one("c1"), CampaignSnapshot(a_draft("c2")), a_sent_one("c3"))
    assert fetch_snapshots(account, {"c1", "c2"}).seen == {
        "c1": a_sent_one("c1"),
        "c2": CampaignSnapshot(a_draft("c2")),
    }
    assert account.asked_singly == []


def test_nothing_is_read_beyond_the_last_one_wanted() -> None:
    account = FakeAccount(a_sent_one("new"), *(a_sent_one(f"c{number}") for number in range(50)))
    fetch_snapshots(account, {"new"})
    assert account.entries_read == 2


def test_reports_are_asked_for_from_just_before_the_first_sending() -> None:
    early = CampaignSnapshot(a_mailchimp_campaign("c1", sent_at=AT - HOUR))
    account = FakeAccount(early, a_sent_one("c2"), CampaignSnapshot(a_draft("c3")))
    fetch_snapshots(account, {"c1", "c2", "c3"})
    assert account.asked_since == AT - HOUR - timedelta(seconds=1)


def test_without_a_time_of_sending_all_reports_are_looked_through() -> None:
    account = FakeAccount(a_sent_one("c1"), CampaignSnapshot(a_mailchimp_campaign("c2", sent_at=None)))
    fetch_snapshots(account, {"c1", "c2"})
    assert account.asked_since is None


def test_drafts_need_no_reports() -> None:
    account = FakeAccount(CampaignSnapshot(a_draft("c1")), a_sent_one("c2"))
    assert fetch_snapshots(account, {"c1"}).seen == {"c1": CampaignSnapshot(a_draft("c1"))}
    assert account.entries_read == 1


def test_one_that_no_page_had_is_asked_for_by_itself() -> None:
    account = FakeAccount(a_sent_one("c1"), a_sent_one("c2"), listed=["c1"])
    assert fetch_snapshots(account, {"c1", "c2", "c3"}).seen == {"c1": a_sent_one("c1"), "c2": a_sent_one("c2")}
    assert account.asked_singly == ["c2", "c3"]


def test_a_campaign_without_an_answer_is_reported_and_others_are_fetched() -> None:
    away = TransientError("Mailchimp was not available. Try again later.")
    account = FakeAccount(a_sent_one("c1"), a_sent_one("c3"), listed=["c1"], failing={"c2": away})
    found = fetch_snapshots(account, {"c1", "c2", "c3"})
    assert (set(found.seen), found.failed) == ({"c1", "c3"}, {"c2": away})


def test_a_lasting_failure_of_one_is_one_of_them_all() -> None:
    account = FakeAccount(a_sent_one("c1"), listed=["c1"], failing={"c2": PermanentError("The key is refused.")})
    with pytest.raises(PermanentError):
        fetch_snapshots(account, {"c1", "c2"})


def test_an_entry_that_comes_twice_counts_once() -> None:
    account = FakeAccount(a_sent_one("c1"), a_sent_one("c2"), listed=["c1", "c1", "c2"])
    assert set(fetch_snapshots(account, {"c1", "c2"}).seen) == {"c1", "c2"}


def test_a_campaign_that_was_stopped_before_it_was_sent_has_no_report() -> None:
    assert not MailchimpCampaign("c1", "canceled").may_have_report
    assert MailchimpCampaign("c1", "canceled", send_time=AT).may_have_report
    assert not MailchimpCampaign("c1", "schedule", send_time=AT).may_have_report
