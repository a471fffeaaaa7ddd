"""Has Mailchimp call us when members change: webhooks made when an organisation connects, removed when it leaves.

Best effort: without them an audience is read before each push all the same. What could not be done stands in the
audit log, and is tried again when the organisation connects again. What does not belong here: taking calls.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from api.logs import logger
from api.procedures.context import Context
from api.webhooks.receiver import PATH
from mailchimp_pipeline.assembly import NotConnected
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.database.encryption import SecretUnreadable
from mailchimp_pipeline.database.locks import hold
from mailchimp_pipeline.database.locks.keys import webhooks_lock
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.webhooks import Webhook, WebhookStore, audiences_in_use, webhook_of
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.mailchimp.errors import KeyRefused, MailchimpAway, NotFound, Redirected, Rejected
from mailchimp_pipeline.mailchimp.models import Webhook as MailchimpWebhook

_LOCK_SECONDS = 10
_NOT_REGISTERED, _REMOVED, _NOT_REMOVED = "webhook.not_registered", "webhook.removed", "webhook.not_removed"

_OF_ONE_AUDIENCE = (NotFound, Rejected)
"""Failures after which the next audience is still worth a try."""
_OF_MAILCHIMP = (*_OF_ONE_AUDIENCE, KeyRefused, MailchimpAway, Redirected)
"""Failures whose text is for the readers of the audit log; others name hosts."""

_log = logger("api.webhooks")


@dataclass(frozen=True, slots=True)
class Farewell:
    """Webhooks (audience, Mailchimp's id) that are forgotten here and still there, and a key that opens the account."""

    api_key: ApiKey | None = None
    webhooks: Sequence[tuple[str, str]] = ()


def register_webhooks(context: Context) -> None:
    """See to it that each audience in use has exactly one webhook of the organisation, by asking Mailchimp."""
    with context.session() as session:
        list_ids = audiences_in_use(session)
    _register(context, list_ids)


def register_webhook(context: Context, list_id: str) -> None:
    """Make the audience's webhook where there is none as far as we know."""
    with context.session() as session:
        known = WebhookStore(session, context.parts.keyring).get(list_id)
    if known is None or not known.is_made:
        _register(context, [list_id])


def take_leave(context: Context, session: OrganisationSession, *, of_all_but: str | None = None) -> Farewell:
    """Forget the webhooks, in the transaction that ends the connection; `remove_webhooks` does so at Mailchimp.

    Where the account is the one to stay with (`of_all_but`), they stay.
    """
    connections = ConnectionStore(session, context.parts.keyring)
    live = connections.live()
    if live is None or live.account_id == of_all_but:
        return Farewell()
    try:
        api_key = connections.api_key()
    except SecretUnreadable:
        api_key = None
    return Farewell(api_key, WebhookStore(session, context.parts.keyring).forget_all())


def remove_webhooks(context: Context, farewell: Farewell) -> None:
    """Remove at Mailchimp what is forgotten here; what stays there calls in vain."""
    if farewell.api_key is None or not farewell.webhooks:
        return
    list_ids = [list_id for list_id, _ in farewell.webhooks]
    with _noted(context, _NOT_REMOVED, list_ids) as left, context.mailchimp_of(farewell.api_key) as mailchimp:
        for list_id, webhook_id in farewell.webhooks:
            with _noted(context, _NOT_REMOVED, [list_id], _OF_ONE_AUDIENCE):
                mailchimp.remove_webhook(list_id, webhook_id)
                _tell(context, _REMOVED, [list_id], {"webhook_id": webhook_id})
            left.remove(list_id)


def _register(context: Context, list_ids: Sequence[str]) -> None:
    if context.parts.settings.public_url is None or not list_ids:
        return
    prefix = f"{context.parts.settings.public_url}{PATH}/"
    lock, what = webhooks_lock(context.organisation_id), f"the webhooks of organisation {context.organisation_id}"
    with (
        _noted(context, _NOT_REGISTERED, list_ids) as left,
        hold(context.parts.database, lock, what=what, wait_seconds=_LOCK_SECONDS),
        context.mailchimp() as mailchimp,
    ):
        registrar = _Registrar(context, mailchimp, prefix)
        for list_id in list_ids:
            with _noted(context, _NOT_REGISTERED, [list_id], _OF_ONE_AUDIENCE):
                registrar.see_to(list_id)
            left.remove(list_id)


@dataclass(frozen=True, slots=True)
class _Registrar:
    """Brings an audience's webhooks in step with ours; all URLs of ours begin with `prefix`."""

    context: Context
    mailchimp: MailchimpClient
    prefix: str

    def see_to(self, list_id: str) -> None:
        with self.context.session() as session:
            known = WebhookStore(session, self.context.parts.keyring).get(list_id)
        is_there = False
        for found in self.mailchimp.webhooks(list_id):
            if known is not None and self._is_as_kept(found, known):
                is_there = True
            elif self._is_left_over(found, known):
                self.mailchimp.remove_webhook(list_id, found.id)
        if not is_there:
            self._make(list_id)

    def _is_as_kept(self, found: MailchimpWebhook, known: Webhook) -> bool:
        as_kept = (found.id, found.signing_enabled) == (known.mailchimp_webhook_id, known.is_signed)
        return as_kept and self._owner(found) == known

    def _is_left_over(self, found: MailchimpWebhook, known: Webhook | None) -> bool:
        """Tell whether it is a webhook of ours that nobody here takes calls of, or whose secret was lost."""
        if known is not None and found.id == known.mailchimp_webhook_id:
            return True
        owner = self._owner(found)
        # Another organisation may be connected to the same account.
        is_anothers = owner is not None and owner.organisation_id != self.context.organisation_id
        return found.url.startswith(self.prefix) and not is_anothers

    def _owner(self, found: MailchimpWebhook) -> Webhook | None:
        """Return the webhook that we know by the URL."""
        if not found.url.startswith(self.prefix):
            return None
        return webhook_of(self.context.parts.database, found.url.removeprefix(self.prefix))

    def _make(self, list_id: str) -> None:
        keyring = self.context.parts.keyring
        with self.context.session() as session:
            if ConnectionStore(session, keyring).live() is None:
                raise NotConnected(self.context.organisation_id)
            token = WebhookStore(session, keyring).begin(list_id, at=self.context.clock())
        # Mailchimp looks whether the URL answers before it makes the webhook.
        made = self.mailchimp.add_webhook(list_id, self.prefix + token)
        secret = made.signing_secret.get_secret_value() if made.signing_secret else None
        with self.context.session() as session:
            by, at = self.context.actor, self.context.clock()
            is_kept = WebhookStore(session, keyring).finish(token, made.id, secret, by=by, at=at)
        if not is_kept:
            self.mailchimp.remove_webhook(list_id, made.id)


@contextmanager
def _noted(
    context: Context,
    action: str,
    list_ids: Sequence[str],
    foreseen: tuple[type[PipelineError], ...] = (PipelineError,),
) -> Generator[list[str]]:
    """Note for which audiences the block failed: those that it did not take off what it is given."""
    left = list(list_ids)
    try:
        yield left
    except foreseen as failure:
        kind, text = type(failure).__name__, str(failure)
        _log.warning(action, organisation_id=context.organisation_id, failure=kind, text=text)
        details = {"failure": kind} | ({"reason": text} if isinstance(failure, _OF_MAILCHIMP) else {})
        with suppress(PipelineError):
            _tell(context, action, left, details)


def _tell(context: Context, action: str, list_ids: Sequence[str], details: Mapping[str, object]) -> None:
    with context.session() as session:
        for list_id in list_ids:
            entity = audit.Entity("audience", list_id)
            audit.write(session, audit.Entry(context.actor, action, entity, context.clock(), details))
