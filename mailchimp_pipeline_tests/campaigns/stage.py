"""Organisations with tracked campaigns, on a real database and the sandbox, with a clock that tests advance."""

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from mailchimp_pipeline.campaigns import Campaign, CampaignSnapshot, Stats
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.campaign_store import CampaignStore
from mailchimp_pipeline.database.connection_store import Account, Connection, ConnectionStore
from mailchimp_pipeline.services.refresh_campaigns import CampaignRefresh, OrganisationRefresh, campaign_refresh
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.mailchimp.stages import HourClock
from sandbox import Sandbox


@dataclass(frozen=True)
class Stage:
    """The dependencies of a refresh. `lists` has one audience of each organisation."""

    sandbox: Sandbox
    parts: Resources
    hours: HourClock
    lists: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def campaigns(self) -> CampaignRefresh:
        return campaign_refresh(self.parts, self.hours)

    def connect(self, organisation_id: str = "acme") -> str:
        """Connect an organisation to a new account and return the account's id."""
        key = self.key_of(organisation_id)
        account_id = self.sandbox.add_account(key, organisation_id)
        self.lists[organisation_id] = self.sandbox.add_audience(account_id)
        self.connect_to(account_id, key, organisation_id)
        return account_id

    def connect_to(self, account_id: str, key: str, organisation_id: str = "acme") -> None:
        """Connect an organisation to an existing account."""
        account = Account(account_id, organisation_id, ApiKey.parse(key))
        with self.parts.database.organisation(organisation_id) as session:
            ConnectionStore(session, self.parts.keyring).connect(account, by="alice", at=self.hours())

    def key_of(self, organisation_id: str) -> str:
        return f"{organisation_id.encode().hex():0>32}-us6"

    def connection(self, organisation_id: str = "acme") -> Connection:
        with self.parts.database.organisation(organisation_id) as session:
            found = ConnectionStore(session, self.parts.keyring).live()
        assert found is not None
        return found

    def track(self, organisation_id: str = "acme", title: str = "Spring") -> Campaign:
        """Create and track a draft campaign, without a call to Mailchimp."""
        return self.track_many(1, organisation_id, title)[0]

    def track_many(self, number: int, organisation_id: str = "acme", title: str = "Spring") -> list[Campaign]:
        made = [self.sandbox.add_campaign(self.lists[organisation_id], title) for _ in range(number)]
        with self.parts.database.organisation(organisation_id) as session:
            store, at = CampaignStore(session), self.hours()
            account = self.parts.audiences(organisation_id)
            seen = account.campaigns() if number > 1 else [account.campaign(made[0])]
            return [
                store.track(CampaignSnapshot(campaign), seen_at=at, by="alice", at=at)
                for campaign in seen
                if campaign.id in set(made)
            ]

    def refresh(self) -> list[OrganisationRefresh]:
        """Advance the clock by an hour and refresh with new clients, as a run does."""
        self.hours.pass_hour()
        with closing(Resources(self.parts.settings, self.parts.database)) as parts:
            return list(campaign_refresh(parts, self.hours).refresh())

    def now(self, campaign: Campaign) -> Campaign:
        """Return the stored campaign."""
        with self.parts.database.organisation(campaign.organisation_id) as session:
            found = CampaignStore(session).get(campaign.id)
        assert found is not None
        return found

    def history(self, campaign: Campaign) -> Sequence[Stats]:
        with self.parts.database.organisation(campaign.organisation_id) as session:
            found = CampaignStore(session).history(campaign.id, limit=100)
        assert found is not None
        return found.items


@contextmanager
def a_stage(database_url: str, sandbox: Sandbox, hours: HourClock, *, settle_days: int = 0) -> Generator[Stage]:
    """Open the database and the sandbox until the end of the block."""
    sandbox.reset()
    hours.reset()
    environment = {
        "MAILCHIMP_PIPELINE_DATABASE_URL": database_url,
        "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": "test:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
        "MAILCHIMP_PIPELINE_TOKEN_SECRET": "a-token-secret-of-more-than-32-characters",
        "MAILCHIMP_PIPELINE_CAMPAIGN_SETTLE_DAYS": str(settle_days),
        "MAILCHIMP_API_ROOT": sandbox.api_root,
    }
    with open_resources(Settings.from_environment(environment)) as parts:
        yield Stage(sandbox, parts, hours)
