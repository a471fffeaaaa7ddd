"""Webhooks: creation, verification, delivery, signature and retries."""

import hashlib
import hmac
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, START, AudienceApi, a_member, errors_of
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import CampaignStatus, Sandbox

EVERYTHING = {
    "events": dict.fromkeys(("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign"), True),
    "sources": dict.fromkeys(("user", "admin", "api"), True),
}


class Receiver:
    """A webhook receiver. `answers` are the statuses of the next deliveries, then 200."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str | None, bytes]] = []
        self.answers: list[int] = []
        self.probe_answer = 200
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def forms(self) -> list[dict[str, str]]:
        """The forms of the deliveries, oldest first."""
        return [
            {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
            for _, body in self.deliveries
        ]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(receiver.probe_answer)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.deliveries.append((self.headers["X-Mailchimp-Signature"], body))
            self.answer(receiver.answers.pop(0) if receiver.answers else 200)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing."""

    return Handler


@pytest.fixture
def receiver(sandbox: Sandbox) -> Iterator[Receiver]:
    """Run a receiver."""
    sandbox.configure(webhook_timeout_seconds=TIMEOUT_SECONDS)
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


def subscribe(api: AudienceApi, receiver: Receiver) -> dict[str, str]:
    """Create a webhook for all events and return the API's answer."""
    answer = api.post(f"{api.here}/webhooks", {"url": receiver.url, **EVERYTHING})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_secret_is_returned_once(api: AudienceApi, receiver: Receiver) -> None:
    made = subscribe(api, receiver)
    assert (made["signing_enabled"], len(made["signing_secret"])) == (True, 64)
    (listed,) = api.get(f"{api.here}/webhooks").json()["webhooks"]
    assert "signing_secret" not in listed
    assert listed == {name: value for name, value in made.items() if name != "signing_secret"}


def test_a_url_that_does_not_answer_a_get_is_refused(api: AudienceApi, receiver: Receiver) -> None:
    receiver.probe_answer = 405
    answer = api.post(f"{api.here}/webhooks", {"url": receiver.url})
    assert errors_of(answer)["url"].startswith("We couldn't verify the URL is working.")
    assert errors_of(answer)["url"].endswith("HTTP Code: 405")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "ftp://127.0.0.1/hook", None])
def test_a_url_that_nobody_serves_is_refused(api: AudienceApi, url: str | None) -> None:
    assert "url" in errors_of(api.post(f"{api.here}/webhooks", {"url": url}))


def test_two_webhooks_that_differ_in_the_query_only_are_refused(api: AudienceApi, receiver: Receiver) -> None:
    subscribe(api, receiver)
    assert api.post(f"{api.here}/webhooks", {"url": f"{receiver.url}?again=1"}).status_code == 400


def test_a_webhook_is_removed(api: AudienceApi, receiver: Receiver) -> None:
    path = f"{api.here}/webhooks/{subscribe(api, receiver)['id']}"
    assert api.delete(path).status_code == 204
    assert api.delete(path).status_code == 404


def test_a_delivery_is_a_signed_form(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    secret = subscribe(api, receiver)["signing_secret"]
    api.batch(a_member(merge_fields={"FNAME": "Ann"}))
    assert sandbox.wait_for_deliveries()
    ((signature, body),) = receiver.deliveries
    moment = int(START.timestamp())
    expected = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    assert signature == f"t={moment},v1={expected}"
    form = receiver.forms[0]
    assert (form["type"], form["fired_at"], form["data[list_id]"]) == ("subscribe", "2026-03-01 08:00:00", api.list_id)
    assert (form["data[email]"], form["data[merges][EMAIL]"], form["data[merges][FNAME]"]) == (ANN, ANN, "Ann")


def test_an_unsigned_webhook_has_no_signature(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    sandbox.configure(sign_webhooks=False)
    made = subscribe(api, receiver)
    api.batch(a_member())
    assert sandbox.wait_for_deliveries()
    assert (made["signing_enabled"], "signing_secret" in made, receiver.deliveries[0][0]) == (False, False, None)


def test_each_kind_of_event_has_its_form(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    api.batch(a_member(ANN))
    subscribe(api, receiver)
    acts = [
        lambda: sandbox.update_profile(api.list_id, ANN, {"FNAME": "Anna"}),
        lambda: sandbox.change_address(api.list_id, ANN, BOB),
        lambda: sandbox.unsubscribe_by_link(api.list_id, BOB),
        lambda: sandbox.sign_up(api.list_id, BOB),
        lambda: sandbox.bounce(api.list_id, BOB),
        lambda: sandbox.delete_as_admin(api.list_id, BOB),
    ]
    for act in acts:
        act()
        assert sandbox.wait_for_deliveries()
    forms = receiver.forms
    assert [form["type"] for form in forms] == [
        "profile",
        "upemail",
        "unsubscribe",
        "subscribe",
        "cleaned",
        "unsubscribe",
    ]
    assert (forms[1]["data[old_email]"], forms[1]["data[new_email]"], "data[email]" in forms[1]) == (ANN, BOB, False)
    assert (forms[2]["data[action]"], forms[2]["data[reason]"], forms[5]["data[action]"]) == (
        "unsub",
        "manual",
        "delete",
    )


def test_a_webhook_gets_events_of_its_sources_only(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    body = {"url": receiver.url, "events": {"unsubscribe": True}, "sources": {"user": True}}
    api.post(f"{api.here}/webhooks", body)
    api.batch(a_member(ANN), a_member(BOB))
    api.patch(api.member(ANN), {"status": "unsubscribed"})
    sandbox.unsubscribe_by_link(api.list_id, BOB)
    assert sandbox.wait_for_deliveries()
    assert [form["data[email]"] for form in receiver.forms] == [BOB]


def test_a_sent_campaign_triggers_one_delivery(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    subscribe(api, receiver)
    campaign_id = sandbox.add_campaign(api.list_id, subject_line="Hello")
    for status in (CampaignStatus.SENDING, CampaignStatus.SENT, CampaignStatus.SENT):
        sandbox.move_campaign(campaign_id, status)
    assert sandbox.wait_for_deliveries()
    (form,) = receiver.forms
    assert (form["type"], form["data[id]"], form["data[subject]"]) == ("campaign", campaign_id, "Hello")


def test_a_delivery_is_repeated_until_it_is_taken(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    sandbox.configure(webhook_retry_seconds=[0.01, 0.02, 0.03])
    subscribe(api, receiver)
    receiver.answers = [500, 404]
    api.batch(a_member())
    assert sandbox.wait_for_deliveries()
    assert len(receiver.deliveries) == 3
    assert len({body for _, body in receiver.deliveries}) == 1


def test_a_receiver_that_is_gone_stops_nothing(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    sandbox.configure(webhook_retry_seconds=[])
    subscribe(api, receiver)
    receiver.server.server_close()
    api.batch(a_member(merge_fields={"ADDRESS": {"addr1": "1", "city": "c", "state": "s", "zip": "z"}}))
    assert sandbox.wait_for_deliveries()
    assert api.status() == "subscribed"


def test_a_delivery_is_given_up_after_its_last_retry(sandbox: Sandbox, api: AudienceApi, receiver: Receiver) -> None:
    sandbox.configure(webhook_retry_seconds=[0.01])
    subscribe(api, receiver)
    receiver.answers = [500] * 5
    api.batch(a_member())
    assert sandbox.wait_for_deliveries()
    assert len(receiver.deliveries) == 2
