"""The format of a request, and the order in which it is validated."""

import json
from urllib.parse import quote

import pytest

from api.trpc import Limits
from mailchimp_pipeline_tests.api.trpc.wire import Wire, send, wire

ECHO = {"someText": "a"}
AMOUNT = {"amount": 2}


def test_a_query_takes_its_input_from_the_url(sample_wire: Wire) -> None:
    assert sample_wire.query("test.echo", ECHO).data["someText"] == "a"


def test_a_mutation_takes_its_input_from_the_body(sample_wire: Wire) -> None:
    assert sample_wire.mutate("test.add", AMOUNT).data == 4


@pytest.mark.parametrize("target", ["test.page", "test.page?input=", "test.page?input=null", "test.page/"])
def test_an_input_that_is_not_sent_is_none(sample_wire: Wire, target: str) -> None:
    assert sample_wire.ask(target).data["items"] == [0, 1]


def test_a_mutation_without_input_has_an_empty_body(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.admin.erase", method="POST", body="").data == "admin"


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data"])
def test_a_get_may_carry_any_content_type(sample_wire: Wire, media_type: str) -> None:
    answer = sample_wire.ask("test.nothing", headers={"content-type": media_type})
    assert answer.data is None


@pytest.mark.parametrize("separator", [",", "%2C", "%2c"])
def test_a_batch_is_answered_in_the_order_of_its_paths(sample_wire: Wire, separator: str) -> None:
    inputs = quote(json.dumps({"0": {"limit": 1}}))
    answer = sample_wire.ask(f"test.page{separator}test.page?batch=1&input={inputs}")
    assert [one["result"]["data"]["items"] for one in answer.json] == [[0], [0, 1]]


def test_a_batch_of_one_is_answered_with_an_array(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.nothing?batch=1").json == [{"result": {"data": None}}]


@pytest.mark.parametrize("flag", ["batch=true", "batch=0", "batch=", "batch=2&batch=1"])
def test_only_batch_1_is_a_batch(sample_wire: Wire, flag: str) -> None:
    assert sample_wire.ask(f"test.nothing?{flag}").json == {"result": {"data": None}}


@pytest.mark.parametrize("inputs", ["null", "5", "[{}]", '"a"'])
def test_inputs_of_a_batch_that_are_no_object_fail_each_call(sample_wire: Wire, inputs: str) -> None:
    answer = sample_wire.ask("test.add,test.add?batch=1", method="POST", body=inputs)
    wanted = '"input" needs to be an object when doing a batch call'
    assert [one["error"]["message"] for one in answer.json] == [wanted, wanted]


def test_a_batch_of_both_kinds_is_refused_whole(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nothing,test.add?batch=1")
    assert answer.error["message"] == "Cannot mix procedure types in call: query, mutation"
    assert "path" not in answer.error["data"]


@pytest.mark.parametrize("headers", [{"trpc-accept": "application/jsonl"}, {"accept": "text/html, application/jsonl"}])
def test_a_stream_that_is_no_batch_is_refused(sample_wire: Wire, headers: dict[str, str]) -> None:
    answer = sample_wire.ask("test.nothing", headers=headers)
    assert (answer.status, answer.error["data"]) == (400, {"code": "BAD_REQUEST", "httpStatus": 400})


def test_a_query_may_come_by_post(sample_wire: Wire) -> None:
    assert sample_wire.mutate("test.echo", ECHO).data["someText"] == "a"


def test_a_get_never_runs_a_mutation(sample_wire: Wire) -> None:
    answer = sample_wire.query("test.add", AMOUNT)
    assert answer.error["message"] == 'Unsupported GET-request to mutation procedure at path "test.add"'
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused_in_trpcs_form(sample_wire: Wire, method: str) -> None:
    answer = sample_wire.ask("test.echo", method=method, body="{}")
    assert answer.error["data"] == {"code": "METHOD_NOT_SUPPORTED", "httpStatus": 405, "path": "test.echo"}
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("media_type", ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_json_is_refused(sample_wire: Wire, media_type: str) -> None:
    answer = sample_wire.ask("test.add", method="POST", body="{}", headers={"content-type": media_type})
    assert (answer.status, answer.error["message"]) == (415, f'Unsupported content-type "{media_type}"')


def test_a_post_without_content_type_is_refused(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.add", method="POST")
    assert (answer.status, answer.error["message"]) == (415, "Missing content-type header")


def test_the_content_type_is_compared_without_case_and_parameters(sample_wire: Wire) -> None:
    headers = {"content-type": "Application/JSON ; charset=utf-8"}
    assert sample_wire.mutate("test.add", AMOUNT, headers=headers).data == 4


def test_head_is_answered_without_content(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nope", method="HEAD", role=None)
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("path", ["test.%zz", "test.%", "test.%ff", "%ed%a0%80"])
def test_a_broken_escape_in_the_path_is_a_bad_request(sample_wire: Wire, path: str) -> None:
    answer = sample_wire.ask(path)
    assert (answer.status, answer.error["message"]) == (400, f'Invalid URL-encoding in path "{path}"')


@pytest.mark.parametrize("path", ["test.nope", "test", "", "test.echo.more", "a/b", "a%0Ab", "then", "__proto__"])
def test_a_path_without_procedure_is_not_found(sample_wire: Wire, path: str) -> None:
    answer = sample_wire.ask(path, role=None)
    assert answer.error["message"] == f'No procedure found on path "{path.replace("%0A", chr(10))}"'
    assert answer.error["data"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("target", ["/api/trpc", "/api/trpc?batch=1", "/api/%74rpc/test.nope"])
def test_the_prefix_itself_is_answered_in_trpcs_form(sample_wire: Wire, target: str) -> None:
    answer = send(sample_wire.port, target, "GET", None, {})
    assert answer.status == 404
    assert b"No procedure found on path" in answer.body


def test_a_prefix_that_came_escaped_leads_to_the_procedure(sample_wire: Wire) -> None:
    answer = send(sample_wire.port, "/api/%74rpc/test.nothing", "GET", None, {"authorization": "Bearer viewer"})
    assert answer.data is None


def test_what_only_begins_like_the_prefix_is_somebody_elses(sample_wire: Wire) -> None:
    assert send(sample_wire.port, "/api/trpcs", "GET", None, {}).json == {"detail": "Not Found"}


def test_of_two_inputs_the_first_counts(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.page?input=%7B%22limit%22:1%7D&input=%7B%22limit%22:3%7D").data["items"] == [0]


def test_names_and_values_in_the_query_are_decoded(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.page?x&%69nput=%7B+%22limit%22:+1%7D").data["items"] == [0]


def test_a_batch_may_have_as_many_calls_as_the_limit_says() -> None:
    with wire(limits=Limits(batch_size=2)) as small:
        assert small.ask("test.nothing,test.nothing?batch=1").status == 200
        answer = small.ask("test.nothing,test.nothing,test.nothing?batch=1")
    assert (answer.status, answer.error["message"]) == (400, "Batch call exceeds maximum size")


def test_batches_can_be_turned_off() -> None:
    with wire(limits=Limits(batch_size=0)) as unbatched:
        assert unbatched.ask("test.nothing").status == 200
        answer = unbatched.ask("test.nothing?batch=1")
    assert (answer.status, answer.error["message"]) == (400, "Batching is not enabled on the server")


def test_a_body_over_the_limit_fails_the_calls_that_read_it() -> None:
    with wire(limits=Limits(body_bytes=13)) as small:
        assert small.mutate("test.add", AMOUNT).data == 4
        answer = small.mutate("test.add", {"amount": 10**9})
    assert (answer.status, answer.error["data"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_a_url_over_the_limit_is_refused() -> None:
    with wire(limits=Limits(url_bytes=100)) as small:
        answer = small.query("test.echo", {"someText": "a" * 100})
    assert (answer.status, answer.error["data"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(("role", "code"), [(None, "UNAUTHORIZED"), ("admin", "TIMEOUT")])
def test_the_token_is_checked_before_the_body_is_read(role: str | None, code: str) -> None:
    headers = {"content-type": "application/json", "content-length": "1000000"}
    with wire(limits=Limits(body_seconds=0.1)) as served:
        answer = served.ask("test.add", method="POST", headers=headers, role=role)
    assert answer.error["data"]["code"] == code
    assert answer.headers.get("connection") == ("close" if code == "TIMEOUT" else None)


@pytest.mark.parametrize("headers", [{"content-length": "14"}, {"transfer-encoding": "chunked"}])
def test_a_body_that_is_too_long_is_not_read_to_its_end(headers: dict[str, str]) -> None:
    known = {"content-type": "application/json"} | headers
    with wire(limits=Limits(body_bytes=13)) as served:
        sent = b"e\r\n12345678901234\r\n" if "transfer-encoding" in headers else None
        answer = served.ask("test.add", method="POST", body=sent, headers=known)
    assert answer.error["data"]["code"] == "PAYLOAD_TOO_LARGE"


def test_procedure_and_method_are_looked_at_before_the_caller(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.nope", role=None).status == 404
    assert sample_wire.ask("test.add", role=None).status == 405


def test_the_caller_is_looked_at_before_the_input(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.add", method="POST", body="{", role=None).status == 401
    assert sample_wire.ask("test.add", method="POST", body="{", role="viewer").status == 403
    assert sample_wire.ask("test.add", method="POST", body="{").status == 400


def test_a_procedure_without_input_never_reads_it(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.nothing?input={").status == 200
    assert sample_wire.ask("test.admin.erase", method="POST", body="{").data == "admin"


def test_broken_json_in_a_batch_fails_only_the_calls_that_read_it(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nothing,test.page?batch=1&input={")
    assert ["result" in one for one in answer.json] == [True, False]
