"""The errors that keep an erasure pending, with what to do about them.

What does not belong here: errors of Mailchimp, the source and the database.
"""

from mailchimp_pipeline.errors import PermanentError, TransientError

_CONFIRM = "then confirm it with `mailchimp-pipeline erasures confirm`"


class UnknownContact(PermanentError):
    """Neither the source nor the database has the contact."""

    def __init__(self, entity_type: str) -> None:
        super().__init__(
            f"Nothing is known of such a contact: the source has no {entity_type} with this id, and nothing is kept of "
            "one. Check the id and the entity type. A person who is at Mailchimp alone is deleted there."
        )


class MovedAtMailchimp(PermanentError):
    """An audience that had the contact no longer has the address, and the contact id did not lead to a deletion."""

    def __init__(self, list_id: str) -> None:
        super().__init__(
            f"Audience {list_id} had the contact, and no longer knows the address: it was deleted there, or changed. "
            "Look in the audience for the person under another address, delete them permanently there, "
            f"{_CONFIRM}."
        )


class AudienceElsewhere(PermanentError):
    """An audience that had the contact is not in the connected account."""

    def __init__(self, list_id: str) -> None:
        super().__init__(
            f"Audience {list_id} had the contact, and is not in the connected account: it belongs to one that was "
            "connected before, or is deleted. Connect that account, or delete the person permanently there, "
            f"{_CONFIRM}."
        )


class NobodyToAsk(PermanentError):
    """The organisation is not connected, although its audiences had the contact."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(
            f"Organisation {organisation_id} is not connected to Mailchimp, and audiences of its account had the "
            f"contact. Connect it again, or delete the person permanently there, {_CONFIRM}."
        )


class NotAllAsked(TransientError):
    """The attempt's time was up before all audiences were tried."""

    def __init__(self) -> None:
        super().__init__("Not all audiences could be asked in time. The others are asked by the next attempt.")


class NewTraces(TransientError):
    """New addresses or audiences of the contact were found during the attempt."""

    def __init__(self) -> None:
        super().__init__("More became known of the contact meanwhile. The next attempt sees to it.")
