"""The caller: an actor, an organisation and a role; and the error for a request without a valid one."""

import re
from dataclasses import dataclass

from api.trpc import Role, TRPCError
from mailchimp_pipeline.database.audit_log import OWN_ACTORS

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
