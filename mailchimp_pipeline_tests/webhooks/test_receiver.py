"""Calls over HTTP: which are taken, which are not, and what the log tells of them."""

import socket
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.webhooks import MAX_BODY_BYTES, PATH, webhook_route
from mailchimp_pipeline.assembly import Parts
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.webhooks import EventKind
from mailchimp_pipeline_tests.api.procedures.stage import Stage
from mailchimp_pipeline_tests.api.served import an_api, logged_lines
from mailchimp_pipeline_tests.api.trpc.wire import send
from mailchimp_pipeline_tests.database.builders import MINUTE
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB, a_form, forms, signed
from mailchimp_pipeline_tests.webhooks.stage import FORM, Hook, a_hook


def test_a_signed_call_is_taken(hook: Hook) -> None:
    answer = hook.call(a_form())
    said = hook.preference()
    assert (answer.status, hook.status()) == (200, "unsubscribed")
    assert said is not None
    assert (said.opted_in, said.consent_source) == (False, "mailchimp")


def test_a_call_that_is_repeated_is_taken_again_and_changes_nothing(hook: Hook) -> None:
    assert [hook.call(a_form()).status for _ in range(2)] == [200, 200]
    first = hook.preference()
    assert hook.call(a_form()).status == 200
    assert hook.preference() == first


def test_a_call_out_of_order_is_taken_and_turns_nothing_back(hook: Hook) -> None:
    now = datetime.now(UTC)
    hook.call(a_form("cleaned", at=now))
    assert hook.call(a_form("subscribe", at=now - MINUTE)).status == 200
    assert hook.status() == "cleaned"


def test_a_change_of_address_is_taken(hook: Hook) -> None:
    hook.call(a_form("subscribe", at=datetime.now(UTC) - MINUTE))
    hook.call(a_form("upemail", at=datetime.now(UTC), old_email=ANN, new_email=BOB))
    assert (hook.status(ANN), hook.status(BOB)) == (None, "subscribed")


def test_a_profile_that_changed_subscribes_nobody(hook: Hook) -> None:
    hook.call(a_form())
    assert hook.call(a_form("profile", at=datetime.now(UTC))).status == 200
    assert hook.status() == "unsubscribed"


@pytest.mark.parametrize("signature", ["", "t=1,v1=00", "nonsense"])
def test_a_call_without_a_good_signature_is_refused(hook: Hook, signature: str) -> None:
    answer = hook.call(a_form(), signature=signature)
    assert (answer.status, answer.error["data"]["code"]) == (401, "UNAUTHORIZED")
    assert (hook.status(), hook.preference()) == (None, None)


def test_a_call_signed_with_another_secret_is_refused(hook: Hook) -> None:
    body = a_form()
    forged = signed(body, at=datetime.now(UTC), secret="another")
    assert hook.call(body, signature=forged).status == 401
    assert hook.status() is None


def test_a_call_that_was_caught_and_is_sent_later_is_refused(hook: Hook) -> None:
    body = a_form()
    stale = signed(body, at=datetime.now(UTC) - timedelta(seconds=330))
    assert hook.call(body, signature=stale).status == 401
    assert hook.status() is None


def test_without_signing_the_path_alone_lets_a_call_in(stage: Stage, organisation_id: str) -> None:
    hook = a_hook(stage, organisation_id, secret=None)
    assert hook.call(a_form()).status == 200
    assert hook.status() == "unsubscribed"


def test_a_call_before_the_secret_is_known_is_asked_to_come_again(stage: Stage, organisation_id: str) -> None:
    hook = a_hook(stage, organisation_id, is_made=False)
    assert hook.call(a_form()).status == 503
    assert hook.status() is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_mailchimps_look_at_the_address_is_answered_while_the_webhook_is_made(
    stage: Stage, organisation_id: str, method: str
) -> None:
    hook = a_hook(stage, organisation_id, is_made=False)
    assert send(stage.port, hook.path, method, None, {}).status == 200


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 5000, "%00", "%ff", "é".encode().hex()])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_found(stage: Stage, token: str, method: str) -> None:
    answer = send(stage.port, f"{PATH}/{token}", method, a_form(), {"content-type": FORM})
    assert answer.status == 404


