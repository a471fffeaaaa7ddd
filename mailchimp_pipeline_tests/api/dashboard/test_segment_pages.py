"""The pages of segments: their form, its preview and its values, and the pages of their lists."""

import pytest

from api.trpc import Role
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.sync.segment_results import Trigger
from mailchimp_pipeline_tests.api.dashboard.visitor import Visitor, a_visitor
from mailchimp_pipeline_tests.api.procedures.examples import NO_ID
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.api.procedures.test_preview_sync import sync


@pytest.fixture
def editor(connected: Tenant) -> Visitor:
    """Return an editor of an organisation with three employees."""
    connected.add_employees({"department": "Sales"}, {"department": "sales"}, {"department": "Art", "location": "Oslo"})
    return a_visitor(connected, role=Role.EDITOR)


def filled(editor: Visitor, **changed: str) -> dict[str, str]:
    usual = {"name": "Artists", "segmentType": "employee", "mailchimpListId": editor.tenant.list_id, "onLeave": "keep"}
    return usual | changed


@pytest.mark.parametrize("page", ["/segments/new", "/segments/{id}/edit"])
def test_a_viewer_gets_no_form_that_changes_a_segment(connected: Tenant, page: str) -> None:
    path = page.replace("{id}", connected.create().data["id"])
    answer = a_visitor(connected, role=Role.VIEWER).visit(path)
    assert answer.status == 403
    assert "This page needs the role &#34;editor&#34;" in answer.body.decode()


def test_the_form_shows_the_values_in_the_source_and_keeps_what_was_entered(editor: Visitor) -> None:
    page = editor.submit("/segments/new", filled(editor, values="1")).body.decode()
    assert "<li><bdi>Art</bdi></li><li><bdi>Sales</bdi></li>" in page
    assert "<li><bdi>Oslo</bdi></li>" in page
    assert 'value="Artists"' in page


def test_a_preview_of_one_member_has_the_singular(editor: Visitor) -> None:
    page = editor.submit("/segments/new", filled(editor, department="Art", preview="1")).body.decode()
    assert "</strong> contact would be a member." in page
    assert "</data> matches the filter." in page


def test_a_page_shows_what_a_sync_would_do(editor: Visitor) -> None:
    path = f"/segments/{editor.tenant.create(filterCriteria={'department': 'Sales'}).data['id']}"
    assert "What a sync would do now" not in editor.visit(path).body.decode()
    answer = a_visitor(editor.tenant, role=Role.VIEWER).submit(f"{path}/preview")
    page = answer.body.decode()
    assert answer.status == 200
    assert "The audience was never read, so all members count as new." in page
    row = page.partition("<td>are added</td>")[2].partition("</tr>")[0]
    assert '<data value="2">' in row
    assert "employee <bdi>1</bdi>" in row
    assert "@" not in page.partition("What a sync would do now")[2].partition("</table>")[0]


def test_a_page_says_that_a_sync_would_stop(editor: Visitor) -> None:
    segment_id = editor.tenant.create().data["id"]
    sync(editor.tenant, segment_id)
    editor.tenant.mutate("segments.update", {"id": segment_id, "filterCriteria": {"department": ["Nowhere"]}})
    page = editor.submit(f"/segments/{segment_id}/preview").body.decode()
    assert "The sync would stop before it sends anything" in page
    assert "3 of the 3 members" in page


def test_a_preview_that_is_refused_leaves_the_page(editor: Visitor) -> None:
    segment_id = editor.tenant.create().data["id"]
    editor.tenant.mutate("connection.disconnect")
    answer = editor.submit(f"/segments/{segment_id}/preview")
    assert answer.status == 412
    assert "is not connected to Mailchimp" in answer.body.decode()
    assert editor.submit(f"/segments/{NO_ID}/preview").status == 404


def test_a_later_page_of_a_list_leads_back_to_the_first(editor: Visitor) -> None:
    for number in range(51):
        editor.tenant.create(name=f"Segment {number}")
    first = editor.visit("/segments").body.decode()
    assert "First page" not in first
    following = first.partition('rel="next" href="')[2].partition('"')[0]
    assert "First page" in editor.visit(following.replace("&amp;", "&")).body.decode()


