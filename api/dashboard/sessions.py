"""Sign-in to the dashboard: one-time sign-in tokens, session cookies, and the tokens of forms.

A sign-in token is a JSON Web Token for the audience `SIGN_IN_AUDIENCE`, with an id (`jti`). The platform, or
`mailchimp-pipeline sign-in`, puts it into a link. It works once. The session is an encrypted cookie that names the
caller; it is valid for `SESSION_LIFETIME` and for no other API. An identity-aware proxy that adds an Authorization
header to each request needs neither.
"""

import hmac
import json
import threading
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.auth import (
    LEEWAY,
    MAX_SIGN_IN_LIFETIME,
    SIGN_IN_AUDIENCE,
    Authenticator,
    Caller,
    Claims,
    Unauthenticated,
    caller_of,
)
from api.trpc import Role
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.encryption import Keyring, SecretUnreadable

SESSION_LIFETIME = timedelta(hours=12)

COOKIE = "mailchimp_pipeline_session"

_PURPOSE = "dashboard session"
"""The associated data of a session's encryption. It is no organisation's id, so an encrypted API key is no session."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _BrowserSession(BaseModel):
    """The content of a session cookie. `expires` is in seconds since 1970."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    actor: str
    organisation_id: str
    role: Role
    expires: float


class Sessions:
    """Starts, reads and ends sessions. May be used from many threads.

    Used sign-in tokens are remembered in this process until they expire, so each API process accepts a token once.
    """

    def __init__(self, authenticate: Authenticator, keyring: Keyring, *, now: Clock = utc_now) -> None:
        self._authenticate = authenticate
        self._keyring = keyring
        self._now = now
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def check(self, token: str) -> Caller:
        """Return the caller of a sign-in token, which stays usable.

        Raises `Unauthenticated` if it is not valid or was used before.
        """
        claims = self._verified(token)
        with self._lock:
            if _key(claims) in self._used:
                raise _USED
        return caller_of(claims, self._keyring)

    def sign_in(self, token: str) -> Caller:
        """Return the caller of a sign-in token, and use the token up. Raises the errors of `check`."""
        claims = self._verified(token)
        with self._lock:
            now = self._now().timestamp()
            self._used = {key: expires for key, expires in self._used.items() if expires > now}
            if _key(claims) in self._used:
                raise _USED
            # A token is accepted for some seconds after it expired.
            self._used[_key(claims)] = claims.exp + timedelta(minutes=5).total_seconds()
        return caller_of(claims, self._keyring)

    def _verified(self, token: str) -> Claims:
        claims = self._authenticate.verify(token, audience=SIGN_IN_AUDIENCE)
        if not claims.jti:
            raise Unauthenticated("The sign-in token has no id (jti), so it could be used twice: add one")
        if claims.exp > (self._now() + MAX_SIGN_IN_LIFETIME + LEEWAY).timestamp():
            raise Unauthenticated("The sign-in token is good for too long: an hour is the most")
        return claims

    def start(self, caller: Caller, request: Request, response: Response) -> None:
        """Set the cookie of a new session."""
        expires = self._now() + SESSION_LIFETIME
        session = _BrowserSession(
            actor=caller.actor,
            organisation_id=caller.organisation_id,
            role=caller.role,
            expires=expires.timestamp(),
        )
        name, is_secure = cookie_name(request), not _is_local(request)
        response.set_cookie(
            name,
            self._keyring.encrypt(session.model_dump_json(), _PURPOSE),
            max_age=int(SESSION_LIFETIME.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=is_secure,
        )

    def caller(self, request: Request) -> Caller:
        """Return the caller of a request, from its Authorization header or its session cookie.

        Raises `Unauthenticated` without a valid one.
        """
        if "authorization" in request.headers:
            return self._authenticate(request)
        cookie = request.cookies.get(cookie_name(request))
        if cookie is None:
            raise Unauthenticated("Sign in first")
        try:
            session = _BrowserSession.model_validate_json(self._keyring.decrypt(cookie, _PURPOSE), strict=False)
        except (SecretUnreadable, ValidationError, RecursionError):  # JSON that nests deeply
            raise Unauthenticated("The session is not valid: sign in again") from None
        if session.expires <= self._now().timestamp():
            raise Unauthenticated("The session has expired: sign in again")
        return Caller(session.actor, session.organisation_id, session.role)

    def form_token(self, caller: Caller) -> str:
        """Return the token that the caller's forms carry. Pages of other sites cannot know it."""
        return self._form_tokens(caller)[0]

    def is_form_token(self, caller: Caller, token: str) -> bool:
        """Return whether the token is one of the caller's forms."""
        return any(hmac.compare_digest(token.encode(), each.encode()) for each in self._form_tokens(caller))

    def _form_tokens(self, caller: Caller) -> list[str]:
        return list(self._keyring.keyed_hashes(f"form\0{caller.organisation_id}\0{caller.actor}"))


_USED = Unauthenticated("This sign-in link was used before: get a new one")


def _key(claims: Claims) -> str:
    """Return what identifies a sign-in token: ids are unique for each issuer."""
    return json.dumps([claims.iss, claims.jti])


def cookie_name(request: Request) -> str:
    """Return the name of the session's cookie. With `__Host-`, no other host can set it, not even one of the domain."""
    return COOKIE if _is_local(request) else f"__Host-{COOKIE}"


def _is_local(request: Request) -> bool:
    """Return whether the browser is on this machine: some browsers refuse Secure cookies of http://127.0.0.1."""
    return request.url.hostname in _LOOPBACK


def sign_in_link(url: str, token: str) -> str:
    """Return the link that signs a browser in with a sign-in token. `url` is the root URL of the API."""
    return f"{url}/sign-in?token={token}"


def is_from_this_site(request: Request) -> bool:
    """Return whether a form was sent by a page of the host that it is sent to. Browsers send `Origin` with forms."""
    _, _, host = request.headers.get("origin", "").partition("://")
    return bool(host) and host == request.headers.get("host")
