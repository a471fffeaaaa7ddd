"""The JSON of campaigns and reports. Rates are between 0 and 1."""

from sandbox.model.audiences import Audience
from sandbox.model.campaigns import Campaign, Figures
from sandbox.model.members import Status
from sandbox.web.member_shapes import moment

_NO_SALES = {"total_orders": 0, "total_spent": 0, "total_revenue": 0}


def campaign_shape(campaign: Campaign, audience: Audience, *, sent: bool) -> dict[str, object]:
    """Return the JSON of a campaign, with a report summary if it was sent."""
    shape: dict[str, object] = {
        "id": campaign.id,
        "web_id": campaign.web_id,
        "type": campaign.kind,
        "create_time": moment(campaign.created_at),
        "archive_url": "",
        "long_archive_url": "",
        "status": campaign.status.value,
        "emails_sent": campaign.figures.emails_sent,
        "send_time": moment(campaign.send_time),
        "content_type": "template",
        "needs_block_refresh": False,
        "resendable": sent,
        "recipients": _recipients(campaign, audience),
        "settings": _settings(campaign),
        "tracking": {"opens": True, "html_clicks": True, "text_clicks": False, "goal_tracking": False},
        "delivery_status": {"enabled": False},
        "_links": [],
    }
    return shape | {"report_summary": _summary(campaign.figures)} if sent else shape


def report_shape(campaign: Campaign, audience: Audience) -> dict[str, object]:
    """Return the JSON of a campaign's report."""
    figures, last = campaign.figures, moment(campaign.send_time)
    return {
        "id": campaign.id,
        "campaign_title": campaign.title,
        "type": campaign.kind,
        "list_id": audience.id,
        "list_is_active": True,
        "list_name": audience.description.name,
        "subject_line": campaign.subject_line,
        "preview_text": "",
        "emails_sent": figures.emails_sent,
        "abuse_reports": figures.abuse_reports,
        "unsubscribed": figures.unsubscribed,
        "send_time": moment(campaign.send_time),
        "bounces": {"hard_bounces": figures.hard_bounces, "soft_bounces": figures.soft_bounces, "syntax_errors": 0},
        "forwards": {"forwards_count": 0, "forwards_opens": 0},
        "opens": _opens(figures, last if figures.opens else ""),
        "clicks": _clicks(figures, last if figures.clicks else ""),
        "facebook_likes": {"recipient_likes": 0, "unique_likes": 0, "facebook_likes": 0},
        "list_stats": {"sub_rate": 0, "unsub_rate": 0, "open_rate": 0, "click_rate": 0},
        "timeseries": [],
        "ecommerce": {**_NO_SALES, "currency_code": "USD"},
        "delivery_status": {"enabled": False},
        "_links": [],
    }


def _recipients(campaign: Campaign, audience: Audience) -> dict[str, object]:
    return {
        "list_id": campaign.list_id,
        "list_is_active": True,
        "list_name": audience.description.name,
        "segment_text": "",
        "recipient_count": audience.status_counts[Status.SUBSCRIBED],
    }


def _settings(campaign: Campaign) -> dict[str, object]:
    return {
        "subject_line": campaign.subject_line,
        "preview_text": "",
        "title": campaign.title,
        "from_name": campaign.from_name,
        "reply_to": "news@acme.test",
        "use_conversation": False,
        "to_name": "",
        "folder_id": "",
        "authenticate": True,
        "auto_footer": False,
        "inline_css": False,
        "auto_tweet": False,
        "fb_comments": False,
        "timewarp": False,
        "template_id": 0,
        "drag_and_drop": False,
    }


def _summary(figures: Figures) -> dict[str, object]:
    return {
        "opens": figures.opens,
        "unique_opens": figures.unique_opens,
        "open_rate": figures.open_rate,
        "clicks": figures.clicks,
        "subscriber_clicks": figures.subscriber_clicks,
        "click_rate": figures.click_rate,
        "ecommerce": _NO_SALES,
    }


def _opens(figures: Figures, last_open: str) -> dict[str, object]:
    opens: dict[str, object] = {
        "opens_total": figures.opens,
        "unique_opens": figures.unique_opens,
        "open_rate": figures.open_rate,
        "last_open": last_open,
    }
    if figures.proxy_excluded_unique_opens is not None:
        opens |= {
            "proxy_excluded_opens": figures.proxy_excluded_opens or 0,
            "proxy_excluded_unique_opens": figures.proxy_excluded_unique_opens,
            "proxy_excluded_open_rate": figures.proxy_excluded_open_rate,
        }
    return opens


def _clicks(figures: Figures, last_click: str) -> dict[str, object]:
    return {
        "clicks_total": figures.clicks,
        "unique_clicks": figures.unique_clicks,
        "unique_subscriber_clicks": figures.subscriber_clicks,
        "click_rate": figures.click_rate,
        "last_click": last_click,
    }
