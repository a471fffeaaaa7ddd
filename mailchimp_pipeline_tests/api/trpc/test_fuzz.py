"""Random requests under the prefix: a tRPC client can parse each answer, and no call fails unexpectedly."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailchimp_pipeline_tests.api.trpc.readable import assert_readable
from mailchimp_pipeline_tests.api.trpc.wire import Wire

PATHS = ["test.echo", "test.nothing", "test.page", "test.add", "test.admin.erase", "test.nope"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
ECHOES = st.fixed_dictionaries({}, optional={"someText": VALUES, "times": VALUES, "colours": VALUES, "weight": VALUES})
LATIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=40)
BODIES = st.one_of(st.none(), st.binary(max_size=200), (VALUES | ECHOES).map(json.dumps))
METHODS = st.sampled_from(["GET", "GET", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
ROLES = st.sampled_from([None, "viewer", "admin"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(["application/json", "application/json; charset=utf-16", "text/plain"]) | LATIN,
        "trpc-accept": st.sampled_from(["application/jsonl", "application/json"]),
        "accept": st.sampled_from(["*/*", "application/jsonl,", "text/html"]),
        "trpc-batch-mode": st.just("stream"),
    },
)
TARGETS = st.tuples(
    st.lists(st.sampled_from(PATHS), max_size=4).map(",".join) | LATIN,
    st.sampled_from(["", "?batch=1", "?batch=1&input={}", "?input=%7B%7D", "?batch=1&input=%7B%220%22:null%7D"])
    | LATIN.map("?{}".format),
).map("".join)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    target=TARGETS, how=st.fixed_dictionaries({"method": METHODS, "body": BODIES, "headers": HEADERS, "role": ROLES})
)
def test_every_answer_is_readable(sample_wire: Wire, *, target: str, how: dict[str, Any]) -> None:
    assert_readable(sample_wire.ask(target, **how))


@settings(deadline=None, max_examples=150)
@given(value=VALUES | ECHOES)
def test_every_input_is_taken_or_refused(sample_wire: Wire, *, value: object) -> None:
    answer = sample_wire.mutate("test.echo", value)
    assert answer.status in {200, 400}
    assert_readable(answer)
