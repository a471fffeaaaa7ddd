"""An organisation's contacts, prepared once, to compute the members of any number of segments.

The members of a segment are the contacts that match its criteria and that no reason excludes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mailchimp_pipeline.contacts import ATTRIBUTES, CONTACT_COLUMNS, AddressProblem, EntityType
from mailchimp_pipeline.contacts.text_columns import normalised_column, pc, text_by_text, text_column, text_frame
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.segments.segment import FilterCriteria, SegmentType, folded


class Exclusion(StrEnum):
    """The reason why a contact that matches a segment's criteria is not a member."""

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
"""Which reason counts if several apply, the first one first. A contact counts as a duplicate only if nothing else
excludes it."""


MOST_EXAMPLES = 10
"""The number of contacts that are named as examples, at most."""

_FEW = 2
"""This number of members may always leave a segment at the same time, without anybody confirming it."""


class MassDeparture(PermanentError):
    """So many of a segment's members would leave at the same time that a person has to confirm it."""

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
    """The contacts and addresses of an organisation that may not be e-mailed.

    `entities` has the columns entity_type, entity_id and reason, and `addresses` has subscriber_hash and reason. The
    reason is `Exclusion.OPTED_OUT` or `Exclusion.ERASED`. The present addresses of the contacts in `entities` are
    suppressed too, for every contact that has them. `consented` (entity_type, entity_id) has the contacts who opted in,
    None if the organisation does not require an opt-in.
    """

    entities: pd.DataFrame
    addresses: pd.DataFrame
    consented: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of a segment, the number of contacts that match its criteria, and the excluded ones by reason.

    `matching == len(members) + sum(excluded.values())`. `members` has the columns entity_type, entity_id,
    subscriber_hash, email, first_name and last_name. Each contact and each address occurs once. Employees come before
    vendors, and both are ordered by id.

    `examples` has entity_type and entity_id of the first ten excluded contacts, by reason. It has none of erased
    contacts, whose ids nothing may show.
    """

    members: pd.DataFrame
    matching: int
    excluded: Mapping[Exclusion, int]
    examples: Mapping[Exclusion, pd.DataFrame]


Flags = NDArray[np.bool_]
Codes = NDArray[np.int32]

_MEMBER_COLUMNS = ("entity_type", "entity_id", "subscriber_hash", "email", "first_name", "last_name")
_ENTITY_COLUMNS = ("entity_type", "entity_id")
_SUPPRESSIONS = (Exclusion.ERASED, Exclusion.OPTED_OUT)
_INCLUDED = len(PRECEDENCE)


@dataclass(frozen=True, slots=True)
class _Coded:
    """A column whose values are stored as codes, which are indices in `distinct`.

    A missing value has the code `len(distinct)`.
    """

    codes: Codes
    distinct: pa.StringArray

    def among(self, wanted: Iterable[str]) -> Flags:
        """Return for each row whether its value is one of these."""
        values = pa.array([*wanted], pa.string(), from_pandas=True)
        return np.append(pc.is_in(self.distinct, value_set=values).to_numpy(zero_copy_only=False), False)[self.codes]


@dataclass(frozen=True, slots=True)
class Population:
    """The contacts of one organisation, and why each of them is excluded from every segment. Create it with `prepare`.

    Employees come before vendors, and both are ordered by id. All columns have the same length.
    """

    contacts: Mapping[str, pa.StringArray]
    entity_types: _Coded
    entities: Codes
    addresses: Codes
    attributes: Mapping[str, _Coded]
    exclusions: NDArray[np.int8]
    """For each contact the index of its exclusion in `PRECEDENCE`, or `_INCLUDED` if it is not excluded."""

    @classmethod
    def prepare(cls, contacts: pd.DataFrame, suppressions: Suppressions) -> "Population":
        """Prepare contacts, which have `CONTACT_COLUMNS` and may be in any order.

        Raises `ValueError` if the contacts are of several organisations, or if the suppressions have an unknown reason
        or entity type.
        """
        _check(suppressions)
        given = {name: text_column(contacts[name]) for name in CONTACT_COLUMNS}
        if pc.count_distinct(given["organisation_id"]).as_py() > 1:
            message = "a population is of one organisation"
            raise ValueError(message)
        order = _order_of_pushing(given)
        # Columns with few distinct values are kept as codes only, which saves half of a run's memory.
        attributes = {name: _folded(_coded(given[name])) for name in ATTRIBUTES}
        columns = {name: pc.take(given[name], order) for name in (*_MEMBER_COLUMNS, "address_problem")}
        addresses = _coded(columns["subscriber_hash"])
        return cls(
            contacts={name: columns[name] for name in _MEMBER_COLUMNS},
            entity_types=_coded(columns["entity_type"]),
            entities=_entity_codes(columns),
            addresses=addresses.codes,
            attributes={name: _Coded(each.codes[order], each.distinct) for name, each in attributes.items()},
            exclusions=_exclusions(columns, addresses, suppressions),
        )

    def membership(self, segment_type: SegmentType, criteria: FilterCriteria) -> Membership:
        """Return the members of a segment with this type and these criteria."""
        matching = np.flatnonzero(self._matches(segment_type, criteria))
        reasons = self.exclusions[matching]
        included = matching[reasons == _INCLUDED]
        is_member = self._one_each(included)
        excluded = {reason: matching[reasons == index] for index, reason in enumerate(PRECEDENCE)}
        excluded[Exclusion.DUPLICATE] = included[~is_member]
        return Membership(
            members=self._rows(included[is_member], _MEMBER_COLUMNS),
            matching=len(matching),
            excluded={reason: len(rows) for reason, rows in excluded.items() if len(rows)},
            examples={
                reason: self._rows(rows[:MOST_EXAMPLES], _ENTITY_COLUMNS)
                for reason, rows in excluded.items()
                if len(rows) and reason is not Exclusion.ERASED
            },
        )

    def _rows(self, rows: NDArray[np.intp], columns: Iterable[str]) -> pd.DataFrame:
        return text_frame({name: pc.take(self.contacts[name], pa.array(rows)) for name in columns})

    def holds(self, kinds: Iterable[EntityType]) -> bool:
        """Return whether the organisation has any contact of these entity types."""
        return bool(self.entity_types.among(kind.value for kind in kinds).any())

    def _matches(self, segment_type: SegmentType, criteria: FilterCriteria) -> Flags:
        matches = self.entity_types.among(entity_type.value for entity_type in segment_type.entity_types)
        for name, attribute in self.attributes.items():
            wanted: tuple[str, ...] = getattr(criteria, name)
            if wanted:
                matches &= attribute.among(folded(value) for value in wanted)
        return matches

    def _one_each(self, rows: NDArray[np.intp]) -> Flags:
        """Return which rows to keep: the first of each employee or vendor, and of these the first for each address.

        A person with two posts, for example, has two rows in the source, and is in the segments of both posts.
        """
        kept = ~pd.Series(self.entities[rows]).duplicated().to_numpy()
        kept[kept] = ~pd.Series(self.addresses[rows[kept]]).duplicated().to_numpy()
        return kept


def _check(suppressions: Suppressions) -> None:
    """Raise `ValueError` if a suppression has an unknown reason or entity type.

    Otherwise the contact that it is about would be e-mailed.
    """
    reasons = {*suppressions.entities["reason"], *suppressions.addresses["reason"]}
    unknown = (reasons - set(_SUPPRESSIONS)) | (set(suppressions.entities["entity_type"]) - set(EntityType))
    if unknown:
        message = f"suppressions with a reason or an entity type they cannot have: {sorted(map(str, unknown))}"
        raise ValueError(message)


def _order_of_pushing(columns: Mapping[str, pa.StringArray]) -> NDArray[np.uint64]:
    """Return the order in which contacts are pushed, as row numbers: employees before vendors, then by id.

    Ids that are whole numbers come first, ordered by value: by their number of digits and then as text, without leading
    zeros. The other columns come last in the order, so that it does not depend on the order of the source's rows.
    """
    ids = columns["entity_id"]
    whole = pc.match_substring_regex(ids, "^[0-9]+$")
    digits = pc.if_else(whole, pc.utf8_ltrim(ids, "0"), ids)
    keys: dict[str, Any] = {
        "vendors_last": pc.equal(columns["entity_type"], EntityType.VENDOR.value),
        "whole_first": pc.invert(whole),
        "length": pc.if_else(whole, pc.binary_length(digits), 0),
        "digits": digits,
        **columns,
    }
    return pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys]).to_numpy()


def _coded(column: pa.StringArray) -> _Coded:
    encoded = pc.dictionary_encode(column)
    codes = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return _Coded(codes=codes, distinct=encoded.dictionary)


def _folded(attribute: _Coded) -> _Coded:
    return _Coded(codes=attribute.codes, distinct=text_by_text(folded, attribute.distinct))


def _entity_codes(columns: Mapping[str, pa.StringArray]) -> Codes:
    """Return a number for each row, the same for rows of the same employee or vendor. The rows are sorted."""
    starts = np.zeros(len(columns["entity_id"]), dtype=np.bool_)
    for name in ("entity_type", "entity_id"):
        column: Any = columns[name]
        starts[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.cumsum(starts, dtype=np.int32)


def _exclusions(
    columns: Mapping[str, pa.StringArray], addresses: _Coded, suppressions: Suppressions
) -> NDArray[np.int8]:
    """Return for each contact the index of its exclusion in `PRECEDENCE`, or `_INCLUDED`.

    Reasons are written in reverse precedence, so that the first one stays.
    """
    excluded: dict[Exclusion, Flags] = {
        Exclusion(problem.value): _equal(columns["address_problem"], problem.value) for problem in AddressProblem
    }
    if suppressions.consented is not None:
        excluded[Exclusion.NO_CONSENT] = ~_among_entities(columns, suppressions.consented)
    for reason in _SUPPRESSIONS:
        excluded[reason] = _suppressed(columns, addresses, suppressions, reason)
    found = np.full(len(columns["entity_id"]), _INCLUDED, dtype=np.int8)
    for index in reversed(range(_INCLUDED)):
        if PRECEDENCE[index] in excluded:
            found[excluded[PRECEDENCE[index]]] = index
    return found


def _suppressed(
    columns: Mapping[str, pa.StringArray], addresses: _Coded, suppressions: Suppressions, reason: Exclusion
) -> Flags:
    """Return for each contact whether it is suppressed for this reason.

    It is if it is in `entities`, if its address is in `addresses`, or if a contact in `entities` has its address.
    """
    entities = suppressions.entities[suppressions.entities["reason"] == reason.value]
    hashes = suppressions.addresses.loc[suppressions.addresses["reason"] == reason.value, "subscriber_hash"]
    themselves = _among_entities(columns, entities)
    shared = np.zeros(len(addresses.distinct) + 1, dtype=np.bool_)
    shared[addresses.codes[themselves]] = True
    shared[-1] = False  # contacts without an address share none
    return themselves | shared[addresses.codes] | addresses.among(hashes)


def _among_entities(columns: Mapping[str, pa.StringArray], entities: pd.DataFrame) -> Flags:
    among = np.zeros(len(columns["entity_id"]), dtype=np.bool_)
    for entity_type in EntityType:
        ids = normalised_column(text_column(entities.loc[entities["entity_type"] == entity_type.value, "entity_id"]))
        listed = pc.is_in(columns["entity_id"], value_set=ids).to_numpy(zero_copy_only=False)
        among |= listed & _equal(columns["entity_type"], entity_type.value)
    return among


def _equal(column: pa.StringArray, value: str) -> Flags:
    return pc.fill_null(pc.equal(column, value), fill_value=False).to_numpy(zero_copy_only=False)
