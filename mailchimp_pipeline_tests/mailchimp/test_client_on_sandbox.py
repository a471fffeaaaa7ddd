"""The client with the sandbox: members, campaigns, webhooks and keys."""

from datetime import UTC, datetime

import pytest

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp import Deletion, MailchimpClient, ThreadSlots
from mailchimp_pipeline.mailchimp.api_errors import (
    AccountDisabled,
    CampaignGone,
    Incomplete,
    KeyRefused,
    NotPermitted,
    Rejected,
    Throttled,
)
from mailchimp_pipeline.sync import AddressChangeResult, MemberRef, MemberState, MemberStatus, Rejection
from mailchimp_pipeline_tests.mailchimp.builders import A_HASH, ADDRESS, LIST_ID, Time, a_client, a_new_member
from mailchimp_pipeline_tests.mailchimp.scripted import Reply, scripted
from mailchimp_pipeline_tests.mailchimp.stages import DELETED, FAKE, SandboxStage, status_of
from sandbox import CampaignStatus, Fault, FaultKind, Figures, Status

NEW_ADDRESS = "ada@analytical.test"


@pytest.fixture
def stage(sandbox_stage: SandboxStage) -> SandboxStage:
    return sandbox_stage


def test_a_key_opens_its_account(stage: SandboxStage) -> None:
    stage.client.ping()
    account = stage.client.account()
    assert (account.account_id, account.account_name, account.role) == (stage.account_id, "Acme", "owner")


def test_a_key_that_opens_nothing_is_refused(stage: SandboxStage) -> None:
    stranger = MailchimpClient(ApiKey.parse("nobody-us1"), root=stage.sandbox.api_root, slots=ThreadSlots())
    with stranger, pytest.raises(KeyRefused, match="API Key Invalid"):
        stranger.account()


def test_a_deactivated_account_and_a_small_role_are_told_apart(stage: SandboxStage) -> None:
    stage.sandbox.set_role(stage.account_id, "viewer")
    with pytest.raises(NotPermitted):
        stage.client.subscribe(LIST_ID, [a_new_member()], update_existing=False)
    stage.sandbox.set_deactivated(stage.account_id)
    with pytest.raises(AccountDisabled, match="Reactivate"):
        stage.client.account()


def test_all_audiences_are_listed(stage: SandboxStage) -> None:
    for number in range(11):
        stage.sandbox.add_audience(stage.account_id, f"No. {number}", double_optin=True)
    audiences = stage.client.audiences()
    assert len(audiences) == 12
    assert [audience.double_optin for audience in audiences] == [False] + 11 * [True]


def test_required_merge_fields_are_seen_and_refused_without(stage: SandboxStage) -> None:
    stage.sandbox.add_merge_field(LIST_ID, "BADGE", required=True)
    assert {field.tag for field in stage.client.merge_fields(LIST_ID) if field.is_required} == {"BADGE"}
    answer = stage.client.subscribe(LIST_ID, [a_new_member()], update_existing=False)
    assert answer.rejected == {A_HASH: Rejection.MERGE_FIELD}


def test_members_are_listed_with_their_status_and_time(stage: SandboxStage) -> None:
    stage.add_member(ADDRESS, MemberStatus.CLEANED)
    (member,) = stage.client.members(LIST_ID)
    assert (member.email_address, member.status) == (ADDRESS, MemberStatus.CLEANED)
    assert member.last_changed == stage.hours.now


def test_a_batch_whose_answer_was_lost_comes_back_as_existing(stage: SandboxStage) -> None:
    stage.sandbox.add_fault(Fault(kind=FaultKind.CUT, method="POST", times=1, applied=True))
    with a_client(stage.sandbox.api_root, retries=Time().retries()) as client:
        answer = client.subscribe(LIST_ID, [a_new_member()], update_existing=False)
    assert answer.existing == {A_HASH}
    assert status_of(stage.client.member_state(LIST_ID, MemberRef(A_HASH))) is MemberStatus.SUBSCRIBED


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind not in {FaultKind.LATE, FaultKind.HELD}])
def test_a_fault_that_passes_is_not_noticed(stage: SandboxStage, kind: FaultKind) -> None:
    stage.sandbox.add_fault(Fault(kind=kind, times=2))
    with a_client(stage.sandbox.api_root, retries=Time().retries()) as client:
        assert client.account().account_name == "Acme"


