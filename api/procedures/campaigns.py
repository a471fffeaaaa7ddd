"""`mailchimp.campaigns`: the tracked campaigns, their figures and history, and the campaigns that can be tracked."""

import re
from dataclasses import asdict
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from api.procedures.context import Context
from api.procedures.inputs import PageInput, not_found
from api.trpc import Router, TRPCError, UtcTime, WireModel
from mailchimp_pipeline.campaigns import CampaignStatus, MailchimpCampaign, Stats, campaign_status, refresh
from mailchimp_pipeline.database.campaign_store import CampaignStore

router: Router[Context] = Router("mailchimp.campaigns")

_MOST_AVAILABLE = 100

Rate = Annotated[float, Field(ge=0, le=1)]


class CampaignInput(WireModel):
    """A tracked campaign, by its id."""

    id: str


_PAGE = re.compile(r"https://[^/?#]*\bmailchimp\.com/[^?#]*\?(?:[^#]*&)?id=([0-9]+)(?:[&#].*)?")


def _without_page(text: str) -> str:
    """Return the number in the address of a campaign's page at Mailchimp, and any other text as it is."""
    page = _PAGE.fullmatch(text)
    return page[1] if page else text


class TrackInput(WireModel):
    """The campaign to track."""

    mailchimp_campaign_id: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_without_page)
    ]
    """The id that Mailchimp's API uses, the address of the campaign's page at Mailchimp, or the number in it."""


class HistoryInput(PageInput):
    """A page of a campaign's history."""

    id: str


class CampaignView(WireModel):
    """A tracked campaign with its latest figures. The figures are null until it is sent."""

    id: str
    mailchimp_campaign_id: str
    title: str
    subject_line: str | None
    mailchimp_list_id: str | None
    status: CampaignStatus
    open_rate: Rate | None
    """The share of delivered e-mails that were opened, 0 to 1, as Mailchimp reports it."""
    click_rate: Rate | None
    """The share of delivered e-mails with a click, 0 to 1."""
    emails_sent: int | None
    unique_opens: int | None
    unique_clicks: int | None
    send_time: UtcTime | None
    last_refreshed_at: UtcTime | None
    missing_since: UtcTime | None
    """When the campaign was found deleted or archived at Mailchimp; its last figures stay. Null if Mailchimp has it."""
    created_at: UtcTime


class CampaignPage(WireModel):
    """A page of campaigns, the most recently tracked first."""

    items: list[CampaignView]
    next_cursor: str | None


class AvailableCampaign(WireModel):
    """A campaign of the connected account that is not tracked. Mailchimp's texts may be empty."""

    mailchimp_campaign_id: str
    title: str
    subject_line: str
    mailchimp_list_id: str
    mailchimp_list_name: str
    status: CampaignStatus
    send_time: UtcTime | None


class CampaignStats(WireModel):
    """The figures of a campaign at one refresh."""

    refreshed_at: UtcTime
    status: CampaignStatus
    emails_sent: int
    opens: int
    unique_opens: int
    open_rate: Rate
    open_rate_without_machine_opens: Rate | None
    """The open rate without opens by mail programs; null for campaigns sent before 22 June 2024."""
    clicks: int
    unique_clicks: int
    click_rate: Rate
    bounces: int
    unsubscribes: int


class CampaignHistory(WireModel):
    """A page of a campaign's figures, the latest first."""

    items: list[CampaignStats]
    next_cursor: str | None


@router.query("list")
def list_campaigns(context: Context, wanted: PageInput | None) -> CampaignPage:
    """Return a page of the tracked campaigns, the most recently tracked first."""
    asked = wanted or PageInput()
    with context.session() as session:
        return CampaignPage.model_validate(CampaignStore(session).list(limit=asked.limit, cursor=asked.cursor))


@router.query("available")
def available(context: Context) -> list[AvailableCampaign]:
    """Return the campaigns of the connected account that are not tracked, the latest created first, at most 100."""
    with context.session() as session:
        known = set(CampaignStore(session).tracked())
    found: list[AvailableCampaign] = []
    with context.mailchimp() as mailchimp:
        for campaign in mailchimp.campaigns():
            # A campaign that is created meanwhile moves another one to the next page.
            if campaign.id not in known:
                known.add(campaign.id)
                found.append(_available(campaign))
            if len(found) == _MOST_AVAILABLE:
                break
    return found


@router.query("get")
def get(context: Context, wanted: CampaignInput) -> CampaignView:
    """Return one tracked campaign."""
    with context.session() as session:
        found = CampaignStore(session).get(wanted.id)
    if found is None:
        raise not_found("campaign")
    return CampaignView.model_validate(found)


@router.query("history")
def history(context: Context, wanted: HistoryInput) -> CampaignHistory:
    """Return a page of a campaign's figures over time, the latest first."""
    with context.session() as session:
        found = CampaignStore(session).history(wanted.id, limit=wanted.limit, cursor=wanted.cursor)
    if found is None:
        raise not_found("campaign")
    return CampaignHistory(items=[_shown(stats) for stats in found.items], next_cursor=found.next_cursor)


@router.mutation("trackCampaign")
def track_campaign(context: Context, wanted: TrackInput) -> CampaignView:
    """Track a campaign of the connected account, and read its figures. If it is already tracked, it is refreshed."""
    asked_at = context.clock()
    given = wanted.mailchimp_campaign_id
    with context.mailchimp() as mailchimp:
        snapshot = mailchimp.snapshot(given)
        if snapshot is None and given.isdecimal() and (campaign_id := mailchimp.campaign_id_of(given)):
            snapshot = mailchimp.snapshot(campaign_id)
    if snapshot is None:
        raise TRPCError(
            "NOT_FOUND",
            "The connected account has no such campaign. Give the id that Mailchimp's API uses, or the address of the "
            "campaign's page at Mailchimp",
        )
    with context.session() as session:
        store = CampaignStore(session)
        tracked = store.track(snapshot, seen_at=asked_at, by=context.actor, at=context.clock())
        return CampaignView.model_validate(tracked)


@router.mutation("refreshStats")
def refresh_stats(context: Context, wanted: CampaignInput) -> CampaignView:
    """Refresh a campaign's figures now. If Mailchimp no longer has it, it is marked as missing and its figures stay."""
    tracked, asked_at = get(context, wanted), context.clock()
    with context.mailchimp() as mailchimp:
        found = refresh(tracked.status, mailchimp.snapshot(tracked.mailchimp_campaign_id), asked_at)
    with context.session() as session:
        refreshed = CampaignStore(session).write(tracked.id, found, by=context.actor, at=context.clock())
    if refreshed is None:
        raise not_found("campaign")
    return CampaignView.model_validate(refreshed)


def _available(campaign: MailchimpCampaign) -> AvailableCampaign:
    return AvailableCampaign(
        mailchimp_campaign_id=campaign.id,
        title=campaign.title,
        subject_line=campaign.subject_line,
        mailchimp_list_id=campaign.list_id,
        mailchimp_list_name=campaign.list_name,
        status=campaign_status(campaign),
        send_time=campaign.send_time,
    )


def _shown(stats: Stats) -> CampaignStats:
    return CampaignStats(refreshed_at=stats.refreshed_at, status=stats.status, **asdict(stats.figures))
