"""The command `mailchimp-pipeline`, and how it prints results.

What does not belong here: what commands do (`services`, `doctor`, `local`).
"""

from mailchimp_pipeline.cli.commands import app

__all__ = ["app"]
