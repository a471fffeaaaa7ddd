"""A request to Mailchimp as a value, and the paths of Mailchimp's resources.

What does not belong here: sending requests (`transport`), the calls (`audiences`, `members`, ...).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mailchimp_pipeline.mailchimp.errors import AudienceGone, CampaignGone, NotFound

_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to Mailchimp.

    Error texts contain `task` ("reading the audience abc123") and, after a refusal, `advice`. `gone` is the error for a
    resource that does not exist. Without `repeat_when_lost`, the call is not repeated after a lost answer. With
    `could_be_smaller`, it is not repeated after a timeout or a second broken answer, because the caller then requests a
    smaller page. It is not repeated either if `may_repeat` returns False; that is called after the pause.
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
    may_repeat: Callable[[], bool] | None = field(default=None, repr=False)

    def page(self, count: int, offset: int, *, could_be_smaller: bool = False) -> "Call":
        """Return the call for one page of its listing."""
        params = {**self.params, "count": count, "offset": offset}
        return replace(self, params=params, could_be_smaller=could_be_smaller)


def audience_path(list_id: str) -> str:
    """Return the audience's path. Raises `AudienceGone` for an invalid id."""
    if not _ID.fullmatch(list_id):
        raise AudienceGone("What was given is not the id of a Mailchimp audience. Choose one of the audiences.")
    return f"/lists/{list_id}"


def member_path(list_id: str, subscriber_hash: str) -> str:
    """Return the member's path. It always has the hash, because addresses must not be in a URL."""
    if not _HASH.fullmatch(subscriber_hash):
        raise ValueError("a subscriber hash is an MD5 in lower-case hex")
    return f"{audience_path(list_id)}/members/{subscriber_hash}"


def webhook_path(list_id: str, webhook_id: str) -> str:
    """Return the path of an audience's webhook. Raises `NotFound` for an invalid id."""
    if not _ID.fullmatch(webhook_id):
        raise NotFound("What was given is not the id of a Mailchimp webhook. List the audience's webhooks.")
    return f"{audience_path(list_id)}/webhooks/{webhook_id}"


def campaign_path(campaign_id: str, *, of: str = "campaigns") -> str:
    """Return the path of a campaign or of its report. Raises `CampaignGone` for an invalid id."""
    if not _ID.fullmatch(campaign_id):
        raise CampaignGone("What was given is not the id of a Mailchimp campaign. Copy it again from Mailchimp.")
    return f"/{of}/{campaign_id}"
