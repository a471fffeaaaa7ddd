"""What inputs and outputs are made of: models in camelCase, and times in UTC.

What does not belong here: the models of any procedure.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment, sent as ISO 8601 with `Z`, whatever time zone it came in."""


class WireModel(BaseModel):
    """An input or output: camelCase on the wire, snake_case here; an unknown key is an error, not a typo unseen."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # JSON has neither NaN nor Infinity, but `1e999` is read as the latter.
        allow_inf_nan=False,
        from_attributes=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        # The docstring of a field becomes its description in the TypeScript types and in OpenAPI.
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )
