"""Has Mailchimp call us when members change: webhooks made when an organisation connects, removed when it leaves.

Best effort: without them an audience is read before each push all the same. What could not be done stands in the
audit log; webhooks that are missing are made with the next scheduled run. What does not belong here: taking calls.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring, SecretUnreadable
from mailchimp_pipeline.database.locks import hold
from mailchimp_pipeline.database.locks.keys import webhooks_lock
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.webhooks import Webhook, WebhookStore, audiences_in_use, webhook_of
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.mailchimp.errors import Incomplete, KeyRefused, MailchimpAway, NotFound, Redirected, Rejected
from mailchimp_pipeline.mailchimp.models import WebhookEntry
from mailchimp_pipeline.mailchimp.webhook_events import PATH

_LOCK_SECONDS = 10
_NOT_REGISTERED, _REMOVED, _NOT_REMOVED = "webhook.not_registered", "webhook.removed", "webhook.not_removed"

_OF_ONE_AUDIENCE = (NotFound, Rejected, Incomplete)
"""Failures after which the next audience is still worth a try."""
_OF_MAILCHIMP = (*_OF_ONE_AUDIENCE, KeyRefused, MailchimpAway, Redirected)
"""Failures whose text is for the readers of the audit log; others name hosts."""

_log = logger("mailchimp_pipeline.webhooks")


class OrganisationLeft(PermanentError):
    """The organisation disconnected while its webhooks were made."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """Webhooks (audience, Mailchimp's id) that are forgotten here and still there, and a key that opens the account."""

    api_key: ApiKey | None = None
    webhooks: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Registration:
    """Makes and removes the webhooks of one organisation, on behalf of `actor`. None are made without `public_url`.

    `mailchimp` opens the organisation's account.
    """

    organisation_id: str
    actor: str
    public_url: str | None
    database: Database
    keyring: Keyring
    clock: Clock
    mailchimp: Callable[[], AbstractContextManager[MailchimpClient]]

    def register_all(self) -> None:
        """See to it that each audience in use has exactly one webhook of the organisation, by asking Mailchimp."""
        with self._session() as session:
            list_ids = audiences_in_use(session)
        self._register(list_ids)

    def register_missing(self) -> None:
        """Make the webhooks that could not be made before."""
        with self._session() as session:
            list_ids = audiences_in_use(session, without_webhook=True)
        self._register(list_ids)

    def register(self, list_id: str) -> None:
        """Make the audience's webhook where there is none as far as we know."""
        with self._session() as session:
            known = WebhookStore(session, self.keyring).get(list_id)
        if known is None or not known.is_made:
            self._register([list_id])

    def take_leave(self, session: OrganisationSession, *, of_all_but: str | None = None) -> Farewell:
        """Forget the webhooks, in the transaction that ends the connection; `remove` does so at Mailchimp.

        Where the account is the one to stay with (`of_all_but`), they stay.
        """
        connections = ConnectionStore(session, self.keyring)
        live = connections.live()
        if live is None or live.account_id == of_all_but:
            return Farewell()
        try:
            api_key = connections.api_key()
        except SecretUnreadable:
            api_key = None
        return Farewell(api_key, WebhookStore(session, self.keyring).forget_all())

    def remove(
        self, farewell: Farewell, account_of: Callable[[ApiKey], AbstractContextManager[MailchimpClient]]
    ) -> None:
        """Remove at Mailchimp, in the account of the key, what is forgotten here; what stays there calls in vain."""
        if farewell.api_key is None or not farewell.webhooks:
            return
        list_ids = [list_id for list_id, _ in farewell.webhooks]
        with self._noted(_NOT_REMOVED, list_ids) as left, account_of(farewell.api_key) as mailchimp:
            for list_id, webhook_id in farewell.webhooks:
                with self._noted(_NOT_REMOVED, [list_id], _OF_ONE_AUDIENCE):
                    mailchimp.remove_webhook(list_id, webhook_id)
                    self._tell(_REMOVED, [list_id], {"webhook_id": webhook_id})
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
                    self._see_to(list_id, mailchimp)
                left.remove(list_id)

    def _see_to(self, list_id: str, mailchimp: MailchimpClient) -> None:
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
        """Tell whether it is a webhook of ours that nobody here takes calls of, or whose secret was lost."""
        if known is not None and found.id == known.mailchimp_webhook_id:
            return True
        owner = self._owner(found)
        # Another organisation may be connected to the same account.
        is_anothers = owner is not None and owner.organisation_id != self.organisation_id
        return found.url.startswith(self._prefix) and not is_anothers

    def _owner(self, found: WebhookEntry) -> Webhook | None:
        """Return the webhook that we know by the URL."""
        if not found.url.startswith(self._prefix):
            return None
        return webhook_of(self.database, found.url.removeprefix(self._prefix))

    def _make(self, list_id: str, mailchimp: MailchimpClient) -> None:
        with self._session() as session:
            if ConnectionStore(session, self.keyring).live() is None:
                raise OrganisationLeft(f"Organisation {self.organisation_id} disconnected meanwhile. Connect it again.")
            token = WebhookStore(session, self.keyring).begin(list_id, at=self.clock())
        # Mailchimp looks whether the URL answers before it makes the webhook.
        made = mailchimp.add_webhook(list_id, self._prefix + token)
        secret = made.signing_secret.get_secret_value() if made.signing_secret else None
        with self._session() as session:
            by, at = self.actor, self.clock()
            is_kept = WebhookStore(session, self.keyring).finish(token, made.id, secret, by=by, at=at)
        if not is_kept:
            mailchimp.remove_webhook(list_id, made.id)

    @property
    def _prefix(self) -> str:
        """What all URLs of ours begin with."""
        return f"{self.public_url}{PATH}/"

    def _session(self) -> AbstractContextManager[OrganisationSession]:
        return self.database.organisation(self.organisation_id)

    @contextmanager
    def _noted(
        self, action: str, list_ids: Sequence[str], foreseen: tuple[type[PipelineError], ...] = (PipelineError,)
    ) -> Generator[list[str]]:
        """Note for which audiences the block failed: those that it did not take off what it is given."""
        left = list(list_ids)
        try:
            yield left
        except foreseen as failure:
            kind, text = type(failure).__name__, str(failure)
            _log.warning(action, organisation_id=self.organisation_id, failure=kind, text=text)
            details = {"failure": kind} | ({"reason": text} if isinstance(failure, _OF_MAILCHIMP) else {})
            with suppress(PipelineError):
                self._tell(action, left, details)

    def _tell(self, action: str, list_ids: Sequence[str], details: Mapping[str, object]) -> None:
        with self._session() as session:
            for list_id in list_ids:
                entity = audit.Entity("audience", list_id)
                audit.write(session, audit.Entry(self.actor, action, entity, self.clock(), details))
