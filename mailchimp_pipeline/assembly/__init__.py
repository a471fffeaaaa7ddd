"""Makes the parts from the settings and puts them together: the only place that knows every adapter.

What does not belong here: Dagster (`defs`), the API's procedures (`api`), any decision.
"""

from mailchimp_pipeline.assembly.campaigns import DatabaseCampaigns, open_campaigns
from mailchimp_pipeline.assembly.parts import (
    NoSource,
    NotConnected,
    OpenAccount,
    Parts,
    complete_settings,
    embedded_settings,
    open_parts,
)
from mailchimp_pipeline.assembly.pipeline import DatabasePipeline, open_pipeline

__all__ = [
    "DatabaseCampaigns",
    "DatabasePipeline",
    "NoSource",
    "NotConnected",
    "OpenAccount",
    "Parts",
    "complete_settings",
    "embedded_settings",
    "open_campaigns",
    "open_parts",
    "open_pipeline",
]
