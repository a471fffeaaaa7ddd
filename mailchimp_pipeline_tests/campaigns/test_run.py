"""Refreshes with fakes: a failure affects one campaign or organisation, and its text quotes no personal data."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import sleep

from mailchimp_pipeline.campaigns import Campaign, CampaignSnapshot, Refresh
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.services.refresh_campaigns import CampaignRefresh, CampaignResult, OrganisationRefresh
from mailchimp_pipeline_tests.campaigns.builders import AT, FakeAccount, a_campaign, a_mailchimp_campaign, a_sent_one


@dataclass(frozen=True, slots=True)
class FakeRefresh(CampaignRefresh):
    """A refresh that stores in memory."""

    written: dict[str, Refresh] = field(default_factory=dict[str, Refresh])

    def write(self, refreshes: Sequence[tuple[Campaign, Refresh]]) -> Mapping[str, CampaignResult]:
        self.written.update({campaign.id: found for campaign, found in refreshes})
        return {campaign.id: CampaignResult(campaign, found.problem) for campaign, found in refreshes}


def a_refresh(account: Callable[[str], FakeAccount]) -> FakeRefresh:
    return FakeRefresh(Database("postgresql+psycopg://nowhere"), account, lambda: AT)


def refreshed(
    accounts: Mapping[str, FakeAccount | Exception], *due: Campaign
) -> tuple[dict[str, OrganisationRefresh], dict[str, Refresh]]:
    """Refresh these accounts by organisation. An account raises its exception."""

    def account(organisation_id: str) -> FakeAccount:
        found = accounts[organisation_id]
        if isinstance(found, Exception):
            raise found
        return found

    refresh = a_refresh(account)
    return {result.organisation_id: result for result in refresh.results(due)}, refresh.written


def test_an_organisation_that_fails_leaves_the_others_to_theirs() -> None:
    ours, theirs = a_campaign(1), a_campaign(2, organisation_id="bolt")
    accounts = {"acme": TransientError("Mailchimp is away. Try later."), "bolt": FakeAccount(a_sent_one("c2"))}
    results, written = refreshed(accounts, ours, theirs)
    assert (results["acme"].failures, results["bolt"].failures) == ({"*": "Mailchimp is away. Try later."}, {})
    assert list(written) == [theirs.id]


def test_a_campaign_that_cannot_be_asked_about_leaves_the_others_to_theirs() -> None:
    account = FakeAccount(a_sent_one("c2"), failing={"c1": TransientError("Mailchimp is away. Try later.")})
    results, written = refreshed({"acme": account}, a_campaign(1), a_campaign(2))
    assert results["acme"].failures == {"c1": "Mailchimp is away. Try later."}
    assert [campaign.mailchimp_campaign_id for campaign in results["acme"].refreshed] == ["c2"]
    assert list(written) == [a_campaign(2).id]


def test_an_unexpected_error_is_reported_by_type_and_location() -> None:
    results, _ = refreshed({"acme": RuntimeError("ann@acme.test")}, a_campaign())
    assert results["acme"].failures["*"].startswith("Unexpected RuntimeError")
    assert "test_run.py" in (results["acme"].defect or "")
    assert "ann@" not in str(results)


def test_a_campaign_in_a_state_that_nobody_knows_is_named() -> None:
    strange = CampaignSnapshot(a_mailchimp_campaign("c1", "resting"))
    results, written = refreshed({"acme": FakeAccount(strange, a_sent_one("c2"))}, a_campaign(1), a_campaign(2))
    assert list(results["acme"].failures) == ["c1"]
    assert len(written) == 2


def test_without_due_campaigns_no_account_is_called() -> None:
    assert refreshed({})[0] == {}


def test_closing_the_iterator_starts_no_more_organisations() -> None:
    begun: list[str] = []

    def account(organisation_id: str) -> FakeAccount:
        begun.append(organisation_id)
        if len(begun) > 1:
            sleep(0.5)  # long enough to stop before a hundred organisations have started
        return FakeAccount()

    due = [a_campaign(number, organisation_id=f"acme{number}") for number in range(1000)]
    with closing(a_refresh(account).results(due)) as results:
        next(results)
    assert len(begun) < 100
