"""The routes for an account's campaigns and reports."""

from collections.abc import Callable
from datetime import UTC, datetime

from sandbox.model import problems
from sandbox.model.campaigns import LISTABLE, Campaign
from sandbox.web import samples
from sandbox.web.campaign_shapes import campaign_shape, report_shape
from sandbox.web.endpoints import Answer, Call, Endpoint
from sandbox.web.queries import FIELDS, PAGES, Query

_KINDS = ("regular", "plaintext", "absplit", "rss", "variate")
_SENT = ("since_send_time", "before_send_time")
_LISTED = PAGES | {
    *_SENT,
    "since_create_time",
    "before_create_time",
    "status",
    "type",
    "list_id",
    "sort_field",
    "sort_dir",
}
_NEVER = datetime.min.replace(tzinfo=UTC)


def list_campaigns(call: Call) -> Answer:
    """GET /campaigns."""
    found = _ordered(_found(call), call.query)
    shapes = [_shape(call, campaign) for campaign in call.query.page(found)]
    return Answer({"campaigns": shapes, "total_items": len(found), "_links": []})


def get_campaign(call: Call) -> Answer:
    """GET a campaign."""
    return Answer(_shape(call, call.account.campaign(call.path_parameters["campaign_id"])))


def list_reports(call: Call) -> Answer:
    """GET /reports."""
    is_sent_then = _window(call.query, "send_time", lambda campaign: campaign.send_time)
    kind = call.query.choice("type", _KINDS)
    found = [
        campaign
        for campaign in call.account.campaigns.values()
        if campaign.was_sent(call.state.now()) and is_sent_then(campaign) and kind in {None, campaign.kind}
    ]
    shapes = [_report(call, campaign) for campaign in call.query.page(found)]
    return Answer({"reports": shapes, "total_items": len(found), "_links": []})


def get_report(call: Call) -> Answer:
    """GET a report. It exists after sending starts."""
    campaign = call.account.campaign(call.path_parameters["campaign_id"])
    if not campaign.was_sent(call.state.now()):
        raise problems.not_found()
    return Answer(_report(call, campaign))


def _found(call: Call) -> list[Campaign]:
    query = call.query
    status, kind = query.choice("status", LISTABLE), query.choice("type", _KINDS)
    list_id = query.text("list_id")
    is_sent_then = _window(query, "send_time", lambda campaign: campaign.send_time)
    is_made_then = _window(query, "create_time", lambda campaign: campaign.created_at)
    return [
        campaign
        for campaign in call.account.campaigns.values()
        if status in {None, campaign.status}
        and kind in {None, campaign.kind}
        and list_id in {None, campaign.list_id}
        and is_sent_then(campaign)
        and is_made_then(campaign)
    ]


def _window(query: Query, name: str, of: Callable[[Campaign], datetime | None]) -> Callable[[Campaign], bool]:
    since, before = query.moment(f"since_{name}"), query.moment(f"before_{name}")

    def is_within(campaign: Campaign) -> bool:
        moment = of(campaign)
        if moment is None:
            return since is None and before is None
        return (since is None or moment > since) and (before is None or moment < before)

    return is_within


def _ordered(found: list[Campaign], query: Query) -> list[Campaign]:
    by = query.choice("sort_field", ("create_time", "send_time"))
    if by == "send_time":
        return sorted(found, key=lambda campaign: campaign.send_time or _NEVER, reverse=query.is_descending())
    return sorted(found, key=lambda campaign: campaign.created_at, reverse=query.is_descending())


def _shape(call: Call, campaign: Campaign) -> dict[str, object]:
    audience = call.account.audience(campaign.list_id)
    return campaign_shape(campaign, audience, sent=campaign.was_sent(call.state.now()))


def _report(call: Call, campaign: Campaign) -> dict[str, object]:
    return report_shape(campaign, call.account.audience(campaign.list_id))


ENDPOINTS = (
    Endpoint("GET", "/campaigns", list_campaigns, query=_LISTED, samples={"campaigns": samples.CAMPAIGN}),
    Endpoint("GET", "/campaigns/{campaign_id}", get_campaign, query=FIELDS),
    Endpoint("GET", "/reports", list_reports, query=PAGES | {"type", *_SENT}, samples={"reports": samples.REPORT}),
    Endpoint("GET", "/reports/{campaign_id}", get_report, query=FIELDS),
)
