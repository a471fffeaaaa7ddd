"""The bearer token in the `Authorization` header of a request.

Cookies are ignored, so that a page of another site cannot call in the name of its visitor.
What does not belong here: the verification of a token (`tokens`).
"""

import re

from starlette.requests import HTTPConnection

from api.auth.caller import Caller, Unauthenticated
from api.auth.keys import PublishedKeys, SharedSecret, VerificationKeys
from api.auth.tokens import read_token
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.settings import VARIABLES, Settings, SettingsError

_BEARER = re.compile(r"bearer +([^ ]+) *", re.IGNORECASE)


class Authenticator:
    """Authenticates requests by their bearer tokens; tokens must come from `issuer`, if there is one."""

    def __init__(
        self, keys: VerificationKeys, keyring: Keyring, *, issuer: str | None = None, now: Clock = utc_now
    ) -> None:
        self._keys = keys
        self._keyring = keyring
        self._issuer = issuer
        self._now = now

    def __call__(self, connection: HTTPConnection) -> Caller:
        """Return the caller. Raises `Unauthenticated`, and SERVICE_UNAVAILABLE if the keys cannot be fetched."""
        given = connection.headers.getlist("authorization")
        if not given:
            raise Unauthenticated("Sign in first: the request has no Authorization header with a bearer token")
        bearer = _BEARER.fullmatch(given[0])
        if len(given) > 1 or bearer is None:
            raise Unauthenticated("The Authorization header must be one: `Bearer`, a space, and the token")
        return read_token(bearer[1], self._keys, self._keyring, self._now(), issuer=self._issuer)


def authenticator(settings: Settings, keyring: Keyring, *, now: Clock = utc_now) -> Authenticator:
    """Return the authenticator for the settings. Raises `SettingsError` if they name no secret and no keys."""
    return Authenticator(_keys(settings), keyring, issuer=settings.token_issuer, now=now)


def _keys(settings: Settings) -> VerificationKeys:
    if settings.jwks_url:
        return PublishedKeys(settings.jwks_url)
    if settings.token_secret is None:
        raise SettingsError(
            f"The API cannot verify tokens: set {VARIABLES['token_secret']} or {VARIABLES['jwks_url']}."
        )
    return SharedSecret(settings.token_secret.get_secret_value())
