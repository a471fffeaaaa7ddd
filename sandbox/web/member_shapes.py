"""The JSON of members. Blank values are empty strings, never null or absent, as in Mailchimp."""

from datetime import datetime
from functools import lru_cache

from sandbox.model.audiences import Audience
from sandbox.model.member_events import unique_email_id
from sandbox.model.members import DEFAULT_ATTRIBUTES, Member, MemberAttributes, Status

TAGS_SHOWN = 50

_NO_STATS = {"avg_open_rate": 0, "avg_click_rate": 0}
_NUMBERS_PER_AUDIENCE = 10_000_000


@lru_cache(maxsize=1024)
def moment(value: datetime | None) -> str:
    """Return a time in Mailchimp's format, or an empty string."""
    return "" if value is None else value.isoformat()


def member_shape(audience: Audience, member: Member) -> dict[str, object]:
    """Return the JSON of a member in member routes and listings."""
    shape = batch_member_shape(audience, member)
    merge_fields = audience.merge_fields.read(member.values)
    shape |= {
        "full_name": f"{merge_fields.get('FNAME', '')} {merge_fields.get('LNAME', '')}".strip(),
        "web_id": audience.web_id * _NUMBERS_PER_AUDIENCE + member.number,
        "unsubscribe_reason": member.unsubscribe_reason,
        "consents_to_one_to_one_messaging": member.status is Status.SUBSCRIBED,
        "sms_phone_number": "",
        "sms_subscription_status": "nonsubscribed",
        "sms_subscription_last_updated": "",
        "location": {**_location(member.attributes), "region": ""},
        "source": member.source,
    }
    if audience.description.marketing_permissions:
        shape["marketing_permissions"] = _permissions(audience, member)
    return shape


def batch_member_shape(audience: Audience, member: Member) -> dict[str, object]:
    """Return the JSON of a member in the answer to a batch."""
    attributes = member.attributes
    tags = [{"id": segment.id, "name": segment.name} for segment in audience.segments.of(member.number)]
    return {
        "id": member.id,
        "email_address": member.address,
        "unique_email_id": unique_email_id(member),
        "contact_id": audience.contact_id(member),
        "email_type": attributes.email_type,
        "status": member.status,
        "merge_fields": audience.merge_fields.read(member.values),
        "interests": attributes.interests,
        "stats": _NO_STATS,
        "ip_signup": attributes.ip_signup,
        "timestamp_signup": attributes.timestamp_signup,
        "ip_opt": attributes.ip_opt,
        "timestamp_opt": moment(member.opted_in_at),
        "member_rating": 2,
        "last_changed": moment(member.last_changed),
        "language": attributes.language,
        "vip": attributes.vip,
        "email_client": "",
        "location": _NOWHERE if attributes is DEFAULT_ATTRIBUTES else _location(attributes),
        "tags_count": len(tags),
        "tags": tags[:TAGS_SHOWN],
        "list_id": audience.id,
        "_links": [],
    }


def _location(attributes: MemberAttributes) -> dict[str, object]:
    return {
        "latitude": attributes.latitude,
        "longitude": attributes.longitude,
        "gmtoff": 0,
        "dstoff": 0,
        "country_code": "",
        "timezone": "",
    }


def _permissions(audience: Audience, member: Member) -> list[dict[str, object]]:
    """Return three marketing permissions, whose ids belong to the audience."""
    texts = ("Email", "Direct Mail", "Customized Online Advertising")
    ids = [f"{audience.id}{number}" for number, _ in enumerate(texts)]
    return [
        {"marketing_permission_id": key, "text": text, "enabled": key in member.attributes.permissions}
        for key, text in zip(ids, texts, strict=True)
    ]


_NOWHERE = _location(DEFAULT_ATTRIBUTES)
