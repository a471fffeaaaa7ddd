"""Write log lines as JSON, from structlog and from the standard library's loggers, in every process.

Each line has the ids that `structlog.contextvars` binds: organisation, segment, run and request. An exception is logged
with its type and frames. Its text is logged only if it is a `PipelineError`, because any other text may quote an
address, a name or a key.
"""

import logging
import sys
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, TextIO, cast

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor

from mailchimp_pipeline.errors import PipelineError

_MAX_CAUSES = 5
_MAX_FRAMES = 25


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a structlog logger that writes to the standard library's logger of this name."""
    processors = [structlog.stdlib.filter_by_level, *_SHARED, ProcessorFormatter.wrap_for_formatter]
    wrapped = structlog.wrap_logger(
        logging.getLogger(name), processors=processors, wrapper_class=structlog.stdlib.BoundLogger
    )
    return cast("structlog.stdlib.BoundLogger", wrapped)


def json_handler(stream: TextIO) -> logging.Handler:
    """Return a logging handler that writes each line to the stream as JSON."""
    return _as_json(logging.StreamHandler(stream))


def _as_json(handler: logging.Handler) -> logging.Handler:
    renderers: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        _without_texts,
        structlog.processors.JSONRenderer(),
    ]
    handler.setFormatter(ProcessorFormatter(processors=renderers, foreign_pre_chain=_SHARED))
    return handler


def configure_logging(stream: TextIO | None = None) -> None:
    """Write all log lines of this process to the stream (by default standard error) as JSON."""
    logging.basicConfig(handlers=[json_handler(stream or sys.stderr)], level=logging.INFO, force=True)
    # urllib3's warnings of retries quote paths, which have hashes of addresses.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


class _StandardErrorHandler(logging.StreamHandler[TextIO]):
    """A handler that writes to what `sys.stderr` is at that moment, because Dagster and tests replace it."""

    @property
    def stream(self) -> TextIO:
        """The current standard error."""
        return sys.stderr

    @stream.setter
    def stream(  # pyright: ignore[reportIncompatibleVariableOverride] - a property, to be read each time
        self, _stream: TextIO
    ) -> None:
        """Ignore an assigned stream: lines always go to the present standard error."""


def log_our_lines() -> None:
    """Write this project's log lines to standard error as JSON. Lines of Dagster and other libraries are not changed.

    Calling it again does nothing.
    """
    log = logging.getLogger("mailchimp_pipeline")
    if any(isinstance(one, _StandardErrorHandler) for one in log.handlers):
        return
    log.addHandler(_as_json(_StandardErrorHandler()))
    log.setLevel(logging.INFO)


def _without_texts(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Replace the exception of a log event by its type and frames, and those of its causes.

    The text of an exception is kept only if it is a `PipelineError`.
    """
    raised = event.pop("exc_info", None)
    event.pop("stack_info", None)
    exception = raised if isinstance(raised, BaseException) else _exception(raised)
    if exception is not None:
        event["raised"] = [_described(one) for _, one in zip(range(_MAX_CAUSES), _chain(exception), strict=False)]
    return event


def _exception(info: object) -> BaseException | None:
    """Return the exception of a log record, None if it has none. `info` is the record's `exc_info`.

    That is a triple with the exception, or true for the exception that is being handled.
    """
    if isinstance(info, tuple):
        return cast("tuple[object, BaseException | None, object]", info)[1]
    return sys.exc_info()[1] if info else None


def _chain(exception: BaseException) -> Generator[BaseException]:
    """Yield the exception, its cause, the cause's cause, and so on."""
    current: BaseException | None = exception
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _described(exception: BaseException) -> dict[str, Any]:
    text = {"text": str(exception)} if isinstance(exception, PipelineError) else {}
    frames = list(_frames(exception.__traceback__))[-_MAX_FRAMES:]
    return {"type": type(exception).__qualname__, **text, "frames": frames}


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        frame = traceback.tb_frame
        yield f"{frame.f_globals.get('__name__')}:{traceback.tb_lineno} {frame.f_code.co_name}"
        traceback = traceback.tb_next
