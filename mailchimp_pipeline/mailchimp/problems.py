"""Mailchimp's problem document, and the parts of it that may be repeated: those that cannot hold an address.

What does not belong here: which failure it is (`error_classification`), what it says about a contact (`rejections`).
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
    """A problem document; Mailchimp leaves out any part of it at times. `detail` is for reading only.

    As a string it is what may be shown: the title, the names of the fields and the number of the request.
    """

    raw_title: Text = Field("", validation_alias="title", repr=False)
    detail: Text = Field("", repr=False)
    instance: Text = Field("", repr=False)
    errors: Annotated[tuple[_FieldError, ...], WrapValidator(_none_of_them)] = Field((), repr=False)

    @classmethod
    def read(cls, body: bytes) -> "Problem | None":
        """Return the problem that a body is, None where it is none: HTML, nothing, or JSON that explains nothing."""
        try:
            problem = cls.model_validate_json(body)
        except ValidationError:
            return None
        return problem if problem.raw_title or problem.detail else None

    @property
    def title(self) -> str:
        """The title, if it consists of letters, spaces, hyphens and apostrophes."""
        return self.raw_title if _TITLE.fullmatch(self.raw_title) else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields at fault."""
        return tuple(error.field for error in self.errors if _FIELD.fullmatch(error.field))

    def __str__(self) -> str:
        said = self.title or "no reason that can be repeated"
        concerning = f", concerning {', '.join(self.fields[:10])}" if self.fields else ""
        number = f", request {self.instance}" if _REQUEST.fullmatch(self.instance) else ""
        return f"{said}{concerning}{number}"
