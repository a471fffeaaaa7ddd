"""Audiences with merge fields and static segments."""

import pytest

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, START, AudienceApi, SetClock, a_member, errors_of
from sandbox import Sandbox


def test_the_lists_of_an_account(sandbox: Sandbox, account_id: str, api: AudienceApi) -> None:
    other = sandbox.add_audience(account_id, "Vendors", "f00")
    answer = api.get("/lists").json()
    assert [(entry["id"], entry["name"]) for entry in answer["lists"]] == [(api.list_id, "Staff"), (other, "Vendors")]
    assert (answer["total_items"], answer["constraints"]["current_total_instances"]) == (2, 2)
    assert [entry["id"] for entry in api.get("/lists", sort_dir="DESC", count=1).json()["lists"]] == ["f00"]


def test_lists_are_found_by_who_is_in_them_and_when_they_were_made(
    sandbox: Sandbox, account_id: str, api: AudienceApi, clock: SetClock
) -> None:
    api.batch(a_member())
    clock.advance(seconds=60)
    later = sandbox.add_audience(account_id)
    assert [entry["id"] for entry in api.get("/lists", email=ANN).json()["lists"]] == [api.list_id]
    found = api.get("/lists", since_date_created=START.isoformat()).json()["lists"]
    assert [entry["id"] for entry in found] == [later]


def test_a_list_counts_its_members_by_status(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB, "unsubscribed"), a_member("c@acme-staff.io", "cleaned"))
    sandbox.delete_as_admin(api.list_id, ANN)
    stats = api.get(api.here, include_total_contacts="true").json()["stats"]
    assert (stats["member_count"], stats["unsubscribe_count"], stats["cleaned_count"]) == (0, 1, 1)
    assert (stats["total_contacts"], stats["campaign_last_sent"]) == (2, "")


