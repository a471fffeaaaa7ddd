"""The metadata of the assets in Dagster's UI: counts, times and links, no personal data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from mailchimp_pipeline.sync.audience import Figure

if TYPE_CHECKING:
    from mailchimp_pipeline.database.segment_store import SegmentName
    from mailchimp_pipeline.segments import Segment
    from mailchimp_pipeline.sync.segment_results import SegmentResult

Metadata = Mapping[str, dg.MetadataValue]

_PAGE = "https://admin.mailchimp.com/lists/members?id="
"""The URL of an audience's page at Mailchimp, without the audience's `web_id`. It redirects to the account's data
centre."""


def membership_metadata(result: "SegmentResult") -> Metadata:
    """Return the counts of a segment's membership, empty metadata without a membership."""
    counts = result.membership
    if counts is None:
        return {}
    return {
        "segment": dg.MetadataValue.text(result.segment.name),
        "matching": dg.MetadataValue.int(counts.matching),
        "members": dg.MetadataValue.int(counts.members),
        "excluded": dg.MetadataValue.json({str(reason): count for reason, count in sorted(counts.excluded.items())}),
        "added": dg.MetadataValue.int(counts.added),
        "changed": dg.MetadataValue.int(counts.changed),
        "removed": dg.MetadataValue.int(counts.removed),
    }


def sync_metadata(result: "SegmentResult") -> Metadata:
    """Return the counts of a push and a link to the audience, empty metadata without a push."""
    if result.report is None or result.audience is None:
        return {}
    figures = {name: _figure(value) for name, value in result.report.as_dict().items()}
    page = {"audience_page": dg.MetadataValue.url(f"{_PAGE}{result.audience.web_id}")} if result.audience.web_id else {}
    return {
        "segment": dg.MetadataValue.text(result.segment.name),
        "audience": dg.MetadataValue.text(f"{result.audience.name} ({result.audience.id})"),
        **figures,
        "read": dg.MetadataValue.int(result.read),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        **page,
    }


def segment_label(segment: "Segment | SegmentName") -> str:
    """Return a segment's organisation and name."""
    return f"{segment.organisation_id}: {segment.name}"


def segments_table(segments: Sequence["Segment | SegmentName"]) -> dg.MetadataValue:
    """Return a table of segments with names and partition keys."""
    return _table({"segment": segment_label(each), "partition": each.partition_key} for each in segments)


def failure_metadata(failed: "Sequence[SegmentResult]") -> Metadata:
    """Return a table of failed segments with their errors."""
    return {
        "failed": _table(
            {
                "segment": segment_label(result.segment),
                "error": result.error or "",
                "partition": result.segment.partition_key,
            }
            for result in failed
        )
    }


def _table(rows: Iterable[dict[str, str]]) -> dg.MetadataValue:
    records = [dg.TableRecord({**row}) for row in rows]
    columns = [dg.TableColumn(name) for name in (records[0].data if records else ())]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def _figure(value: Figure) -> dg.MetadataValue:
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.json(value)
