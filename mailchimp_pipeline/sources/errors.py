"""What can go wrong with a source.

Interrupted: SourceAwayError, SourceChangedError. PermanentError: UnreadableSourceError.
None of them carries what a driver or a parser said, for that may quote a row, and none is raised from it.
"""

from mailchimp_pipeline.errors import Interrupted, PermanentError


class SourceAwayError(Interrupted):
    """The source's database does not answer, or stopped answering."""


class SourceChangedError(Interrupted):
    """A file was rewritten while it was read, or is being written."""


class UnreadableSourceError(PermanentError):
    """A source, or a relation of it, is not there or cannot be read as it is."""