def test_a_list_that_was_taken_away_is_not_found(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_campaign(api.list_id)
    sandbox.remove_audience(api.list_id)
    assert api.get(api.here).status_code == 404
    assert api.get("/campaigns").json()["total_items"] == 0


def test_a_new_list_has_the_four_usual_merge_fields(api: AudienceApi) -> None:
    fields = api.get(f"{api.here}/merge-fields").json()
    assert [field["tag"] for field in fields["merge_fields"]] == ["FNAME", "LNAME", "ADDRESS", "PHONE"]
    assert not any(field["required"] for field in fields["merge_fields"])


def test_a_merge_field_is_made(api: AudienceApi) -> None:
    made = api.post(f"{api.here}/merge-fields", {"name": "Department", "type": "text"}).json()
    assert (made["tag"], made["merge_id"], made["required"]) == ("MMERGE5", 5, False)
    api.batch(a_member(merge_fields={"MMERGE5": "Finance"}))
    assert api.get(api.member()).json()["merge_fields"]["MMERGE5"] == "Finance"


def test_a_merge_field_can_vanish_with_its_values_from_one_day_to_the_next(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_merge_field(api.list_id, "DEPT")
    api.batch(a_member(merge_fields={"DEPT": "Finance"}))
    assert api.get(api.member()).json()["merge_fields"]["DEPT"] == "Finance"
    sandbox.remove_merge_field(api.list_id, "DEPT")
    assert "DEPT" not in {field["tag"] for field in api.get(f"{api.here}/merge-fields").json()["merge_fields"]}
    assert "DEPT" not in api.get(api.member()).json()["merge_fields"]


@pytest.mark.parametrize(
    "body", [{}, {"name": "X"}, {"name": "X", "type": "nonsense"}, {"name": "X", "type": "text", "tag": "ELEVENCHARS"}]
)
def test_a_merge_field_of_a_wrong_form_is_refused(api: AudienceApi, body: dict[str, str]) -> None:
    assert errors_of(api.post(f"{api.here}/merge-fields", body))


def test_a_tag_is_taken_once(api: AudienceApi) -> None:
    answer = api.post(f"{api.here}/merge-fields", {"name": "X", "type": "text", "tag": "fname"})
    assert (answer.status_code, "already exists" in answer.json()["detail"]) == (400, True)


def test_merge_fields_can_be_filtered(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.require_merge_field(api.list_id, "PHONE")
    assert [f["tag"] for f in api.get(f"{api.here}/merge-fields", required="true").json()["merge_fields"]] == ["PHONE"]
    assert api.get(f"{api.here}/merge-fields", type="address").json()["total_items"] == 1


def test_values_are_cut_at_255_bytes_and_unknown_tags_ignored(api: AudienceApi) -> None:
    api.batch(a_member(merge_fields={"FNAME": "ü" * 200, "NONSENSE": "x", "LNAME": 7}))
    values = api.get(api.member()).json()["merge_fields"]
    assert values["FNAME"] == "ü" * 127
    assert (values["LNAME"], "NONSENSE" in values) == ("7", False)


@pytest.mark.parametrize("value", [None, True, ["x"]])
def test_a_value_that_is_no_value_is_refused(api: AudienceApi, value: object) -> None:
    answer = api.put(api.member(), a_member(merge_fields={"FNAME": value}))
    assert errors_of(answer) == {"merge_fields.FNAME": "Data did not match any of the schemas described in anyOf."}


def test_a_single_member_without_a_required_value_is_refused(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.require_merge_field(api.list_id, "LNAME")
    answer = api.put(api.member(), a_member(merge_fields={"FNAME": "Ann"}))
    assert answer.json()["detail"] == "Your merge fields were invalid."
    assert errors_of(answer) == {"LNAME": "Please enter a value"}
    assert api.put(api.member(), a_member(), skip_merge_validation="true").status_code == 200


def test_a_required_value_does_not_stand_in_the_way_of_an_unsubscribe(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    sandbox.require_merge_field(api.list_id, "LNAME")
    assert api.patch(api.member(), {"status": "unsubscribed"}).json()["status"] == "unsubscribed"


def test_an_address_needs_its_parts_and_a_number_must_be_one(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_merge_field(api.list_id, "AGE", "number")
    whole = {"addr1": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701"}
    refused = api.put(api.member(), a_member(merge_fields={"ADDRESS": {"addr1": "1 Main Street"}, "AGE": "old"}))
    assert set(errors_of(refused)) == {"ADDRESS", "AGE"}
    taken = api.put(api.member(), a_member(merge_fields={"ADDRESS": whole, "AGE": 41}))
    assert (taken.json()["merge_fields"]["ADDRESS"], taken.json()["merge_fields"]["AGE"]) == (whole, 41)


def test_a_static_segment_is_made_of_the_members_among_its_addresses(api: AudienceApi) -> None:
    api.batch(a_member(ANN))
    made = api.post(f"{api.here}/segments", {"name": "Leaders", "static_segment": [ANN, BOB]}).json()
    assert (made["name"], made["type"], made["member_count"]) == ("Leaders", "static", 1)
    members = api.get(f"{api.here}/segments/{made['id']}/members").json()
    assert [member["email_address"] for member in members["members"]] == [ANN]


def test_members_join_and_leave_a_static_segment(api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB))
    path = (
        f"{api.here}/segments/{api.post(f'{api.here}/segments', {'name': 'S', 'static_segment': [ANN]}).json()['id']}"
    )
    answer = api.post(path, {"members_to_add": [ANN, BOB, "x@acme-staff.io"], "members_to_remove": [ANN]}).json()
    assert (answer["total_added"], answer["total_removed"], answer["error_count"]) == (1, 1, 1)
    assert answer["errors"][0]["email_addresses"] == ["x@acme-staff.io"]
    assert [entry["member_count"] for entry in api.get(f"{api.here}/segments").json()["segments"]] == [1]


def test_500_addresses_change_a_static_segment_and_501_do_not(api: AudienceApi) -> None:
    many = [f"p{number}@acme-staff.io" for number in range(501)]
    path = f"{api.here}/segments/{api.post(f'{api.here}/segments', {'name': 'S', 'static_segment': []}).json()['id']}"
    assert api.post(path, {"members_to_add": many[:500]}).status_code == 200
    answer = api.post(path, {"members_to_add": many})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Maximum allowed member items exceeded")


def test_a_static_segment_is_renamed_replaced_and_removed(api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB))
    made = api.post(f"{api.here}/segments", {"name": "S", "static_segment": [ANN]}).json()
    path = f"{api.here}/segments/{made['id']}"
    assert api.patch(path, {"name": "T", "static_segment": [ANN, BOB]}).json()["member_count"] == 2
    assert [segment["name"] for segment in api.get(f"{api.here}/segments").json()["segments"]] == ["T"]
    assert api.delete(path).status_code == 204
    assert api.get(f"{api.here}/segments").json()["total_items"] == 0
    assert (api.delete(path).status_code, api.status()) == (404, "subscribed")


@pytest.mark.parametrize("body", [{"name": "S"}, {"name": " ", "static_segment": []}, {"static_segment": []}])
def test_a_static_segment_needs_a_name_and_addresses(api: AudienceApi, body: dict[str, object]) -> None:
    assert api.post(f"{api.here}/segments", body).status_code == 400


def test_the_name_of_a_static_segment_is_taken_once_and_is_a_tag(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(batch_takes_tags=True)
    api.batch(a_member(tags=["Blue"]))
    assert api.get(f"{api.here}/segments", type="static").json()["segments"][0]["name"] == "Blue"
    assert api.post(f"{api.here}/segments", {"name": "BLUE", "static_segment": []}).status_code == 400


def test_a_member_that_moves_stays_in_its_segments_and_a_deleted_one_does_not(api: AudienceApi) -> None:
    api.batch(a_member(ANN))
    made = api.post(f"{api.here}/segments", {"name": "S", "static_segment": [ANN]}).json()
    api.patch(api.member(ANN), {"email_address": BOB})
    members = f"{api.here}/segments/{made['id']}/members"
    assert [member["email_address"] for member in api.get(members).json()["members"]] == [BOB]
    api.delete_permanently(BOB)
    assert api.get(members).json()["total_items"] == 0
