"""Mailchimp's problem document, and its parts that cannot contain an address.

What does not belong here: the error for it (`error_classification`), its meaning for a contact (`rejections`).
"""

import re
from typing import Annotated, Final

from pydantic import Field, ValidationError, WrapValidator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from mailchimp_pipeline.mailchimp.models import Text, Wire

_TITLE: Final = re.compile(r"[A-Za-z][A-Za-z' -]{0,59}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,60}")
_REQUEST: Final = re.compile(r"[0-9A-Fa-f-]{8,64}")


def _none_of_them(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        return ()


class _FieldError(Wire):
    field: Text = ""


class Problem(Wire):
    """A problem document. Mailchimp may leave out any field. `detail` may contain an address and is never shown.

    Its string has only the title, the names of the fields and the number of the request.
    """

    raw_title: Text = Field("", validation_alias="title", repr=False)
    detail: Text = Field("", repr=False)
    instance: Text = Field("", repr=False)
    errors: Annotated[tuple[_FieldError, ...], WrapValidator(_none_of_them)] = Field((), repr=False)

    @classmethod
    def read(cls, body: bytes) -> "Problem | None":
        """Return the body as a problem, None if it is not one, or has neither title nor detail."""
        try:
            problem = cls.model_validate_json(body)
        except ValidationError:
            return None
        return problem if problem.raw_title or problem.detail else None

    @property
    def title(self) -> str:
        """The title, if it has only letters, spaces, hyphens and apostrophes, else blank."""
        return self.raw_title if _TITLE.fullmatch(self.raw_title) else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the invalid fields."""
        return tuple(error.field for error in self.errors if _FIELD.fullmatch(error.field))

    def __str__(self) -> str:
        said = self.title or "no reason that can be repeated"
        concerning = f", concerning {', '.join(self.fields[:10])}" if self.fields else ""
        number = f", request {self.instance}" if _REQUEST.fullmatch(self.instance) else ""
        return f"{said}{concerning}{number}"
