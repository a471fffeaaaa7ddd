"""Expected errors, which a person can act on.

The text of a `PipelineError` says what failed and what to do next. It contains no e-mail address, name or key, so it
may be logged. Without its `place`, it may also be stored on a segment and shown to users. Adapters derive their errors
from these classes. Any other exception is a defect.
"""

import re

_PLACE = re.compile(r" \[about [^\]]*\]")


class PipelineError(Exception):
    """An expected error. Its text says what to do, and is safe to log.

    `place` says where it failed, such as a path, a host or the id of a key, and is for operators only. It is appended
    to the text, and `without_places` removes it.
    """

    def __init__(self, text: str = "", *, place: str | None = None) -> None:
        super().__init__(text if place is None else f"{text} [about {place.replace(']', ')')}]")


class TransientError(PipelineError):
    """An error that may pass without anybody changing something. A later attempt may succeed."""


class Interrupted(TransientError):
    """The work was interrupted, for example by a restart of a database, or by a file that is being written."""


class PermanentError(PipelineError):
    """An error that stays until a person changes something."""


def without_places(text: str) -> str:
    """Remove the `place` of each error from the text, so that it can be shown to the organisation's users."""
    return _PLACE.sub("", text)
