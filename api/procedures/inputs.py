"""Types that the inputs of several procedures use: texts, ids and pages."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from api.trpc import TRPCError, WireModel
from mailchimp_pipeline.contacts import EntityType, normalised, sendable
from mailchimp_pipeline.segments import STORABLE_TEXT


def without_address(text: str) -> str:
    """Return the text. Raises `ValueError` if it contains an e-mail address: an erasure would not find it there."""
    if _ADDRESS.search(normalised(text)):
        raise ValueError("an e-mail address must not be stored here: an erasure would not find it")
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
"""An id of another system, such as that of an audience."""


def _normalised(entity_id: str) -> str:
    if not (found := normalised(entity_id)):
        raise ValueError("the id has only invisible characters")
    return found


EntityId = Annotated[ForeignId, AfterValidator(_normalised)]
"""The id of an employee or vendor, normalised as in the source."""


def _sendable(text: str) -> str:
    if (found := sendable(normalised(text))) is None:
        raise ValueError("this is not an e-mail address that Mailchimp accepts")
    return found


Address = Annotated[str, AfterValidator(_sendable)]
"""An e-mail address, in the form in which contacts are sent."""


def left_out() -> Any:  # noqa: ANN401 - the default of any field
    """Return the default of an input field that may be left out but not be null.

    `model_fields_set` shows which fields were sent. This is a factory, so that the JSON Schema has no default.
    """
    return None


class PageInput(WireModel):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """The maximum number of items on the page."""
    cursor: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """The `nextCursor` of the previous page. Without it, the first page is returned."""


class EntityInput(WireModel):
    """An employee or vendor."""

    entity_id: EntityId
    entity_type: EntityType


def not_found(what: str) -> TRPCError:
    """Return the error NOT_FOUND. It is the same for an unknown id, a deleted object and another organisation's."""
    return TRPCError("NOT_FOUND", f"There is no such {what}: it may have been deleted")
