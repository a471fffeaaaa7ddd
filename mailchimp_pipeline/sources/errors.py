"""What can go wrong with a source.

PassingError: SourceAwayError, SourceChangedError. LastingError: UnreadableSourceError.
None of them carries what a driver or a parser said, for that may quote a row, and none is raised from it.
"""

from mailchimp_pipeline.errors import LastingError, PassingError


class SourceAwayError(PassingError):
    """The source's database does not answer, or stopped answering."""


class SourceChangedError(PassingError):
    """A file was rewritten while it was read."""


class UnreadableSourceError(LastingError):
    """A source, or a relation of it, is not there or cannot be read as it is."""
