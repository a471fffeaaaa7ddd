"""Authentication: a verified bearer JSON Web Token becomes a `Caller`.

A token is signed with the shared secret (HS256) or with a key published at the JWKS URL (RS256, ES256). Its claims
are `sub` (the actor; an e-mail address is stored as a keyed hash), `org` (the organisation), `role`, `exp` and `aud`,
which must contain `mailchimp-pipeline`. What does not belong here: authorisation (each procedure has its role).
"""

from api.auth.bearer import Authenticator, authenticator
from api.auth.caller import Caller, Unauthenticated
from api.auth.keys import PublishedKeys, SharedSecret, VerificationKeys
from api.auth.tokens import AUDIENCE, MAX_LIFETIME, TokenNotMade, make_token

__all__ = [
    "AUDIENCE",
    "MAX_LIFETIME",
    "Authenticator",
    "Caller",
    "PublishedKeys",
    "SharedSecret",
    "TokenNotMade",
    "Unauthenticated",
    "VerificationKeys",
    "authenticator",
    "make_token",
]
