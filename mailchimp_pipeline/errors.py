"""The expected errors, which a person can act on.

The text of a `PipelineError` says what failed and what to do next. It contains no address, name or key, so it may be
logged, and without its place stored on a segment and shown. Adapters derive their errors from these classes. Any other
exception is a defect.
"""

import re

_PLACE = re.compile(r" \[about [^\]]*\]")


class PipelineError(Exception):
    """An expected error. Its text says what to do, and is safe to log.

    `place` is for operators only, such as a path, a host or the id of a key. It is added at the end of the text, and
    `without_places` removes it.
    """

    def __init__(self, text: str = "", *, place: str | None = None) -> None:
        super().__init__(text if place is None else f"{text} [about {place.replace(']', ')')}]")


class TransientError(PipelineError):
    """An error that may disappear without a change. A later attempt may succeed."""


class Interrupted(TransientError):
    """The work was interrupted, for example by a restart of a database, or by a file that is being written."""


class PermanentError(PipelineError):
    """An error that stays until a person changes something."""


def without_places(text: str) -> str:
    """Return the text of errors without their places, for the organisation's users."""
    return _PLACE.sub("", text)
