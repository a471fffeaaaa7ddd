"""Calls after their deadline for Mailchimp: they make no more requests, and leave the rest to the next run."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.auth import Caller
from api.error_mapping import translate
from api.procedures.connection import list_audiences
from api.procedures.context import Context, OutOfTime, TimedSlots
from api.procedures.erasure import export
from api.procedures.inputs import EntityInput
from api.procedures.preferences import OptStatusInput, update_opt_status
from api.trpc import Role
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.mailchimp import ThreadSlots
from mailchimp_pipeline_tests.api.procedures.stage import NO_PAUSES, Tenant
from mailchimp_pipeline_tests.api.served import logged_lines

ENTITY = {"entity_id": "1", "entity_type": EntityType.EMPLOYEE}


def late(tenant: Tenant) -> Context:
    """Return a call whose deadline has passed."""
    caller = Caller("alice", tenant.organisation_id, Role.ADMIN)
    return Context(caller, tenant.stage.parts, replace(NO_PAUSES, mailchimp_seconds=-1))


def test_connections_are_given_until_the_time_is_over() -> None:
    times = iter([10.0, 10.1])
    slots = TimedSlots(ThreadSlots(1), end=10, clock=lambda: next(times))
    with slots.slot():
        pass
    with pytest.raises(OutOfTime), slots.slot():
        pass


def test_a_call_that_is_out_of_time_is_told_from_a_defect(connected: Tenant) -> None:
    with pytest.raises(OutOfTime) as raised:
        list_audiences(late(connected))
    error = translate(raised.value)
    assert error is not None
    assert error.code == "GATEWAY_TIMEOUT"


def test_an_export_says_what_there_was_no_time_for(connected: Tenant) -> None:
    connected.add_employees({"id": "1"})
    because = export(late(connected), EntityInput.model_validate(ENTITY)).mailchimp.incomplete_because
    assert because is not None
    assert because.startswith("Mailchimp answered too slowly")


def test_an_opt_out_is_recorded_and_pushed_by_the_next_run(connected: Tenant) -> None:
    member = AudienceMemberRow(
        organisation_id=connected.organisation_id,
        mailchimp_list_id=connected.list_id,
        subscriber_hash=subscriber_hash("ann@acme.test"),
        entity_type="employee",
        entity_id="1",
        status="subscribed",
        first_pushed_at=datetime.now(UTC),
    )
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        session.add(member)
    said = OptStatusInput.model_validate({**ENTITY, "opted_in": False, "consent_source": "form"})
    with logged_lines() as log:
        assert not update_opt_status(late(connected), said).opted_in
    assert '"failure": "OutOfTime"' in log.getvalue()
