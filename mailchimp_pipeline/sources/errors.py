"""The errors of sources.

`SourceAwayError` and `SourceChangedError` are `Interrupted`, `UnreadableSourceError` is a `PermanentError`. Their texts
and causes do not contain messages of drivers or parsers, which may quote rows.
"""

from mailchimp_pipeline.errors import Interrupted, PermanentError


class SourceAwayError(Interrupted):
    """The source's database does not answer."""


class SourceChangedError(Interrupted):
    """A file changed while it was read, or is being written."""


class UnreadableSourceError(PermanentError):
    """A source or relation does not exist or cannot be read."""
