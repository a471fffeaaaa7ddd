"""Webhook calls over HTTP: which are accepted, the resulting pull, and the log."""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.webhooks import MAX_BODY_BYTES, webhook_route
from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.mailchimp.webhook_events import PATH, TOLERANCE, EventKind
from mailchimp_pipeline.services.resources import Resources
from mailchimp_pipeline_tests.api.procedures.stage import Stage
from mailchimp_pipeline_tests.api.served import an_api, logged_lines
from mailchimp_pipeline_tests.api.trpc.wire import send
from mailchimp_pipeline_tests.database.builders import MINUTE
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB, SECRET, forms, signed
from mailchimp_pipeline_tests.webhooks.stage import EMPLOYEE, FORM, Hook, a_hook
from sandbox import Fault, FaultKind, Sandbox

MEMBER = "/lists/{list_id}/members/{subscriber_hash}"


def test_a_contact_who_unsubscribed_withdrew_consent(hook: Hook) -> None:
    hook.sandbox.unsubscribe_by_link(hook.tenant.list_id, ANN)
    assert (hook.send_event(), hook.status()) == (200, "unsubscribed")
    (statement,) = hook.statements()
    assert (statement.opted_in, statement.source, statement.channel) == (False, "mailchimp", Channel.LINK)
    assert statement.mailchimp_list_id == hook.tenant.list_id


def test_a_call_is_a_hint_and_the_member_is_recorded_as_mailchimp_has_it(hook: Hook) -> None:
    assert (hook.send_event("unsubscribe"), hook.status()) == (200, "subscribed")
    assert (hook.send_event("cleaned"), hook.status()) == (200, "subscribed")
    assert hook.preference() is None


def test_a_call_that_is_repeated_is_taken_again_and_changes_nothing(hook: Hook) -> None:
    hook.sandbox.unsubscribe_by_link(hook.tenant.list_id, ANN)
    body = hook.form()
    assert [hook.call(body).status for _ in range(3)] == [200, 200, 200]
    assert len(hook.statements()) == 1
    assert hook.tenant.audit_actions().count("preference.opted_out") == 1


def test_a_call_that_is_late_or_out_of_order_turns_nothing_back(hook: Hook) -> None:
    hook.sandbox.unsubscribe_by_link(hook.tenant.list_id, ANN)
    now = datetime.now(UTC)
    assert [hook.send_event(at=now), hook.send_event("subscribe", at=now - MINUTE)] == [200, 200]
    assert (hook.status(), len(hook.statements())) == ("unsubscribed", 1)


def test_a_contact_who_subscribes_where_they_left_consents_again(hook: Hook) -> None:
    hook.sandbox.unsubscribe_by_link(hook.tenant.list_id, ANN)
    hook.sandbox.let_time_pass(hook.tenant.list_id, 60)
    hook.send_event()
    hook.sandbox.sign_up(hook.tenant.list_id, ANN)
    assert hook.send_event("subscribe") == 200
    preference = hook.preference()
    assert preference is not None
    assert (preference.opted_in, hook.status()) == (True, "subscribed")


@pytest.mark.parametrize(
    ("act", "kind", "action", "status"),
    [
        (Sandbox.bounce, "cleaned", "", "cleaned"),
        (Sandbox.archive_as_admin, "unsubscribe", "archive", "archived"),
        (Sandbox.delete_as_admin, "unsubscribe", "delete", None),
    ],
)
def test_bouncing_and_being_archived_or_deleted_withdraw_no_consent(
    hook: Hook, act: Callable[[Sandbox, str, str], None], kind: str, action: str, status: str | None
) -> None:
    hook.send_event("subscribe")
    act(hook.sandbox, hook.tenant.list_id, ANN)
    assert hook.send_event(kind, action=action) == 200
    assert (hook.status(), hook.preference()) == (status, None)


def test_a_complaint_withdraws_consent(hook: Hook) -> None:
    hook.sandbox.complain(hook.tenant.list_id, ANN)
    body = hook.form("cleaned", reason="abuse")
    assert [hook.call(body).status for _ in range(2)] == [200, 200]
    preference = hook.preference()
    assert {(each.opted_in, each.channel) for each in hook.statements()} == {(False, Channel.COMPLAINT)}
    assert preference is not None
    assert not preference.opted_in


