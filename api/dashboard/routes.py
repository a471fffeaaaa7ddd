"""The routes of the dashboard, and what every page has in common: the caller, forms, errors."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from api.auth import Authenticator, Caller
from api.dashboard import pages
from api.dashboard.rendering import HEADERS, STATIC, render
from api.dashboard.sessions import Sessions, cookie_name, is_from_this_site
from api.dashboard.visit import CallFailed, FormFields, Visit
from api.error_mapping import log_failure
from api.procedures.context import Context
from api.request_log import note_caller, note_path
from api.trpc import TRPCError, TrpcServer
from api.trpc.requests import ClientLeftError, read_body
from mailchimp_pipeline.database.encryption import Keyring

_MAX_FORM_BYTES = 200_000

_DEFECT = "Something went wrong. Try again. If it stays so, give the operator the time and the page."

Handler = Callable[[Visit], Awaitable[Response]]

_PAGES: Sequence[tuple[str, str, Handler]] = (
    ("GET", "/", pages.overview),
    ("GET", "/connection", pages.connection),
    ("POST", "/connection", pages.connect),
    ("POST", "/connection/disconnect", pages.disconnect),
    ("GET", "/segments", pages.segments),
    ("GET", "/segments/new", pages.new_segment),
    ("POST", "/segments/new", pages.create_segment),
    ("GET", "/segments/{id}", pages.segment),
    ("POST", "/segments/{id}/sync", pages.sync_segment),
    ("POST", "/segments/{id}/preview", pages.preview_sync),
    ("GET", "/segments/{id}/edit", pages.edit_segment),
    ("POST", "/segments/{id}/edit", pages.update_segment),
    ("POST", "/segments/{id}/delete", pages.delete_segment),
    ("POST", "/segments/{id}/retry", pages.retry_rejected),
    ("GET", "/segments/{id}/rejected.csv", pages.rejected_csv),
    ("GET", "/campaigns", pages.campaigns),
    ("POST", "/campaigns", pages.track_campaign),
    ("GET", "/campaigns/{id}", pages.campaign),
    ("POST", "/campaigns/{id}/refresh", pages.refresh_campaign),
    ("GET", "/contacts", pages.contacts),
    ("POST", "/contacts/find", pages.find_contact),
    ("POST", "/contacts/opt-status", pages.update_opt_status),
    ("POST", "/contacts/export", pages.export_contact),
    ("POST", "/contacts/erase", pages.erase_contact),
    ("GET", "/audit", pages.audit),
    ("GET", "/settings", pages.settings),
    ("POST", "/settings", pages.save_settings),
)


def dashboard_routes(
    server: TrpcServer[Context],
    authenticate: Authenticator,
    keyring: Keyring,
    make_context: Callable[[Caller], Context],
) -> Sequence[BaseRoute]:
    """Return the routes of the dashboard's pages. `server` runs the procedures that they call."""
    dashboard = _Dashboard(server, Sessions(authenticate, keyring), make_context)
    return (
        *(Route(path, dashboard.page(path, handler), methods=[method]) for method, path, handler in _PAGES),
        Route("/sign-in", dashboard.sign_in_page, methods=["GET"]),
        Route("/sign-in", dashboard.sign_in, methods=["POST"]),
        Route("/sign-out", dashboard.sign_out, methods=["POST"]),
        Mount("/static", _StaticFiles(directory=STATIC)),
    )


