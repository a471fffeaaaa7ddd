"""The merge fields of an audience, and the members' values.

A member keeps its values as a tuple in the order of merge ids. Missing values at the end of the tuple are blank.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from sandbox.model import problems
from sandbox.model.problems import FieldError

Kind = Literal["text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip"]
KINDS: frozenset[str] = frozenset(get_args(Kind))
MergeValue = str | int | float | dict[str, object]
Values = tuple[MergeValue, ...]

LONGEST_TAG = 10
LONGEST_VALUE = 255
"""The maximum length of a text in bytes."""

_ADDRESS_PARTS = ("addr1", "city", "state", "zip")
_VALUE_TYPES = (str, int, float, dict)
_FORMAL = frozenset({"address", "number"})
_WRONG_TYPE = "Data did not match any of the schemas described in anyOf."


@dataclass(frozen=True, slots=True)
class MergeField:
    """A merge field. The address itself is not one."""

    merge_id: int
    tag: str
    name: str
    kind: Kind = "text"
    required: bool = False
    default_value: str = ""
    public: bool = False
    display_order: int = 1
    choices: tuple[str, ...] = ()
    help_text: str = ""


@dataclass(frozen=True, slots=True)
class MergeFieldChange:
    """The requested properties of a merge field. None keeps the current or default value."""

    tag: str | None = None
    name: str | None = None
    required: bool | None = None
    default_value: str | None = None
    public: bool | None = None
    display_order: int | None = None
    choices: tuple[str, ...] | None = None
    help_text: str | None = None


class MergeFields:
    """All merge fields of one audience."""

    def __init__(self) -> None:
        """Start with Mailchimp's four default merge fields."""
        self._by_tag: dict[str, MergeField] = {}
        self._last_id = 0
        for tag, name, kind in (
            ("FNAME", "First Name", "text"),
            ("LNAME", "Last Name", "text"),
            ("ADDRESS", "Address", "address"),
            ("PHONE", "Phone Number", "phone"),
        ):
            self.add(cast("Kind", kind), MergeFieldChange(tag=tag, name=name))

    def __iter__(self) -> Iterator[MergeField]:
        """Iterate in display order."""
        return iter(sorted(self._by_tag.values(), key=lambda field: (field.display_order, field.merge_id)))

    def __len__(self) -> int:
        """Return the number of merge fields."""
        return len(self._by_tag)

    def get(self, merge_id: int) -> MergeField:
        """Return a merge field by id, or raise `not_found`."""
        for field in self._by_tag.values():
            if field.merge_id == merge_id:
                return field
        raise problems.not_found()

    def named(self, tag: str) -> MergeField | None:
        """Return a merge field by tag, or None."""
        return self._by_tag.get(tag.upper())

    def add(self, kind: Kind, requested: MergeFieldChange) -> MergeField:
        """Add a merge field. Without a tag, Mailchimp generates one."""
        number = self._last_id + 1
        tag = self._free_tag(requested.tag or f"MMERGE{number}")
        blank = MergeField(number, tag, requested.name or tag, kind, display_order=number + 1)
        self._last_id = number
        return self._store(_changed(blank, replace(requested, tag=tag)))

    def change(self, merge_id: int, requested: MergeFieldChange) -> MergeField:
        """Change the properties of a merge field. Members keep their values."""
        field = self.get(merge_id)
        tag = field.tag if requested.tag is None or requested.tag == field.tag else self._free_tag(requested.tag)
        del self._by_tag[field.tag]
        return self._store(_changed(field, replace(requested, tag=tag)))

    def remove(self, merge_id: int) -> None:
        """Delete a merge field with its values. Its merge id is not used again."""
        del self._by_tag[self.get(merge_id).tag]

    def read(self, values: Values) -> dict[str, MergeValue]:
        """Return a member's values by tag. Missing values are blank."""
        return {tag: _at(values, field) for tag, field in self._by_tag.items()}

    def write(self, values: Values, given: Mapping[str, object], *, validate: bool, complete: bool) -> Values:
        """Return `values` updated with `given`. Unknown tags are ignored, as in Mailchimp.

        `validate` rejects invalid values, `complete` also a blank required field.
        """
        accepted = self._accepted(given)
        if validate:
            _check_forms(accepted)
        written = _with(values, accepted)
        if complete and validate:
            self._check_complete(written)
        return written

    def _accepted(self, given: Mapping[str, object]) -> list[tuple[MergeField, MergeValue]]:
        accepted: list[tuple[MergeField, MergeValue]] = []
        wrong: list[FieldError] = []
        for tag, value in given.items():
            field = self._by_tag.get(tag)
            if field is None:
                continue
            if isinstance(value, _VALUE_TYPES) and not isinstance(value, bool):
                accepted.append((field, cast("MergeValue", value)))
            else:
                wrong.append(FieldError(f"merge_fields.{tag}", _WRONG_TYPE))
        if wrong:
            raise problems.invalid_schema(*wrong)
        return accepted

    def _check_complete(self, values: Values) -> None:
        required = (field for field in self._by_tag.values() if field.required)
        missing = [FieldError(f.tag, "Please enter a value") for f in required if _at(values, f) == ""]
        if missing:
            raise problems.invalid_merge_fields(*missing)

    def _free_tag(self, tag: str) -> str:
        requested = tag.upper()
        if len(requested) > LONGEST_TAG:
            raise problems.invalid_schema(FieldError("tag", f"This value is longer than {LONGEST_TAG} characters."))
        if requested in self._by_tag or requested == "EMAIL":
            raise problems.invalid(f'A Merge Field with the tag "{requested}" already exists for this list.')
        return requested

    def _store(self, field: MergeField) -> MergeField:
        self._by_tag[field.tag] = field
        return field


def _at(values: Values, field: MergeField) -> MergeValue:
    return values[field.merge_id - 1] if field.merge_id <= len(values) else ""


def _changed(field: MergeField, requested: MergeFieldChange) -> MergeField:
    given = {name: getattr(requested, name) for name in MergeFieldChange.__slots__}
    return replace(field, **{name: value for name, value in given.items() if value is not None})


def _check_forms(given: list[tuple[MergeField, MergeValue]]) -> None:
    formal = [(field, value) for field, value in given if field.kind in _FORMAL]
    rejected = [rejection for field, value in formal if (rejection := _rejection(field, value)) is not None]
    if rejected:
        raise problems.invalid_merge_fields(*rejected)


def _rejection(field: MergeField, value: MergeValue) -> FieldError | None:
    if value == "":
        return None
    if field.kind == "address" and not (isinstance(value, dict) and all(value.get(part) for part in _ADDRESS_PARTS)):
        return FieldError(field.tag, "Please enter a complete address")
    if field.kind == "number" and not _is_number(value):
        return FieldError(field.tag, "Please enter a number")
    return None


def _is_number(value: MergeValue) -> bool:
    try:
        float(cast("str", value))
    except (TypeError, ValueError):
        return False
    return True


def _with(values: Values, given: list[tuple[MergeField, MergeValue]]) -> Values:
    if not given:
        return values
    slots = list(values)
    for field, value in given:
        slots.extend([""] * (field.merge_id - len(slots)))
        slots[field.merge_id - 1] = _kept(field, value)
    return tuple(slots)


def _kept(field: MergeField, value: MergeValue) -> MergeValue:
    if isinstance(value, dict) or field.kind == "number":
        return value
    text = value if isinstance(value, str) else str(value)
    return text.encode()[:LONGEST_VALUE].decode(errors="ignore")
