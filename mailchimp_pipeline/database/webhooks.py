"""Our webhooks at Mailchimp: which audience each is of, and how its calls are known.

The path's token is kept as a hash, the signing secret encrypted: neither can be read from a dump.
What does not belong here: asking Mailchimp for them (`services.register_webhooks`), what their calls tell (`ledger`).
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import ConnectionRow, SegmentRow, WebhookRow

_TOKEN_BYTES = 32

_HAS_WEBHOOK = exists().where(
    WebhookRow.organisation_id == SegmentRow.organisation_id,
    WebhookRow.mailchimp_list_id == SegmentRow.mailchimp_list_id,
    WebhookRow.mailchimp_webhook_id.is_not(None),
)
"""Whether Mailchimp has made the webhook of a segment's audience."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An audience's webhook; `mailchimp_webhook_id` is None until Mailchimp has made it."""

    organisation_id: str
    list_id: str
    mailchimp_webhook_id: str | None
    _sealed: str | None = field(repr=False)

    @property
    def is_made(self) -> bool:
        """Whether Mailchimp has it, and its secret is here if it has one."""
        return self.mailchimp_webhook_id is not None

    @property
    def is_signed(self) -> bool:
        """Whether its calls carry a signature."""
        return self._sealed is not None

    def secret(self, keyring: Keyring) -> str | None:
        """Return what its calls are signed with. Raises `encryption.SecretUnreadable`."""
        return self._sealed and keyring.decrypt(self._sealed, self.organisation_id)


class WebhookStore:
    """The webhooks of the session's organisation, at most one an audience."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def get(self, list_id: str) -> Webhook | None:
        """Return the audience's webhook."""
        query = select(WebhookRow).where(self._session.owns(WebhookRow), WebhookRow.mailchimp_list_id == list_id)
        row = self._session.scalar(query)
        return row and _webhook(row)

    def begin(self, list_id: str, *, at: datetime) -> str:
        """Return the token of a webhook that is going to be made; it takes the place of the audience's former one.

        To be committed before Mailchimp is asked: it calls the path while it makes the webhook.
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
        """Keep what Mailchimp made under the token; false where nobody waits for it any more."""
        sealed = None if secret is None else self._keyring.encrypt(secret, self._session.organisation_id)
        waiting = update(WebhookRow).where(self._session.owns(WebhookRow), WebhookRow.token_hash == _token_hash(token))
        made = waiting.values(mailchimp_webhook_id=mailchimp_webhook_id, secret_encrypted=sealed)
        list_id = self._session.scalar(made.returning(WebhookRow.mailchimp_list_id))
        if list_id is None:
            return False
        audience = audit.Entity("audience", list_id)
        details = {"webhook_id": mailchimp_webhook_id, "signed": secret is not None}
        audit.write(self._session, audit.Entry(by, "webhook.registered", audience, at, details))
        return True

    def forget_all(self) -> Sequence[tuple[str, str]]:
        """Forget every webhook, paths and secrets; return audience and Mailchimp's id of those that were made."""
        gone = delete(WebhookRow).where(self._session.owns(WebhookRow)).returning(WebhookRow)
        forgotten = self._session.scalars(gone)
        return [(row.mailchimp_list_id, row.mailchimp_webhook_id) for row in forgotten if row.mailchimp_webhook_id]


def webhook_of(database: Database, token: str) -> Webhook | None:
    """Return the webhook whose path ends with the token, of whatever organisation."""
    with database.everyone() as session:
        row = session.scalar(select(WebhookRow).where(WebhookRow.token_hash == _token_hash(token)))
        return row and _webhook(row)


def audiences_in_use(session: OrganisationSession, *, without_webhook: bool = False) -> Sequence[str]:
    """Return the audiences of the organisation's live segments: all, or those whose webhook Mailchimp has not made."""
    live = select(SegmentRow.mailchimp_list_id).where(session.owns(SegmentRow), SegmentRow.soft_deleted_at.is_(None))
    wanted = live.where(~_HAS_WEBHOOK) if without_webhook else live
    return session.scalars(wanted.distinct().order_by(SegmentRow.mailchimp_list_id)).all()


def organisations_without_webhook(session: Session) -> Sequence[str]:
    """Return the connected organisations that have audiences in use whose webhook Mailchimp has not made."""
    connected = exists().where(
        ConnectionRow.organisation_id == SegmentRow.organisation_id, ConnectionRow.soft_deleted_at.is_(None)
    )
    query = select(SegmentRow.organisation_id).where(SegmentRow.soft_deleted_at.is_(None), connected, ~_HAS_WEBHOOK)
    return session.scalars(query.distinct().order_by(SegmentRow.organisation_id)).all()


def _token_hash(token: str) -> str:
    # It is random and long: nothing is gained by a slow hash, and a lookup by hash tells nothing by its time.
    return hashlib.sha256(token.encode()).hexdigest()


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(row.organisation_id, row.mailchimp_list_id, row.mailchimp_webhook_id, row.secret_encrypted)
