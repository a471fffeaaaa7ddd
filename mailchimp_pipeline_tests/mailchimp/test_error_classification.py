"""Failed requests are transient or permanent errors, with texts that contain no personal data."""

import json

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.errors import PermanentError, PipelineError, TransientError
from mailchimp_pipeline.mailchimp import api_errors
from mailchimp_pipeline.mailchimp.error_classification import Answer, classify, lost, malformed
from mailchimp_pipeline.mailchimp.wire_models import Call
from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline_tests.mailchimp.builders import ADDRESS, a_problem

A_CALL = Call("GET", "/lists/a1", "reading the audience a1", gone=api_errors.AudienceGone)
A_POOL = urllib3.HTTPConnectionPool("127.0.0.1")
HTML = b"<html><head><title>Request Blocked</title></head></html>"


def the_error(status: int, body: object = b"") -> PipelineError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = classify(A_CALL, Answer(status, content))
    assert error is not None
    return error


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_is_no_error(status: int) -> None:
    assert classify(A_CALL, Answer(status)) is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"", api_errors.Throttled),
        (429, a_problem(429, "Too Many Requests"), api_errors.Throttled),
        (403, b"", api_errors.Throttled),
        (403, HTML, api_errors.Throttled),
        (403, b"{}", api_errors.Throttled),
        (408, b"", api_errors.TimedOut),
        (504, HTML, api_errors.TimedOut),
        (500, a_problem(500, "Internal Server Error"), api_errors.Unavailable),
        (502, HTML, api_errors.Unavailable),
        (503, b"", api_errors.Unavailable),
        (404, HTML, api_errors.Unavailable),
        (400, b'{"title": "Bad', api_errors.Unavailable),
    ],
)
def test_temporary_failures_are_transient_errors(status: int, body: object, kind: type[TransientError]) -> None:
    assert type(the_error(status, body)) is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (301, b"", api_errors.Redirected),
        (307, a_problem(307, "Moved"), api_errors.Redirected),
        (401, a_problem(401, "API Key Invalid"), api_errors.KeyRefused),
        (401, b"", api_errors.KeyRefused),
        (403, a_problem(403, "User Disabled"), api_errors.AccountDisabled),
        (403, a_problem(403, "Forbidden"), api_errors.NotPermitted),
        (404, a_problem(404, "Resource Not Found"), api_errors.AudienceGone),
        (405, a_problem(405, "Method Not Allowed"), api_errors.NotPossible),
        (400, a_problem(400, "Member Exists"), api_errors.MemberExists),
        (400, a_problem(400, "Member In Compliance State"), api_errors.MemberRefused),
        (400, a_problem(400, "Invalid Resource", "No."), api_errors.Rejected),
        (426, a_problem(426, "Upgrade Required"), api_errors.Rejected),
    ],
)
def test_failures_that_need_action_are_permanent_errors(status: int, body: object, kind: type[PermanentError]) -> None:
    assert type(the_error(status, body)) is kind


def test_a_rejected_contact_has_a_reason() -> None:
    error = the_error(400, a_problem(400, "Invalid Resource", f"{ADDRESS} looks fake or invalid, please enter..."))
    assert isinstance(error, api_errors.MemberRefused)
    assert error.rejection is Rejection.FAKE


def test_a_rejection_names_the_fields_at_fault() -> None:
    errors_of_it = [{"field": "url", "message": "no"}, {"field": f"x {ADDRESS}", "message": "no"}, {"field": 7}]
    error = the_error(400, a_problem(400, "Invalid Resource", "See errors.", errors=errors_of_it))
    assert isinstance(error, api_errors.Rejected)
    assert error.fields == ("url",)
    assert "concerning url, request 0f4c11aa-01" in str(error)


def test_a_text_says_what_was_done_and_what_to_do() -> None:
    text = str(the_error(404, a_problem(404, "Resource Not Found")))
    assert "reading the audience a1" in text
    assert "make a new segment for another audience and delete the one for this" in text


