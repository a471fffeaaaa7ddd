"""The route for webhook calls from Mailchimp: `/webhooks/mailchimp/` and a secret token for each webhook.

A call is answered within ten seconds, because Mailchimp waits no longer. It is answered with success only after it is
recorded, because Mailchimp repeats every other call.
"""

import re
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import datetime

from anyio import to_thread
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.request_log import note_path
from api.trpc import Concurrency, ConcurrencyLimit, TRPCError
from api.trpc.requests import ClientLeftError, read_body
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.webhook_store import Webhook, webhook_of
from mailchimp_pipeline.errors import PipelineError, TransientError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries, Timeouts
from mailchimp_pipeline.mailchimp.webhook_events import (
    PATH,
    MalformedCall,
    SignatureRefused,
    WebhookCall,
    check_signature,
    read_call,
)
from mailchimp_pipeline.services.propagate_opt_outs import propagate_opt_outs
from mailchimp_pipeline.services.receive_webhook import receive_webhook
from mailchimp_pipeline.services.resources import Resources

MAX_BODY_BYTES = 256 * 1024
"""The maximum size of a call's body. A contact with all merge fields is far smaller."""

_FORM = "application/x-www-form-urlencoded"
_SIGNATURE = "x-mailchimp-signature"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_CONCURRENCY = Concurrency(total=16, per_organisation=2, wait_seconds=2, busy="Other calls are being taken.")
"""Limits on calls that are processed at once. Members may change by the thousand, and a slow Mailchimp of one
organisation must not delay the calls of others."""

_BRIEFLY = Retries(budget=3)
_SHORT = Timeouts(connect=2, read=5, total=7)
"""Mailchimp waits ten seconds for the answer, and repeats the call if there is none."""

_log = logger("api.webhooks")


class NotMadeYet(TransientError):
    """The webhook is being created. Before its secret is stored, its calls cannot be verified."""


def webhook_route(parts: Resources, *, clock: Clock = utc_now) -> Route:
    """Return the route for the calls of all webhooks."""
    # Log lines have the template: the path is a secret.
    template = f"{PATH}/{{token}}"
    return Route(template, _Receiver(parts, clock, template).answer, methods=["GET", "POST"])


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Answers the webhook calls from Mailchimp, and the requests with which it checks a URL."""

    parts: Resources
    clock: Clock
    template: str
    limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(_CONCURRENCY))

    async def answer(self, request: Request) -> Response:
        """Answer a webhook call, or the GET request with which Mailchimp checks the URL."""
        note_path(self.template)
        afterwards: BackgroundTask | None = None
        try:
            webhook = await to_thread.run_sync(self._find, request.path_params["token"])
            if request.method == "POST":
                body = await _form(request)
                signature = request.headers.get(_SIGNATURE)
                async with self.limit.place(webhook.organisation_id):
                    has_members = await to_thread.run_sync(self._take, webhook, body, signature)
                if has_members:
                    afterwards = BackgroundTask(self._propagate, webhook.organisation_id)
        except ClientLeftError:
            return Response(status_code=400)
        except PipelineError as failure:
            raise _as_answered(failure) from failure
        return JSONResponse({"status": "ok"}, background=afterwards)

    def _find(self, token: str) -> Webhook:
        found = webhook_of(self.parts.database, token) if _TOKEN.fullmatch(token) else None
        if found is None:
            raise TRPCError("NOT_FOUND", "There is no such webhook")
        return found

    def _take(self, webhook: Webhook, body: bytes, signature: str | None) -> bool:
        """Verify a call, and read the members that it names from Mailchimp. Return whether it names any."""
        now = self.clock()
        if not webhook.is_made:
            raise NotMadeYet(f"The webhook of audience {webhook.list_id} is being created. Call again.")
        secret = webhook.secret(self.parts.keyring)
        if secret is not None:
            check_signature(signature, body, secret, now)
        call = _read(webhook, body, now)
        receive_webhook(
            webhook.organisation_id,
            call,
            lambda: self._mailchimp(webhook.organisation_id),
            database=self.parts.database,
            keyring=self.parts.keyring,
            clock=self.clock,
        )
        _log.info("webhook", organisation_id=webhook.organisation_id, audience=webhook.list_id, kind=call.kind.value)
        return bool(call.members)

    def _mailchimp(self, organisation_id: str) -> AbstractContextManager[MailchimpClient]:
        return closing(self.parts.client(organisation_id, retries=_BRIEFLY, timeouts=_SHORT))

    async def _propagate(self, organisation_id: str) -> None:
        """Unsubscribe contacts who opted out in the organisation's audiences, after Mailchimp has its answer."""
        try:
            async with self.limit.place(organisation_id):
                await to_thread.run_sync(self._push_opt_outs, organisation_id)
        except TRPCError:
            _log.info("opt-outs outstanding", organisation_id=organisation_id)

    def _push_opt_outs(self, organisation_id: str) -> None:
        records = DatabaseRecords(self.parts.database, self.parts.keyring, self.clock)
        try:
            propagate_opt_outs(organisation_id, lambda: self._mailchimp(organisation_id), records=records)
        except PipelineError as failure:
            # The next run pushes them.
            _log.warning("opt-outs outstanding", organisation_id=organisation_id, failure=type(failure).__name__)


def _read(webhook: Webhook, body: bytes, now: datetime) -> WebhookCall:
    call = read_call(body, now)
    if call.list_id != webhook.list_id:
        raise MalformedCall("The call is about another audience than the webhook's own. Nothing was done.")
    return call


async def _form(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise TRPCError("UNSUPPORTED_MEDIA_TYPE", f"A webhook's call is {_FORM}")
    body = await read_body(request.scope, request.receive, MAX_BODY_BYTES)
    if body is None:
        raise TRPCError("PAYLOAD_TOO_LARGE", "The call's body is too large")
    return body


def _as_answered(failure: PipelineError) -> TRPCError:
    """Return the error with which a call is answered, and log its reason."""
    if isinstance(failure, TRPCError):
        return failure
    if isinstance(failure, SignatureRefused | MalformedCall):
        _log.warning("webhook refused", why=str(failure))
        code = "UNAUTHORIZED" if isinstance(failure, SignatureRefused) else "BAD_REQUEST"
        return TRPCError(code, str(failure))
    _log.error("webhook not taken", failure=type(failure).__name__, text=str(failure))
    return TRPCError("SERVICE_UNAVAILABLE", "The call cannot be taken now: call again later")
