"""The application around the procedures: health, metrics, documents, headers, origins and unknown paths."""

import asyncio
import http.client
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import cast

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api.health import Readiness
from api.trpc import Procedures, Role, TRPCError
from mailchimp_pipeline.settings import Settings, SettingsError
from mailchimp_pipeline_tests.api.served import Api, a_token, an_api, failing_check, known_failure
from mailchimp_pipeline_tests.api.trpc.sample import Gate
from mailchimp_pipeline_tests.api.trpc.wire import is_listening
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

DASHBOARD = "https://dashboard.example.com"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """Run one application for all tests that do not change it."""
    with an_api(cors_origins=(DASHBOARD,)) as served:
        yield served


def test_a_signed_in_caller_is_answered(api: Api) -> None:
    answer = api.call("notes.whoami", organisation_id="umbrella", actor="bob", role=Role.VIEWER)

    assert answer.data == "bob@umbrella as viewer"


def test_too_small_a_role_is_forbidden(api: Api) -> None:
    answer = api.call("notes.write", method="POST", body='{"text":"x"}', role=Role.VIEWER)

    assert (answer.status, answer.error["data"]["code"]) == (403, "FORBIDDEN")


def test_known_errors_are_translated() -> None:
    with an_api(translate=known_failure) as api:
        assert api.call("notes.crash").error["message"] == "known"


def test_the_process_is_alive_and_ready(api: Api) -> None:
    assert api.ask("/healthz").json == {"status": "ok"}
    assert api.ask("/readyz").json == {"status": "ok"}


def test_readiness_failures_are_logged_and_not_returned() -> None:
    with an_api(check_ready=failing_check) as api:
        answer, alive = api.ask("/readyz"), api.ask("/healthz")

    assert (answer.status, answer.json, alive.status) == (503, {"status": "unavailable"}, 200)
    assert "db.internal" in api.line("not ready")["why"]


def test_a_broken_check_is_no_readiness() -> None:
    with an_api(check_ready=lambda: 1 / 0) as api:
        assert api.ask("/readyz").status == 503
    assert api.line("not ready")["raised"][0]["type"] == "ZeroDivisionError"


def test_readiness_is_checked_once_a_second_however_often_it_is_asked() -> None:
    checks: list[float] = []
    clock = iter([0.0, 0.0, 0.5, 1.5, 1.5])

    with an_api(check_ready=lambda: checks.append(1), clock=lambda: next(clock)) as api:
        assert [api.ask("/readyz").status for _ in range(3)] == [200] * 3
    assert len(checks) == 2


def test_metrics_count_calls_by_procedure_and_code() -> None:
    with an_api() as api:
        api.call("notes.whoami,notes.crash,made.up.by.somebody?batch=1")
        text = api.ask("/metrics").body.decode()

    assert 'mailchimp_pipeline_api_calls_total{code="OK",procedure="notes.whoami"} 1.0' in text
    assert 'mailchimp_pipeline_api_calls_total{code="NOT_FOUND",procedure="none"} 1.0' in text
    assert 'mailchimp_pipeline_api_call_seconds_count{procedure="notes.crash"} 1.0' in text


def test_metrics_tell_requests_under_way_and_no_organisation(api: Api) -> None:
    text = api.ask("/metrics").body.decode()

    assert "mailchimp_pipeline_api_requests_in_flight 1.0" in text
    assert "acme" not in text


