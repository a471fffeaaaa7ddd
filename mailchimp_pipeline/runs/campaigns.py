"""The port behind Dagster's asset of campaigns, and what a refresh reports. `assembly` makes the real one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailchimp_pipeline.campaigns import Campaign, Stats


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """A campaign as it is after the refresh; `error` says what a person should look at, and holds no personal data.

    `is_refreshed` is false where it is as it was before, since it could not be asked about or written down.
    """

    campaign: Campaign
    error: str | None = None
    is_refreshed: bool = True


@dataclass(frozen=True, slots=True)
class OrganisationRefresh:
    """What became of the campaigns of one organisation. Where `error` says why, none of them was refreshed."""

    organisation_id: str
    campaigns: tuple[CampaignResult, ...]
    seconds: float = 0.0
    error: str | None = None
    defect: str | None = None
    """Where in the code an unforeseen error was raised: a stack without the error's text, which may quote data."""

    @property
    def refreshed(self) -> Sequence[Campaign]:
        """The campaigns that were refreshed."""
        return [] if self.error else [result.campaign for result in self.campaigns if result.is_refreshed]

    @property
    def failures(self) -> Mapping[str, str]:
        """Why something did not end well, by Mailchimp's campaign id; by `*` for all campaigns of the organisation."""
        if self.error:
            return {"*": self.error}
        return {result.campaign.mailchimp_campaign_id: result.error for result in self.campaigns if result.error}


class CampaignPipeline(Protocol):
    """The whole behind Dagster's asset of campaigns."""

    def refresh(self) -> Iterator[OrganisationRefresh]:
        """Refresh the campaigns that still move, of all connected organisations; each comes as it is done."""
        ...

    def histories(self, campaigns: Sequence[Campaign], *, latest: int) -> Mapping[str, Sequence[Stats]]:
        """Return the campaigns' latest figures by our ids, the oldest first; those without any are left out."""
        ...
