"""The result of a check."""

from dataclasses import dataclass
from enum import StrEnum

from mailchimp_pipeline.errors import PermanentError


class Level(StrEnum):
    """The severity of a result."""

    WELL = "well"
    WARNING = "warning"
    """It works, but should be changed."""
    MISSING = "missing"
    """It does not work."""


class Missing(PermanentError):
    """A part that the pipeline needs is missing."""


class Doubtful(PermanentError):
    """A part works, but should be changed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, or what to do. It has no secret and no personal data."""

    about: str
    level: Level
    says: str

    @property
    def is_well(self) -> bool:
        """Whether the pipeline can work."""
        return self.level is not Level.MISSING
