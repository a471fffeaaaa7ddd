"""Member listings: pages, filters, order and partial answers."""

import pytest

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, START, AudienceApi, SetClock, a_member, errors_of
from sandbox import Sandbox


def addresses(api: AudienceApi, **query: object) -> list[str]:
    """Return the addresses that match a query."""
    answer = api.get(f"{api.here}/members", **query)
    assert answer.status_code == 200, answer.text
    return [member["email_address"] for member in answer.json()["members"]]


def fill(api: AudienceApi, count: int) -> list[str]:
    """Add members and return their addresses."""
    made = [f"p{number:04}@acme-staff.io" for number in range(count)]
    for start in range(0, count, 500):
        api.batch(*(a_member(address) for address in made[start : start + 500]))
    return made


def test_a_page_has_ten_unless_asked_for_more(api: AudienceApi) -> None:
    made = fill(api, 25)
    answer = api.get(f"{api.here}/members").json()
    assert (len(answer["members"]), answer["total_items"], answer["list_id"]) == (10, 25, api.list_id)
    assert addresses(api, count=10, offset=20) == made[20:]


def test_a_page_has_a_thousand_at_most(api: AudienceApi) -> None:
    fill(api, 1010)
    assert len(addresses(api, count=1000)) == 1000
    assert len(addresses(api, count=1000, offset=1000)) == 10


def test_the_status_filters_archived_ones_too(api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB, "unsubscribed"))
    api.delete(api.member(ANN))
    assert addresses(api, status="archived") == [ANN]
    assert addresses(api, status="unsubscribed") == [BOB]
    assert addresses(api) == [ANN, BOB]


def test_since_last_changed_leaves_out_the_moment_itself(api: AudienceApi, clock: SetClock) -> None:
    api.batch(a_member(ANN))
    clock.advance(seconds=1)
    api.batch(a_member(BOB))
    assert addresses(api, since_last_changed=START.isoformat()) == [BOB]
    assert addresses(api, since_last_changed=clock.moment.isoformat()) == []
    assert addresses(api, before_last_changed=clock.moment.isoformat()) == [ANN]


def test_a_change_moves_a_member_past_since_last_changed(api: AudienceApi, clock: SetClock) -> None:
    made = fill(api, 5)
    clock.advance(seconds=10)
    api.patch(api.member(made[1]), {"merge_fields": {"FNAME": "New"}})
    api.delete(api.member(made[3]))
    assert addresses(api, since_last_changed=START.isoformat()) == [made[1], made[3]]


def test_a_clock_that_went_back_hides_nobody(api: AudienceApi, clock: SetClock) -> None:
    api.batch(a_member(ANN))
    clock.advance(seconds=-3600)
    api.batch(a_member(BOB))
    before = clock.moment.replace(hour=7, minute=30).isoformat()
    assert addresses(api, since_last_changed=before) == [ANN]


def test_members_come_in_the_order_asked_for(api: AudienceApi, clock: SetClock) -> None:
    made = fill(api, 3)
    clock.advance(seconds=10)
    api.patch(api.member(made[0]), {"vip": True})
    by_change = [made[1], made[2], made[0]]
    assert addresses(api, sort_field="last_changed") == by_change
    assert addresses(api, sort_field="last_changed", sort_dir="DESC") == by_change[::-1]
    assert addresses(api, sort_field="timestamp_opt", sort_dir="ASC") == made


def test_members_come_in_the_order_of_their_signup(api: AudienceApi) -> None:
    api.batch(
        a_member(ANN, timestamp_signup="2026-02-02 00:00:00"), a_member(BOB, timestamp_signup="2026-01-01 00:00:00")
    )
    assert addresses(api, sort_field="timestamp_signup") == [BOB, ANN]


def test_unsubscribed_since_takes_the_unsubscribed_only(sandbox: Sandbox, api: AudienceApi, clock: SetClock) -> None:
    api.batch(a_member(ANN), a_member(BOB, "unsubscribed"))
    clock.advance(seconds=60)
    sandbox.unsubscribe_by_link(api.list_id, ANN)
    query = {"status": "unsubscribed", "unsubscribed_since": START.isoformat()}
    assert addresses(api, **query) == [ANN]
    answer = api.get(f"{api.here}/members", **{**query, "status": "subscribed"})
    assert "unsubscribed_since" in errors_of(answer)


def test_other_filters(api: AudienceApi) -> None:
    api.batch(a_member(ANN, vip=True), a_member(BOB, email_type="text"))
    assert addresses(api, vip_only="true") == [ANN]
    assert addresses(api, email_type="text") == [BOB]
    short_id = api.get(api.member(ANN)).json()["unique_email_id"]
    assert addresses(api, unique_email_id=short_id) == [ANN]


def test_a_page_shows_what_changed_since_the_last(api: AudienceApi) -> None:
    fill(api, 3)
    assert api.get(f"{api.here}/members", status="subscribed").json()["total_items"] == 3
    api.batch(a_member("late@acme-staff.io"))
    assert api.get(f"{api.here}/members", status="subscribed").json()["total_items"] == 4


def test_fields_are_named_from_the_root(api: AudienceApi) -> None:
    fill(api, 1)
    answer = api.get(f"{api.here}/members", fields="members.status,members.merge_fields.FNAME,total_items").json()
    assert answer == {"members": [{"status": "subscribed", "merge_fields": {"FNAME": ""}}], "total_items": 1}


def test_exclude_fields_leaves_the_rest(api: AudienceApi) -> None:
    fill(api, 1)
    answer = api.get(f"{api.here}/members", exclude_fields="members.merge_fields,_links,members.stats.avg_open_rate")
    (member,) = answer.json()["members"]
    assert "merge_fields" not in member
    assert member["stats"] == {"avg_click_rate": 0}
    assert set(answer.json()) == {"members", "list_id", "total_items"}


@pytest.mark.parametrize(
    "query",
    [
        {"fields": "members.nonsense"},
        {"fields": "members.id", "exclude_fields": "total_items"},
        {"status": "gone"},
        {"count": "-1"},
        {"offset": "x"},
        {"since_last_changed": "yesterday"},
        {"since_last_changed": "2026-03-01"},
        {"since_last_changed": "20260301T080000"},
        {"since_last_changed": "2026-W09-1"},
        {"since_last_changed": "2026-02-30T08:00:00Z"},
        {"since_last_changed": "2026-03-01T08:00:00 00:00"},
        {"sort_field": "name"},
        {"sort_dir": "UP"},
        {"vip_only": "perhaps"},
    ],
)
def test_a_query_that_mailchimp_cannot_read_is_refused(api: AudienceApi, query: dict[str, str]) -> None:
    fill(api, 1)
    answer = api.get(f"{api.here}/members", **query)
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid Resource")
