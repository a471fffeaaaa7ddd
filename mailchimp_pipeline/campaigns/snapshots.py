"""Campaigns and reports as Mailchimp describes them, and a function that fetches many of them."""

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
    """A campaign as Mailchimp describes it. `status` is Mailchimp's own word, such as `save` for a draft."""

    id: str
    status: str
    title: str = ""
    subject_line: str = ""
    list_id: str = ""
    send_time: datetime | None = None
    list_name: str = ""

    @property
    def may_have_report(self) -> bool:
        """Whether e-mail may have been sent, so that a report may exist.

        The send time of a draft or a scheduled campaign is only a plan.
        """
        return self.status not in _NEVER_SENT and (self.send_time is not None or self.status in {"sending", "sent"})


@dataclass(frozen=True, slots=True)
class MailchimpReport:
    """Mailchimp's report of a campaign. Rates are fractions of the delivered e-mails, 0 to 1.

    A rate is None if Mailchimp does not give it. `unique_clicks` counts each link once per person; `subscriber_clicks`
    counts the people who clicked. The figures with `proxy_excluded` leave out opens by mail proxies.
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
    """What Mailchimp says about a campaign at one time, with its report if there is one."""

    campaign: MailchimpCampaign
    report: MailchimpReport | None = None


@dataclass(frozen=True, slots=True)
class CampaignSnapshots:
    """The snapshots of several campaigns by id, and in `failed` the errors of those that could not be read.

    A campaign that is in neither does not exist at Mailchimp.
    """

    seen: Mapping[str, CampaignSnapshot]
    failed: Mapping[str, TransientError]


class MailchimpCampaigns(Protocol):
    """Port: the campaigns of one account. A listing may have an entry twice, but leaves none out."""

    def campaigns(self) -> Iterable[MailchimpCampaign]:
        """Yield all campaigns, newest first. A page is read only when its first entry is needed."""
        ...

    def reports(self, *, since_send_time: datetime | None = None) -> Iterable[MailchimpReport]:
        """Yield the reports of campaigns sent after the time. A page is read only when its first entry is needed."""
        ...

    def snapshot(self, campaign_id: str) -> CampaignSnapshot | None:
        """Return a campaign with its report, None if the account does not have the campaign."""
        ...


def fetch_snapshots(account: MailchimpCampaigns, wanted: Collection[str]) -> CampaignSnapshots:
    """Return the snapshots of the wanted campaigns, given by their ids at Mailchimp.

    The listing of campaigns is read until all are found. It begins with the newest, so one page of a thousand is
    usually enough. A campaign that is not in the listing is read by its id, because only that answer proves that it
    does not exist. If this call fails with `TransientError`, the error is in the result, and the others are still read.
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
    """Return the reports of these campaigns by campaign id. A campaign without a report is left out."""
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