def test_a_new_address_takes_the_contact_along(hook: Hook) -> None:
    hook.send_event("subscribe")
    hook.sandbox.change_address(hook.tenant.list_id, ANN, BOB)
    assert hook.send_event("upemail", old_email=ANN, new_email=BOB) == 200
    assert (hook.status(ANN), hook.status(BOB)) == (None, "subscribed")
    hook.sandbox.unsubscribe_by_link(hook.tenant.list_id, BOB)
    assert hook.send_event(email=BOB) == 200
    assert [statement.contact for statement in hook.statements()] == [EMPLOYEE]


def test_an_address_that_was_changed_again_since_then_is_left_as_it_is(hook: Hook) -> None:
    hook.send_event("subscribe")
    hook.sandbox.change_address(hook.tenant.list_id, ANN, "cy@acme.test")
    assert hook.send_event("upemail", old_email=ANN, new_email=BOB) == 200
    assert (hook.status(ANN), hook.status(BOB)) == (None, None)


def test_nothing_is_recorded_of_an_address_that_mailchimp_does_not_have(hook: Hook) -> None:
    assert hook.send_event(email=BOB) == 200
    assert hook.status(BOB) is None


def test_a_profile_event_reads_no_member(hook: Hook, faults: Callable[[Fault], None]) -> None:
    faults(Fault(kind=FaultKind.BROKEN, route=MEMBER))
    assert [hook.send_event("profile"), hook.send_event("campaign")] == [200, 200]
    assert hook.status() is None


@pytest.mark.parametrize("kind", [FaultKind.UNAVAILABLE, FaultKind.CUT, FaultKind.MALFORMED])
def test_where_mailchimp_does_not_answer_the_call_fails_so_that_it_is_repeated(
    hook: Hook, faults: Callable[[Fault], None], kind: FaultKind
) -> None:
    hook.sandbox.complain(hook.tenant.list_id, ANN)
    faults(Fault(kind=kind, route=MEMBER))
    assert hook.send_event("cleaned", reason="abuse") == 503
    assert (hook.status(), hook.preference()) == (None, None)
    hook.sandbox.clear_faults()
    assert hook.send_event("cleaned", reason="abuse") == 200
    assert hook.preference() is not None


@pytest.mark.parametrize("kind", ["unsubscribe", "upemail"])
def test_a_call_is_answered_within_ten_seconds_however_long_mailchimp_takes(
    hook: Hook, faults: Callable[[Fault], None], kind: str
) -> None:
    faults(Fault(kind=FaultKind.HELD, route=MEMBER))
    begun = time.monotonic()
    assert hook.send_event(kind, old_email=ANN, new_email=BOB) == 503
    assert time.monotonic() - begun < 10


def test_a_call_after_the_organisation_disconnected_reads_nobody(hook: Hook) -> None:
    hook.tenant.mutate("connection.disconnect")
    assert hook.send_event() == 404


@pytest.mark.parametrize("signature", ["", "t=1,v1=00", "nonsense"])
def test_a_call_without_a_good_signature_is_refused(hook: Hook, signature: str) -> None:
    answer = hook.call(hook.form(), signature=signature)
    assert (answer.status, answer.error["data"]["code"], hook.status()) == (401, "UNAUTHORIZED", None)


def test_a_call_signed_with_another_secret_is_refused(hook: Hook) -> None:
    body = hook.form("cleaned", reason="abuse")
    forged = signed(body, at=datetime.now(UTC), secret="another")
    assert hook.call(body, signature=forged).status == 401
    assert (hook.status(), hook.preference()) == (None, None)


def test_a_replayed_call_is_rejected(hook: Hook) -> None:
    body = hook.form()
    stale = signed(body, at=datetime.now(UTC) - TOLERANCE - timedelta(seconds=30))
    assert (hook.call(body, signature=stale).status, hook.status()) == (401, None)


def test_without_signatures_the_path_authenticates_a_call(stage: Stage) -> None:
    hook = a_hook(stage, secret=None)
    assert (hook.send_event(), hook.status()) == (200, "subscribed")


