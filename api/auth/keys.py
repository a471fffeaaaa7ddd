"""The keys that verify tokens: a shared secret, or the keys that an identity provider publishes as a JWKS."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import requests
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, OctKey
from pydantic import BaseModel, ValidationError

from api.auth.caller import Unauthenticated
from api.trpc import TRPCError
from mailchimp_pipeline.errors import TransientError

REFRESH_PAUSE = 30.0
"""Seconds between two fetches: tokens with made-up key ids must not cause requests to the provider."""

MAX_AGE = 600.0
"""Seconds after which the keys are fetched again, so that a withdrawn key is not accepted for longer."""

_PATIENCE = 2.0
_TIMEOUTS = (3.05, 5.0)
_MAX_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class KeysUnavailable(TransientError):
    """The published keys cannot be fetched or read."""


class VerificationKeys(Protocol):
    """Keys and the algorithms that they are used with. The configuration chooses both, never the token."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The accepted algorithms."""
        ...

    def find(self, kid: str | None) -> Key:
        """Return the key with the id in a token. Raises a TRPCError if there is none."""
        ...


class SharedSecret:
    """One secret that signs and verifies; key ids are ignored."""

    algorithms: Sequence[str] = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret.encode())

    def find(self, kid: str | None) -> Key:  # noqa: ARG002 - the protocol has it
        """Return the secret."""
        return self._key


class PublishedKeys:
    """The keys at a JWKS URL, fetched when they are first needed. May be used from many threads.

    An unknown key id causes another fetch, at most every `REFRESH_PAUSE` seconds. If a fetch fails the old keys stay
    valid, so that an outage of the provider does not sign everybody out.
    """

    algorithms: Sequence[str] = ("RS256", "ES256")

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch: Callable[[str], bytes] | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._fetch = fetch or _fetched
        self._fetching = threading.Lock()
        self._keys: Mapping[str, Key] = {}
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")

    def find(self, kid: str | None) -> Key:
        """Return the key with that id; without an id, the only key. Raises a TRPCError if there is none."""
        if self._keys and self._clock() - self._fetched_at > MAX_AGE:
            self._refresh(patience=0)
        key = self._known(kid)
        if key is None:
            self._refresh(patience=_PATIENCE)
            key = self._known(kid)
        if key is not None:
            return key
        if self._fetched_at < self._tried_at:
            problem = "Tokens cannot be verified now: the identity provider does not answer. Try again later"
            raise TRPCError("SERVICE_UNAVAILABLE", problem, retry_after=int(REFRESH_PAUSE))
        raise Unauthenticated("The token is signed with a key that its issuer does not publish: sign in again")

    def _known(self, kid: str | None) -> Key | None:
        keys = self._keys
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    def _refresh(self, patience: float) -> None:
        """Fetch the keys, unless that was tried recently. While another thread fetches them, wait for so long."""
        if not self._fetching.acquire(timeout=patience):
            return
        try:
            now = self._clock()
            if now - self._tried_at < REFRESH_PAUSE:
                return
            self._tried_at = now
            self._keys = _keys(self._fetch(self._url))
            self._fetched_at = now
        except KeysUnavailable as unavailable:
            _log.warning("%s", unavailable)
        finally:
            self._fetching.release()


class _KeySet(BaseModel):
    """A JWKS; the keys in it are not parsed yet."""

    keys: list[dict[str, Any]]


def _fetched(url: str) -> bytes:
    """Return the document. A redirect is an error: only the URL in the settings is trusted."""
    body = bytearray()
    try:
        with (
            _session() as session,
            session.get(url, timeout=_TIMEOUTS, allow_redirects=False, stream=True) as response,
        ):
            if response.status_code != requests.codes.ok:
                raise KeysUnavailable(_advice(f"answered {response.status_code}"))
            for piece in response.iter_content(_MAX_BYTES):
                body += piece
                if len(body) > _MAX_BYTES:
                    raise KeysUnavailable(_advice(f"answered more than {_MAX_BYTES} bytes"))
    except requests.RequestException as error:
        raise KeysUnavailable(_advice(f"did not answer ({type(error).__name__})")) from None
    return bytes(body)


def _session() -> requests.Session:
    session = requests.Session()
    # No proxy, netrc or certificates from the environment: whatever answers decides which tokens are valid.
    session.trust_env = False
    return session


def _keys(document: bytes) -> Mapping[str, Key]:
    """Return the keys for signatures by id; other published keys are ignored."""
    try:
        published = _KeySet.model_validate_json(document).keys
    except ValidationError:
        raise KeysUnavailable(_advice("did not return a JWKS")) from None
    usable = [key for one in published if (key := _imported(one)) is not None]
    if not usable:
        raise KeysUnavailable(_advice("published no key for RS256 or ES256"))
    for key in usable:
        key.ensure_kid()
    return {str(key.kid): key for key in usable}


def _imported(published: dict[str, Any]) -> Key | None:
    if published.get("kty") not in {"RSA", "EC"} or published.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(published)
    except (JoseError, ValueError, TypeError):
        return None


def _advice(problem: str) -> str:
    return f"The keys that verify tokens could not be fetched: their URL {problem}. Check MAILCHIMP_PIPELINE_JWKS_URL."
