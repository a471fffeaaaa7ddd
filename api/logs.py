"""The log line of a defect in the API."""

from mailchimp_pipeline.logs import logger

_log = logger("api.error_mapping")


def log_failure(where: str, exception: BaseException) -> None:
    """Log an exception that is a defect, with the part of the API that it left."""
    _log.error("failure", where=where, exc_info=exception)