def test_a_call_before_the_secret_is_known_is_asked_to_come_again(stage: Stage) -> None:
    hook = a_hook(stage, is_made=False)
    assert (hook.send_event(), hook.status()) == (503, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_mailchimps_look_at_the_address_is_answered_while_the_webhook_is_made(stage: Stage, method: str) -> None:
    assert send(stage.port, a_hook(stage, is_made=False).path, method, None, {}).status == 200


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 5000, "%00", "%ff", "é".encode().hex()])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_found(stage: Stage, token: str, method: str) -> None:
    assert send(stage.port, f"{PATH}/{token}", method, b"", {"content-type": FORM}).status == 404


def test_another_method_is_not_answered(hook: Hook) -> None:
    answer = send(hook.port, hook.path, "PUT", hook.form(), {"content-type": FORM})
    assert (answer.status, answer.error["data"]["code"]) == (405, "METHOD_NOT_SUPPORTED")


def test_a_call_about_another_audience_is_refused(hook: Hook) -> None:
    assert (hook.send_event(list_id="f6e5d4c3b2"), hook.status()) == (400, None)


def test_what_is_no_form_is_refused_by_its_type(hook: Hook) -> None:
    assert hook.call(b"{}", **{"content-type": "application/json"}).status == 415


def test_a_huge_body_is_not_taken_in(hook: Hook) -> None:
    assert (hook.send_event(padding="a" * MAX_BODY_BYTES), hook.status()) == (413, None)


def test_a_client_that_leaves_before_its_call_is_whole_leaves_no_defect(hook: Hook) -> None:
    head = f"POST {hook.path} HTTP/1.1\r\nhost: a\r\ncontent-type: {FORM}\r\ncontent-length: 9\r\n\r\ntype"
    with logged_lines() as log:
        with socket.create_connection(("127.0.0.1", hook.port)) as connection:
            connection.sendall(head.encode())
        assert hook.send_event() == 200
    assert "failure" not in log.getvalue()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=st.one_of(st.binary(max_size=60), forms))
def test_no_body_is_answered_as_a_defect(hook: Hook, body: bytes) -> None:
    assert hook.call(body).status in {200, 400}


_addresses = st.one_of(st.sampled_from([ANN, BOB, "cy@acme.test"]), st.emails(), st.text(max_size=9).map("{}@b".format))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(kind=st.sampled_from(EventKind), action=st.sampled_from(["unsub", "archive", "delete"]), data=st.data())
def test_no_event_is_answered_as_a_defect(hook: Hook, kind: EventKind, action: str, data: st.DataObject) -> None:
    email, old, new = (data.draw(_addresses) for _ in range(3))
    at = data.draw(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - UTC, as Mailchimp writes it
    assert hook.send_event(kind, at=at, action=action, email=email, old_email=old, new_email=new) in {200, 400}


def test_a_call_affects_only_the_organisation_of_its_webhook(stage: Stage) -> None:
    hook, other = a_hook(stage), a_hook(stage)
    for each in (hook, other):
        stage.sandbox.unsubscribe_by_link(each.tenant.list_id, ANN)
    hook.send_event()
    assert (hook.status(), other.status(), other.preference()) == ("unsubscribed", None, None)


def test_a_secret_opens_no_other_organisations_webhook(stage: Stage) -> None:
    hook, other = a_hook(stage, secret="one"), a_hook(stage, secret="two")
    body = other.form()
    assert other.call(body, signature=signed(body, at=datetime.now(UTC), secret="one")).status == 401
    assert hook.send_event() == 200


def test_no_line_of_the_log_holds_the_path_or_a_person(hook: Hook) -> None:
    with logged_lines() as log:
        hook.send_event()
        hook.call(hook.form(), signature="t=1,v1=00")
        hook.send_event(email="ann")
        hook.send_event("upemail", old_email=ANN, new_email=BOB)
    lines = log.getvalue()
    assert all(text not in lines for text in (hook.token, ANN, BOB, subscriber_hash(ANN), SECRET))
    assert lines.count(f'"path": "{PATH}/{{token}}"') >= 3
    assert '"kind": "unsubscribe"' in lines


def test_a_database_that_is_away_has_mailchimp_call_again(stage: Stage) -> None:
    with (
        Database("postgresql+psycopg://nobody@127.0.0.1:1/none") as away,
        an_api(webhook_route(Resources(stage.parts.settings, away))) as api,
    ):
        answer = api.ask(f"{PATH}/{'a' * 43}", method="POST", headers={"content-type": FORM})
        line = api.line("webhook not taken")
    assert (answer.status, answer.error["data"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert line["failure"] == "DatabaseAway"
