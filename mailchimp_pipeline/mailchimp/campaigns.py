"""Calls about campaigns and their reports."""

from collections.abc import Iterator
from datetime import UTC, datetime

from mailchimp_pipeline.campaigns import CampaignSnapshot, MailchimpCampaign, MailchimpReport
from mailchimp_pipeline.mailchimp.calls import Call, campaign_path
from mailchimp_pipeline.mailchimp.errors import CampaignGone
from mailchimp_pipeline.mailchimp.models import CampaignEntry, EntryPage, Report
from mailchimp_pipeline.mailchimp.pages import read_pages
from mailchimp_pipeline.mailchimp.transport import Transport

_CAMPAIGN = (
    "id",
    "type",
    "status",
    "settings.title",
    "settings.subject_line",
    "recipients.list_id",
    "recipients.list_name",
    "emails_sent",
    "create_time",
    "send_time",
)
_REPORT = ("id", "emails_sent", "send_time", "unsubscribed", "abuse_reports", "bounces", "opens", "clicks")


class CampaignCalls:
    """Calls about the account's campaigns."""

    _transport: Transport

    def campaigns(
        self, *, list_id: str | None = None, since_create_time: datetime | None = None
    ) -> Iterator[MailchimpCampaign]:
        """Yield the campaigns, newest first. A campaign may be repeated."""
        params = {"fields": _of_each("campaigns", _CAMPAIGN), "sort_field": "create_time", "sort_dir": "DESC"}
        params |= {"list_id": list_id} if list_id is not None else {}
        params |= {"since_create_time": _moment(since_create_time)} if since_create_time else {}
        call = Call("GET", "/campaigns", "listing the campaigns", params)
        for page in read_pages(self._transport, call, EntryPage[CampaignEntry]):
            yield from (campaign.described() for campaign in page)

    def campaign(self, campaign_id: str) -> MailchimpCampaign:
        """Return the campaign. Raises `CampaignGone` if the account does not have it."""
        task, fields = f"reading the campaign {campaign_id}", {"fields": ",".join(_CAMPAIGN)}
        call = Call("GET", campaign_path(campaign_id), task, fields, gone=CampaignGone)
        return self._transport.fetch(call, CampaignEntry).described()

    def campaign_id_of(self, web_id: str) -> str | None:
        """Return the id of the campaign with this `web_id`, the number in its page's URL, None if there is none."""
        fields = _of_each("campaigns", ("id", "web_id"))
        params = {"fields": fields, "sort_field": "create_time", "sort_dir": "DESC"}
        call = Call("GET", "/campaigns", "looking a campaign up by the number of its page", params)
        for page in read_pages(self._transport, call, EntryPage[CampaignEntry]):
            for campaign in page:
                if str(campaign.web_id) == web_id:
                    return campaign.id
        return None

    def reports(self, *, since_send_time: datetime | None = None) -> Iterator[MailchimpReport]:
        """Yield the reports of sent campaigns. A report may be repeated."""
        params = {"fields": _of_each("reports", _REPORT)}
        params |= {"since_send_time": _moment(since_send_time)} if since_send_time else {}
        call = Call("GET", "/reports", "listing the campaign reports", params)
        for page in read_pages(self._transport, call, EntryPage[Report]):
            yield from (report.counted() for report in page)

    def report(self, campaign_id: str) -> MailchimpReport:
        """Return the report of a sent campaign. Raises `CampaignGone` if there is none."""
        task, fields = f"reading the report of the campaign {campaign_id}", {"fields": ",".join(_REPORT)}
        call = Call("GET", campaign_path(campaign_id, of="reports"), task, fields, gone=CampaignGone)
        return self._transport.fetch(call, Report).counted()

    def snapshot(self, campaign_id: str) -> CampaignSnapshot | None:
        """Return the campaign with its report, if it has one, None if the account does not have the campaign."""
        try:
            campaign = self.campaign(campaign_id)
        except CampaignGone:
            return None
        if not campaign.may_have_report:
            return CampaignSnapshot(campaign)
        try:
            return CampaignSnapshot(campaign, self.report(campaign_id))
        except CampaignGone:  # the campaign was stopped before sending, or has no figures yet
            return CampaignSnapshot(campaign)


def _of_each(listing: str, fields: tuple[str, ...]) -> str:
    return ",".join([*(f"{listing}.{name}" for name in fields), "total_items"])


def _moment(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
