"""Batch subscribe: accepted and rejected members in an answer with status 200."""

from typing import Any

import pytest

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, AudienceApi, a_member, errors_of
from sandbox import Sandbox


def totals(answer: dict[str, Any]) -> tuple[int, int, int]:
    """Return the numbers of created, updated and rejected members."""
    return answer["total_created"], answer["total_updated"], answer["error_count"]


def only_error(answer: dict[str, Any]) -> dict[str, str]:
    """Return the only error in an answer."""
    (error,) = answer["errors"]
    return error


def test_new_members_are_created(api: AudienceApi) -> None:
    answer = api.batch(a_member(ANN), a_member(BOB))
    assert totals(answer) == (2, 0, 0)
    assert [member["email_address"] for member in answer["new_members"]] == [ANN, BOB]


def test_one_that_exists_is_an_error_unless_asked_to_update(api: AudienceApi) -> None:
    api.batch(a_member())
    error = only_error(api.batch(a_member()))
    assert (error["error_code"], error["email_address"]) == ("ERROR_CONTACT_EXISTS", ANN)
    assert totals(api.batch(a_member(merge_fields={"FNAME": "Ann"}), update_existing=True)) == (0, 1, 0)


def test_update_existing_resubscribes_a_member_that_the_api_unsubscribed(api: AudienceApi) -> None:
    api.batch(a_member(status="unsubscribed"))
    api.batch(a_member(), update_existing=True)
    assert api.status() == "subscribed"


def test_500_are_taken_and_501_are_not(api: AudienceApi) -> None:
    members = [a_member(f"p{number}@acme-staff.io") for number in range(501)]
    assert totals(api.batch(*members[:500])) == (500, 0, 0)
    answer = api.post(api.here, {"members": members, "update_existing": True})
    assert (answer.status_code, set(errors_of(answer))) == (400, {"members"})


@pytest.mark.parametrize("address", ["foo@example.com", "foo@sub.example.org", "FOO@EXAMPLE.NET"])
def test_a_fake_address_is_an_error_of_its_own(api: AudienceApi, address: str) -> None:
    answer = api.batch(a_member(address), a_member(BOB))
    assert totals(answer) == (1, 0, 1)
    assert only_error(answer)["error"] == f"{address} looks fake or invalid, please enter a real email address."
    assert only_error(answer)["error_code"] == "ERROR_GENERIC"


