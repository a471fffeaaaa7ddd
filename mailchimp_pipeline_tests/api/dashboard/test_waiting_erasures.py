"""The overview: erasures that Mailchimp has yet to confirm."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import update

from api.trpc import Role
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.database.tables import ErasureRequestRow
from mailchimp_pipeline_tests.api.dashboard.visitor import a_visitor
from mailchimp_pipeline_tests.api.procedures.stage import Tenant

NOTHING = "Nothing. The connection works, and no segment is in error."


def leave_pending(tenant: Tenant, *entity_ids: str, age: timedelta) -> None:
    """Erase employees while Mailchimp does not answer, as if that was some time ago."""
    tenant.stage.sandbox.start_outage()
    try:
        for entity_id in entity_ids:
            tenant.mutate("preferences.gdprDelete", {"entityId": entity_id, "entityType": "employee"})
    finally:
        tenant.stage.sandbox.end_outage()
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        session.execute(update(ErasureRequestRow).values(requested_at=utc_now() - age))


def attention(tenant: Tenant) -> str:
    """Return the text of the overview's first section, as a viewer sees it."""
    page = a_visitor(tenant, role=Role.VIEWER).visit("/").body.decode()
    section = page.partition('aria-labelledby="attention"')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>", "", section).split())


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    connected.add_employees({}, {})
    return connected


def test_without_pending_erasures_nothing_needs_attention(employer: Tenant) -> None:
    assert NOTHING in attention(employer)


def test_a_pending_erasure_is_said_to_be_retried(employer: Tenant) -> None:
    leave_pending(employer, "1", age=timedelta(hours=23))
    shown = attention(employer)
    assert "Mailchimp has yet to confirm 1 erasure, which was requested at" in shown
    assert "retried by themselves" in shown
    assert (NOTHING in shown, "more than a day" in shown) == (False, False)


def test_an_erasure_that_waits_for_more_than_a_day_says_what_to_do(employer: Tenant) -> None:
    leave_pending(employer, "1", "2", age=timedelta(hours=25))
    shown = attention(employer)
    assert "Mailchimp has yet to confirm 2 erasures. The oldest was requested at" in shown
    assert "more than a day ago. Check the connection." in shown
    assert "mailchimp-pipeline erasures list" in shown


def test_erasures_wait_also_without_a_connection(employer: Tenant) -> None:
    leave_pending(employer, "1", age=timedelta())
    employer.mutate("connection.disconnect")
    assert "1 erasure" in attention(employer)
