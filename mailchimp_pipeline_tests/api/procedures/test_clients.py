"""The published tRPC clients against the running API: every procedure, with valid and invalid input."""

import json
from typing import Any

import pytest

from api.procedures.registry import PROCEDURES
from api.trpc import Role
from mailchimp_pipeline_tests.api.node_tools import run_node
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.api.served import a_token

LINKS = ["httpLink", "httpBatchLink", "httpBatchStreamLink"]
CLIENTS = [
    *(("v11.mjs", link, "") for link in LINKS),
    *(("v10/v10.mjs", link, "") for link in LINKS),
    ("v11.mjs", "httpBatchLink", "POST"),
]

CONTACT = {"entityType": "employee", "entityId": "1"}

FAILED = {
    "noAudiences": ["PRECONDITION_FAILED"],
    "malformedKey": ["BAD_REQUEST", "apiKey"],
    "refusedKey": ["UNPROCESSABLE_CONTENT"],
    "nothingToDisconnect": ["PRECONDITION_FAILED"],
    "nameless": ["BAD_REQUEST", "name"],
    "unknownAudience": ["BAD_REQUEST", "mailchimpListId"],
    "unknownCampaign": ["NOT_FOUND"],
    "unknownContact": ["NOT_FOUND"],
    "sourceless": ["BAD_REQUEST", "consentSource"],
    "badPage": ["BAD_REQUEST", "limit"],
    "badPreview": ["BAD_REQUEST", "segmentType"],
    "badCursor": ["BAD_REQUEST", "cursor"],
    "halfAnEntity": ["BAD_REQUEST"],
    "viewerMayNot": ["FORBIDDEN"],
    "strangerMayNot": ["NOT_FOUND"],
    "anonymousMayNot": ["UNAUTHORIZED"],
    "gone": ["NOT_FOUND"],
}


def toured(tenant: Tenant, script: str, link: str, method_override: str) -> dict[str, Any]:
    """Return the client's report of its calls."""
    tokens = {
        "admin": a_token(organisation_id=tenant.organisation_id),
        "viewer": a_token(organisation_id=tenant.organisation_id, role=Role.VIEWER),
        "stranger": a_token(organisation_id="strangers"),
    }
    tenant.add_employees({"id": "1", "department": "Sales"})
    campaign_id = tenant.stage.sandbox.add_campaign(tenant.list_id)
    given = json.dumps({**tokens, "apiKey": tenant.api_key, "listId": tenant.list_id, "campaignId": campaign_id})
    url = f"{tenant.stage.url}/api/trpc"
    report: dict[str, Any] = json.loads(run_node(script, url, link, "tour", method_override, given))
    return report


@pytest.mark.parametrize(("script", "link", "method_override"), CLIENTS)
def test_a_client_runs_every_procedure(tenant: Tenant, script: str, link: str, method_override: str) -> None:
    report = toured(tenant, script, link, method_override)
    values = {name: one["value"] for name, one in report["outcomes"].items() if "value" in one}
    assert report["called"] == sorted(procedure.path for procedure in PROCEDURES)
    assert {name: one["failed"] for name, one in report["outcomes"].items() if "failed" in one} == FAILED
    assert_told(values, tenant)


def assert_told(values: dict[str, Any], tenant: Tenant) -> None:
    """Assert that each answer belongs to its procedure."""
    segment = values["segment"]
    assert (values["noConnection"], values["noPreference"]) == (None, None)
    assert values["connected"] == values["connection"] == values["disconnected"] | {"softDeletedAt": None}
    assert values["connection"]["webhooks"] is None
    assert [audience["id"] for audience in values["audiences"]] == [tenant.list_id]
    assert (segment["name"], segment["filterCriteria"]["department"]) == ("Sellers of Berlin", ["Sales"])
    assert values["segments"] == {"items": [segment], "nextCursor": None}
    assert values["viewerMay"] == segment
    assert values["deleted"]["softDeletedAt"] is not None
    assert values["campaign"] == values["refreshed"] == values["campaigns"]["items"][0]
    assert (values["history"]["nextCursor"], values["available"]) == (None, [])
    assert values["preview"] == {"matching": 1, "members": 0, "excluded": {"opted_out": 1}}
    assert values["previewOfSync"]["excluded"] == {"opted_out": {"count": 1, "examples": [CONTACT]}}
    assert (values["rejected"], values["retried"]["id"]) == ({"items": [], "nextCursor": None}, segment["id"])
    assert (values["pastSyncs"], values["searched"]) == ({"items": [], "nextCursor": None}, {"items": []})
    assert values["filterValues"]["department"] == ["Sales"]
    (place,) = values["contactSegments"]["items"]
    assert (place["segmentId"], place["exclusion"]) == (segment["id"], "opted_out")
    assert values["pendingErasures"] == {"count": 0, "oldestRequestedAt": None}
    assert values["preference"] == values["optedOut"] == values["preferences"]["items"][0]
    assert values["exported"]["preference"] == values["preference"]
    assert [one["optedIn"] for one in values["exported"]["statements"]] == [False]
    assert (values["erased"]["status"], values["erased"]["audiences"]) == ("completed", 0)
    assert [entry["action"] for entry in values["audit"]["items"]][-1] == "segment.created"
