"""Campaigns and reports as Mailchimp describes them, and fetching many of them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from mailchimp_pipeline.errors import TransientError

_NEVER_SENT: Final = frozenset({"save", "schedule"})
_ONE_SECOND: Final = timedelta(seconds=1)
"""The resolution of Mailchimp's times."""


@dataclass(frozen=True, slots=True)
class MailchimpCampaign:
    """A campaign as Mailchimp describes it. `status` is Mailchimp's status."""

    id: str
    status: str
    title: str = ""
    subject_line: str = ""
    list_id: str = ""
    send_time: datetime | None = None

    @property
    def may_have_report(self) -> bool:
        """Whether e-mail may have been sent. The send time of a draft or a scheduled campaign is only a plan."""
        return self.status not in _NEVER_SENT and (self.send_time is not None or self.status in {"sending", "sent"})


@dataclass(frozen=True, slots=True)
class MailchimpReport:
    """Mailchimp's report of a campaign. Rates are fractions, 0 to 1, None if Mailchimp does not give them.

    `unique_clicks` counts each link once per person; `subscriber_clicks` counts the people who clicked.
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
    """A campaign at Mailchimp, with its report if there is one."""

    campaign: MailchimpCampaign
    report: MailchimpReport | None = None


@dataclass(frozen=True, slots=True)
class CampaignSnapshots:
    """Snapshots and errors by campaign id. A campaign in neither does not exist at Mailchimp."""

    seen: Mapping[str, CampaignSnapshot]
    failed: Mapping[str, TransientError]


class MailchimpCampaigns(Protocol):
    """The campaigns of one account. Listings may repeat an entry, but leave none out."""

    def campaigns(self) -> Iterable[MailchimpCampaign]:
        """Yield all campaigns, newest first. Pages are read on demand."""
        ...

    def reports(self, *, since_send_time: datetime | None = None) -> Iterable[MailchimpReport]:
        """Yield the reports of campaigns sent after the time. Pages are read on demand."""
        ...

    def snapshot(self, campaign_id: str) -> CampaignSnapshot | None:
        """Return a campaign with its report, None if the account does not have the campaign."""
        ...


def fetch_snapshots(account: MailchimpCampaigns, wanted: Collection[str]) -> CampaignSnapshots:
    """Return the snapshots of the wanted campaigns, by id.

    Pages of campaigns are read until all are found, newest first: one page is enough if they are among the newest
    thousand. A campaign on no page is read by its id, because only Mailchimp's answer about it proves that it does not
    exist. If that call fails with `TransientError`, the error is in the result, and the others are still read.
    """
    found: dict[str, MailchimpCampaign] = {}
    for campaign in account.campaigns():
        if campaign.id in wanted:
            found.setdefault(campaign.id, campaign)
        if len(found) == len(wanted):
            break
    reports = _reports(account, [campaign for campaign in found.values() if campaign.may_have_report])
    listed = {key: CampaignSnapshot(campaign, reports.get(key)) for key, campaign in found.items()}
    return _one_by_one(account, sorted(set(wanted) - found.keys()), listed)


def _one_by_one(
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
    """Return the existing reports of these campaigns, by campaign id."""
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
    # Mailchimp's filter excludes the time itself.
    return min(times) - _ONE_SECOND if len(times) == len(of) else None