def test_the_openapi_document_has_every_procedure(api: Api) -> None:
    document = api.ask("/openapi.json").json

    assert "/api/trpc/notes.find" in document["paths"]
    assert len(document["paths"]) == 4


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "NOT_FOUND"),
        ("GET", "/docs", 404, "NOT_FOUND"),
        ("GET", "/api/trpcx", 404, "NOT_FOUND"),
        ("POST", "/openapi.json", 405, "METHOD_NOT_SUPPORTED"),
        ("DELETE", "/nope", 404, "NOT_FOUND"),
        ("OPTIONS", "/api/trpc/notes.find", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("GET", "/api/trpc", 404, "NOT_FOUND"),
        ("GET", "/api/trpc/%ff", 400, "BAD_REQUEST"),
    ],
)
def test_an_unknown_path_is_a_trpc_error(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = api.ask(path, method=method)

    assert (answer.status, answer.error["data"]["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/nope", "/api/trpc/notes.whoami", "/openapi.json"])
def test_every_answer_has_the_headers_of_safety(api: Api, path: str) -> None:
    headers = api.ask(path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def preflight(api: Api, origin: str) -> dict[str, str]:
    asked = "authorization,content-type,trpc-accept,x-trpc-source,x-request-id"
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }
    return dict(api.ask("/api/trpc/notes.write", method="OPTIONS", headers=headers).headers)


def test_a_listed_origin_may_send_what_the_clients_send(api: Api) -> None:
    answer = preflight(api, DASHBOARD)

    assert answer["access-control-allow-origin"] == DASHBOARD
    assert "access-control-allow-credentials" not in answer


def test_another_origin_may_not(api: Api) -> None:
    assert "access-control-allow-origin" not in preflight(api, "https://evil.example.com")


def test_a_listed_origin_can_read_failures_and_when_to_come_back(api: Api) -> None:
    answer = api.ask("/api/trpc/notes.whoami", headers={"origin": DASHBOARD})

    assert answer.status == 401
    assert answer.headers["access-control-allow-origin"] == DASHBOARD
    assert "retry-after" in answer.headers["access-control-expose-headers"]


def test_without_a_list_no_origin_is_allowed() -> None:
    with an_api() as api:
        assert "access-control-allow-origin" not in preflight(api, DASHBOARD)


def test_the_settings_list_origins_with_commas_between() -> None:
    settings = Settings.from_environment({"MAILCHIMP_PIPELINE_CORS_ORIGINS": f"{DASHBOARD}, http://localhost:5173"})

    assert settings.cors_origins == (DASHBOARD, "http://localhost:5173")
    assert Settings.from_environment(settings.environment()) == settings


@pytest.mark.parametrize("origin", ["*", "dashboard.example.com", "https://dashboard.example.com/", "null"])
def test_what_is_no_origin_is_refused_by_the_settings(origin: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS: must be origins as browsers send them"):
        Settings.from_environment({"MAILCHIMP_PIPELINE_CORS_ORIGINS": f"{DASHBOARD},{origin}"})


def test_a_failure_outside_the_procedures_says_nothing_of_the_inside() -> None:
    async def broken(_request: Request) -> Response:
        raise RuntimeError("the inside")

    with an_api(Route("/broken", broken)) as api:
        answer = api.ask("/broken")

    assert (answer.status, answer.error["message"]) == (500, "Internal server error")
    assert json.dumps(api.line("failure")).count("the inside") == 0


def test_a_mutation_is_finished_though_its_client_left_and_only_then_the_parts_are_closed() -> None:
    order: list[str] = []
    gate = Gate()

    def close() -> None:
        order.append(f"closed, finished: {gate.finished.is_set()}")

    with an_api(procedures=Procedures(gate.procedure), close=close) as api:
        client = http.client.HTTPConnection("127.0.0.1", api.port)
        headers = {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}
        client.request("POST", "/api/trpc/gate", headers=headers)
        assert gate.entered.wait(TIMEOUT_SECONDS)
        client.close()
        opening = gate.open_once(lambda: not is_listening(api.port))
    opening.join()

    assert order == ["closed, finished: True"]


def test_half_an_answer_does_not_look_like_a_whole_one() -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"half"
        raise RuntimeError("the inside")

    def half(_request: Request) -> Response:
        return StreamingResponse(pieces())

    with an_api(Route("/half", half)) as api, pytest.raises(http.client.IncompleteRead):
        api.ask("/half")
    assert api.line("failure")["raised"][0]["type"] == "RuntimeError"


def test_an_error_of_ours_raised_by_a_further_route_keeps_its_code() -> None:
    def busy(_request: Request) -> Response:
        raise TRPCError("TOO_MANY_REQUESTS", "Later", retry_after=7)

    with an_api(Route("/busy", busy)) as api:
        answer = api.ask("/busy")

    assert (answer.status, answer.error["message"], answer.headers["retry-after"]) == (429, "Later", "7")


def test_a_check_that_hangs_is_given_up() -> None:
    gone_on = threading.Event()
    hanging = Readiness(lambda: cast("None", gone_on.wait(TIMEOUT_SECONDS)), seconds=0.02)

    answer = asyncio.run(hanging.answer(Request({"type": "http"})))
    gone_on.set()

    assert answer.status_code == 503


def test_a_further_route_is_guarded_too() -> None:
    async def page(_request: Request) -> Response:
        return PlainTextResponse("hello", headers={"cache-control": "max-age=60"})

    with an_api(Route("/page", page)) as api:
        answer = api.ask("/page")

    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["x-content-type-options"] == "nosniff"
