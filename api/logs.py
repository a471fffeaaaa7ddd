"""How the API tells of a defect. What does not belong here: how a line is written (`mailchimp_pipeline.logs`)."""

from mailchimp_pipeline.logs import logger

_log = logger("api.error_mapping")


def log_failure(where: str, exception: BaseException) -> None:
    """Log a defect: where it showed, and what was raised."""
    _log.error("failure", where=where, exc_info=exception)