def test_a_silently_ignored_unsubscribed_member_is_not_accepted(stage: SandboxStage) -> None:
    stage.add_member(ADDRESS, MemberStatus.SUBSCRIBED)
    stage.unsubscribe(ADDRESS)
    stage.sandbox.configure(compliance_in_batch="ignored")
    answer = stage.client.subscribe(LIST_ID, [a_new_member()], update_existing=True)
    assert answer.rejected == {A_HASH: Rejection.UNSUBSCRIBED}


def test_too_many_connections_are_throttled(stage: SandboxStage) -> None:
    stage.sandbox.add_fault(Fault(kind=FaultKind.THROTTLED))
    with pytest.raises(Throttled, match="too many calls"):
        stage.client.ping()


def test_an_opt_out_is_pushed(stage: SandboxStage) -> None:
    stage.add_member(ADDRESS, MemberStatus.SUBSCRIBED)
    stage.sandbox.require_merge_field(LIST_ID, "FNAME")
    unsubscribed = MemberStatus.UNSUBSCRIBED
    assert status_of(stage.client.set_member_status(LIST_ID, MemberRef(A_HASH), unsubscribed)) is unsubscribed
    assert stage.sandbox.statuses(LIST_ID) == {Status.UNSUBSCRIBED: 1}


def test_a_contact_who_unsubscribed_is_not_subscribed(stage: SandboxStage) -> None:
    stage.add_member(ADDRESS, MemberStatus.SUBSCRIBED)
    stage.unsubscribe(ADDRESS)
    answer = stage.client.set_member_status(LIST_ID, MemberRef(A_HASH), MemberStatus.SUBSCRIBED)
    assert answer is Rejection.COMPLIANCE


def test_a_member_is_moved_to_another_address(stage: SandboxStage) -> None:
    stage.add_member(ADDRESS, MemberStatus.SUBSCRIBED)
    assert isinstance(stage.client.change_address(LIST_ID, MemberRef(A_HASH), NEW_ADDRESS), MemberState)
    assert stage.client.member_state(LIST_ID, MemberRef(A_HASH)) is None
    assert (
        status_of(stage.client.member_state(LIST_ID, MemberRef(subscriber_hash(NEW_ADDRESS))))
        is MemberStatus.SUBSCRIBED
    )


def test_a_move_that_cannot_be_says_why(stage: SandboxStage) -> None:
    assert stage.client.change_address(LIST_ID, MemberRef(A_HASH), NEW_ADDRESS) is AddressChangeResult.UNKNOWN
    stage.add_member(ADDRESS, MemberStatus.SUBSCRIBED)
    stage.add_member(NEW_ADDRESS, MemberStatus.SUBSCRIBED)
    assert stage.client.change_address(LIST_ID, MemberRef(A_HASH), NEW_ADDRESS) is AddressChangeResult.TAKEN
    reasons = [stage.client.change_address(LIST_ID, MemberRef(A_HASH), email) for email in (DELETED, FAKE, "nobody")]
    assert reasons == [Rejection.FORGOTTEN, Rejection.FAKE, Rejection.INVALID_ADDRESS]


def test_an_unknown_hash_makes_no_member(stage: SandboxStage) -> None:
    assert stage.client.set_member_status(LIST_ID, MemberRef(A_HASH), MemberStatus.SUBSCRIBED) is None
    stage.client.change_address(LIST_ID, MemberRef(A_HASH), NEW_ADDRESS)
    assert stage.sandbox.members(LIST_ID) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (MemberStatus.SUBSCRIBED, MemberStatus.ARCHIVED),
        (MemberStatus.UNSUBSCRIBED, MemberStatus.ARCHIVED),
        (MemberStatus.ARCHIVED, MemberStatus.ARCHIVED),
        (MemberStatus.PENDING, MemberStatus.PENDING),
        (MemberStatus.CLEANED, MemberStatus.CLEANED),
    ],
)
def test_archiving_returns_the_new_status(stage: SandboxStage, before: MemberStatus, after: MemberStatus) -> None:
    stage.add_member(ADDRESS, before)
    assert status_of(stage.client.archive_member(LIST_ID, MemberRef(A_HASH))) is after


