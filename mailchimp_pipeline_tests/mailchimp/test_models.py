"""Mailchimp's answers, including blank and unexpected values."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp.wire_models import (
    BatchResult,
    CampaignEntry,
    EntryPage,
    ListEntry,
    Member,
    Report,
    WebhookEntry,
)
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline_tests.mailchimp.builders import ADDRESS, a_list, a_member


def test_a_member_is_read_with_its_blanks() -> None:
    member = Member.model_validate(a_member(last_changed="", unsubscribe_reason=None))
    assert member.last_changed is None
    assert member.unsubscribe_reason == ""
    assert member.status is MemberStatus.SUBSCRIBED


def test_a_members_times_are_utc_even_unsaid() -> None:
    member = Member.model_validate(a_member(last_changed="2026-01-02T03:04:05"))
    assert member.last_changed == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(st.text() | st.none() | st.integers())
def test_no_status_is_taken_for_subscribed_but_subscribed(status: object) -> None:
    member = Member.model_validate(a_member() | {"status": status})
    assert (member.status is MemberStatus.SUBSCRIBED) == (status == "subscribed")


def test_an_unknown_status_is_not_mailable() -> None:
    assert Member.model_validate(a_member(status="paused")).status is MemberStatus.TRANSACTIONAL


def test_a_members_hash_is_that_of_the_lower_cased_address() -> None:
    member = Member.model_validate(a_member("Ada@Engine.Test") | {"id": "an-old-id"})
    state = member.state()
    assert (state.subscriber_hash, state.member_id) == (subscriber_hash("ada@engine.test"), "an-old-id")
    assert Member.model_validate({"id": "x", "email_address": "", "status": ""}).state().subscriber_hash == "x"


def test_a_member_does_not_show_its_address() -> None:
    assert ADDRESS not in repr(Member.model_validate(a_member()))


def test_invalid_values_are_not_shown() -> None:
    with pytest.raises(ValidationError) as refused:
        EntryPage[Member].model_validate({"members": [ADDRESS], "total_items": 1})
    assert ADDRESS not in str(refused.value)


def test_an_audience_is_read_without_its_statistics() -> None:
    assert ListEntry.model_validate(a_list(stats={})).audience().member_count == 0
    assert ListEntry.model_validate(a_list(stats={"member_count": ""}, web_id="")).audience().web_id is None


def test_an_audience_that_does_not_say_whether_it_confirms_is_not_guessed_at() -> None:
    entry = a_list()
    del entry["double_optin"]
    with pytest.raises(ValidationError):
        ListEntry.model_validate(entry)


@pytest.mark.parametrize("body", [{}, {"members": []}, {"members": None, "total_items": 0}, []])
def test_an_incomplete_page_is_an_error(body: object) -> None:
    with pytest.raises(ValidationError):
        EntryPage[Member].model_validate(body)


def test_an_incomplete_batch_answer_is_an_error() -> None:
    with pytest.raises(ValidationError):
        BatchResult.model_validate({"new_members": [], "errors": []})


def test_a_campaign_is_read_flat() -> None:
    campaign = CampaignEntry.model_validate(
        {
            "id": "c1",
            "status": "save",
            "settings": {"title": "Hello", "subject_line": "Hi"},
            "recipients": {"list_id": "a1", "list_name": "News"},
            "send_time": "",
        }
    )
    assert (campaign.title, campaign.subject_line, campaign.list_id) == ("Hello", "Hi", "a1")
    assert campaign.send_time is None


def test_a_report_has_the_proxy_free_figures_where_mailchimp_has_them() -> None:
    opens = {"unique_opens": 5, "open_rate": 0.5}
    before = Report.model_validate({"id": "c1", "opens": opens})
    since = Report.model_validate({"id": "c1", "opens": opens | {"proxy_excluded_open_rate": 0.3}})
    assert (before.open_rate, before.proxy_excluded_open_rate) == (0.5, None)
    assert since.proxy_excluded_open_rate == 0.3
    assert before.click_rate is None


@pytest.mark.parametrize(("said", "read"), [("12", 12), (12.0, 12), ("", 0), (None, 0), ("n/a", 0), (12.5, 0), ([], 0)])
def test_a_count_that_is_no_number_is_none_and_costs_no_page(said: object, read: int) -> None:
    page = EntryPage[Report].model_validate(
        {"reports": [{"id": "a", "emails_sent": said}, {"id": "b"}], "total_items": 2}
    )
    assert [report.emails_sent for report in page.items] == [read, 0]


@pytest.mark.parametrize(("said", "read"), [("0.5", 0.5), ("", None), (None, None), ("n/a", None), ({}, None)])
def test_a_rate_that_is_no_number_is_not_there(said: object, read: float | None) -> None:
    assert Report.model_validate({"id": "a", "opens": {"open_rate": said}}).open_rate == read


def test_a_webhooks_secret_is_not_shown() -> None:
    webhook = WebhookEntry.model_validate({"id": "w1", "signing_enabled": True, "signing_secret": "s3cr3t"})
    assert webhook.signing_secret is not None
    assert webhook.signing_secret.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(webhook)
    assert WebhookEntry.model_validate({"id": "w1", "signing_secret": ""}).signing_secret is None
