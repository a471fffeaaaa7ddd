"""What can go wrong in a way that a person can act on.

The text of a `PipelineError` says what failed, on which thing, and what to do next; it holds no
address, no name and no key, so it may be logged and, without its place, stored on a segment and shown.
Adapters derive their own errors from it; anything else that is raised is a defect.
"""

import re

_PLACE = re.compile(r" \[about [^\]]*\]")


class PipelineError(Exception):
    """A failure that is foreseen: its text is safe to log and says what to do.

    `place` is for those alone who operate the pipeline, such as a path, a host or the id of a key: it ends the text,
    and `without_places` takes it off for everybody else.
    """

    def __init__(self, text: str = "", *, place: str | None = None) -> None:
        super().__init__(text if place is None else f"{text} [about {place.replace(']', ')')}]")


class TransientError(PipelineError):
    """May go away by itself: asking again later is worth it."""


class Interrupted(TransientError):
    """Our own work was cut off, as by a restart of a database or a file that is being written: it can begin again."""


class PermanentError(PipelineError):
    """Stays until a person changes something: asking again is not worth it."""


def without_places(text: str) -> str:
    """Return the text of errors, such as a segment's `last_error`, as those may read it whose contacts it is about."""
    return _PLACE.sub("", text)
