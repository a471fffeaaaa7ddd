"""Whoever calls: the actor, the organisation and the role; and the answer to those who do not say it rightly.

What does not belong here: how a token says it.
"""

import re
from dataclasses import dataclass

from api.trpc import Role, TRPCError
from mailchimp_pipeline.database.audit import OWN_ACTORS

MAX_ACTOR_LENGTH = 255

# The id is part of partition keys, where a slash separates, and of log lines.
_ORGANISATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Unauthenticated(TRPCError):
    """The request does not say, in a way that can be believed, who calls."""

    def __init__(self, reason: str) -> None:
        super().__init__("UNAUTHORIZED", reason)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The challenge that HTTP wants beside every 401."""
        return ((b"www-authenticate", b'Bearer realm="mailchimp-pipeline"'),)


@dataclass(frozen=True, slots=True)
class Caller:
    """An actor of an organisation, who may do what the role covers.

    `actor` is the name to be recorded, which holds no e-mail address: one of `audit.actor_names`.
    """

    actor: str
    organisation_id: str
    role: Role


def is_organisation_id(text: str) -> bool:
    """Tell whether the text can be an organisation's id: letters, digits and `._:-`, at most 128."""
    return _ORGANISATION_ID.fullmatch(text) is not None


def is_actor(text: str) -> bool:
    """Tell whether the text can name an actor: 1 to 255 characters that can be printed, and stored by PostgreSQL.

    Not one of the pipeline's own actors, nor what looks like one: the audit log has to tell who did something.
    """
    looks_like = text.strip().casefold()
    return 0 < len(text) <= MAX_ACTOR_LENGTH and text.isprintable() and looks_like not in OWN_ACTORS
