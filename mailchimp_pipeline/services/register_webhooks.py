"""Register webhooks at Mailchimp when an organisation connects or creates a segment; remove them on disconnection.

A failure is written to the audit log and raises no error, because each sync reads the audiences anyway. The next
scheduled run registers missing webhooks.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring, SecretUnreadable
from mailchimp_pipeline.database.locks import hold, webhooks_lock
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.webhook_store import Webhook, WebhookStore, audiences_in_use, webhook_of
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.mailchimp.api_errors import (
    Incomplete,
    KeyRefused,
    MailchimpAway,
    NotFound,
    Redirected,
    Rejected,
)
from mailchimp_pipeline.mailchimp.webhook_events import PATH
from mailchimp_pipeline.mailchimp.wire_models import WebhookEntry

_LOCK_SECONDS = 10
_NOT_REGISTERED, _REMOVED, _NOT_REMOVED = "webhook.not_registered", "webhook.removed", "webhook.not_removed"

_OF_ONE_AUDIENCE = (NotFound, Rejected, Incomplete)
"""Failures of one audience. Registration continues with the next."""
_OF_MAILCHIMP = (*_OF_ONE_AUDIENCE, KeyRefused, MailchimpAway, Redirected)
"""Failures whose text is written to the audit log. Texts of other failures name hosts."""

_log = logger("mailchimp_pipeline.webhooks")


class OrganisationLeft(PermanentError):
    """The organisation disconnected during the registration of its webhooks."""


@dataclass(frozen=True, slots=True)
class WebhooksToRemove:
    """Webhooks to remove at Mailchimp, as pairs of audience id and webhook id, and the API key of their account."""

    api_key: ApiKey | None = None
    webhooks: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Registration:
    """Registers and removes the webhooks of one organisation. `actor` is the name for the audit log.

    `public_url` is the URL at which Mailchimp reaches the API; without it, no webhook is registered. `mailchimp` opens
    the organisation's account.
    """

    organisation_id: str
    actor: str
    public_url: str | None
    database: Database
    keyring: Keyring
    clock: Clock
    mailchimp: Callable[[], AbstractContextManager[MailchimpClient]]

    def register_all(self) -> None:
        """Register missing webhooks and remove surplus ones, so that each audience in use has exactly one."""
        with self._session() as session:
            list_ids = audiences_in_use(session)
        self._register(list_ids)

    def register_missing(self) -> None:
        """Register a webhook for each audience that has a segment and no webhook."""
        with self._session() as session:
            list_ids = audiences_in_use(session, without_webhook=True)
        self._register(list_ids)

    def register(self, list_id: str) -> None:
        """Register the audience's webhook, unless the database has one that was created at Mailchimp."""
        with self._session() as session:
            known = WebhookStore(session, self.keyring).get(list_id)
        if known is None or not known.is_made:
            self._register([list_id])

    def forget_webhooks(self, session: OrganisationSession, *, of_all_but: str | None = None) -> WebhooksToRemove:
        """Delete the webhooks from the database. Return them for `remove`, which removes them at Mailchimp.

        Call this in the transaction that ends or replaces the connection. If the organisation is connected to the
        account `of_all_but`, nothing is deleted.
        """
        connections = ConnectionStore(session, self.keyring)
        live = connections.live()
        if live is None or live.account_id == of_all_but:
            return WebhooksToRemove()
        try:
            api_key = connections.api_key()
        except SecretUnreadable:
            api_key = None
        return WebhooksToRemove(api_key, WebhookStore(session, self.keyring).forget_all())

    def remove(
        self, to_remove: WebhooksToRemove, account_of: Callable[[ApiKey], AbstractContextManager[MailchimpClient]]
    ) -> None:
        """Remove the webhooks that `forget_webhooks` returned from Mailchimp.

        If one cannot be removed, the failure is written to the audit log, and the API refuses its calls.
        """
        if to_remove.api_key is None or not to_remove.webhooks:
            return
        list_ids = [list_id for list_id, _ in to_remove.webhooks]
        with self._noted(_NOT_REMOVED, list_ids) as left, account_of(to_remove.api_key) as mailchimp:
            for list_id, webhook_id in to_remove.webhooks:
                with self._noted(_NOT_REMOVED, [list_id], _OF_ONE_AUDIENCE):
                    mailchimp.remove_webhook(list_id, webhook_id)
                    self._audit(_REMOVED, [list_id], {"webhook_id": webhook_id})
                left.remove(list_id)

    def _register(self, list_ids: Sequence[str]) -> None:
        if self.public_url is None or not list_ids:
            return
        lock, what = webhooks_lock(self.organisation_id), f"the webhooks of organisation {self.organisation_id}"
        with (
            self._noted(_NOT_REGISTERED, list_ids) as left,
            hold(self.database, lock, what=what, wait_seconds=_LOCK_SECONDS),
            self.mailchimp() as mailchimp,
        ):
            for list_id in list_ids:
                with self._noted(_NOT_REGISTERED, [list_id], _OF_ONE_AUDIENCE):
                    self._register_one(list_id, mailchimp)
                left.remove(list_id)

    def _register_one(self, list_id: str, mailchimp: MailchimpClient) -> None:
        with self._session() as session:
            known = WebhookStore(session, self.keyring).get(list_id)
        is_there = False
        for found in mailchimp.webhooks(list_id):
            if known is not None and self._is_as_kept(found, known):
                is_there = True
            elif self._is_left_over(found, known):
                mailchimp.remove_webhook(list_id, found.id)
        if not is_there:
            self._make(list_id, mailchimp)

    def _is_as_kept(self, found: WebhookEntry, known: Webhook) -> bool:
        as_kept = (found.id, found.signing_enabled) == (known.mailchimp_webhook_id, known.is_signed)
        return as_kept and self._owner(found) == known

    def _is_left_over(self, found: WebhookEntry, known: Webhook | None) -> bool:
        """Return whether the webhook is the organisation's, but unknown to the database or without its secret."""
        if known is not None and found.id == known.mailchimp_webhook_id:
            return True
        owner = self._owner(found)
        # Another organisation may use the same account.
        is_anothers = owner is not None and owner.organisation_id != self.organisation_id
        return found.url.startswith(self._prefix) and not is_anothers

    def _owner(self, found: WebhookEntry) -> Webhook | None:
        """Return the database's webhook with this URL, None if there is none."""
        if not found.url.startswith(self._prefix):
            return None
        return webhook_of(self.database, found.url.removeprefix(self._prefix))

    def _make(self, list_id: str, mailchimp: MailchimpClient) -> None:
        with self._session() as session:
            if ConnectionStore(session, self.keyring).live() is None:
                raise OrganisationLeft(f"Organisation {self.organisation_id} disconnected meanwhile. Connect it again.")
            token = WebhookStore(session, self.keyring).begin(list_id, at=self.clock())
        # Mailchimp checks the URL before it creates the webhook.
        made = mailchimp.add_webhook(list_id, self._prefix + token)
        secret = made.signing_secret.get_secret_value() if made.signing_secret else None
        with self._session() as session:
            by, at = self.actor, self.clock()
            is_kept = WebhookStore(session, self.keyring).finish(token, made.id, secret, by=by, at=at)
        if not is_kept:
            mailchimp.remove_webhook(list_id, made.id)

    @property
    def _prefix(self) -> str:
        """The common start of the URLs of all webhooks of this pipeline."""
        return f"{self.public_url}{PATH}/"

    def _session(self) -> AbstractContextManager[OrganisationSession]:
        return self.database.organisation(self.organisation_id)

    @contextmanager
    def _noted(
        self, action: str, list_ids: Sequence[str], expected: tuple[type[PipelineError], ...] = (PipelineError,)
    ) -> Generator[list[str]]:
        """Catch the errors in `expected`, and write them to the audit log as `action`, for each audience in the list.

        Yield the list, a copy of `list_ids`. The block removes each audience that is done from it.
        """
        left = list(list_ids)
        try:
            yield left
        except expected as failure:
            kind, text = type(failure).__name__, str(failure)
            _log.warning(action, organisation_id=self.organisation_id, failure=kind, text=text)
            details = {"failure": kind} | ({"reason": text} if isinstance(failure, _OF_MAILCHIMP) else {})
            with suppress(PipelineError):
                self._audit(action, left, details)

    def _audit(self, action: str, list_ids: Sequence[str], details: Mapping[str, object]) -> None:
        with self._session() as session:
            for list_id in list_ids:
                entity = audit_log.Entity("audience", list_id)
                audit_log.write(session, audit_log.Entry(self.actor, action, entity, self.clock(), details))