def test_another_method_is_not_answered(hook: Hook) -> None:
    answer = send(hook.stage.port, hook.path, "PUT", a_form(), {"content-type": FORM})
    assert (answer.status, answer.error["data"]["code"]) == (405, "METHOD_NOT_SUPPORTED")


def test_an_event_of_another_audience_is_refused(hook: Hook) -> None:
    assert hook.call(a_form(list_id="f6e5d4c3b2")).status == 400
    assert (hook.status(), hook.preference()) == (None, None)


def test_what_is_no_form_is_refused_by_its_type(hook: Hook) -> None:
    assert hook.call(b"{}", **{"content-type": "application/json"}).status == 415


def test_a_huge_body_is_not_taken_in(hook: Hook) -> None:
    answer = hook.call(a_form(reason="a" * MAX_BODY_BYTES))
    assert answer.status == 413
    assert hook.status() is None


def test_a_client_that_leaves_before_its_call_is_whole_leaves_no_defect(hook: Hook) -> None:
    head = f"POST {hook.path} HTTP/1.1\r\nhost: a\r\ncontent-type: {FORM}\r\ncontent-length: 9\r\n\r\ntype"
    with logged_lines() as log:
        with socket.create_connection(("127.0.0.1", hook.stage.port)) as connection:
            connection.sendall(head.encode())
        assert hook.call(a_form()).status == 200
    assert "failure" not in log.getvalue()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=st.one_of(st.binary(max_size=60), forms))
def test_no_body_is_answered_as_a_defect(hook: Hook, body: bytes) -> None:
    assert hook.call(body).status in {200, 400}


_addresses = st.one_of(st.sampled_from([ANN, BOB, "cy@acme.test"]), st.emails(), st.text(max_size=9).map("{}@b".format))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(kind=st.sampled_from(EventKind), action=st.sampled_from(["unsub", "archive", "delete"]), data=st.data())
def test_no_event_is_answered_as_a_defect(hook: Hook, kind: EventKind, action: str, data: st.DataObject) -> None:
    email, old, new = (data.draw(_addresses) for _ in range(3))
    at = data.draw(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - UTC, as Mailchimp writes it
    body = a_form(kind, at=at, action=action, email=email, old_email=old, new_email=new)
    assert hook.call(body).status in {200, 400}


def test_of_two_organisations_with_one_address_only_the_called_one_is_told(stage: Stage, organisation_id: str) -> None:
    hook, other = (a_hook(stage, f"{organisation_id}-{name}") for name in ("one", "two"))
    hook.call(a_form())
    assert (hook.status(), other.status(), other.preference()) == ("unsubscribed", None, None)


def test_a_secret_opens_no_other_organisations_webhook(stage: Stage, organisation_id: str) -> None:
    hook, other = (a_hook(stage, f"{organisation_id}-{name}", secret=name) for name in ("one", "two"))
    body = a_form()
    assert other.call(body, signature=signed(body, at=datetime.now(UTC), secret="one")).status == 401
    assert hook.call(body).status == 200


def test_no_line_of_the_log_holds_the_path_or_a_person(hook: Hook) -> None:
    with logged_lines() as log:
        hook.call(a_form())
        hook.call(a_form(), signature="t=1,v1=00")
        hook.call(a_form(email="ann"))
        hook.call(a_form("upemail", old_email=ANN, new_email=BOB))
    lines = log.getvalue()
    assert all(text not in lines for text in (hook.token, ANN, BOB, subscriber_hash(ANN), "5ecret"))
    assert lines.count(f'"path": "{PATH}/{{token}}"') >= 3
    assert '"kind": "unsubscribe"' in lines


def test_a_database_that_is_away_has_mailchimp_call_again(stage: Stage) -> None:
    with (
        Database("postgresql+psycopg://nobody@127.0.0.1:1/none") as away,
        an_api(webhook_route(Parts(stage.parts.settings, away))) as api,
    ):
        answer = api.ask(f"{PATH}/{'a' * 43}", method="POST", headers={"content-type": FORM})
        line = api.line("webhook not taken")
    assert (answer.status, answer.error["data"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert line["failure"] == "DatabaseAway"
