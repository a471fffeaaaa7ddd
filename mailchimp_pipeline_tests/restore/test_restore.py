"""A restored database: contacts that left after the backup are not sent again."""

import io
from collections.abc import Generator
from pathlib import Path

import pytest
from rich.console import Console

from mailchimp_pipeline.cli.sync import reconcile_and_print
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.migrations import require_tables
from mailchimp_pipeline.services.reconcile_audiences import NotReconciled
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.isolation.tenants import ROLES
from mailchimp_pipeline_tests.restore.restored_pipeline import NEW, RestoredPipeline, address, restored_pipeline

STATUSES = {
    "stays": "subscribed",
    "unsubscribes": "unsubscribed",
    "opts-out": "unsubscribed",
    "archived": "archived",
    "bounces": "cleaned",
    NEW: "subscribed",
}
"""The statuses at Mailchimp when the backup is restored. The erased contact has none."""


@pytest.fixture
def restored(postgres_server: PostgresServer, tmp_path: Path) -> Generator[RestoredPipeline]:
    with restored_pipeline(postgres_server, tmp_path) as company:
        yield company


def test_reconcile_corrects_the_ledger_and_pushes_no_contact_that_left_after_the_backup(
    restored: RestoredPipeline,
) -> None:
    assert restored.mailchimp_statuses(restored.list_id) == STATUSES
    restored.reconcile()
    elsewhere = restored.create_segment_elsewhere()
    assert restored.sync(restored.segment, elsewhere) == [None, None]
    assert restored.mailchimp_statuses(restored.list_id) == STATUSES
    # Opt-outs and permanent deletions count in every audience; archiving and bounces in one.
    assert set(restored.mailchimp_statuses(elsewhere.mailchimp_list_id)) == {"stays", NEW, "archived", "bounces"}
    by_hash = {subscriber_hash(address(person)): status for person, status in STATUSES.items()}
    assert restored.ledger_statuses() == by_hash


def test_reconcile_counts_its_changes_and_is_idempotent(restored: RestoredPipeline) -> None:
    before = restored.rows()
    dry = restored.reconcile(dry_run=True)
    assert restored.rows() == before
    done = restored.reconcile()
    assert (dry.read, dry.unknown, dry.changed, dry.unsubscribed, dry.deleted) == (6, 1, 4, 2, 1)
    assert (done.deleted, done.opted_out) == (1, 1)
    again = restored.reconcile()
    assert (again.read, again.unknown, again.changed, again.deleted, again.opted_out) == (6, 0, 0, 0, 0)


def test_a_repeated_erasure_completes_without_a_member_at_mailchimp(restored: RestoredPipeline) -> None:
    restored.reconcile()
    contact = (EntityType.EMPLOYEE, "erased")
    attempt = restored.parts.erasures().erase(restored.office.organisation_id, contact, by="alice")
    assert attempt.request.status.value == "completed"
    kept = [row for row in restored.rows() if subscriber_hash(address("erased")) in row]
    assert (kept, restored.sync(restored.segment)) == ([], [None])
    assert "erased" not in restored.mailchimp_statuses(restored.list_id)


def test_without_reconcile_mailchimp_keeps_opt_outs_and_rejects_deleted_contacts(
    restored: RestoredPipeline,
) -> None:
    assert restored.sync(restored.segment) == [None]
    assert restored.mailchimp_statuses(restored.list_id) == STATUSES


def test_the_command_prints_its_changes_without_addresses(restored: RestoredPipeline) -> None:
    printed = io.StringIO()
    assert reconcile_and_print(Console(file=printed, width=200), None, dry_run=False, settings=restored.settings)
    assert "docs/backup.md" in printed.getvalue()
    assert restored.list_id in printed.getvalue()
    assert "@" not in printed.getvalue()
    with pytest.raises(NotReconciled, match="Organisation nobody is not connected"):
        reconcile_and_print(Console(file=printed), "nobody", dry_run=True, settings=restored.settings)


def test_an_unreadable_account_is_reported_and_its_ledger_stays(restored: RestoredPipeline) -> None:
    before = restored.ledger_statuses()
    restored.office.sandbox.revoke_key(restored.office.tenant.api_key)
    printed = io.StringIO()
    assert not reconcile_and_print(Console(file=printed, width=200), None, dry_run=False, settings=restored.settings)
    assert "API key" in printed.getvalue()
    assert restored.ledger_statuses() == before


def test_a_restored_database_keeps_its_row_level_security(restored: RestoredPipeline) -> None:
    require_tables(restored.parts.database)
    with restored.parts.database.organisation("another") as session:
        connection = session.connection()
        assert connection.exec_driver_sql("select current_user").scalar() == ROLES[0]
        assert connection.exec_driver_sql("select count(*) from audience_members").scalar() == 0
