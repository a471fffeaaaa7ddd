"""One request to Mailchimp as a value, and the paths of the things it is about.

What does not belong here: sending it (`transport`), what is asked of each thing (`audiences`, `members`, ...).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mailchimp_pipeline.mailchimp.errors import AudienceGone, CampaignGone, NotFound

_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    `task` says in an error's text what was being done ("reading the audience abc123"), `advice` what to do
    about a refusal; `gone` is the error where the thing is not there.
    `repeat_when_lost` is false where an attempt whose answer was lost must not be followed by another.
    `could_be_smaller` says that less is asked for where the answer is too much: one that did not come in time, or
    broke off twice, is not waited for again.
    """

    method: str
    path: str = field(repr=False)
    task: str
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int], repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    gone: type[NotFound] = NotFound
    advice: str = "This is a defect of ours or a change of Mailchimp's: report it"
    repeat_when_lost: bool = True
    could_be_smaller: bool = False

    def page(self, count: int, offset: int, *, could_be_smaller: bool = False) -> "Call":
        """Return the call for one page of what it lists."""
        params = {**self.params, "count": count, "offset": offset}
        return replace(self, params=params, could_be_smaller=could_be_smaller)


def audience_path(list_id: str) -> str:
    """Return the audience's path. Raises `AudienceGone` for what cannot be the id of one."""
    if not _ID.fullmatch(list_id):
        raise AudienceGone("What was given is not the id of a Mailchimp audience. Choose one of the audiences.")
    return f"/lists/{list_id}"


def member_path(list_id: str, subscriber_hash: str) -> str:
    """Return the member's path, always by the hash: Mailchimp would take an address too, which must not be in a URL."""
    if not _HASH.fullmatch(subscriber_hash):
        raise ValueError("a subscriber hash is an MD5 in lower-case hex")
    return f"{audience_path(list_id)}/members/{subscriber_hash}"


def webhook_path(list_id: str, webhook_id: str) -> str:
    """Return the path of an audience's webhook."""
    if not _ID.fullmatch(webhook_id):
        raise NotFound("What was given is not the id of a Mailchimp webhook. List the audience's webhooks.")
    return f"{audience_path(list_id)}/webhooks/{webhook_id}"


def campaign_path(campaign_id: str, *, of: str = "campaigns") -> str:
    """Return the path of a campaign, or of its report. Raises `CampaignGone` for what cannot be its id."""
    if not _ID.fullmatch(campaign_id):
        raise CampaignGone("What was given is not the id of a Mailchimp campaign. Copy it again from Mailchimp.")
    return f"/{of}/{campaign_id}"
