"""The routes for an audience's merge fields."""

from pydantic import BaseModel, ConfigDict, Field

from sandbox.model import problems
from sandbox.model.merge_fields import KINDS, Kind, MergeFieldChange
from sandbox.model.problems import FieldError
from sandbox.web import samples
from sandbox.web.endpoints import Answer, Call, Endpoint
from sandbox.web.list_shapes import merge_field_shape
from sandbox.web.queries import PAGES

_FIELDS = "/lists/{list_id}/merge-fields"


class ChoiceOptions(BaseModel):
    """The choices of a field."""

    choices: list[str] | None = None


class MergeFieldBody(BaseModel):
    """The body that creates a field."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    name: str | None = Field(default=None, min_length=1)
    type: Kind | None = None
    tag: str | None = None
    required: bool | None = None
    default_value: str | None = None
    public: bool | None = None
    display_order: int | None = None
    options: ChoiceOptions | None = None
    help_text: str | None = None

    def change(self) -> MergeFieldChange:
        """Return the requested properties."""
        choices = self.options.choices if self.options is not None else None
        return MergeFieldChange(
            tag=self.tag or None,
            name=self.name,
            required=self.required,
            default_value=self.default_value,
            public=self.public,
            display_order=self.display_order,
            choices=None if choices is None else tuple(choices),
            help_text=self.help_text,
        )


def list_fields(call: Call) -> Answer:
    """GET merge-fields."""
    kind = call.query.choice("type", KINDS)
    required = call.query.flag("required") if call.query.text("required") else None
    found = [
        field
        for field in call.audience.merge_fields
        if kind in {None, field.kind} and required in {None, field.required}
    ]
    shapes = [merge_field_shape(call.audience, field) for field in call.query.page(found)]
    return Answer({"merge_fields": shapes, "list_id": call.audience.id, "total_items": len(found), "_links": []})


def add_field(call: Call) -> Answer:
    """POST merge-fields."""
    requested = call.parse(MergeFieldBody)
    missing = [FieldError(n, "This value should not be blank.") for n in ("name", "type") if not getattr(requested, n)]
    if missing or requested.type is None:
        raise problems.invalid_schema(*missing)
    field = call.audience.merge_fields.add(requested.type, requested.change())
    return Answer(merge_field_shape(call.audience, field))


ENDPOINTS = (
    Endpoint(
        "GET",
        _FIELDS,
        list_fields,
        query=PAGES | {"type", "required"},
        samples={"merge_fields": samples.MERGE_FIELD},
    ),
    Endpoint("POST", _FIELDS, add_field),
)
