"""The metadata of `campaign_stats` in Dagster's UI: counts, a table of campaigns, a plot of their rates.

What does not belong here: drawing the plot (`mailchimp_pipeline.campaigns`).
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from mailchimp_pipeline.campaigns import Campaign, Stats, rates_plot, rates_text
from mailchimp_pipeline.defs.metadata import Metadata

if TYPE_CHECKING:
    from mailchimp_pipeline.services.refresh_campaigns import OrganisationRefresh

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
    """Return the metadata of a refresh. Rates are fractions, 0 to 1."""
    campaigns = _refreshed(refreshes)
    failed = [refresh for refresh in refreshes if refresh.failures]
    metadata: Metadata = {
        "organisations": dg.MetadataValue.int(len(refreshes)),
        "refreshed": dg.MetadataValue.int(len(campaigns)),
        "missing_at_mailchimp": dg.MetadataValue.int(sum(campaign.missing_since is not None for campaign in campaigns)),
        "statuses": dg.MetadataValue.json(
            dict(sorted(Counter(campaign.status.value for campaign in campaigns).items()))
        ),
        "campaigns": _table(_COLUMNS, map(_record, _latest_sent_first(campaigns)[:CAMPAIGNS_LISTED])),
        "seconds": dg.MetadataValue.float(round(max((refresh.seconds for refresh in refreshes), default=0.0), 3)),
        **failures_metadata(failed),
    }
    drawn = [(campaign, histories[campaign.id]) for campaign in plotted(refreshes) if histories.get(campaign.id)]
    return {**metadata, "rates": _picture(rates_plot(drawn), rates_text(drawn))} if drawn else metadata


def failures_metadata(failed: "Sequence[OrganisationRefresh]") -> Metadata:
    """Return a table of the campaigns that were not refreshed and their errors, empty metadata if there are none."""
    rows = [
        {"organisation": refresh.organisation_id, "campaign": campaign, "error": error}
        for refresh in failed
        for campaign, error in refresh.failures.items()
    ]
    return {"failed": _table(dict.fromkeys(("organisation", "campaign", "error"), "string"), rows)} if rows else {}


def plotted(refreshes: "Sequence[OrganisationRefresh]") -> Sequence[Campaign]:
    """Return the campaigns to plot: those with figures that were sent last."""
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


def _table(columns: Mapping[str, str], rows: Iterable[Mapping[str, str | int | float]]) -> dg.TableMetadataValue:
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table(records=[dg.TableRecord(row) for row in rows], schema=schema)


def _picture(svg: str, in_words: str) -> dg.MarkdownMetadataValue:
    """Return the plot as Markdown with an embedded image, so that Dagster's UI loads no file."""
    encoded, plain = b64encode(svg.encode()).decode(), in_words.translate(_PLAIN)
    return dg.MetadataValue.md(f"![Open and click rates over time. {plain}](data:image/svg+xml;base64,{encoded})")
