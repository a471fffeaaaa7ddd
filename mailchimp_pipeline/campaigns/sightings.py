"""What Mailchimp says of campaigns, in its words, and how an account is asked about many of them at once.

What does not belong here: what its words mean (`refresh`), the calls themselves (`mailchimp`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from mailchimp_pipeline.errors import PassingError

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
class Sighting:
    """A campaign as it was seen at Mailchimp, with its report where it has one."""

    campaign: MailchimpCampaign
    report: MailchimpReport | None = None


@dataclass(frozen=True, slots=True)
class Sightings:
    """What was seen of some campaigns, by Mailchimp's ids, and why one was not; what is in neither is not there."""

    seen: Mapping[str, Sighting]
    failed: Mapping[str, PassingError]


class MailchimpCampaigns(Protocol):
    """The campaigns of one account. Either listing may give an entry twice, and leaves none out."""

    def campaigns(self) -> Iterable[MailchimpCampaign]:
        """Yield all campaigns, the newest first, read page by page as they are wanted."""
        ...

    def reports(self, *, since_send_time: datetime | None = None) -> Iterable[MailchimpReport]:
        """Yield the reports of campaigns sent after the moment, read page by page as they are wanted."""
        ...

    def sighting(self, campaign_id: str) -> Sighting | None:
        """Return one campaign with its report; None where the account has no such campaign."""
        ...


def sight(account: MailchimpCampaigns, wanted: Collection[str]) -> Sightings:
    """Return those of the wanted campaigns that the account has.

    Asks for no more pages than hold them: two requests where all are among the newest thousand. One that no page
    had is asked for by itself: it is given up for good on Mailchimp's word alone, never on a listing's silence.
    Where that call gets no answer, the other campaigns are seen all the same.
    """
    found: dict[str, MailchimpCampaign] = {}
    for campaign in account.campaigns():
        if campaign.id in wanted:
            found.setdefault(campaign.id, campaign)
        if len(found) == len(wanted):
            break
    reports = _reports(account, [campaign for campaign in found.values() if campaign.may_have_report])
    listed = {key: Sighting(campaign, reports.get(key)) for key, campaign in found.items()}
    return _singly(account, sorted(set(wanted) - found.keys()), listed)


def _singly(account: MailchimpCampaigns, wanted: Iterable[str], listed: Mapping[str, Sighting]) -> Sightings:
    seen, failed = dict(listed), dict[str, PassingError]()
    for key in wanted:
        try:
            sighting = account.sighting(key)
        except PassingError as error:
            failed[key] = error
        else:
            seen |= {key: sighting} if sighting else {}
    return Sightings(seen, failed)


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
