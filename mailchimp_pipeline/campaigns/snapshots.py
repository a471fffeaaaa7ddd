"""Campaigns and reports as Mailchimp describes them, and how many of them are fetched at once.

What does not belong here: what its words mean (`refresh`), the calls themselves (`mailchimp`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from mailchimp_pipeline.errors import TransientError

_NEVER_SENT: Final = frozenset({"save", "schedule"})
_ONE_SECOND: Final = timedelta(seconds=1)
"""What Mailchimp gives times to."""


@dataclass(frozen=True, slots=True)
class MailchimpCampaign:
    """A campaign as Mailchimp describes it; `status` is its word."""

    id: str
    status: str
    title: str = ""
    subject_line: str = ""
    list_id: str = ""
    send_time: datetime | None = None

    @property
    def may_have_report(self) -> bool:
        """Whether mail of it may have gone out. A draft's or planned campaign's send time is only a plan."""
        return self.status not in _NEVER_SENT and (self.send_time is not None or self.status in {"sending", "sent"})


@dataclass(frozen=True, slots=True)
class MailchimpReport:
    """What Mailchimp counted for a campaign. Rates are fractions, 0 to 1, where Mailchimp gives them.

    `unique_clicks` counts clicks, one a person and link; `subscriber_clicks` the people who clicked.
    """

    id: str
    emails_sent: int = 0
    hard_bounces: int = 0
    soft_bounces: int = 0
    unsubscribed: int = 0
    opens: int = 0
    unique_opens: int = 0
    open_rate: float | None = None
    proxy_excluded_unique_opens: int | None = None
    proxy_excluded_open_rate: float | None = None
    clicks: int = 0
    unique_clicks: int = 0
    subscriber_clicks: int = 0
    click_rate: float | None = None


@dataclass(frozen=True, slots=True)
class CampaignSnapshot:
    """A campaign as Mailchimp has it, with its report if there is one."""

    campaign: MailchimpCampaign
    report: MailchimpReport | None = None


@dataclass(frozen=True, slots=True)
class CampaignSnapshots:
    """Snapshots and errors by campaign id. A campaign in neither does not exist at Mailchimp."""

    seen: Mapping[str, CampaignSnapshot]
    failed: Mapping[str, TransientError]


class MailchimpCampaigns(Protocol):
    """The campaigns of one account. Either listing may give an entry twice, and leaves none out."""

    def campaigns(self) -> Iterable[MailchimpCampaign]:
        """Yield all campaigns, the newest first, read page by page as they are wanted."""
        ...

    def reports(self, *, since_send_time: datetime | None = None) -> Iterable[MailchimpReport]:
        """Yield the reports of campaigns sent after the moment, read page by page as they are wanted."""
        ...

    def snapshot(self, campaign_id: str) -> CampaignSnapshot | None:
        """Return one campaign with its report; None where the account has no such campaign."""
        ...


def fetch_snapshots(account: MailchimpCampaigns, wanted: Collection[str]) -> CampaignSnapshots:
    """Return the snapshots of the wanted campaigns, by id.

    Reads the newest campaigns page by page, until all are found: two requests if they are among the newest thousand.
    A campaign on no page is fetched by its id, so that only Mailchimp's answer about it says that it does not exist.
    If that request fails, the error is returned for this campaign, and the others are fetched all the same.
    """
    found: dict[str, MailchimpCampaign] = {}
    for campaign in account.campaigns():
        if campaign.id in wanted:
            found.setdefault(campaign.id, campaign)
        if len(found) == len(wanted):
            break
    reports = _reports(account, [campaign for campaign in found.values() if campaign.may_have_report])
    listed = {key: CampaignSnapshot(campaign, reports.get(key)) for key, campaign in found.items()}
    return _singly(account, sorted(set(wanted) - found.keys()), listed)


def _singly(
    account: MailchimpCampaigns, wanted: Iterable[str], listed: Mapping[str, CampaignSnapshot]
) -> CampaignSnapshots:
    seen, failed = dict(listed), dict[str, TransientError]()
    for key in wanted:
        try:
            snapshot = account.snapshot(key)
        except TransientError as error:
            failed[key] = error
        else:
            seen |= {key: snapshot} if snapshot else {}
    return CampaignSnapshots(seen, failed)


def _reports(account: MailchimpCampaigns, of: Collection[MailchimpCampaign]) -> Mapping[str, MailchimpReport]:
    """Return the reports there are of these campaigns, by their ids."""
    if not of:
        return {}
    wanted = {campaign.id for campaign in of}
    found: dict[str, MailchimpReport] = {}
    for report in account.reports(since_send_time=_just_before_the_first(of)):
        if report.id in wanted:
            found.setdefault(report.id, report)
        if len(found) == len(wanted):
            break
    return found


def _just_before_the_first(of: Collection[MailchimpCampaign]) -> datetime | None:
    times = [campaign.send_time for campaign in of if campaign.send_time is not None]
    # Mailchimp gives what was sent after a moment, not at it.
    return min(times) - _ONE_SECOND if len(times) == len(of) else None
