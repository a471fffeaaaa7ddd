"""Segments: filter criteria, and which of an organisation's contacts are members.

What does not belong here: storing segments (`database`), pushing members (`sync`).
"""

from mailchimp_pipeline.segments.criteria import STORABLE_TEXT, FilterCriteria, SegmentType
from mailchimp_pipeline.segments.members import (
    PRECEDENCE,
    Exclusion,
    MassDeparture,
    Membership,
    Suppressions,
    is_mass_departure,
)
from mailchimp_pipeline.segments.population import Population
from mailchimp_pipeline.segments.segment import OnLeave, Segment, SegmentStatus

__all__ = [
    "PRECEDENCE",
    "STORABLE_TEXT",
    "Exclusion",
    "FilterCriteria",
    "MassDeparture",
    "Membership",
    "OnLeave",
    "Population",
    "Segment",
    "SegmentStatus",
    "SegmentType",
    "Suppressions",
    "is_mass_departure",
]
