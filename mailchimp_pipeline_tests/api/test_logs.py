"""The log of a request: enough to find an error, and no addresses."""

import json
import logging
import socket
from io import StringIO
from urllib.parse import quote

import pytest

from api.error_mapping import log_failure
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.logs import json_handler
from mailchimp_pipeline_tests.api.served import PERSON, a_token, an_api, logged_lines


def test_a_request_is_one_line_with_its_calls_and_who_called_by_organisation() -> None:
    with an_api() as api:
        api.call("notes.whoami,notes.crash?batch=1", actor=PERSON)
        line = api.line("request")

    assert {one["procedure"]: one["code"] for one in line["calls"]} == {
        "notes.whoami": "OK",
        "notes.crash": "INTERNAL_SERVER_ERROR",
    }
    assert (line["method"], line["status"], line["organisation_id"], line["role"]) == ("GET", 207, "acme", "admin")
    assert line["ms"] >= 0


def test_a_stream_that_holds_failures_shows_them_though_its_status_is_200() -> None:
    with an_api() as api:
        api.ask("/api/trpc/notes.whoami?batch=1", headers={"trpc-accept": "application/jsonl"})
        line = api.line("request")

    assert (line["status"], line["calls"][0]["code"]) == (200, "UNAUTHORIZED")


def test_no_line_holds_what_the_client_sent() -> None:
    with an_api() as api:
        found = api.call(f"notes.find?input={quote(json.dumps({'text': PERSON}))}", actor=PERSON)
        api.call("notes.write", method="POST", body=json.dumps({"text": PERSON, "of": PERSON}))
        api.ask(f"/{quote(PERSON)}?who={PERSON}")
        api.call(quote(PERSON))
        api.call("notes.crash")

    assert found.data["text"] == PERSON
    assert len(api.lines("request")) == 5
    assert PERSON not in api.log.getvalue()


def test_a_defect_is_told_by_its_type_and_place() -> None:
    with an_api() as api:
        api.call("notes.crash")
        line = api.line("failure")

    assert (line["where"], line["raised"][0]["type"]) == ("notes.crash", "RuntimeError")
    assert line["raised"][0]["frames"][-1].endswith(" crash")


def test_of_our_own_errors_the_text_is_told_and_of_their_causes_the_type() -> None:
    failure = PermanentError("Do this.")
    failure.__cause__ = ValueError(PERSON)

    with logged_lines() as log:
        log_failure("here", failure)

    assert [(one["type"], one.get("text")) for one in json.loads(log.getvalue())["raised"]] == [
        ("PermanentError", "Do this."),
        ("ValueError", None),
    ]


def test_the_standard_librarys_tracebacks_are_scrubbed_too() -> None:
    stream = StringIO()
    raised = (ValueError, ValueError(PERSON), None)
    json_handler(stream).handle(logging.LogRecord("elsewhere", logging.ERROR, "", 0, "%s broke", ("it",), raised))
    line = json.loads(stream.getvalue())

    assert (line["event"], line["level"], line["raised"][0]["type"]) == ("it broke", "error", "ValueError")
    assert PERSON not in stream.getvalue()


def test_the_lines_of_a_handler_carry_the_id_of_their_request() -> None:
    with an_api() as api:
        answer = api.call(f"notes.find?input={quote(json.dumps({'text': 'x'}))}")

    assert api.line("looking")["request_id"] == answer.headers["x-request-id"] == api.line("request")["request_id"]


def test_a_client_that_leaves_before_its_request_was_whole_is_no_failure() -> None:
    with an_api() as api:
        with socket.create_connection(("127.0.0.1", api.port), timeout=5) as client:
            head = f"POST /api/trpc/notes.write HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {a_token()}\r\n"
            client.sendall(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{".encode())
        line = api.line("request")

    assert (line["level"], line["status"]) == ("info", None)
    assert api.lines("failure") == []


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_Z", True), ("a b", False), ("x" * 65, False), ("é", False)])
def test_a_request_id_that_is_sane_is_kept(given: str, kept: bool) -> None:
    with an_api() as api:
        answer = api.ask("/openapi.json", headers={"x-request-id": given})

    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"].isascii()


def test_probes_are_logged_only_where_they_fail() -> None:
    with an_api(check_ready=lambda: 1 / 0) as api:
        for path in ("/healthz", "/metrics", "/readyz"):
            api.ask(path)

    assert [(line["path"], line["status"]) for line in api.lines("request")] == [("/readyz", 503)]
