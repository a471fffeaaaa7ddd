"""The webhooks with which Mailchimp reports changes of an audience's members.

A webhook's URL contains a secret token, which identifies the webhook when Mailchimp calls the URL. The token is stored
as a hash, and the secret for the calls' signatures is stored encrypted, so a database dump reveals neither.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import ConnectionRow, SegmentRow, WebhookRow

_TOKEN_BYTES = 32

_HAS_WEBHOOK = exists().where(
    WebhookRow.organisation_id == SegmentRow.organisation_id,
    WebhookRow.mailchimp_list_id == SegmentRow.mailchimp_list_id,
    WebhookRow.mailchimp_webhook_id.is_not(None),
)
"""The SQL condition that the audience of a segment has a webhook at Mailchimp."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """The webhook of an audience. `mailchimp_webhook_id` is None while it is not yet created at Mailchimp."""

    organisation_id: str
    list_id: str
    mailchimp_webhook_id: str | None
    _sealed: str | None = field(repr=False)

    @property
    def is_made(self) -> bool:
        """Whether the webhook is created at Mailchimp and its secret, if it has one, is stored."""
        return self.mailchimp_webhook_id is not None

    @property
    def is_signed(self) -> bool:
        """Whether Mailchimp signs its calls of the webhook."""
        return self._sealed is not None

    def secret(self, keyring: Keyring) -> str | None:
        """Return the secret for the calls' signatures, None if Mailchimp does not sign them.

        Raises `encryption.SecretUnreadable` if the secret cannot be decrypted.
        """
        return self._sealed and keyring.decrypt(self._sealed, self.organisation_id)


class WebhookStore:
    """The webhooks of the session's organisation, at most one for each audience."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def get(self, list_id: str) -> Webhook | None:
        """Return the audience's webhook, None if there is none."""
        query = select(WebhookRow).where(self._session.owns(WebhookRow), WebhookRow.mailchimp_list_id == list_id)
        row = self._session.scalar(query)
        return row and _webhook(row)

    def begin(self, list_id: str, *, at: datetime) -> str:
        """Store a new webhook for the audience, in place of the former one. Return the token for its URL.

        Commit before the webhook is created at Mailchimp, because Mailchimp then calls the URL at once.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        anew = {
            "token_hash": _token_hash(token),
            "mailchimp_webhook_id": None,
            "secret_encrypted": None,
            "created_at": at,
        }
        audience = {"organisation_id": self._session.organisation_id, "mailchimp_list_id": list_id}
        row = insert(WebhookRow).values(**audience, **anew)
        self._session.execute(row.on_conflict_do_update(index_elements=[*audience], set_=anew))
        return token

    def finish(self, token: str, mailchimp_webhook_id: str, secret: str | None, *, by: str, at: datetime) -> bool:
        """Store the id and the secret of the webhook that was created at Mailchimp for the token.

        Return False, and store nothing, if the webhook was replaced or deleted in the database meanwhile.
        """
        sealed = None if secret is None else self._keyring.encrypt(secret, self._session.organisation_id)
        waiting = update(WebhookRow).where(self._session.owns(WebhookRow), WebhookRow.token_hash == _token_hash(token))
        made = waiting.values(mailchimp_webhook_id=mailchimp_webhook_id, secret_encrypted=sealed)
        list_id = self._session.scalar(made.returning(WebhookRow.mailchimp_list_id))
        if list_id is None:
            return False
        audience = audit_log.Entity("audience", list_id)
        details = {"webhook_id": mailchimp_webhook_id, "signed": secret is not None}
        audit_log.write(self._session, audit_log.Entry(by, "webhook.registered", audience, at, details))
        return True

    def forget_all(self) -> Sequence[tuple[str, str]]:
        """Delete the organisation's webhooks from the database.

        Return the audience id and the webhook id of those that still exist at Mailchimp.
        """
        gone = delete(WebhookRow).where(self._session.owns(WebhookRow)).returning(WebhookRow)
        forgotten = self._session.scalars(gone)
        return [(row.mailchimp_list_id, row.mailchimp_webhook_id) for row in forgotten if row.mailchimp_webhook_id]


def webhook_of(database: Database, token: str) -> Webhook | None:
    """Return the webhook whose URL has this token, of any organisation. None if there is no such webhook."""
    with database.everyone() as session:
        row = session.scalar(select(WebhookRow).where(WebhookRow.token_hash == _token_hash(token)))
        return row and _webhook(row)


def audiences_in_use(session: OrganisationSession, *, without_webhook: bool = False) -> Sequence[str]:
    """Return the ids of the audiences that the organisation's segments feed.

    With `without_webhook`, only those that have no webhook at Mailchimp.
    """
    live = select(SegmentRow.mailchimp_list_id).where(session.owns(SegmentRow), SegmentRow.soft_deleted_at.is_(None))
    wanted = live.where(~_HAS_WEBHOOK) if without_webhook else live
    return session.scalars(wanted.distinct().order_by(SegmentRow.mailchimp_list_id)).all()


def organisations_without_webhook(session: Session) -> Sequence[str]:
    """Return the connected organisations with an audience that a segment feeds and that has no webhook at Mailchimp."""
    connected = exists().where(
        ConnectionRow.organisation_id == SegmentRow.organisation_id, ConnectionRow.soft_deleted_at.is_(None)
    )
    query = select(SegmentRow.organisation_id).where(SegmentRow.soft_deleted_at.is_(None), connected, ~_HAS_WEBHOOK)
    return session.scalars(query.distinct().order_by(SegmentRow.organisation_id)).all()


def _token_hash(token: str) -> str:
    # A long random token needs no slow hash. The lookup by hash reveals nothing by its duration.
    return hashlib.sha256(token.encode()).hexdigest()


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(row.organisation_id, row.mailchimp_list_id, row.mailchimp_webhook_id, row.secret_encrypted)
