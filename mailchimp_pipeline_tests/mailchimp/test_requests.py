"""Each request in HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mailchimp_pipeline.mailchimp import Deletion, MailchimpClient
from mailchimp_pipeline.mailchimp.api_errors import (
    AudienceGone,
    CampaignGone,
    Incomplete,
    NotFound,
    NotTheApi,
    Rejected,
    Unavailable,
)
from mailchimp_pipeline.sync import MemberRef, MemberStatus
from mailchimp_pipeline_tests.mailchimp.builders import (
    A_HASH,
    ADDRESS,
    LIST_ID,
    Time,
    a_batch_result,
    a_client,
    a_member,
    a_new_member,
    a_problem,
)
from mailchimp_pipeline_tests.mailchimp.scripted import ReceivedRequest, Reply, scripted

LIST = f"/3.0/lists/{LIST_ID}"
MEMBER = f"{LIST}/members/{A_HASH}"
NO_MEMBERS: dict[str, object] = {"members": [], "total_items": 0}
Ask = Callable[[MailchimpClient], object]

NOT_FOUND = Reply(404, a_problem(404, "Resource Not Found"))


def asked_by(call: Ask, *replies: Reply) -> list[ReceivedRequest]:
    with scripted(*replies) as script, a_client(script.root) as client:
        call(client)
    return script.requests


def test_a_batch_says_who_they_are_and_whether_to_update() -> None:
    member = a_new_member(merge_fields={"FNAME": "Zoë"})
    (asked,) = asked_by(
        lambda client: client.subscribe(LIST_ID, [member], update_existing=False),
        Reply(body=a_batch_result(new=(a_member(),))),
    )
    assert (asked.method, asked.path, asked.query) == ("POST", LIST, {})
    entry = {"email_address": ADDRESS, "status": "subscribed", "merge_fields": {"FNAME": "Zoë"}}
    assert asked.body == {"members": [entry], "update_existing": False}


def test_a_batch_is_sent_again_when_its_answer_is_lost() -> None:
    when, answer = Time(), Reply(body=a_batch_result())
    with scripted(Reply(cut=True), answer) as script, a_client(script.root, retries=when.retries()) as client:
        client.subscribe(LIST_ID, [a_new_member()], update_existing=False)
    assert script.requests[0].body == script.requests[1].body


CHANGES: list[tuple[Ask, object]] = [
    (
        lambda client: client.set_member_status(LIST_ID, MemberRef(A_HASH), MemberStatus.UNSUBSCRIBED),
        {"status": "unsubscribed"},
    ),
    (
        lambda client: client.change_address(LIST_ID, MemberRef(A_HASH), "ada@new.test"),
        {"email_address": "ada@new.test"},
    ),
]


@pytest.mark.parametrize(("call", "body"), CHANGES)
def test_a_change_of_a_member_leaves_its_merge_fields_unchecked(call: Ask, body: object) -> None:
    (asked,) = asked_by(call, Reply(body=a_member()))
    assert (asked.method, asked.path, asked.body) == ("PATCH", MEMBER, body)
    assert asked.query == {"skip_merge_validation": "true"}


BARE_CALLS: list[tuple[Ask, str, str]] = [
    (lambda client: client.archive_member(LIST_ID, MemberRef(A_HASH)), "DELETE", MEMBER),
    (
        lambda client: client.delete_permanently(LIST_ID, MemberRef(A_HASH)),
        "POST",
        f"{MEMBER}/actions/delete-permanent",
    ),
    (lambda client: client.remove_webhook(LIST_ID, "abc123"), "DELETE", f"{LIST}/webhooks/abc123"),
]


@pytest.mark.parametrize(("call", "method", "path"), BARE_CALLS)
def test_a_call_without_a_body_has_none(call: Ask, method: str, path: str) -> None:
    (asked,) = asked_by(call, Reply(204))
    assert (asked.method, asked.path, asked.content) == (method, path, b"")


@pytest.mark.parametrize(("call", "method", "path"), BARE_CALLS)
@pytest.mark.parametrize("empty", [Reply(200), Reply(200, b"<html>Just a moment</html>"), Reply(202)])
def test_a_successful_answer_of_another_server_is_an_error(call: Ask, method: str, path: str, empty: Reply) -> None:
    with scripted(empty, Reply(204)) as script, a_client(script.root, retries=Time().retries()) as client:
        call(client)
    assert [(asked.method, asked.path) for asked in script.requests] == [(method, path)] * 2


def test_mailchimp_is_well_where_it_says_so() -> None:
    with scripted(Reply(200), Reply(body={"health_status": "Everything's Chimpy!"})) as script:
        with a_client(script.root) as client, pytest.raises(Unavailable):
            client.ping()
        with a_client(script.root) as client:
            client.ping()
    assert {asked.path for asked in script.requests} == {"/3.0/ping"}


def test_a_member_is_asked_for_by_its_hash_and_only_for_what_is_needed() -> None:
    (asked,) = asked_by(lambda client: client.member_state(LIST_ID, MemberRef(A_HASH)), Reply(body=a_member()))
    fields = "id,email_address,status,last_changed,unsubscribe_reason,contact_id"
    assert (asked.path, asked.query) == (MEMBER, {"fields": fields})


@pytest.mark.parametrize("key", ["", ADDRESS, A_HASH.upper(), f"{A_HASH}/..", "..", f"{A_HASH}\n"])
def test_no_address_gets_into_a_url(key: str) -> None:
    with a_client("http://127.0.0.1:1/3.0") as client, pytest.raises(ValueError, match="MD5") as refused:
        client.member_state(LIST_ID, MemberRef(key))
    assert ADDRESS not in str(refused.value)


@pytest.mark.parametrize("strange", ["", "..", "a/b", "../campaigns", "a1?x=1", ADDRESS, "a1\n"])
def test_what_cannot_be_an_id_is_not_asked_for(strange: str) -> None:
    with a_client("http://127.0.0.1:1/3.0") as client:
        for error, call in (
            (AudienceGone, lambda: client.audience(strange)),
            (CampaignGone, lambda: client.campaign(strange)),
            (CampaignGone, lambda: client.report(strange)),
        ):
            with pytest.raises(error) as refused:
                call()
            assert ADDRESS not in str(refused.value)
        assert client.remove_webhook(LIST_ID, strange) is False


@pytest.mark.parametrize(
    ("since", "asked_for"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:04+00:00"),
        (datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T03:04:04+00:00"),
        (datetime(1970, 1, 1, tzinfo=UTC), None),
        (datetime(1, 1, 1, tzinfo=UTC), None),
    ],
)
def test_changes_are_asked_for_with_the_moment_itself(since: datetime, asked_for: str | None) -> None:
    (asked,) = asked_by(lambda client: list(client.members(LIST_ID, since_last_changed=since)), Reply(body=NO_MEMBERS))
    assert asked.query.get("since_last_changed") == asked_for


def test_a_moment_without_a_zone_is_a_defect() -> None:
    with a_client("http://127.0.0.1:1/3.0") as client, pytest.raises(ValueError, match="time zone"):
        list(client.members(LIST_ID, since_last_changed=datetime(2026, 1, 1)))  # noqa: DTZ001 -- the point of it


def test_members_come_newest_first_and_slim() -> None:
    (asked,) = asked_by(
        lambda client: list(client.member_states(LIST_ID, status=MemberStatus.CLEANED)), Reply(body=NO_MEMBERS)
    )
    assert (asked.query["sort_field"], asked.query["sort_dir"]) == ("last_changed", "DESC")
    slim = ("id", "email_address", "status", "last_changed", "unsubscribe_reason", "contact_id")
    assert asked.query["fields"] == ",".join([*(f"members.{name}" for name in slim), "total_items"])
    assert asked.query["status"] == "cleaned"


def test_campaigns_and_reports_are_asked_for_from_a_moment_on() -> None:
    since = datetime(2026, 1, 2, tzinfo=UTC)
    page = Reply(body={"campaigns": [], "reports": [], "total_items": 0})
    (asked,) = asked_by(lambda client: list(client.campaigns(list_id=LIST_ID, since_create_time=since)), page)
    assert (asked.query["list_id"], asked.query["since_create_time"]) == (LIST_ID, "2026-01-02T00:00:00+00:00")
    (asked,) = asked_by(lambda client: list(client.reports(since_send_time=since)), page)
    assert (asked.path, asked.query["since_send_time"]) == ("/3.0/reports", "2026-01-02T00:00:00+00:00")


def test_a_webhook_is_not_told_of_our_own_changes() -> None:
    url = "https://acme.test/webhooks/1"
    (asked,) = asked_by(lambda client: client.add_webhook(LIST_ID, url), Reply(body={"id": "w1", "url": url}))
    assert asked.body["url"] == url
    assert asked.body["sources"] == {"user": True, "admin": True, "api": False}
    assert asked.body["events"]["unsubscribe"] is True


@pytest.mark.parametrize("second", [["w1"], []])
def test_pages_of_webhooks_that_bring_nothing_new_end(second: list[str]) -> None:
    pages = [Reply(body={"webhooks": [{"id": name} for name in ids], "total_items": 2}) for ids in (["w1"], second)]
    with scripted(*pages) as script, a_client(script.root) as client, pytest.raises(Incomplete):
        client.webhooks(LIST_ID)
    assert [asked.query for asked in script.requests] == [{}, {"count": "1000", "offset": "1"}]


def test_webhooks_that_went_away_meanwhile_are_not_waited_for() -> None:
    first = {"webhooks": [{"id": "w1"}], "total_items": 2}
    (_, second) = asked_by(
        lambda client: client.webhooks(LIST_ID), Reply(body=first), Reply(body={"webhooks": [], "total_items": 1})
    )
    assert second.query["offset"] == "1"


def test_a_webhook_is_not_made_twice_when_the_answer_is_lost() -> None:
    when = Time()
    with (
        scripted(Reply(429), Reply(cut=True)) as script,
        a_client(script.root, retries=when.retries()) as client,
        pytest.raises(Unavailable),
    ):
        client.add_webhook(LIST_ID, "https://acme.test/")
    assert len(script.requests) == 2


def test_a_refused_webhook_says_what_mailchimp_wants_of_it() -> None:
    refusal = Reply(400, a_problem(400, "Invalid Resource", "We couldn't verify the URL is working."))
    with (
        scripted(refusal) as script,
        a_client(script.root) as client,
        pytest.raises(Rejected, match="HTTP 200 from the webhook's URL") as refused,
    ):
        client.add_webhook(LIST_ID, "https://acme.test/secret")
    assert "secret" not in str(refused.value)


def test_a_deletion_that_finds_nothing_says_so() -> None:
    with scripted(NOT_FOUND) as script, a_client(script.root) as client:
        assert client.delete_permanently(LIST_ID, MemberRef(A_HASH)) is Deletion.UNKNOWN


def test_a_deletion_that_finds_nothing_after_a_lost_answer_is_told_apart() -> None:
    for first, outcome in ((Reply(cut=True), Deletion.GONE_UNHEARD), (Reply(429), Deletion.UNKNOWN)):
        with scripted(first, NOT_FOUND) as script, a_client(script.root, retries=Time().retries()) as client:
            assert client.delete_permanently(LIST_ID, MemberRef(A_HASH)) is outcome


def test_a_missing_member_of_a_missing_audience_is_no_error() -> None:
    with scripted(NOT_FOUND) as script, a_client(script.root) as client:
        assert client.member_state(LIST_ID, MemberRef(A_HASH)) is None
        assert client.set_member_status(LIST_ID, MemberRef(A_HASH), MemberStatus.UNSUBSCRIBED) is None
        assert client.archive_member(LIST_ID, MemberRef(A_HASH)) is None


def test_a_404_page_of_a_proxy_does_not_mean_a_missing_member() -> None:
    with scripted(Reply(404, b"<html>Not Found</html>")) as script, a_client(script.root) as client:
        for call in (client.member_state, client.delete_permanently, client.archive_member):
            with pytest.raises(NotTheApi):
                call(LIST_ID, MemberRef(A_HASH))


def test_a_missing_thing_is_named_by_its_kind() -> None:
    with scripted(NOT_FOUND) as script, a_client(script.root) as client:
        with pytest.raises(AudienceGone, match=LIST_ID):
            client.webhooks(LIST_ID)
        with pytest.raises(CampaignGone, match="c1"):
            client.report("c1")
        with pytest.raises(NotFound):
            client.account()
