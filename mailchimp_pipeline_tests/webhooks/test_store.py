"""Stored webhooks, and recognition of their paths."""

from sqlalchemy import select

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.encryption import Keyring, key_id_of
from mailchimp_pipeline.database.key_rotation import rotate
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import WebhookRow
from mailchimp_pipeline.database.webhook_store import WebhookStore, audiences_in_use, webhook_of
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, MINUTE, a_segment
from mailchimp_pipeline_tests.webhooks.calls import SECRET

BOTH, AFTER = Keyring({"second": b"2" * 32, "first": b"1" * 32}), Keyring({"second": b"2" * 32})


def begin_webhook(database: Database, list_id: str = LIST, organisation_id: str = ACME) -> str:
    with database.organisation(organisation_id) as session:
        return WebhookStore(session, KEYRING).begin(list_id, at=AT)


def finish_webhook(database: Database, token: str, secret: str | None = SECRET, organisation_id: str = ACME) -> bool:
    with database.organisation(organisation_id) as session:
        return WebhookStore(session, KEYRING).finish(token, "w1", secret, by="alice", at=AT)


def test_a_webhook_is_known_by_its_path_before_it_is_made(database: Database) -> None:
    found = webhook_of(database, begin_webhook(database))
    assert found is not None
    assert (found.organisation_id, found.list_id, found.is_made, found.is_signed) == (ACME, LIST, False, False)


def test_neither_the_path_nor_the_secret_stands_in_the_table(database: Database) -> None:
    token = begin_webhook(database)
    assert finish_webhook(database, token)
    with database.everyone() as session:
        (row,) = session.scalars(select(WebhookRow)).all()
    stored = " ".join(str(getattr(row, column.key)) for column in WebhookRow.__table__.columns)
    assert token not in stored
    assert SECRET not in stored
    assert SECRET not in repr(webhook_of(database, token))


def test_a_secret_needs_the_encryption_keys(database: Database) -> None:
    token = begin_webhook(database)
    finish_webhook(database, token)
    found = webhook_of(database, token)
    assert found is not None
    assert (found.is_made, found.is_signed, found.secret(KEYRING)) == (True, True, SECRET)


def test_a_webhook_without_a_secret_is_not_signed(database: Database) -> None:
    token = begin_webhook(database)
    finish_webhook(database, token, None)
    found = webhook_of(database, token)
    assert found is not None
    assert (found.is_made, found.is_signed, found.secret(KEYRING)) == (True, False, None)


def test_a_webhook_begun_anew_takes_the_place_of_the_former(database: Database) -> None:
    former = begin_webhook(database)
    finish_webhook(database, former)
    token = begin_webhook(database)
    assert webhook_of(database, former) is None
    assert finish_webhook(database, former) is False
    assert finish_webhook(database, token) is True


def test_what_was_made_stands_in_the_audit_log_without_path_and_secret(database: Database) -> None:
    finish_webhook(database, begin_webhook(database))
    with database.organisation(ACME) as session:
        (entry,) = audit_log.entries(session, limit=5).items
    assert (entry.actor, entry.action, entry.entity) == (
        "alice",
        "webhook.registered",
        audit_log.Entity("audience", LIST),
    )
    assert entry.details == {"webhook_id": "w1", "signed": True}


def test_an_organisation_forgets_its_webhooks_and_no_others(database: Database) -> None:
    mine, begun_only, others = (
        begin_webhook(database),
        begin_webhook(database, "f6e5d4c3b2"),
        begin_webhook(database, LIST, "globex"),
    )
    finish_webhook(database, mine)
    with database.organisation(ACME) as session:
        assert WebhookStore(session, KEYRING).forget_all() == [(LIST, "w1")]
    assert [webhook_of(database, token) is None for token in (mine, begun_only, others)] == [True, True, False]


def test_another_organisation_cannot_finish_it(database: Database) -> None:
    assert finish_webhook(database, begin_webhook(database), organisation_id="globex") is False


def test_the_secret_is_rotated_with_the_keys(database: Database) -> None:
    token = begin_webhook(database)
    finish_webhook(database, token)
    assert rotate(database, BOTH, by="admin", at=AT + MINUTE) == 1
    found = webhook_of(database, token)
    assert found is not None
    assert found.secret(AFTER) == SECRET
    with database.everyone() as session:
        assert [key_id_of(sealed) for sealed in session.scalars(select(WebhookRow.secret_encrypted)) if sealed] == [
            "second"
        ]


def test_audiences_in_use_are_those_of_live_segments(database: Database) -> None:
    gone = a_segment(database, list_id="gone")
    for list_id in (LIST, LIST, "f6e5d4c3b2"):
        a_segment(database, list_id=list_id)
    a_segment(database, "globex", list_id="globexlist")
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(gone.id, by="alice", at=AT)
        assert audiences_in_use(session) == [LIST, "f6e5d4c3b2"]
