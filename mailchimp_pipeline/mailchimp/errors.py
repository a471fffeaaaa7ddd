"""The errors of Mailchimp calls. `error_classification` decides which of them an answer is.

TransientError
└── MailchimpAway          asking again later may work; `retry_after` where Mailchimp named a time
    ├── Throttled          too many calls at once; had no effect
    ├── TimedOut           no answer in time; may have had its effect
    └── Unavailable        unreachable or broken; may have had its effect
        ├── BrokenOff      an answer that ended early, or is none
        ├── Incomplete     a listing that gave less than it announced
        └── NobodyThere    nothing listens at the sandbox's address; had no effect
PermanentError
├── KeyRefused             the key is wrong, disabled or revoked
│   ├── AccountDisabled    the key's account is deactivated
│   └── NotPermitted       the key's user may not do this
├── NotFound               Mailchimp does not have the thing
│   ├── AudienceGone
│   └── CampaignGone
├── Redirected             the address of the API leads elsewhere
│   └── NotTheApi          what answers there is something else
└── Rejected               the request is understood and refused: `title`, `fields`
    ├── NotPossible        not with the thing as it is now (HTTP 405)
    ├── MemberExists       the audience has the address already
    └── MemberRefused      Mailchimp does not take this contact: `rejection`
"""

from typing import ClassVar

from mailchimp_pipeline.errors import PermanentError, TransientError
from mailchimp_pipeline.sync import Rejection


class MailchimpAway(TransientError):
    """Mailchimp did not carry it out, or did and we did not hear of it; asking again later may work."""

    def __init__(self, text: str, *, retry_after: float | None = None, place: str | None = None) -> None:
        super().__init__(text, place=place)
        self.retry_after = retry_after


class Throttled(MailchimpAway):
    """More calls at once, or in all, than Mailchimp takes from the account."""


class TimedOut(MailchimpAway):
    """No answer in time. Mailchimp may still carry it out."""


class Unavailable(MailchimpAway):
    """Mailchimp cannot be reached, is broken, or something on the way answered in its place."""


class BrokenOff(Unavailable):
    """An answer began, and is not whole: it was cut, or what came is not what was asked for. It may be too large."""


class Incomplete(Unavailable):
    """A listing ended before all that it announced had come."""


class NobodyThere(Unavailable):
    """Nothing listens at the address on this machine. Waiting does not start it."""


class KeyRefused(PermanentError):
    """Mailchimp does not accept the API key."""


class AccountDisabled(KeyRefused):
    """The account that the key belongs to is deactivated."""


class NotPermitted(KeyRefused):
    """The key is good, but its user may not do this."""


class NotFound(PermanentError):
    """Mailchimp does not have the thing; `advice` is what to do about it.

    `after_lost_answer` says that an earlier attempt of the same call went unanswered, and may have removed it.
    """

    advice: ClassVar = "It may have been deleted there: look it up in Mailchimp"

    def __init__(self, text: str, *, after_lost_answer: bool = False) -> None:
        super().__init__(text)
        self.after_lost_answer = after_lost_answer


class AudienceGone(NotFound):
    """The account has no such audience."""

    advice: ClassVar = (
        "The audience was deleted or belongs to another account: connect that account, or make a new segment for "
        "another audience and delete the one for this"
    )


class CampaignGone(NotFound):
    """The account has no such campaign."""

    advice: ClassVar = "The campaign was deleted or belongs to another account: track another one"


class Redirected(PermanentError):
    """Something answered with another address. It is not followed: the key would go along."""


class NotTheApi(Redirected):
    """Something else than the API answers at the address that is configured for it."""


class Rejected(PermanentError):
    """The request is understood and refused, for `title` and because of `fields`; neither holds personal data."""

    def __init__(self, text: str, *, title: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.title = title
        self.fields = fields


class NotPossible(Rejected):
    """Not with the thing as it is now, such as archiving a member that is archived."""


class MemberExists(Rejected):
    """The audience has the address already."""


class MemberRefused(Rejected):
    """Mailchimp does not take this contact, for `rejection`."""

    def __init__(self, text: str, rejection: Rejection, *, title: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(text, title=title, fields=fields)
        self.rejection = rejection
