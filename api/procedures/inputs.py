"""What inputs of several procedures are made of: texts that can be stored, and which page of a list.

What does not belong here: the input of one procedure, which stands beside it.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from api.trpc import TRPCError, WireModel
from mailchimp_pipeline.contacts import EntityType, normalised
from mailchimp_pipeline.segments import STORABLE_TEXT


def without_address(text: str) -> str:
    """Return the text. Raises ValueError if it holds an e-mail address, which no erasure would reach there."""
    if _ADDRESS.search(normalised(text)):
        raise ValueError("an e-mail address must not be kept here: an erasure would not reach it")
    return text


_ADDRESS = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_NoAddress = AfterValidator(without_address)

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=STORABLE_TEXT), _NoAddress
]
Description = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=STORABLE_TEXT), _NoAddress
]
ForeignId = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255, pattern=STORABLE_TEXT)
]
"""An id that another system gave, such as an audience's."""


def _normalised(entity_id: str) -> str:
    if not (found := normalised(entity_id)):
        raise ValueError("the id has only characters that are not seen")
    return found


EntityId = Annotated[ForeignId, AfterValidator(_normalised)]
"""An employee's or vendor's id, in the form in which the contacts of the source have theirs."""


def left_out() -> Any:  # noqa: ANN401 - stands for a value of any field
    """Return the default of a field that may be left out but not be null; `model_fields_set` tells whether it was.

    A factory, so that no default stands in the documents.
    """
    return None


class PageInput(WireModel):
    """Which page of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """How many items at most."""
    cursor: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """The `nextCursor` of the page before; without it the first page."""


class EntityInput(WireModel):
    """An employee or vendor."""

    entity_id: EntityId
    entity_type: EntityType


def not_found(what: str) -> TRPCError:
    """Return the refusal of an id: deleted, another organisation's, or of nothing at all."""
    return TRPCError("NOT_FOUND", f"There is no such {what}: it may have been deleted")
