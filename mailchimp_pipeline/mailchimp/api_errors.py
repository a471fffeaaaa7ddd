"""The errors of Mailchimp calls. `error_classification` chooses the error for an answer.

TransientError
└── MailchimpAway          a later attempt may succeed; `retry_after` has Mailchimp's pause, if it sent one
    ├── Throttled          too many calls; the call had no effect
    ├── TimedOut           no answer in time; the call may have had its effect
    └── Unavailable        unreachable or broken; the call may have had its effect
        ├── ConnectionBroken      the answer is cut off, too large or malformed
        ├── Incomplete     a listing has fewer entries than announced
        └── Unreachable    nothing listens at the sandbox's address; the call had no effect
PermanentError
├── KeyRefused             the API key is wrong, disabled or revoked
│   ├── AccountDisabled    the key's account is deactivated
│   └── NotPermitted       the key's user may not do this
├── NotFound               Mailchimp does not have the resource
│   ├── AudienceGone       the account does not have the audience
│   └── CampaignGone       the account does not have the campaign
├── Redirected             the URL of the API redirects elsewhere
│   └── NotTheApi          the URL belongs to another server
└── Rejected               Mailchimp refused the request: `title`, `fields`
    ├── NotPossible        the resource's state does not allow it (HTTP 405)
    ├── MemberExists       the audience already has the address
    └── MemberRefused      Mailchimp refused the contact: `rejection`
"""

from typing import ClassVar

from mailchimp_pipeline.errors import PermanentError, TransientError
from mailchimp_pipeline.sync import Rejection


class MailchimpAway(TransientError):
    """Mailchimp did not carry out the call, or its answer was lost. A later attempt may succeed.

    `retry_after` is the pause in seconds that Mailchimp asks for, None if it does not ask for one.
    """

    def __init__(self, text: str, *, retry_after: float | None = None, place: str | None = None) -> None:
        super().__init__(text, place=place)
        self.retry_after = retry_after


class Throttled(MailchimpAway):
    """The account makes more calls than Mailchimp allows."""


class TimedOut(MailchimpAway):
    """Mailchimp did not answer in time. It may still carry out the call."""


class Unavailable(MailchimpAway):
    """Mailchimp is unreachable or broken, or a proxy answered instead."""


class ConnectionBroken(Unavailable):
    """The answer is cut off, too large, or not in the expected format."""


class Incomplete(Unavailable):
    """A listing ended before all the entries that Mailchimp had announced."""


class Unreachable(Unavailable):
    """Nothing listens at the sandbox's address. Retries do not help."""


class KeyRefused(PermanentError):
    """Mailchimp refused the API key."""


class AccountDisabled(KeyRefused):
    """The Mailchimp account of the API key is deactivated."""


class NotPermitted(KeyRefused):
    """The user of the API key does not have the permission for this call."""


class NotFound(PermanentError):
    """Mailchimp does not have the resource that the call is about. `advice` says what to do.

    `after_lost_answer` is true if the answer to an earlier attempt of the same call was lost. That attempt may have
    deleted the resource.
    """

    advice: ClassVar = "It may have been deleted there: look it up in Mailchimp"

    def __init__(self, text: str, *, after_lost_answer: bool = False) -> None:
        super().__init__(text)
        self.after_lost_answer = after_lost_answer


class AudienceGone(NotFound):
    """The account does not have the audience."""

    advice: ClassVar = (
        "The audience was deleted or belongs to another account: connect that account, or make a new segment for "
        "another audience and delete the one for this"
    )


class CampaignGone(NotFound):
    """The account does not have the campaign."""

    advice: ClassVar = "The campaign was deleted or belongs to another account: track another one"


class Redirected(PermanentError):
    """The server redirected the request. Redirects are not followed, because they would send the API key elsewhere."""


class NotTheApi(Redirected):
    """The configured URL belongs to a server that is not Mailchimp's API."""


class Rejected(PermanentError):
    """Mailchimp refused the request.

    `title` is the reason that Mailchimp gives, and `fields` are the names of the invalid fields. Neither has personal
    data.
    """

    def __init__(self, text: str, *, title: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.title = title
        self.fields = fields


class NotPossible(Rejected):
    """The resource's state does not allow the call. An archived member, for example, cannot be archived again."""


class MemberExists(Rejected):
    """The audience already has a member with the address."""


class MemberRefused(Rejected):
    """Mailchimp refused the contact, for the reason in `rejection`."""

    def __init__(self, text: str, rejection: Rejection, *, title: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(text, title=title, fields=fields)
        self.rejection = rejection
