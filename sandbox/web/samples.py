"""A sample item of each listing, so that `fields` works on empty listings."""

from datetime import UTC, datetime

from sandbox.model.audiences import Audience, Description
from sandbox.model.campaigns import Campaign
from sandbox.model.members import Member, Status
from sandbox.model.merge_fields import MergeField
from sandbox.model.static_segments import StaticSegment
from sandbox.web.campaign_shapes import campaign_shape, report_shape
from sandbox.web.list_shapes import audience_shape, merge_field_shape, segment_shape
from sandbox.web.member_shapes import batch_member_shape, member_shape

_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_AUDIENCE = Audience("", 0, Description(""), _DATE, lambda _delivery: None)
_MEMBER = Member(0, "", "", Status.SUBSCRIBED, _DATE)
_CAMPAIGN = Campaign("", 0, "", "", "", _DATE)

# An empty array accepts every name below it: each audience has its own merge fields and interests.
_ANY: dict[str, object] = {"merge_fields": [], "interests": []}

AUDIENCE = audience_shape(_AUDIENCE, 0, "", total_contacts=True)
MEMBER = {**member_shape(_AUDIENCE, _MEMBER), **_ANY}
BATCH_MEMBER = {**batch_member_shape(_AUDIENCE, _MEMBER), **_ANY}
MERGE_FIELD = merge_field_shape(_AUDIENCE, MergeField(0, "", ""))
SEGMENT = segment_shape(_AUDIENCE, StaticSegment(0, "", _DATE, _DATE))
CAMPAIGN = campaign_shape(_CAMPAIGN, _AUDIENCE, sent=True)
REPORT = report_shape(_CAMPAIGN, _AUDIENCE)
