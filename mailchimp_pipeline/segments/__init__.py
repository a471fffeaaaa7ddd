"""Segments: filter criteria, and which of an organisation's contacts are members.

What does not belong here: storing segments (`database`), pushing members (`sync`).
"""

from mailchimp_pipeline.segments.population import (
    PRECEDENCE,
    Exclusion,
    MassDeparture,
    Membership,
    Population,
    Suppressions,
    is_mass_departure,
)
from mailchimp_pipeline.segments.segment import (
    STORABLE_TEXT,
    FilterCriteria,
    OnLeave,
    Segment,
    SegmentStatus,
    SegmentType,
)

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
