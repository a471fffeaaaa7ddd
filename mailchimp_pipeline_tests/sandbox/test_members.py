"""Single members: add, update, change the address, archive and delete."""

import hashlib

import pytest

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, AudienceApi, SetClock, a_member, errors_of
from sandbox import Sandbox


def test_a_member_is_found_by_hash_by_address_and_by_contact_id(api: AudienceApi) -> None:
    made = api.put(api.member(), a_member("Ann@Acme-Staff.io")).json()
    assert made["id"] == hashlib.md5(ANN.encode(), usedforsecurity=False).hexdigest()
    for key in (made["id"], "ANN@acme-staff.io", made["contact_id"]):
        assert api.get(f"{api.here}/members/{key}").json()["email_address"] == "Ann@Acme-Staff.io"


@pytest.mark.parametrize("key", ["nobody@acme-staff.io", "0" * 32, "zz", "{list}" + "f" * 22, "{list}" + "z" * 22])
def test_a_member_that_is_not_there_is_not_found(api: AudienceApi, key: str) -> None:
    assert api.get(f"{api.here}/members/{key.format(list=api.list_id)}").status_code == 404


def test_blanks_are_empty_strings(api: AudienceApi) -> None:
    member = api.put(api.member(), a_member(status="pending")).json()
    assert member["merge_fields"] == {"FNAME": "", "LNAME": "", "ADDRESS": "", "PHONE": ""}
    assert (member["timestamp_signup"], member["timestamp_opt"], member["ip_signup"]) == ("", "", "")
    assert member["unsubscribe_reason"] == ""


def test_times_are_written_to_the_second_in_utc(api: AudienceApi) -> None:
    assert api.put(api.member(), a_member()).json()["last_changed"] == "2026-03-01T08:00:00+00:00"


def test_put_adds_with_the_status_for_new_ones(api: AudienceApi) -> None:
    answer = api.put(api.member(), {"email_address": ANN, "status_if_new": "pending"})
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")


def test_an_address_that_is_there_under_another_key_is_refused_without_a_type(api: AudienceApi) -> None:
    api.batch(a_member())
    answer = api.put(f"{api.here}/members/{'0' * 32}", a_member())
    assert (answer.status_code, answer.json()["title"]) == (400, "Member Exists")
    assert answer.json()["detail"] == f"{ANN} is already a list member. Use PUT to insert or update list members."
    assert "type" not in answer.json()


def test_put_leaves_the_status_of_one_that_is_there(api: AudienceApi) -> None:
    api.batch(a_member(status="unsubscribed"))
    body = {"email_address": ANN, "status_if_new": "subscribed", "merge_fields": {"FNAME": "Ann"}}
    member = api.put(api.member(), body).json()
    assert (member["status"], member["merge_fields"]["FNAME"]) == ("unsubscribed", "Ann")


def test_put_needs_an_address_and_for_a_new_one_a_status(api: AudienceApi) -> None:
    assert "email_address" in errors_of(api.put(api.member(), {"status_if_new": "subscribed"}))
    assert "status" in errors_of(api.put(api.member(), {"email_address": ANN}))


def test_put_moves_a_member_to_another_address(api: AudienceApi) -> None:
    made = api.put(api.member(), a_member()).json()
    moved = api.put(f"{api.here}/members/{made['id']}", {"email_address": BOB, "status_if_new": "subscribed"}).json()
    assert (moved["email_address"], moved["contact_id"]) == (BOB, made["contact_id"])
    assert moved["id"] != made["id"]
    assert api.status(ANN) is None


def test_a_member_is_not_moved_onto_another(api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB))
    assert api.patch(api.member(ANN), {"email_address": BOB}).json()["title"] == "Member Exists"
    assert (api.status(ANN), api.status(BOB)) == ("subscribed", "subscribed")


def test_patch_needs_a_member_and_takes_no_transactional(api: AudienceApi) -> None:
    assert api.patch(api.member(), {"status": "subscribed"}).status_code == 404
    api.batch(a_member())
    assert "status" in errors_of(api.patch(api.member(), {"status": "transactional"}))


def test_delete_archives_and_keeps_the_member_readable(api: AudienceApi) -> None:
    api.batch(a_member())
    answer = api.delete(api.member())
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.status() == "archived"


@pytest.mark.parametrize("status", ["archived", "pending", "cleaned"])
def test_what_cannot_be_archived_says_which_methods_it_takes(api: AudienceApi, status: str) -> None:
    api.batch(a_member(status="subscribed" if status == "archived" else status))
    if status == "archived":
        api.delete(api.member())
    answer = api.delete(api.member())
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, PUT")
    assert answer.json()["detail"].endswith("Can not archive a contact that is bounced, pending or archived")


def test_delete_permanent_leaves_nothing(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    answer = api.delete_permanently()
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.status() is None
    assert api.delete_permanently().status_code == 404
    assert sandbox.is_forgotten(api.list_id, ANN)


def test_delete_permanent_takes_the_hash_alone(api: AudienceApi) -> None:
    api.batch(a_member())
    contact_id = api.get(api.member()).json()["contact_id"]
    for key in (ANN, contact_id):
        assert api.get(f"{api.here}/members/{key}").status_code == 200
        assert api.post(f"{api.here}/members/{key}/actions/delete-permanent").status_code == 404
    assert api.status() == "subscribed"


def test_a_change_of_nothing_is_no_change(api: AudienceApi, clock: SetClock) -> None:
    before = api.put(api.member(), a_member(merge_fields={"FNAME": "Ann"})).json()
    clock.advance(seconds=60)
    assert api.patch(api.member(), a_member(merge_fields={"FNAME": "Ann"})).json() == before


def test_attributes_are_kept(api: AudienceApi) -> None:
    where = {"latitude": 1.5, "longitude": 2}
    body = a_member(vip=True, language="de", email_type="text", location=where, ip_signup="198.51.100.7")
    api.put(api.member(), body)
    member = api.get(api.member()).json()
    assert (member["vip"], member["language"], member["email_type"]) == (True, "de", "text")
    assert (member["location"]["latitude"], member["ip_signup"]) == (1.5, "198.51.100.7")


def test_marketing_permissions_are_the_audiences_own(sandbox: Sandbox, account_id: str, api: AudienceApi) -> None:
    list_id = sandbox.add_audience(account_id, marketing_permissions=True)
    made = api.put(f"/lists/{list_id}/members/{ANN}", a_member()).json()
    permission = made["marketing_permissions"][0]["marketing_permission_id"]
    change = {"marketing_permissions": [{"marketing_permission_id": permission, "enabled": True}]}
    changed = api.patch(f"/lists/{list_id}/members/{ANN}", change).json()
    assert [entry["enabled"] for entry in changed["marketing_permissions"]] == [True, False, False]


def test_interests_are_added_to_those_there_are(api: AudienceApi) -> None:
    api.put(api.member(), a_member(interests={"a": True, "b": True}))
    changed = api.patch(api.member(), {"interests": {"b": False}}).json()
    assert changed["interests"] == {"a": True, "b": False}
