"""Queries and paths are validated as strictly as Mailchimp documents."""

import pytest

from mailchimp_pipeline_tests.mailchimp.scripted import Reply, scripted
from mailchimp_pipeline_tests.sandbox.calls import ANN, AudienceApi, a_member, errors_of
from sandbox import Sandbox

LISTINGS = ("/lists", "/campaigns", "/reports", "{here}/members", "{here}/merge-fields", "{here}/segments")


@pytest.mark.parametrize("path", ["/", "/ping", "{here}", "{here}/webhooks", *LISTINGS])
def test_a_parameter_that_a_route_does_not_know_is_refused_by_its_name(api: AudienceApi, path: str) -> None:
    answer = api.get(path.format(here=api.here), cuont=5)
    assert (answer.status_code, list(errors_of(answer))) == (400, ["cuont"])


def test_a_change_knows_other_parameters_than_a_reading(api: AudienceApi) -> None:
    assert api.put(api.member(), a_member(), fields="id").status_code == 400
    assert api.put(api.member(), a_member(), skip_merge_validation="true").status_code == 200


@pytest.mark.parametrize("path", LISTINGS)
def test_more_than_a_thousand_a_page_are_refused(api: AudienceApi, path: str) -> None:
    assert api.get(path.format(here=api.here), count=1000).status_code == 200
    assert list(errors_of(api.get(path.format(here=api.here), count=1001))) == ["count"]


@pytest.mark.parametrize("parameter", ["fields", "exclude_fields"])
@pytest.mark.parametrize("path", LISTINGS)
def test_a_field_that_is_none_is_refused_also_where_nothing_is_listed(
    api: AudienceApi, path: str, parameter: str
) -> None:
    listing = path.rpartition("/")[2].replace("-", "_")
    known, strange = (
        api.get(path.format(here=api.here), **{parameter: f"{listing}.{name},total_items"})
        for name in ("_links", "nonsense")
    )
    assert (known.status_code, list(errors_of(strange))) == (200, [parameter])


def test_any_merge_field_may_be_asked_for_where_nobody_is_listed(api: AudienceApi) -> None:
    assert api.get(f"{api.here}/members", fields="members.merge_fields.DEPT").json() == {"members": []}


@pytest.mark.parametrize("path", ["//lists", "/lists//"])
def test_a_path_with_a_slash_too_many_leads_nowhere(api: AudienceApi, path: str) -> None:
    assert api.get(path).status_code == 404


def test_a_batch_knows_no_status_for_new_members_alone(api: AudienceApi) -> None:
    answer = api.batch({"email_address": ANN, "status_if_new": "subscribed"})
    assert (answer["total_created"], answer["error_count"]) == (0, 1)
    assert api.batch(a_member(status="unsubscribed", status_if_new="subscribed"))["total_created"] == 1
    assert api.status() == "unsubscribed"


@pytest.mark.parametrize(
    ("listed", "shown", "second"), [("in_pages", 10, 200), ("all", 11, 400), ("first_ten", 10, 400)]
)
def test_webhooks_are_listed_as_the_sandbox_is_told(
    sandbox: Sandbox, api: AudienceApi, listed: str, shown: int, second: int
) -> None:
    sandbox.configure(webhooks_listed=listed)
    with scripted(Reply()) as receiver:
        for number in range(11):
            api.post(f"{api.here}/webhooks", {"url": f"{receiver.root}/{number}"})
    answer = api.get(f"{api.here}/webhooks").json()
    assert (len(answer["webhooks"]), answer["total_items"]) == (shown, 11)
    assert api.get(f"{api.here}/webhooks", offset=10).status_code == second