def test_which_domains_are_fake_can_be_set(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(fake_domains=["test", "acme-staff.io"])
    answer = api.batch(a_member(ANN), a_member("a@b.test"), a_member("a@example.com"))
    assert totals(answer) == (1, 0, 2)


@pytest.mark.parametrize(
    "address", ["", "ann", "ann@", "@acme-staff.io", "a b@acme-staff.io", "a..b@acme-staff.io", "a@acme", "a@-x.io"]
)
def test_a_wrong_syntax_is_an_error_of_its_own(api: AudienceApi, address: str) -> None:
    answer = api.batch(a_member(address), a_member(BOB))
    assert totals(answer) == (1, 0, 1)
    if address:
        assert only_error(answer)["error"] == "Please provide a valid email address."


@pytest.mark.parametrize("address", ["o'brien@acme-staff.io", "a+b@acme.co.uk", "x@müller-staff.de", "a@1-2.io"])
def test_unusual_addresses_are_taken(api: AudienceApi, address: str) -> None:
    assert totals(api.batch(a_member(address))) == (1, 0, 0)


def test_a_bursty_address_is_refused_for_now(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(bursty_addresses=[ANN])
    error = only_error(api.batch(a_member("Ann@acme-staff.io")))
    assert "has signed up to a lot of lists very recently; we're not allowing more signups for now" in error["error"]
    sandbox.configure(bursty_addresses=[])
    assert totals(api.batch(a_member())) == (1, 0, 0)


def test_role_addresses_are_taken_unless_they_are_not(sandbox: Sandbox, api: AudienceApi) -> None:
    assert totals(api.batch(a_member("billing@acme-staff.io"))) == (1, 0, 0)
    sandbox.configure(refuse_role_addresses=True)
    assert totals(api.batch(a_member("support@acme-staff.io"), a_member("info@acme-staff.io"))) == (1, 0, 1)


def test_a_missing_required_field_names_itself(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.require_merge_field(api.list_id, "LNAME")
    answer = api.batch(a_member(ANN), a_member(BOB, merge_fields={"LNAME": "Birch"}))
    error = only_error(answer)
    assert (error["field"], error["field_message"]) == ("LNAME", "Please enter a value")
    assert (error["error"], totals(answer)) == ("Your merge fields were invalid.", (1, 0, 1))


def test_skip_merge_validation_takes_those_without(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.require_merge_field(api.list_id, "LNAME")
    assert totals(api.batch(a_member(), skip_merge_validation="true")) == (1, 0, 0)


def test_an_item_of_a_wrong_form_fails_alone(api: AudienceApi) -> None:
    answer = api.batch(a_member(ANN, status="nonsense"), a_member(BOB), a_member("c@acme-staff.io", merge_fields=None))
    assert totals(answer) == (2, 0, 1)
    assert only_error(answer)["field"] == "status"


def test_an_item_without_a_status_is_refused_if_new(api: AudienceApi) -> None:
    assert only_error(api.batch({"email_address": ANN}))["field"] == "status"


@pytest.mark.parametrize("members", ["x", None, [{}], [5], [{"email_address": 5}]])
def test_a_batch_of_a_wrong_form_is_refused_as_a_whole(api: AudienceApi, members: object) -> None:
    assert api.post(api.here, {"members": members}).status_code == 400


def test_an_address_twice_in_a_batch_is_an_error(api: AudienceApi) -> None:
    answer = api.batch(a_member(ANN), a_member(ANN.upper()))
    assert (totals(answer), only_error(answer)["error_code"]) == ((1, 0, 1), "ERROR_GENERIC")


def test_an_address_twice_can_have_the_batch_refused(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(duplicates_in_batch="refuse_batch")
    assert api.post(api.here, {"members": [a_member(), a_member()]}).status_code == 400
    assert sandbox.members(api.list_id) == []


@pytest.mark.parametrize("behaviour", ["error", "refuse_batch"])
def test_skip_duplicate_check_keeps_the_first(sandbox: Sandbox, api: AudienceApi, behaviour: str) -> None:
    sandbox.configure(duplicates_in_batch=behaviour)
    answer = api.batch(a_member(status="pending"), a_member(), skip_duplicate_check="true")
    assert (totals(answer), api.status()) == ((1, 0, 0), "pending")


@pytest.mark.parametrize(("behaviour", "expected"), [("returns", (0, 1, 0)), ("exists", (0, 0, 1))])
def test_an_archived_member_in_a_batch(
    sandbox: Sandbox, api: AudienceApi, behaviour: str, expected: tuple[int, int, int]
) -> None:
    api.batch(a_member())
    api.delete(api.member())
    sandbox.configure(archived_in_batch=behaviour)
    assert totals(api.batch(a_member())) == expected
    assert api.status() == ("subscribed" if behaviour == "returns" else "archived")


@pytest.mark.parametrize(("takes_tags", "expected"), [(True, ["Blue"]), (False, [])])
def test_tags_in_a_batch_are_honoured_if_so_set(
    sandbox: Sandbox, api: AudienceApi, *, takes_tags: bool, expected: list[str]
) -> None:
    sandbox.configure(batch_takes_tags=takes_tags)
    api.batch(a_member(tags=["Blue"]))
    assert [tag["name"] for tag in api.get(api.member()).json()["tags"]] == expected


def test_sync_tags_leaves_exactly_the_tags_sent(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(batch_takes_tags=True)
    api.batch(a_member(tags=["Blue", "Red"]))
    body = {"members": [a_member(tags=["Red", {"name": "Green"}])], "update_existing": True, "sync_tags": True}
    api.post(api.here, body)
    assert [tag["name"] for tag in api.get(api.member()).json()["tags"]] == ["Red", "Green"]


def test_a_batch_to_no_audience_is_not_found(api: AudienceApi) -> None:
    assert api.post("/lists/none", {"members": [a_member()]}).status_code == 404
