"""`mailchimp-pipeline doctor`: looks at everything the pipeline needs, and says what is missing and what to do.

What does not belong here: mending anything.
"""

from mailchimp_pipeline.doctor.findings import Finding, Level
from mailchimp_pipeline.doctor.looks import findings
from mailchimp_pipeline.doctor.report import examine

__all__ = ["Finding", "Level", "examine", "findings"]