@dataclass(frozen=True, slots=True)
class _Dashboard:
    server: TrpcServer[Context]
    sessions: Sessions
    make_context: Callable[[Caller], Context]

    def page(self, path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a page: it finds the caller, checks a form's origin, and shows errors as a page."""

        async def endpoint(request: Request) -> Response:
            note_path(path)
            try:
                caller = await run_in_threadpool(self.sessions.caller, request)
            except TRPCError as missing:
                return _ask_to_sign_in(request, missing)
            visit = self._visit(request, caller)
            try:
                if request.method == "POST":
                    visit = await self._with_form(visit)
                return await handler(visit)
            except CallFailed as failure:
                return visit.page("error.html", failure)
            except Exception as defect:  # noqa: BLE001 - the person gets a page, the log the defect
                log_failure("dashboard", defect)
                return visit.page("error.html", CallFailed.refusal("INTERNAL_SERVER_ERROR", _DEFECT))

        return endpoint

    def _visit(self, request: Request, caller: Caller) -> Visit:
        context = self.make_context(caller)
        note_caller(context)

        async def send(path: str, given: object) -> bytes:
            return (await self.server.call(context, path, given)).body

        return Visit(request, caller, send, self.sessions.form_token(caller))

    async def _with_form(self, visit: Visit) -> Visit:
        form = await _form(visit.request)
        if not is_from_this_site(visit.request) or not self.sessions.is_form_token(visit.caller, form.text("token")):
            raise CallFailed.refusal(
                "FORBIDDEN", "This form is not from this page's session. Reload the page and try again."
            )
        return replace(visit, form=form)

    async def sign_in_page(self, request: Request) -> Response:
        """Ask whether to sign in with the token of a link, or show how to get one."""
        note_path("/sign-in")
        token = request.query_params.get("token")
        signed_out = "signed-out" in request.query_params
        return await self._ask(token) if token else _sign_in_page(signed_out=signed_out)

    async def sign_in(self, request: Request) -> Response:
        """Sign in with the token of a form. A form of another site, such as the platform, only asks whether to."""
        note_path("/sign-in")
        try:
            form = await _form(request)
        except CallFailed as failure:
            return _sign_in_page(failure.status, failure.messages[""][0])
        # A person may paste the whole link.
        token = form.text("token").strip().rpartition("token=")[2]
        if not is_from_this_site(request):
            return await self._ask(token)
        try:
            caller = await run_in_threadpool(self.sessions.sign_in, token)
        except TRPCError as refused:
            return _not_signed_in(refused)
        note_caller(caller)
        response = RedirectResponse("/", 303, HEADERS)
        self.sessions.start(caller, request, response)
        return response

    async def _ask(self, token: str) -> Response:
        """Ask whether to sign in, so that no other site can sign a browser in to an organisation of its choice."""
        try:
            caller = await run_in_threadpool(self.sessions.check, token)
        except TRPCError as refused:
            return _not_signed_in(refused)
        return render("sign_in_confirm.html", caller=caller, token=token)

    async def sign_out(self, request: Request) -> Response:
        """End the session of this browser."""
        note_path("/sign-out")
        response = RedirectResponse("/sign-in?signed-out", 303, HEADERS)
        if is_from_this_site(request):
            response.delete_cookie(cookie_name(request), secure=True)
        return response


async def _form(request: Request) -> FormFields:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise CallFailed.refusal("UNSUPPORTED_MEDIA_TYPE", "This is not a form that a page of the dashboard sends.")
    try:
        body = await read_body(request.scope, request.receive, _MAX_FORM_BYTES)
    except ClientLeftError as left:
        raise CallFailed.refusal("CLIENT_CLOSED_REQUEST", str(left)) from None
    except TRPCError as slow:
        raise CallFailed.refusal(slow.code, slow.message) from None
    if body is None:
        raise CallFailed.refusal("PAYLOAD_TOO_LARGE", "The form is too large. Send less text.")
    try:
        return FormFields.parse(body)
    except ValueError:
        raise CallFailed.refusal("PAYLOAD_TOO_LARGE", "The form has too many fields.") from None


def _ask_to_sign_in(request: Request, missing: TRPCError) -> Response:
    """Show the sign-in page. A form answers 401, so that the script does not take the answer for its success."""
    is_new = (
        request.method == "GET"
        and cookie_name(request) not in request.cookies
        and "authorization" not in request.headers
    )
    return _sign_in_page(401) if is_new else _not_signed_in(missing)


def _not_signed_in(refused: TRPCError) -> Response:
    return _sign_in_page(refused.http_status, refused.message)


def _sign_in_page(status: int = 200, problem: str | None = None, *, signed_out: bool = False) -> Response:
    return render("sign_in.html", status, problem=problem, signed_out=signed_out)


def answer_unknown_page(request: Request) -> Response | None:
    """Return the page for an unknown path, None if the client is no browser that wants a page."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return None
    return render("unknown.html", 404)


class _StaticFiles(StaticFiles):
    """The files of `static`. A browser keeps them, and asks whether they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - Starlette's
        """Return the answer with a file, or without it if the browser has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response
