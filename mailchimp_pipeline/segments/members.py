"""The membership of a segment, and the reasons that exclude matching contacts.

What does not belong here: computing memberships (`population`), storing consent (`database`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from mailchimp_pipeline.errors import PermanentError


class Exclusion(StrEnum):
    """The reason for which a contact that matches the criteria is not a member."""

    MISSING_ADDRESS = "missing_address"
    INVALID_ADDRESS = "invalid_address"
    DUPLICATE = "duplicate"
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    ERASED = "erased"


PRECEDENCE = (
    Exclusion.ERASED,
    Exclusion.OPTED_OUT,
    Exclusion.MISSING_ADDRESS,
    Exclusion.INVALID_ADDRESS,
    Exclusion.NO_CONSENT,
    Exclusion.DUPLICATE,
)
"""The order of reasons if several apply: erasure, opt-out, address, missing consent. A contact counts as a duplicate
only if nothing else excludes it."""


_FEW = 2
"""This number of members may always leave a segment at the same time."""


class MassDeparture(PermanentError):
    """Implausibly many of a segment's members would leave at the same time."""

    def __init__(self, name: str, before: int, leaving: int) -> None:
        super().__init__(
            f"{leaving} of the {before} members of segment {name!r} would leave at once, so nobody does. Look whether "
            "the source is complete and the filter criteria are right; if they are, sync with the departures confirmed."
        )
        self.leaving = leaving


def is_mass_departure(before: int, leaving: int) -> bool:
    """Return whether a person should confirm the departures: more than half of the members, and more than two."""
    return leaving > _FEW and 2 * leaving > before


@dataclass(frozen=True, slots=True)
class Suppressions:
    """The contacts of an organisation that may not be e-mailed, with the `reason` `Exclusion.OPTED_OUT` or `ERASED`.

    `entities` has the columns entity_type, entity_id and reason. `addresses` has subscriber_hash and reason. The
    present address of a suppressed entity is suppressed too, for every contact. `consented` (entity_type, entity_id)
    has the contacts who opted in, None if the organisation does not require an opt-in.
    """

    entities: pd.DataFrame
    addresses: pd.DataFrame
    consented: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """The membership of a segment. `matching == len(members) + sum(excluded.values())`.

    `members` has entity_type, entity_id, subscriber_hash, email, first_name and last_name. Addresses and entities occur
    once. Employees come before vendors, then rows are ordered by id. `excluded` counts excluded contacts by reason.
    """

    members: pd.DataFrame
    matching: int
    excluded: Mapping[Exclusion, int]