def test_a_deleted_member_is_gone_for_good(stage: SandboxStage) -> None:
    stage.add_member(ADDRESS, MemberStatus.SUBSCRIBED)
    assert stage.client.delete_permanently(LIST_ID, MemberRef(A_HASH)) is Deletion.DELETED
    assert stage.sandbox.is_forgotten(LIST_ID, ADDRESS)
    assert stage.client.delete_permanently(LIST_ID, MemberRef(A_HASH)) is Deletion.UNKNOWN


def test_a_campaign_and_its_report_are_read(stage: SandboxStage) -> None:
    sent_at = datetime(2026, 2, 1, 9, tzinfo=UTC)
    campaign_id = stage.sandbox.add_campaign(LIST_ID, "Hello")
    stage.sandbox.move_campaign(campaign_id, CampaignStatus.SENT, sent_at)
    stage.sandbox.set_figures(
        campaign_id, Figures(emails_sent=10, unique_opens=5, unique_clicks=3, subscriber_clicks=2)
    )
    campaign, report = stage.client.campaign(campaign_id), stage.client.report(campaign_id)
    assert (campaign.title, campaign.list_id, campaign.send_time) == ("Hello", LIST_ID, sent_at)
    assert (report.open_rate, report.unique_clicks, report.subscriber_clicks) == (0.5, 3, 2)
    assert (list(stage.client.campaigns()), list(stage.client.reports())) == ([campaign], [report])


def test_a_campaign_that_is_not_there_is_named(stage: SandboxStage) -> None:
    with pytest.raises(CampaignGone, match="abc123"):
        stage.client.campaign("abc123")


def test_a_webhook_has_its_secret_once(stage: SandboxStage) -> None:
    with scripted(Reply()) as receiver:
        made = stage.client.add_webhook(LIST_ID, receiver.root)
    (listed,) = stage.client.webhooks(LIST_ID)
    assert made.signing_secret is not None
    assert (listed.id, listed.url, listed.signing_secret) == (made.id, made.url, None)


@pytest.mark.parametrize("listed", ["in_pages", "all"])
def test_all_webhooks_are_read_whether_or_not_they_come_in_pages(stage: SandboxStage, listed: str) -> None:
    stage.sandbox.configure(webhooks_listed=listed)
    with scripted(Reply()) as receiver:
        made = {stage.client.add_webhook(LIST_ID, f"{receiver.root}/{number}").id for number in range(12)}
    assert {webhook.id for webhook in stage.client.webhooks(LIST_ID)} == made


def test_a_part_of_the_webhooks_is_not_taken_for_all(stage: SandboxStage) -> None:
    stage.sandbox.configure(webhooks_listed="first_ten")
    with scripted(Reply()) as receiver:
        for number in range(12):
            stage.client.add_webhook(LIST_ID, f"{receiver.root}/{number}")
    with pytest.raises(Incomplete, match=r"announced 12 entries .* and gave 10"):
        stage.client.webhooks(LIST_ID)


def test_a_webhook_that_does_not_answer_is_not_made(stage: SandboxStage) -> None:
    with scripted(Reply(500)) as receiver, pytest.raises(Rejected) as refused:
        stage.client.add_webhook(LIST_ID, receiver.root)
    assert refused.value.fields == ("url",)
    assert stage.client.webhooks(LIST_ID) == ()


def test_a_webhook_is_removed_once(stage: SandboxStage) -> None:
    with scripted(Reply()) as receiver:
        made = stage.client.add_webhook(LIST_ID, receiver.root)
    assert stage.client.remove_webhook(LIST_ID, made.id) is True
    assert stage.client.remove_webhook(LIST_ID, made.id) is False
