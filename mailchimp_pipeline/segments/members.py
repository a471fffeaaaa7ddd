"""Who is in a segment, and why somebody who matches it is not.

What does not belong here: the work on whole columns (`population`), where consent is kept (`database`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from mailchimp_pipeline.errors import PermanentError


class Exclusion(StrEnum):
    """Why a contact that matches the criteria is not a member."""

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
"""Which reason counts where several apply: a withdrawal first, then a bad address, then missing consent.

A contact counts as a duplicate only if nothing else excludes it."""


_FEW = 2
"""So many people may leave a segment of any size at once."""


class MassDeparture(PermanentError):
    """More of a segment's members would leave at once than is plausible."""

    def __init__(self, name: str, before: int, leaving: int) -> None:
        super().__init__(
            f"{leaving} of the {before} members of segment {name!r} would leave at once, so nobody does. Look whether "
            "the source is complete and the filter criteria are right; if they are, sync with the departures confirmed."
        )
        self.leaving = leaving


def is_mass_departure(before: int, leaving: int) -> bool:
    """Tell whether so many leave at once that a person should look first: more than half, and not just a few."""
    return leaving > _FEW and 2 * leaving > before


@dataclass(frozen=True, slots=True)
class Suppressions:
    """Which contacts of an organisation may not be e-mailed, each with `Exclusion.OPTED_OUT` or `ERASED` as `reason`.

    `entities`: columns entity_type, entity_id, reason. `addresses`: columns subscriber_hash, reason. The present
    address of such an entity is suppressed, too, for every contact who has it. `consented` (entity_type, entity_id)
    are the contacts who opted in, None where the organisation does not ask for that.
    """

    entities: pd.DataFrame
    addresses: pd.DataFrame
    consented: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """Who is in a segment: `matching == len(members) + sum(excluded.values())`.

    `members` has entity_type, entity_id, subscriber_hash, email, first_name and last_name, one row an address and
    one an entity, employees before vendors and by id. `excluded` has the reasons that occur.
    """

    members: pd.DataFrame
    matching: int
    excluded: Mapping[Exclusion, int]
