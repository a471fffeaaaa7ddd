"""Random input to every procedure: the client can parse each answer, and no call fails unexpectedly."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.procedures.registry import PROCEDURES
from api.trpc import Procedure, Role
from mailchimp_pipeline_tests.api.procedures.examples import EXAMPLES
from mailchimp_pipeline_tests.api.procedures.stage import NO_INPUT, Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.api.served import a_token
from mailchimp_pipeline_tests.api.trpc.readable import assert_readable
from mailchimp_pipeline_tests.api.trpc.wire import send

NASTY = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "a\0b",
        "a" * 100_000,
        "'; drop table contact_segments; --",
        "$(reboot)",
        "`id`",
        "../../lists",
        "%s%n%(a)s{0}",
        "\u2028\u202e",
        "💩" * 300,
        "<script>alert(1)</script>",
        "NaN",
        "-1",
        10**400,
        -(2**63),
        2**63,
        1e308,
        True,
        None,
    ]
)
VALUES = st.recursive(
    NASTY | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
PLACES = st.sampled_from(["2026-03-01T05:00:00+00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "now"])
KEYS = st.sampled_from(["1", str(10**30), "-1", "employee/1", "employee/a\0b", "customer/1", "a" * 32])
CURSORS = st.tuples(PLACES, KEYS).map(" ".join).map(lambda text: base64.urlsafe_b64encode(text.encode()).decode())
RAW = st.sampled_from(
    [
        '{"limit": NaN}',
        '{"limit": 1e999}',
        '{"id": "\\ud800"}',
        '{"name": "\\u0000"}',
        "[" * 5000 + "]" * 5000,
        '{"a":' * 3000 + "1" + "}" * 3000,
        "{",
        "",
        '"',
        "\\",
    ]
)


def inputs(path: str) -> st.SearchStrategy[str]:
    """Return JSON inputs: valid ones with some wrong fields or any cursor, or any JSON."""
    anything = RAW | VALUES.map(json.dumps)
    example: Any = EXAMPLES[path]
    if example is NO_INPUT:
        return anything
    wrong = st.dictionaries(st.sampled_from(list(example)), VALUES, max_size=2)
    if "cursor" in example:
        wrong |= CURSORS.map(lambda cursor: {"cursor": cursor})
    return anything | wrong.map(lambda changed: json.dumps({**example, **changed}))


@pytest.fixture(scope="module")
def target(stage: Stage) -> Tenant:
    """Return a connected organisation, so that every line of a procedure is reachable."""
    return a_tenant(stage, connected=True)


@pytest.mark.parametrize("procedure", list(PROCEDURES), ids=lambda procedure: procedure.path)
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_input_breaks_a_procedure(target: Tenant, procedure: Procedure, data: st.DataObject) -> None:
    body = data.draw(inputs(procedure.path))
    token = a_token(organisation_id=target.organisation_id, role=Role.ADMIN)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    answer = send(target.stage.port, f"/api/trpc/{procedure.path}", "POST", body, headers)
    assert_readable(answer)
    if procedure.path == "mailchimp.connection.disconnect":
        target.connect()
