"""The command `mailchimp-pipeline`, and how it shows results.

What does not belong here: what a command does (`services`, `doctor`, `local`).
"""

from mailchimp_pipeline.cli.commands import app

__all__ = ["app"]
