"""What a look finds."""

from dataclasses import dataclass
from enum import StrEnum

from mailchimp_pipeline.errors import PermanentError


class Level(StrEnum):
    """How bad it is."""

    WELL = "well"
    WARNING = "warning"
    """It works, and should not stay so."""
    MISSING = "missing"
    """Something does not work."""


class Missing(PermanentError):
    """Something that the pipeline needs is not there."""


class Doubtful(PermanentError):
    """Something works that should not stay as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, or what to do. It holds no secret and no personal data."""

    about: str
    level: Level
    says: str

    @property
    def is_well(self) -> bool:
        """Whether the pipeline can work with it."""
        return self.level is not Level.MISSING