def test_without_a_connection_the_pages_say_that_nothing_is_synced(editor: Visitor) -> None:
    segment_id = editor.tenant.create().data["id"]
    editor.tenant.mutate("connection.disconnect")
    for path in ("/segments", f"/segments/{segment_id}"):
        page = editor.visit(path).body.decode()
        assert "Mailchimp is not connected, so nothing is synced." in page
        assert "disabled" in page.partition(f'action="/segments/{segment_id}/sync"')[2].partition("</form>")[0]


def test_rejected_contacts_are_in_the_part_that_is_live(editor: Visitor) -> None:
    page = editor.visit(f"/segments/{editor.tenant.create().data['id']}").body.decode()
    assert page.index('id="live"') < page.index('id="rejected"') < page.index('id="definition"')


def test_the_history_has_the_trigger_and_the_run_of_each_sync_and_a_plot_once_two_succeeded(editor: Visitor) -> None:
    segment_id = editor.tenant.create().data["id"]
    key, pipeline = f"{editor.tenant.organisation_id}/{segment_id}", Pipeline(editor.tenant.stage.parts)
    list(pipeline.sync([key], run_id="0123456789abcdef", trigger=Trigger.SCHEDULE, push=True))
    first = editor.visit(f"/segments/{segment_id}").body.decode()
    assert "daily sync" in first
    assert '<code class="id" title="0123456789abcdef">01234567</code>' in first
    assert "<svg" not in first
    list(pipeline.sync([key], run_id="run-2", trigger=Trigger.REQUEST, push=True))
    both = editor.visit(f"/segments/{segment_id}").body.decode()
    assert both.index("requested</span>") < both.index("daily sync</span>") < both.index("<svg")
    assert "style=" not in both


def test_the_page_of_an_id_of_which_nothing_is_recorded_says_so(editor: Visitor) -> None:
    contact, warning = {"entityType": "employee", "entityId": "1"}, "Nothing is recorded about this id."
    assert warning not in editor.submit("/contacts/find", contact).body.decode()
    editor.tenant.remove_employees()
    assert warning in editor.submit("/contacts/find", contact).body.decode()


def test_the_page_of_a_contact_says_why_it_is_not_sent(editor: Visitor) -> None:
    tenant, contact = editor.tenant, {"entityType": "employee", "entityId": "1"}
    tenant.add_employees({"id": "1", "department": "Sales"})
    tenant.create(name="Lawyers", filterCriteria={"department": ["Legal"]})
    page = editor.submit("/contacts/find", contact).body.decode()
    assert "1 segment whose filter it does not match" in page
    assert "does not match: Department" in page
    tenant.create(name="All")
    assert "joins with the next sync" in editor.submit("/contacts/find", contact).body.decode()
    tenant.sync()
    page = editor.submit("/contacts/find", contact).body.decode()
    assert ">member<" in page
    assert "<td>subscribed</td>" in page
    page = editor.submit("/contacts/opt-status", contact | {"optedIn": "false", "consentSource": "phone"}).body.decode()
    assert "leaves with the next sync" in page
    assert "they opted out" in page


def test_who_left_the_source_and_is_still_subscribed_can_be_opted_out_and_erased(editor: Visitor) -> None:
    tenant, contact = editor.tenant, {"entityType": "employee", "entityId": "1"}
    tenant.create()
    tenant.sync()
    tenant.remove_employees()
    page = editor.submit("/contacts/find", contact).body.decode()
    assert "Nothing is recorded about this id." not in page
    assert 'action="/contacts/opt-status"' in page
    said = editor.submit("/contacts/opt-status", contact | {"optedIn": "false", "consentSource": "phone"})
    assert "The opt-out was recorded." in said.body.decode()


def test_the_page_of_an_erased_contact_says_so(editor: Visitor) -> None:
    editor.tenant.create()
    editor.tenant.sync()
    contact = {"entityType": "employee", "entityId": "1"}
    editor.tenant.mutate("preferences.gdprDelete", contact)
    assert "This contact was erased." in editor.submit("/contacts/find", contact).body.decode()
