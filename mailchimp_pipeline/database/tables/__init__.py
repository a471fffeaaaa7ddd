"""The tables, as typed rows. Migrations create the tables; a test compares both.

What does not belong here: queries (the stores), rules.
"""

from mailchimp_pipeline.database.tables.audiences import (
    AudienceMemberRow,
    AudienceReadRow,
    RejectedContactRow,
    SegmentMemberRow,
    SegmentRow,
    SyncRequestRow,
)
from mailchimp_pipeline.database.tables.campaigns import CampaignRow, CampaignStatsRow
from mailchimp_pipeline.database.tables.consent import (
    ConsentStatementRow,
    ErasedContactRow,
    ErasureRequestRow,
    PreferenceRow,
    PseudonymKeyRow,
)
from mailchimp_pipeline.database.tables.declarative import OrganisationRow, Row, as_value, of_contact, row_id, row_ids
from mailchimp_pipeline.database.tables.organisations import AuditRow, ConnectionRow
from mailchimp_pipeline.database.tables.webhooks import WebhookRow

__all__ = [
    "AudienceMemberRow",
    "AudienceReadRow",
    "AuditRow",
    "CampaignRow",
    "CampaignStatsRow",
    "ConnectionRow",
    "ConsentStatementRow",
    "ErasedContactRow",
    "ErasureRequestRow",
    "OrganisationRow",
    "PreferenceRow",
    "PseudonymKeyRow",
    "RejectedContactRow",
    "Row",
    "SegmentMemberRow",
    "SegmentRow",
    "SyncRequestRow",
    "WebhookRow",
    "as_value",
    "of_contact",
    "row_id",
    "row_ids",
]
