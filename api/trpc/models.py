"""The base of inputs and outputs: models in camelCase, and times in UTC."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time, sent as ISO 8601 with `Z`; inputs may have any time zone."""


class WireModel(BaseModel):
    """An input or output: camelCase in JSON, snake_case in Python; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # JSON has no Infinity, but `1e999` is parsed as that.
        allow_inf_nan=False,
        from_attributes=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        # The docstring of a field becomes its description in the TypeScript types and in OpenAPI.
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )
