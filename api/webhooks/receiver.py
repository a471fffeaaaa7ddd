"""The address that Mailchimp calls: `/webhooks/mailchimp/` and a token that only it and the audience's webhook know.

A call is answered within Mailchimp's ten seconds, and with success only once it is recorded: Mailchimp repeats all
others. What does not belong here: the format of a call (`mailchimp.webhook_events`), making webhooks
(`services.register_webhooks`).
"""

import re
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import datetime

from anyio import CapacityLimiter, to_thread
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.request_log import note_path
from api.trpc import TRPCError
from api.trpc.requests import ClientLeftError, read_body
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.webhooks import Webhook, webhook_of
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
"""Far more than a contact with all of Mailchimp's merge fields."""

_FORM = "application/x-www-form-urlencoded"
_SIGNATURE = "x-mailchimp-signature"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_THREADS = 8
"""Calls at work at once: as many may come as members change, and the procedures need the database too."""

_BRIEFLY = Retries(budget=3)
_SHORT = Timeouts(connect=2, read=5, total=7)
"""Mailchimp waits ten seconds for its answer, and calls again where there is none."""

_log = logger("api.webhooks")


class NotMadeYet(TransientError):
    """The webhook is being made: until its secret is known, nobody can tell whose calls come."""


def webhook_route(parts: Resources, *, clock: Clock = utc_now) -> Route:
    """Return the route of all webhooks."""
    # Named by its template in log lines: whoever knows a path can call it.
    template = f"{PATH}/{{token}}"
    return Route(template, _Receiver(parts, clock, template).answer, methods=["GET", "POST"])


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Takes the calls; its blocking parts run in threads."""

    parts: Resources
    clock: Clock
    template: str
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_THREADS))

    async def answer(self, request: Request) -> Response:
        """Answer a call, or the GET by which Mailchimp looks whether the address is there."""
        note_path(self.template)
        afterwards: BackgroundTask | None = None
        try:
            webhook = await to_thread.run_sync(self._find, request.path_params["token"], limiter=self.threads)
            if request.method == "POST":
                body = await _form(request)
                signature = request.headers.get(_SIGNATURE)
                if await to_thread.run_sync(self._take, webhook, body, signature, limiter=self.threads):
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
        """Check a call, and read the members that it is about. Tell whether there were any."""
        now = self.clock()
        if not webhook.is_made:
            raise NotMadeYet(f"The webhook of audience {webhook.list_id} is being made. Call again.")
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
        """Unsubscribe a contact who unsubscribed in the other audiences, too, after Mailchimp has its answer."""
        await to_thread.run_sync(self._push_opt_outs, organisation_id, limiter=self.threads)

    def _push_opt_outs(self, organisation_id: str) -> None:
        records = DatabaseRecords(self.parts.database, self.parts.keyring, self.clock)
        try:
            propagate_opt_outs(organisation_id, lambda: self._mailchimp(organisation_id), records=records)
        except PipelineError as failure:
            # The next run does it: nobody asks again.
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
    body = await read_body(request.receive, MAX_BODY_BYTES)
    if body is None:
        raise TRPCError("PAYLOAD_TOO_LARGE", "The call's body is too large")
    return body


def _as_answered(failure: PipelineError) -> TRPCError:
    """Return what the caller learns of a failure; the log learns why."""
    if isinstance(failure, TRPCError):
        return failure
    if isinstance(failure, SignatureRefused | MalformedCall):
        _log.warning("webhook refused", why=str(failure))
        code = "UNAUTHORIZED" if isinstance(failure, SignatureRefused) else "BAD_REQUEST"
        return TRPCError(code, str(failure))
    _log.error("webhook not taken", failure=type(failure).__name__, text=str(failure))
    return TRPCError("SERVICE_UNAVAILABLE", "The call cannot be taken now: call again later")
