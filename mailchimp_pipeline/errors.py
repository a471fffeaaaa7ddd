"""What can go wrong in a way that a person can act on.

The text of a `PipelineError` says what failed, on which thing, and what to do next; it holds no
address, no name and no key, so it may be logged, stored on a segment and shown.
Adapters derive their own errors from it; anything else that is raised is a defect.
"""


class PipelineError(Exception):
    """A failure that is foreseen: its text is safe to show and says what to do."""


class PassingError(PipelineError):
    """May go away by itself: asking again later is worth it."""


class Interrupted(PassingError):
    """Our own work was cut off, as by a restart of a database or a file that is being written: it can begin again."""


class LastingError(PipelineError):
    """Stays until a person changes something: asking again is not worth it."""
