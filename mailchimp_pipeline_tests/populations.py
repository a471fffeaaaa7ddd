"""Builders for contacts and suppressions."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mailchimp_pipeline.contacts import ARROW_STRING, CONTACT_COLUMNS, EntityType, contacts, subscriber_hash
from mailchimp_pipeline.segments import FilterCriteria, Membership, Population, SegmentType, Suppressions
from mailchimp_pipeline_tests.source_fake import rows

Row = Mapping[str, str | None]


def population_frame(employees: Sequence[Row], vendors: Sequence[Row] = ()) -> pd.DataFrame:
    frames = [contacts(rows(*employees), EntityType.EMPLOYEE)] if employees else []
    frames += [contacts(rows(*vendors), EntityType.VENDOR)] if vendors else []
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=CONTACT_COLUMNS, dtype=ARROW_STRING)


def suppressing(
    *entities: tuple[str, str, str],
    addresses: tuple[tuple[str, str], ...] = (),
    consented: pd.DataFrame | None = None,
) -> Suppressions:
    hashed = [(subscriber_hash(address), reason) for address, reason in addresses]
    return Suppressions(
        entities=pd.DataFrame(list(entities), columns=["entity_type", "entity_id", "reason"], dtype="str"),
        addresses=pd.DataFrame(hashed, columns=["subscriber_hash", "reason"], dtype="str"),
        consented=consented,
    )


def membership(
    contacts: pd.DataFrame,
    segment_type: SegmentType,
    criteria: FilterCriteria,
    suppressions: Suppressions | None = None,
) -> Membership:
    """Return the membership of an organisation's only segment, without suppressions by default."""
    return Population.prepare(contacts, suppressions or suppressing()).membership(segment_type, criteria)
