"""Creates tokens for development, and verifies tokens. Pure: the time and the keys are arguments."""

from datetime import datetime, timedelta

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import GuestProtocol, Key
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from api.auth.caller import Caller, Unauthenticated, is_actor, is_organisation_id
from api.auth.keys import SharedSecret, VerificationKeys
from api.trpc import Role
from mailchimp_pipeline.database.audit_log import actor_names
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.errors import PermanentError

AUDIENCE = "mailchimp-pipeline"
"""The value that `aud` must be or contain: a token for another service is not valid here."""

MAX_LIFETIME = timedelta(days=30)
"""A token with a longer lifetime is refused: a leaked token cannot be revoked."""

LEEWAY = timedelta(seconds=30)
"""The accepted difference between the clocks of the issuer and of this machine."""

DEFAULT_LIFETIME = timedelta(hours=12)

MAX_TOKEN_LENGTH = 8192

_ACTORS = "must have 1 to 255 printable characters and be none of the pipeline's own names"


class TokenNotMade(PermanentError):
    """The token would be refused by this API."""


class _Claims(BaseModel):
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


def make_token(  # noqa: PLR0913 - the claims of a token, all by name
    secret: str,
    *,
    organisation_id: str,
    actor: str,
    role: Role,
    now: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
    issuer: str | None = None,
) -> str:
    """Return a token signed with the shared secret. Raises `TokenNotMade`."""
    if not is_organisation_id(organisation_id):
        raise TokenNotMade(
            "The organisation's id may have letters, digits and . _ : - only, at most 128: write another."
        )
    if not is_actor(actor):
        raise TokenNotMade(f"The actor {_ACTORS}: write another name.")
    if not timedelta() < lifetime <= MAX_LIFETIME:
        raise TokenNotMade(f"A token may be good for {MAX_LIFETIME.days} days at most: choose a shorter time.")
    claims = {
        "sub": actor,
        "org": organisation_id,
        "role": role.value,
        "aud": AUDIENCE,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        **({} if issuer is None else {"iss": issuer}),
    }
    keys = SharedSecret(secret)
    return jwt.encode({"alg": keys.algorithms[0]}, claims, keys.find(None), keys.algorithms)


def read_token(
    token: str, keys: VerificationKeys, keyring: Keyring, now: datetime, *, issuer: str | None = None
) -> Caller:
    """Return the caller of a token with a valid signature, times, audience and issuer. Raises `Unauthenticated`.

    Errors of the keys pass through: the caller cannot do anything about keys that cannot be fetched. The keyring
    hashes a `sub` that may be an e-mail address.
    """
    claims = _claims(_verified_payload(token, keys))
    _check_times(claims, now)
    if AUDIENCE not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise Unauthenticated(f"The token is for another service: its audience (aud) must be {AUDIENCE}")
    if issuer is not None and claims.iss != issuer:
        raise Unauthenticated("The token's issuer (iss) is not the one whose tokens are accepted here")
    if not is_organisation_id(claims.org):
        raise Unauthenticated("The token's organisation (org) is no organisation's id: letters, digits and . _ : -")
    if not is_actor(claims.sub):
        raise Unauthenticated(f"The token's actor (sub) {_ACTORS}")
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
        raise Unauthenticated("The bearer token cannot be read: send the token as you got it") from None
    return payload or b""


def _claims(payload: bytes) -> _Claims:
    try:
        return _Claims.model_validate_json(payload)
    except ValidationError as invalid:
        details = invalid.errors(include_url=False, include_context=False, include_input=False)
        named = ", ".join(sorted({str(one["loc"][0]) for one in details if one["loc"]}))
        problem = f"its claims {named} are missing or wrong" if named else "its claims are no JSON object"
        raise Unauthenticated(f"The token cannot be used: {problem}") from None


def _check_times(claims: _Claims, now: datetime) -> None:
    """Raise unless the token is valid now. In seconds: not every number in a claim is a date."""
    moment, leeway = now.timestamp(), LEEWAY.total_seconds()
    if claims.exp <= moment - leeway:
        raise Unauthenticated("The token has expired: sign in again")
    if claims.exp > moment + MAX_LIFETIME.total_seconds() + leeway:
        raise Unauthenticated(f"The token is good for too long: {MAX_LIFETIME.days} days are the most")
    if max(claims.nbf or 0, claims.iat or 0) > moment + leeway:
        raise Unauthenticated("The token is not good yet: the issuer's clock is ahead, or it is for later")
