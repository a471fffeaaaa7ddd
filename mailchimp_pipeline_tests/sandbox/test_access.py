"""Authentication, and the answers to rejected calls."""

import pytest
import requests

from mailchimp_pipeline_tests.sandbox.calls import KEY, Api, AudienceApi, a_member
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Sandbox


def test_any_user_name_with_the_key_is_let_in(api: AudienceApi) -> None:
    answer = api.get("/ping")
    assert (answer.status_code, answer.json()) == (200, {"health_status": "Everything's Chimpy!"})


@pytest.mark.usefixtures("account_id")
def test_a_bearer_token_is_let_in(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    assert requests.get(f"{sandbox.api_root}/ping", headers=headers, timeout=TIMEOUT_SECONDS).status_code == 200


def test_an_unknown_key_is_refused_in_mailchimps_words(sandbox: Sandbox) -> None:
    with Api(sandbox.api_root, "f" * 32 + "-us6") as api:
        answer = api.get("/ping")
    assert (answer.status_code, answer.json()["title"]) == (401, "API Key Invalid")
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"


@pytest.mark.parametrize("header", ["", "Basic", "Basic ???", "Digest abc"])
def test_a_request_without_a_key_is_refused(sandbox: Sandbox, header: str) -> None:
    answer = requests.get(f"{sandbox.api_root}/ping", headers={"Authorization": header}, timeout=TIMEOUT_SECONDS)
    assert (answer.status_code, answer.json()["title"]) == (401, "API Key Missing")


def test_a_revoked_key_is_refused_while_another_key_of_the_account_is_not(
    sandbox: Sandbox, account_id: str, api: AudienceApi
) -> None:
    sandbox.add_key(account_id, "other-us6")
    sandbox.revoke_key(KEY)
    with Api(sandbox.api_root, "other-us6") as other:
        assert other.get("/ping").status_code == 200
    assert api.get("/ping").json()["title"] == "API Key Invalid"


def test_calls_to_a_deactivated_account_are_rejected(sandbox: Sandbox, account_id: str, api: AudienceApi) -> None:
    sandbox.set_deactivated(account_id)
    answer = api.get("/lists")
    assert (answer.status_code, answer.json()["title"]) == (403, "User Disabled")
    assert answer.json()["detail"] == "This account has been deactivated."


def test_a_viewer_may_read_but_not_change(sandbox: Sandbox, account_id: str, api: AudienceApi) -> None:
    sandbox.set_role(account_id, "viewer")
    assert api.get("/").json()["role"] == "viewer"
    assert api.post(api.here, {"members": [a_member()]}).status_code == 403
    assert sandbox.members(api.list_id) == []


def test_the_account_says_who_it_is_and_how_many_it_reaches(api: AudienceApi, account_id: str) -> None:
    api.batch(a_member(), a_member("x@acme-staff.io", "unsubscribed"))
    body = api.get("/").json()
    assert (body["account_id"], body["account_name"], body["total_subscribers"]) == (account_id, "Acme", 1)


def test_another_accounts_audience_is_not_there(sandbox: Sandbox, api: AudienceApi) -> None:
    stranger = sandbox.add_audience(sandbox.add_account("other-us6"))
    answer = api.get(f"/lists/{stranger}")
    assert (answer.status_code, answer.json()["detail"]) == (404, "The requested resource could not be found.")


def test_an_unknown_path_is_not_found(api: AudienceApi) -> None:
    assert api.get("/nonsense/of/some/kind").status_code == 404


def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_takes(api: AudienceApi) -> None:
    answer = api.delete(api.here)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_a_problem_names_its_request(api: AudienceApi) -> None:
    answer = api.get("/lists/none")
    assert answer.json()["instance"] == answer.headers["X-Request-Id"]
    assert list(answer.json()) == ["type", "title", "status", "detail", "instance"]


def test_a_body_that_is_no_json_is_refused(sandbox: Sandbox, api: AudienceApi) -> None:
    answer = api.session.post(f"{sandbox.api_root}{api.here}", data="{", timeout=TIMEOUT_SECONDS)
    assert (answer.status_code, answer.json()["title"]) == (400, "JSON Parse Error")


def test_a_body_that_is_no_object_is_refused(api: AudienceApi) -> None:
    assert api.post(api.here, ["nothing"]).status_code == 400
