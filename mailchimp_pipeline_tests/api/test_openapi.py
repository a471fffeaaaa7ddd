"""The OpenAPI document describes each procedure as a single call."""

import json
from typing import Any

from api.openapi import openapi
from api.trpc import CODES
from mailchimp_pipeline_tests.api.trpc.sample import sample

DOCUMENT: dict[str, Any] = openapi(sample(), title="Sample", version="1.2.3")


def test_a_query_is_a_get_with_its_input_as_json_in_the_url() -> None:
    operation = DOCUMENT["paths"]["/api/trpc/test.echo"]["get"]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/EchoInput"}}}
    assert operation["parameters"] == [{"name": "input", "in": "query", "required": True, "content": content}]


def test_a_mutation_is_a_post_with_its_input_as_the_body() -> None:
    operation = DOCUMENT["paths"]["/api/trpc/test.add"]["post"]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/AddInput"}}}
    assert operation["requestBody"] == {"required": True, "content": content}


def test_an_input_that_may_be_null_may_be_left_out() -> None:
    assert DOCUMENT["paths"]["/api/trpc/test.page"]["get"]["parameters"][0]["required"] is False


def test_a_procedure_without_input_has_none() -> None:
    operation = DOCUMENT["paths"]["/api/trpc/test.admin.erase"]["post"]
    assert operation.keys().isdisjoint({"parameters", "requestBody"})
    assert operation["description"] == "Needs the role `admin`."


def test_an_output_stands_in_its_envelope() -> None:
    responses = DOCUMENT["paths"]["/api/trpc/test.echo"]["get"]["responses"]
    envelope = responses["200"]["content"]["application/json"]["schema"]
    assert envelope["properties"]["result"]["properties"]["data"] == {"$ref": "#/components/schemas/Echo"}
    assert responses["default"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TrpcError"}


def test_the_error_knows_every_code() -> None:
    error = DOCUMENT["components"]["schemas"]["ErrorData"]
    assert error["properties"]["code"]["enum"] == list(CODES)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= DOCUMENT["components"]["schemas"].keys()


def test_an_output_has_all_its_fields() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Page"]["required"] == ["items", "nextCursor", "counts"]
    assert schemas["PageInput"].get("required") is None
