"""The JSON of audiences, merge fields, segments and webhooks."""

from sandbox.model.audiences import Audience
from sandbox.model.members import Status
from sandbox.model.merge_fields import MergeField
from sandbox.model.static_segments import StaticSegment
from sandbox.model.webhooks import EVENTS, SOURCES, Webhook
from sandbox.web.member_shapes import moment


def audience_shape(audience: Audience, campaigns: int, last_sent: str, *, total_contacts: bool) -> dict[str, object]:
    """Return the JSON of an audience."""
    about = audience.description
    return {
        "id": audience.id,
        "web_id": audience.web_id,
        "name": about.name,
        "contact": {
            "company": about.company,
            "address1": "1 Main Street",
            "address2": "",
            "city": "Springfield",
            "state": "",
            "zip": "",
            "country": "US",
            "phone": "",
        },
        "permission_reminder": f"You receive this because you work with {about.company}.",
        "use_archive_bar": True,
        "campaign_defaults": {
            "from_name": about.from_name,
            "from_email": about.from_email,
            "subject": "",
            "language": about.language,
        },
        "notify_on_subscribe": "",
        "notify_on_unsubscribe": "",
        "date_created": moment(audience.created_at),
        "list_rating": 0,
        "email_type_option": False,
        "subscribe_url_short": "",
        "subscribe_url_long": "",
        "beamer_address": "",
        "visibility": "prv",
        "double_optin": about.double_optin,
        "has_welcome": False,
        "marketing_permissions": about.marketing_permissions,
        "modules": [],
        "stats": _stats(audience, campaigns, last_sent, total_contacts=total_contacts),
        "_links": [],
    }


def merge_field_shape(audience: Audience, field: MergeField) -> dict[str, object]:
    """Return the JSON of a merge field."""
    options: dict[str, object] = {"choices": list(field.choices)} if field.choices else {"size": 25}
    return {
        "merge_id": field.merge_id,
        "tag": field.tag,
        "name": field.name,
        "type": field.kind,
        "required": field.required,
        "default_value": field.default_value,
        "public": field.public,
        "display_order": field.display_order,
        "options": options,
        "help_text": field.help_text,
        "list_id": audience.id,
        "_links": [],
    }


def segment_shape(audience: Audience, segment: StaticSegment) -> dict[str, object]:
    """Return the JSON of a static segment. `member_count` counts subscribed members only."""
    members = (audience.members_by_number[number] for number in segment.joined)
    return {
        "id": segment.id,
        "name": segment.name,
        "member_count": sum(member is not None and member.status is Status.SUBSCRIBED for member in members),
        "type": "static",
        "created_at": moment(segment.created_at),
        "updated_at": moment(segment.updated_at),
        "options": {"match": "any", "conditions": []},
        "list_id": audience.id,
        "_links": [],
    }


def webhook_shape(audience: Audience, webhook: Webhook) -> dict[str, object]:
    """Return the JSON of a webhook without its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": {name: name in webhook.events for name in EVENTS},
        "sources": {name: name in webhook.sources for name in SOURCES},
        "signing_enabled": webhook.secret is not None,
        "list_id": audience.id,
        "_links": [],
    }


def _stats(audience: Audience, campaigns: int, last_sent: str, *, total_contacts: bool) -> dict[str, object]:
    status_counts = audience.status_counts
    stats: dict[str, object] = {
        "member_count": status_counts[Status.SUBSCRIBED],
        "unsubscribe_count": status_counts[Status.UNSUBSCRIBED],
        "cleaned_count": status_counts[Status.CLEANED],
        "member_count_since_send": 0,
        "unsubscribe_count_since_send": 0,
        "cleaned_count_since_send": 0,
        "campaign_count": campaigns,
        "campaign_last_sent": last_sent,
        "merge_field_count": len(audience.merge_fields),
        "avg_sub_rate": 0,
        "avg_unsub_rate": 0,
        "target_sub_rate": 0,
        "open_rate": 0,
        "click_rate": 0,
        "last_sub_date": moment(audience.last_subscribed),
        "last_unsub_date": moment(audience.last_unsubscribed),
    }
    return (
        stats | {"total_contacts": sum(status_counts.values()) - status_counts[Status.ARCHIVED]}
        if total_contacts
        else stats
    )
