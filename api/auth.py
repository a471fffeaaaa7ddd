"""Authentication: a verified bearer JSON Web Token becomes a `Caller`.

A token is signed with the shared secret (HS256) or with a key that an identity provider publishes at the JWKS URL
(RS256, ES256). Its claims are `sub` (the actor; an e-mail address is stored as a keyed hash), `org` (the organisation),
`role`, `exp` and `aud`, which must contain `mailchimp-pipeline`. Cookies are ignored, so that a page of another site
cannot call in the name of its visitor. Each procedure has its own role.
"""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import requests
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import GuestProtocol, JWKRegistry, Key, OctKey
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError
from starlette.requests import HTTPConnection

from api.trpc import Role, TRPCError
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.audit_log import OWN_ACTORS, actor_names
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.errors import PermanentError, TransientError
from mailchimp_pipeline.settings import VARIABLES, Settings, SettingsError

MAX_ACTOR_LENGTH = 255

# The id is part of log lines, and of partition keys, where a slash separates.
_ORGANISATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Unauthenticated(TRPCError):
    """The request has no valid bearer token."""

    def __init__(self, reason: str) -> None:
        super().__init__("UNAUTHORIZED", reason)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The challenge that HTTP requires with every 401."""
        return ((b"www-authenticate", b'Bearer realm="mailchimp-pipeline"'),)


@dataclass(frozen=True, slots=True)
class Caller:
    """An actor of an organisation, with a role. `actor` is a name for the audit log, without an e-mail address."""

    actor: str
    organisation_id: str
    role: Role


def is_organisation_id(text: str) -> bool:
    """Return whether the text is a valid id: letters, digits and `._:-`, at most 128 characters."""
    return _ORGANISATION_ID.fullmatch(text) is not None


def is_actor(text: str) -> bool:
    """Return whether the text is a valid name of an actor: 1 to 255 printable characters.

    The names of the pipeline's own actors are not valid: the audit log must show who did something.
    """
    looks_like = text.strip().casefold()
    return 0 < len(text) <= MAX_ACTOR_LENGTH and text.isprintable() and looks_like not in OWN_ACTORS


REFRESH_PAUSE = 30.0
"""The minimum number of seconds between two fetches, so that tokens with made-up key ids cause few requests to the
provider."""

MAX_AGE = 600.0
"""The number of seconds after which the keys are fetched again. A withdrawn key is accepted for no longer."""

_PATIENCE = 2.0
_TIMEOUTS = (3.05, 5.0)
_MAX_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class KeysUnavailable(TransientError):
    """The published keys cannot be fetched or read."""


class VerificationKeys(Protocol):
    """The keys that verify tokens, and their algorithms. The configuration chooses both, never the token."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The accepted algorithms."""
        ...

    def find(self, kid: str | None) -> Key:
        """Return the key with the id that the token names. Raises a TRPCError if there is none."""
        ...


class SharedSecret:
    """One secret that signs and verifies tokens. Key ids are ignored."""

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
        """Return the key with this id, or the only key if `kid` is None. Raises a TRPCError if there is none."""
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
        """Fetch the keys, unless that was tried within the last `REFRESH_PAUSE` seconds.

        If another thread is fetching them, wait for it, but at most `patience` seconds.
        """
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
    """Return the document at the URL. Raises `KeysUnavailable` if it cannot be fetched, or is too long.

    A redirect is an error, because only the URL in the settings is trusted.
    """
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
    """Return the keys for signatures by key id. Raises `KeysUnavailable` if the document has none."""
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


AUDIENCE = "mailchimp-pipeline"
"""The value that `aud` must be or contain: a token for another service is not valid here."""

SIGN_IN_AUDIENCE = "mailchimp-pipeline-sign-in"
"""The value of `aud` in a token that signs a browser in to the dashboard. Such a token is no bearer token."""

MAX_SIGN_IN_LIFETIME = timedelta(hours=1)
"""A sign-in token with a longer lifetime is refused, since it may be in a log of URLs."""

MAX_LIFETIME = timedelta(days=30)
"""A token with a longer lifetime is refused: a leaked token cannot be revoked."""

