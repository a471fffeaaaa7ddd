"""A valid input for each procedure, and rows to pass to it.

A procedure without an example fails the tests that iterate over the registry.
"""

from collections.abc import Callable, Mapping
from typing import Any

from api.trpc import Procedure
from mailchimp_pipeline_tests.api.procedures.stage import NO_INPUT, Tenant

NO_ID = "00000000-0000-4000-8000-000000000000"
_ENTITY = {"entityId": "1", "entityType": "employee"}

EXAMPLES: Mapping[str, Any] = {
    "mailchimp.connection.get": NO_INPUT,
    "mailchimp.connection.connect": {"apiKey": "0123456789abcdef0123456789abcdef-us6"},
    "mailchimp.connection.disconnect": NO_INPUT,
    "mailchimp.connection.listAudiences": NO_INPUT,
    "mailchimp.segments.list": {"limit": 1, "cursor": None},
    "mailchimp.segments.get": {"id": NO_ID},
    "mailchimp.segments.create": {
        "name": "Everybody",
        "description": None,
        "segmentType": "mixed",
        "mailchimpListId": "a1b2c3d4e5",
        "filterCriteria": {"department": "Sales", "location": ["Berlin"]},
        "onLeave": "keep",
    },
    "mailchimp.segments.update": {"id": NO_ID, "name": "Other", "description": "", "onLeave": "archive"},
    "mailchimp.segments.delete": {"id": NO_ID},
    "mailchimp.segments.sync": {"id": NO_ID},
    "mailchimp.segments.rejected": {"id": NO_ID, "limit": 1, "cursor": None},
    "mailchimp.segments.retryRejected": {"id": NO_ID},
    "mailchimp.segments.preview": {"segmentType": "mixed", "filterCriteria": {"employmentType": []}},
    "mailchimp.segments.previewSync": {"id": NO_ID},
    "mailchimp.segments.history": {"id": NO_ID, "limit": 1, "cursor": None},
    "mailchimp.segments.filterValues": NO_INPUT,
    "mailchimp.campaigns.list": {"limit": 1, "cursor": None},
    "mailchimp.campaigns.available": NO_INPUT,
    "mailchimp.campaigns.get": {"id": NO_ID},
    "mailchimp.campaigns.history": {"id": NO_ID, "limit": 1, "cursor": None},
    "mailchimp.campaigns.trackCampaign": {"mailchimpCampaignId": "a1b2c3d4e5"},
    "mailchimp.campaigns.refreshStats": {"id": NO_ID},
    "mailchimp.contacts.segments": {**_ENTITY, "limit": 1, "cursor": None},
    "mailchimp.preferences.getForEntity": _ENTITY,
    "mailchimp.preferences.list": {"limit": 100, "cursor": None},
    "mailchimp.preferences.updateOptStatus": {**_ENTITY, "optedIn": False, "consentSource": "dashboard"},
    "mailchimp.preferences.findByAddress": {"address": "person1@acme.test"},
    "mailchimp.preferences.getConsentRule": NO_INPUT,
    "mailchimp.preferences.setConsentRule": {"optInOnly": True},
    "mailchimp.preferences.gdprDelete": _ENTITY,
    "mailchimp.preferences.pendingErasures": NO_INPUT,
    "mailchimp.preferences.export": _ENTITY,
    "mailchimp.audit.list": {"limit": 2, "cursor": None, "entityType": "segment", "entityId": NO_ID, "actor": "alice"},
}


def _segment(tenant: Tenant) -> str:
    made: str = tenant.create().data["id"]
    return made


def _campaign(tenant: Tenant) -> str:
    at_mailchimp = tenant.stage.sandbox.add_campaign(tenant.list_id)
    tracked: str = tenant.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": at_mailchimp}).data["id"]
    return tracked


OWNED: Mapping[str, Callable[[Tenant], str]] = {"mailchimp.segments": _segment, "mailchimp.campaigns": _campaign}
"""Functions that create a row and return its id, by router."""


def an_input(tenant: Tenant, procedure: Procedure) -> Any:  # noqa: ANN401 - whatever the procedure takes
    """Return an input on which the procedure succeeds."""
    suited = {
        "mailchimp.connection.connect": lambda: {"apiKey": tenant.api_key},
        "mailchimp.segments.create": lambda: {"mailchimpListId": tenant.list_id},
        "mailchimp.campaigns.trackCampaign": lambda: {
            "mailchimpCampaignId": tenant.stage.sandbox.add_campaign(tenant.list_id)
        },
    }
    example, router = EXAMPLES[procedure.path], procedure.path.rpartition(".")[0]
    if made := suited.get(procedure.path):
        return example | made()
    takes_id = example is not NO_INPUT and "id" in example
    return example | {"id": OWNED[router](tenant)} if router in OWNED and takes_id else example