def test_a_page_at_a_configured_address_is_not_the_api_and_says_which_setting_to_correct() -> None:
    for root in ("http://127.0.0.1:8900/3", "https://mailchimp.example.com/3.0"):
        error = classify(A_CALL, Answer(404, HTML), root)
        assert isinstance(error, api_errors.NotTheApi)
        assert "Correct the path in MAILCHIMP_API_ROOT" in str(error)
    assert isinstance(classify(A_CALL, Answer(404, HTML), "https://us6.api.mailchimp.com/3.0"), api_errors.Unavailable)
    said = json.dumps(a_problem(404, "Resource Not Found")).encode()
    assert isinstance(classify(A_CALL, Answer(404, said), "http://127.0.0.1:8900/3.0"), api_errors.AudienceGone)


def test_error_texts_contain_no_possible_address() -> None:
    entries = [{"field": ADDRESS, "message": ADDRESS}]
    body = a_problem(400, ADDRESS, f"{ADDRESS} is wrong", errors=entries) | {"instance": ADDRESS}
    for status in (400, 401, 403, 404, 405, 429, 500):
        assert ADDRESS not in str(the_error(status, body))


words = st.text() | st.integers() | st.none() | st.just(f"about {ADDRESS}")
documents = st.fixed_dictionaries(
    {},
    optional={
        "title": words | st.sampled_from(["User Disabled", "Member Exists"]),
        "detail": words,
        "instance": words,
        "status": words,
        "errors": words | st.lists(words | st.fixed_dictionaries({}, optional={"field": words, "message": words})),
    },
)


@given(st.integers(100, 999), st.binary() | documents.map(lambda document: json.dumps(document).encode()))
def test_every_answer_has_a_classification_without_an_address(status: int, body: bytes) -> None:
    error = classify(A_CALL, Answer(status, body))
    assert (error is None) == (200 <= status < 300)
    assert error is None or isinstance(error, TransientError | PermanentError)
    assert ADDRESS not in str(error)


def test_deep_nesting_is_no_problem_document() -> None:
    assert isinstance(the_error(400, b"[" * 100_000), api_errors.Unavailable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.ConnectTimeout("x"), api_errors.TimedOut),
        (requests.ReadTimeout("x"), api_errors.TimedOut),
        (requests.ConnectionError(urllib3.exceptions.ReadTimeoutError(A_POOL, "/x", "x")), api_errors.TimedOut),
        (requests.ConnectionError("x"), api_errors.Unavailable),
        (requests.exceptions.SSLError("x"), api_errors.Unavailable),
        (requests.exceptions.ChunkedEncodingError("x"), api_errors.Unavailable),
        (urllib3.exceptions.ProtocolError("x"), api_errors.Unavailable),
    ],
)
def test_a_lost_answer_is_a_transient_error(error: requests.RequestException, kind: type[TransientError]) -> None:
    assert type(lost(A_CALL, error)) is kind


def test_an_answer_that_had_begun_broke_off() -> None:
    assert type(lost(A_CALL, requests.exceptions.ChunkedEncodingError("x"), begun=True)) is api_errors.ConnectionBroken


@pytest.mark.parametrize(("seconds", "kind"), [(29, api_errors.Unavailable), (30, api_errors.TimedOut)])
def test_a_failure_after_a_long_wait_counts_as_a_timeout(seconds: float, kind: type[TransientError]) -> None:
    assert type(classify(A_CALL, Answer(502, b"<html>", seconds=seconds))) is kind
    assert type(lost(A_CALL, requests.ConnectionError("x"), seconds=seconds)) is kind


def test_the_error_of_a_lost_answer_has_no_url() -> None:
    error = lost(A_CALL, requests.ConnectionError("Max retries exceeded with url: /lists/a1/members/62eeb2"))
    assert "62eeb2" not in str(error)


def test_a_bad_certificate_is_named() -> None:
    assert "certificate" in str(lost(A_CALL, requests.exceptions.SSLError("x")))


def test_an_unreadable_answer_tells_its_size_only() -> None:
    assert "11 bytes" in str(malformed(A_CALL, Answer(200, b"ada@x.test!")))
