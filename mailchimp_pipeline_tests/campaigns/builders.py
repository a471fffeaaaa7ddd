"""Snapshots, tracked campaigns and an in-memory account for tests of campaigns."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from mailchimp_pipeline.campaigns import (
    Campaign,
    CampaignSnapshot,
    CampaignStatus,
    Figures,
    MailchimpCampaign,
    MailchimpReport,
    Stats,
)
from mailchimp_pipeline.errors import PipelineError

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_mailchimp_campaign(campaign_id: str = "c1", status: str = "sent", *, sent_at: datetime | None = AT):
    return MailchimpCampaign(campaign_id, status, "Spring", "What is new", "a1b2c3d4e5", sent_at)


def a_draft(campaign_id: str = "c1"):
    return a_mailchimp_campaign(campaign_id, "save", sent_at=None)


def a_report(campaign_id: str = "c1", *, unique_opens: int = 40, open_rate: float | None = 0.4):
    return MailchimpReport(
        campaign_id,
        emails_sent=110,
        hard_bounces=4,
        soft_bounces=6,
        unsubscribed=3,
        opens=90,
        unique_opens=unique_opens,
        open_rate=open_rate,
        clicks=30,
        unique_clicks=25,
        subscriber_clicks=20,
        click_rate=0.2,
    )


def a_sent_one(campaign_id: str = "c1") -> CampaignSnapshot:
    return CampaignSnapshot(a_mailchimp_campaign(campaign_id), a_report(campaign_id))


def a_campaign(
    number: int = 1,
    *,
    status: CampaignStatus = CampaignStatus.SENDING,
    organisation_id: str = "acme",
    title: str = "Spring",
    open_rate: float | None = None,
) -> Campaign:
    return Campaign(
        id=f"00000000-0000-4000-8000-{number:012d}",
        organisation_id=organisation_id,
        mailchimp_campaign_id=f"c{number}",
        title=title,
        status=status,
        created_at=AT,
        open_rate=open_rate,
        click_rate=open_rate and open_rate / 2,
        send_time=AT,
    )


def some_stats(open_rate: float = 0.4, click_rate: float = 0.2, *, after: timedelta = timedelta()) -> Stats:
    figures = Figures(
        emails_sent=110,
        opens=90,
        unique_opens=40,
        open_rate=open_rate,
        open_rate_without_machine_opens=None,
        clicks=30,
        unique_clicks=25,
        click_rate=click_rate,
        bounces=10,
        unsubscribes=3,
    )
    return Stats(AT + after, CampaignStatus.SENDING, figures)


class FakeAccount:
    """The campaigns of an account in memory, latest first, with counts of the calls.

    `snapshot` raises the error in `failing` for a campaign.
    """

    def __init__(
        self,
        *snapshots: CampaignSnapshot,
        listed: Iterable[str] | None = None,
        failing: Mapping[str, PipelineError] | None = None,
    ) -> None:
        self._failing = failing or {}
        self._sightings = {snapshot.campaign.id: snapshot for snapshot in snapshots}
        self._listed = list(self._sightings if listed is None else listed)
        self.asked_since: datetime | None = None
        self.entries_read = 0
        self.asked_singly: list[str] = []

    def campaigns(self) -> Iterator[MailchimpCampaign]:
        """See `campaigns.MailchimpCampaigns`."""
        for key in self._listed:
            self.entries_read += 1
            yield self._sightings[key].campaign

    def reports(self, *, since_send_time: datetime | None = None) -> Iterator[MailchimpReport]:
        """See `campaigns.MailchimpCampaigns`."""
        self.asked_since = since_send_time
        for key in self._listed:
            if report := self._sightings[key].report:
                self.entries_read += 1
                yield report

    def snapshot(self, campaign_id: str) -> CampaignSnapshot | None:
        """See `campaigns.MailchimpCampaigns`."""
        self.asked_singly.append(campaign_id)
        if campaign_id in self._failing:
            raise self._failing[campaign_id]
        return self._sightings.get(campaign_id)
