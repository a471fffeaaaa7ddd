"""The metadata of the assets in Dagster's UI: counts, times, links, tables and a plot, no personal data."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from mailchimp_pipeline.campaigns import Campaign, Stats, rates_plot, rates_text

if TYPE_CHECKING:
    from mailchimp_pipeline.database.segment_store import SegmentName
    from mailchimp_pipeline.segments import Segment
    from mailchimp_pipeline.services.refresh_campaigns import OrganisationRefresh
    from mailchimp_pipeline.sync.segment_results import SegmentResult

Metadata = Mapping[str, dg.MetadataValue]

_PAGE = "https://admin.mailchimp.com/lists/members?id="
"""The URL of an audience's page at Mailchimp, without the audience's `web_id`. It redirects to the account's data
centre."""


def membership_metadata(result: "SegmentResult") -> Metadata:
    """Return the counts of a segment's membership as metadata. Empty if the sync stored no membership."""
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
    """Return the figures of a sync and a link to the audience as metadata. Empty if nothing was pushed."""
    if result.report is None or result.audience is None:
        return {}
    figures = {name: _figure(value) for name, value in result.figures().items()}
    page = {"audience_page": dg.MetadataValue.url(f"{_PAGE}{result.audience.web_id}")} if result.audience.web_id else {}
    return {
        "segment": dg.MetadataValue.text(result.segment.name),
        "audience": dg.MetadataValue.text(f"{result.audience.name} ({result.audience.id})"),
        **figures,
        **page,
    }


def segment_label(segment: "Segment | SegmentName") -> str:
    """Return a label for a segment: its organisation's id and its name."""
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


def _figure(value: Any) -> dg.MetadataValue:  # noqa: ANN401 - JSON
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    return dg.MetadataValue.float(value) if isinstance(value, float) else dg.MetadataValue.json(value)


CAMPAIGNS_LISTED = 50
CAMPAIGNS_PLOTTED = 6

_PLAIN = str.maketrans(dict.fromkeys("[]<>`\\", " "))
"""Replaces the characters that have a meaning in Markdown."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_COLUMNS = {
    "organisation": "string",
    "campaign": "string",
    "title": "string",
    "status": "string",
    "open_rate": "float",
    "click_rate": "float",
    "emails_sent": "int",
}


def refresh_metadata(refreshes: "Sequence[OrganisationRefresh]", histories: Mapping[str, Sequence[Stats]]) -> Metadata:
    """Return the metadata of a campaign refresh: counts, a table of campaigns, the failures, and a plot of rates.

    `histories` has the figures to plot by campaign id. Rates are fractions from 0 to 1.
    """
    campaigns = _refreshed(refreshes)
    failed = [refresh for refresh in refreshes if refresh.failures]
    metadata: Metadata = {
        "organisations": dg.MetadataValue.int(len(refreshes)),
        "refreshed": dg.MetadataValue.int(len(campaigns)),
        "missing_at_mailchimp": dg.MetadataValue.int(sum(campaign.missing_since is not None for campaign in campaigns)),
        "statuses": dg.MetadataValue.json(
            dict(sorted(Counter(campaign.status.value for campaign in campaigns).items()))
        ),
        "campaigns": _campaigns_table(_COLUMNS, map(_record, _latest_sent_first(campaigns)[:CAMPAIGNS_LISTED])),
        "seconds": dg.MetadataValue.float(round(max((refresh.seconds for refresh in refreshes), default=0.0), 3)),
        **failures_metadata(failed),
    }
    drawn = [(campaign.title, histories[campaign.id]) for campaign in plotted(refreshes) if histories.get(campaign.id)]
    return {**metadata, "rates": _picture(rates_plot(drawn), rates_text(drawn))} if drawn else metadata


def failures_metadata(failed: "Sequence[OrganisationRefresh]") -> Metadata:
    """Return a table of the campaigns that were not refreshed and their errors, empty metadata if there are none."""
    rows = [
        {"organisation": refresh.organisation_id, "campaign": campaign, "error": error}
        for refresh in failed
        for campaign, error in refresh.failures.items()
    ]
    return (
        {"failed": _campaigns_table(dict.fromkeys(("organisation", "campaign", "error"), "string"), rows)}
        if rows
        else {}
    )


def plotted(refreshes: "Sequence[OrganisationRefresh]") -> Sequence[Campaign]:
    """Return the campaigns to plot: of the refreshed ones with figures, those that were sent last."""
    counted = [campaign for campaign in _refreshed(refreshes) if campaign.open_rate is not None]
    return _latest_sent_first(counted)[:CAMPAIGNS_PLOTTED]


def _refreshed(refreshes: "Iterable[OrganisationRefresh]") -> list[Campaign]:
    return [campaign for refresh in refreshes for campaign in refresh.refreshed]


def _latest_sent_first(campaigns: Iterable[Campaign]) -> list[Campaign]:
    return sorted(campaigns, key=lambda campaign: (campaign.send_time or _LONG_AGO, campaign.id), reverse=True)


def _record(campaign: Campaign) -> Mapping[str, str | int | float]:
    shown = {
        "organisation": campaign.organisation_id,
        "campaign": campaign.mailchimp_campaign_id,
        "title": campaign.title,
        "status": campaign.status.value,
        "open_rate": campaign.open_rate,
        "click_rate": campaign.click_rate,
        "emails_sent": campaign.emails_sent,
    }
    # Dagster's tables need the same cells in every row, and have no null.
    return {name: "" if value is None else value for name, value in shown.items()}


def _campaigns_table(
    columns: Mapping[str, str], rows: Iterable[Mapping[str, str | int | float]]
) -> dg.TableMetadataValue:
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table(records=[dg.TableRecord(row) for row in rows], schema=schema)


def _picture(svg: str, in_words: str) -> dg.MarkdownMetadataValue:
    """Return the plot as Markdown with an embedded image, so that Dagster's UI loads no file."""
    encoded, plain = b64encode(svg.encode()).decode(), in_words.translate(_PLAIN)
    return dg.MetadataValue.md(f"![Open and click rates over time. {plain}](data:image/svg+xml;base64,{encoded})")
