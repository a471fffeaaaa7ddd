"""What Mailchimp itself calls, once it has our webhooks."""

from collections.abc import Callable

import pytest

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.preferences import Preference, PreferenceStore
from mailchimp_pipeline.database.segments import SegmentStore
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.sandbox import Sandbox, Seed
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.database.builders import a_member, put_members
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB
from mailchimp_pipeline_tests.webhooks.stage import kept


def preference(tenant: Tenant) -> Preference | None:
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        return PreferenceStore(session, tenant.stage.parts.keyring).get(EntityType.EMPLOYEE, "1")


def standing(tenant: Tenant, address: str = ANN) -> str | None:
    """Return how our ledger has the member once Mailchimp has delivered all."""
    assert tenant.stage.sandbox.wait_for_deliveries()
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        key = (tenant.organisation_id, tenant.list_id, subscriber_hash(address))
        row = session.get(AudienceMemberRow, key)
        return row and row.status


@pytest.fixture
def populated(tenant: Tenant) -> Tenant:
    """Return an organisation with Ann, employee 1, in its segment and in its audience."""
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        (segment,) = SegmentStore(session).list(limit=1).items
    put_members(tenant.stage.parts.database, segment, a_member(ANN))
    tenant.stage.sandbox.add_members(tenant.list_id, [Seed(email_address=ANN)])
    assert standing(tenant) == "subscribed"
    return tenant


def test_mailchimp_tells_of_who_unsubscribes_by_the_link(populated: Tenant) -> None:
    populated.stage.sandbox.unsubscribe_by_link(populated.list_id, ANN)
    assert standing(populated) == "unsubscribed"
    said = preference(populated)
    assert said is not None
    assert (said.opted_in, said.consent_source) == (False, "mailchimp")


@pytest.mark.parametrize(
    ("act", "status"),
    [(Sandbox.bounce, "cleaned"), (Sandbox.archive_as_admin, "archived"), (Sandbox.delete_as_admin, None)],
)
def test_mailchimp_tells_of_what_is_no_word_on_consent(
    populated: Tenant, act: Callable[[Sandbox, str, str], None], status: str | None
) -> None:
    act(populated.stage.sandbox, populated.list_id, ANN)
    assert (standing(populated), preference(populated)) == (status, None)


def test_mailchimp_tells_of_a_new_address(populated: Tenant) -> None:
    populated.stage.sandbox.change_address(populated.list_id, ANN, BOB)
    assert (standing(populated, BOB), standing(populated, ANN)) == ("subscribed", None)


def test_a_changed_profile_brings_nobody_back(populated: Tenant) -> None:
    populated.stage.sandbox.unsubscribe_by_link(populated.list_id, ANN)
    assert standing(populated) == "unsubscribed"
    populated.stage.sandbox.update_profile(populated.list_id, ANN, {"FNAME": "Anna"})
    assert standing(populated) == "unsubscribed"


def test_without_signing_mailchimps_calls_are_taken_by_their_path(stage: Stage, sandbox: Sandbox) -> None:
    sandbox.configure(sign_webhooks=False)
    tenant = a_tenant(stage, connected=True)
    tenant.create()
    sandbox.configure(sign_webhooks=True)
    sandbox.add_members(tenant.list_id, [Seed(email_address=ANN)])
    assert standing(tenant) == "subscribed"
    assert kept(tenant)[0].secret_encrypted is None