LEEWAY = timedelta(seconds=30)
"""The accepted difference between the clocks of the issuer and of this machine."""

DEFAULT_LIFETIME = timedelta(hours=12)

MAX_TOKEN_LENGTH = 8192

_ACTORS = "must have 1 to 255 printable characters and be none of the pipeline's own names"


class TokenNotMade(PermanentError):
    """The token was not made, because this API would refuse it."""


class Claims(BaseModel):
    """The claims that a token must have; others are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    sub: str
    org: str
    role: Role
    iss: str | None = None
    aud: str | list[str]
    exp: FiniteFloat
    nbf: FiniteFloat | None = None
    iat: FiniteFloat | None = None
    jti: str | None = None


def make_token(  # noqa: PLR0913 - the claims of a token, all by name
    secret: str,
    *,
    organisation_id: str,
    actor: str,
    role: Role,
    now: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
    issuer: str | None = None,
    audience: str = AUDIENCE,
) -> str:
    """Return a token signed with the shared secret. Raises `TokenNotMade` if this API would refuse such a token.

    A token for the audience `SIGN_IN_AUDIENCE` has an id, because it can be used only once.
    """
    if not is_organisation_id(organisation_id):
        raise TokenNotMade(
            "The organisation's id may have letters, digits and . _ : - only, at most 128: write another."
        )
    if not is_actor(actor):
        raise TokenNotMade(f"The actor {_ACTORS}: write another name.")
    most = MAX_SIGN_IN_LIFETIME if audience == SIGN_IN_AUDIENCE else MAX_LIFETIME
    if not timedelta() < lifetime <= most:
        longest = "an hour" if audience == SIGN_IN_AUDIENCE else f"{MAX_LIFETIME.days} days"
        raise TokenNotMade(f"A token may be good for {longest} at most: choose a shorter time.")
    claims = {
        "sub": actor,
        "org": organisation_id,
        "role": role.value,
        "aud": audience,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        **({} if issuer is None else {"iss": issuer}),
        **({"jti": secrets.token_urlsafe(16)} if audience == SIGN_IN_AUDIENCE else {}),
    }
    keys = SharedSecret(secret)
    return jwt.encode({"alg": keys.algorithms[0]}, claims, keys.find(None), keys.algorithms)


def read_token(
    token: str, keys: VerificationKeys, keyring: Keyring, now: datetime, *, issuer: str | None = None
) -> Caller:
    """Verify a bearer token, and return its caller. Raises the errors of `verified_claims`."""
    return caller_of(verified_claims(token, keys, now, issuer=issuer), keyring)


def verified_claims(
    token: str, keys: VerificationKeys, now: datetime, *, issuer: str | None = None, audience: str = AUDIENCE
) -> Claims:
    """Verify a token, and return its claims.

    Raises `Unauthenticated` if the token's signature, times, audience, issuer or other claims are not valid. If the
    keys cannot be fetched, which is not the caller's fault, SERVICE_UNAVAILABLE is raised.
    """
    claims = _claims(_verified_payload(token, keys))
    _check_times(claims, now)
    if audience not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise Unauthenticated(f"The token is for another service: its audience (aud) must be {audience}")
    if issuer is not None and claims.iss != issuer:
        raise Unauthenticated("The token's issuer (iss) is not the one whose tokens are accepted here")
    if not is_organisation_id(claims.org):
        raise Unauthenticated("The token's organisation (org) is no organisation's id: letters, digits and . _ : -")
    if not is_actor(claims.sub):
        raise Unauthenticated(f"The token's actor (sub) {_ACTORS}")
    return claims


def caller_of(claims: Claims, keyring: Keyring) -> Caller:
    """Return the caller that verified claims name. `keyring` hashes a `sub` that may be an e-mail address."""
    actor, *_ = actor_names(keyring, claims.org, claims.sub)
    return Caller(actor, claims.org, claims.role)


def _verified_payload(token: str, keys: VerificationKeys) -> bytes:
    def key_of(signed: GuestProtocol) -> Key:
        kid: str | None = signed.headers().get("kid")
        return keys.find(kid)

    if len(token) > MAX_TOKEN_LENGTH:
        raise Unauthenticated("The token is too long: sign in again")
    # Issuers add header parameters of their own; `crit` lists those that must be understood.
    registry = JWSRegistry(algorithms=keys.algorithms, strict_check_header=False)
    try:
        payload = jws.deserialize_compact(token, key_of, registry=registry).payload
    except UnsupportedAlgorithmError:
        accepted = " or ".join(keys.algorithms)
        raise Unauthenticated(f"The token's algorithm is not accepted here: it must be {accepted}") from None
    except BadSignatureError:
        raise Unauthenticated("The token's signature is wrong: it was changed, or signed with another key") from None
    except (JoseError, ValueError, TypeError):  # TypeError: joserfc does not check that `crit` is a list
        raise Unauthenticated("The token cannot be read: use the whole token, as you got it") from None
    return payload or b""


def _claims(payload: bytes) -> Claims:
    try:
        return Claims.model_validate_json(payload)
    except ValidationError as invalid:
        details = invalid.errors(include_url=False, include_context=False, include_input=False)
        named = ", ".join(sorted({str(one["loc"][0]) for one in details if one["loc"]}))
        problem = f"its claims {named} are missing or wrong" if named else "its claims are no JSON object"
        raise Unauthenticated(f"The token cannot be used: {problem}") from None


def _check_times(claims: Claims, now: datetime) -> None:
    """Raise `Unauthenticated` unless the token is valid at `now`.

    Times are compared as seconds, because not every number in a claim is a valid date.
    """
    moment, leeway = now.timestamp(), LEEWAY.total_seconds()
    if claims.exp <= moment - leeway:
        raise Unauthenticated("The token has expired: sign in again")
    if claims.exp > moment + MAX_LIFETIME.total_seconds() + leeway:
        raise Unauthenticated(f"The token is good for too long: {MAX_LIFETIME.days} days are the most")
    if max(claims.nbf or 0, claims.iat or 0) > moment + leeway:
        raise Unauthenticated("The token is not good yet: the issuer's clock is ahead, or it is for later")


_BEARER = re.compile(r"bearer +([^ ]+) *", re.IGNORECASE)


class Authenticator:
    """Authenticates requests by their bearer tokens. With `issuer`, only tokens of this issuer are accepted."""

    def __init__(
        self, keys: VerificationKeys, keyring: Keyring, *, issuer: str | None = None, now: Clock = utc_now
    ) -> None:
        self._keys = keys
        self._keyring = keyring
        self._issuer = issuer
        self._now = now

    def verify(self, token: str, *, audience: str) -> Claims:
        """Return the claims of a token for another audience than this API's. Raises the errors of `verified_claims`."""
        return verified_claims(token, self._keys, self._now(), issuer=self._issuer, audience=audience)

    def __call__(self, connection: HTTPConnection) -> Caller:
        """Return the caller of a request.

        Raises `Unauthenticated` without exactly one valid bearer token, and SERVICE_UNAVAILABLE if the keys that verify
        it cannot be fetched.
        """
        given = connection.headers.getlist("authorization")
        if not given:
            raise Unauthenticated("Sign in first: the request has no Authorization header with a bearer token")
        bearer = _BEARER.fullmatch(given[0])
        if len(given) > 1 or bearer is None:
            raise Unauthenticated("The Authorization header must be one: `Bearer`, a space, and the token")
        return read_token(bearer[1], self._keys, self._keyring, self._now(), issuer=self._issuer)


def authenticator(settings: Settings, keyring: Keyring, *, now: Clock = utc_now) -> Authenticator:
    """Return the authenticator for the settings. Raises `SettingsError` if they have no secret and no JWKS URL."""
    return Authenticator(_verification_keys(settings), keyring, issuer=settings.token_issuer, now=now)


def _verification_keys(settings: Settings) -> VerificationKeys:
    if settings.jwks_url:
        return PublishedKeys(settings.jwks_url)
    if settings.token_secret is None:
        raise SettingsError(
            f"The API cannot verify tokens: set {VARIABLES['token_secret']} or {VARIABLES['jwks_url']}."
        )
    return SharedSecret(settings.token_secret.get_secret_value())
