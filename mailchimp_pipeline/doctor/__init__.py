"""`mailchimp-pipeline doctor`: checks everything the pipeline needs, and says what is missing and what to do.

What does not belong here: repairs.
"""

from mailchimp_pipeline.doctor.checks import findings
from mailchimp_pipeline.doctor.report import examine
from mailchimp_pipeline.doctor.results import Finding, Level

__all__ = ["Finding", "Level", "examine", "findings"]
