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

_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_HERE = Audience("", 0, Description(""), _THEN, lambda _delivery: None)
_SOMEBODY = Member(0, "", "", Status.SUBSCRIBED, _THEN)
_SOMETHING = Campaign("", 0, "", "", "", _THEN)

# An empty array accepts every name below it: each audience has its own merge fields and interests.
_ANY: dict[str, object] = {"merge_fields": [], "interests": []}

AUDIENCE = audience_shape(_HERE, 0, "", total_contacts=True)
MEMBER = {**member_shape(_HERE, _SOMEBODY), **_ANY}
BATCH_MEMBER = {**batch_member_shape(_HERE, _SOMEBODY), **_ANY}
MERGE_FIELD = merge_field_shape(_HERE, MergeField(0, "", ""))
SEGMENT = segment_shape(_HERE, StaticSegment(0, "", _THEN, _THEN))
CAMPAIGN = campaign_shape(_SOMETHING, _HERE, sent=True)
REPORT = report_shape(_SOMETHING, _HERE)
