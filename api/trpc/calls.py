"""One procedure call: whether the caller may make it, whether its input is valid, and its reply.

Runs in a worker thread and always returns a reply.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from api.trpc.error_codes import TRPCError, internal_error
from api.trpc.procedures import Identified, Procedure

ContextT = TypeVar("ContextT", bound=Identified)

Headers = tuple[tuple[bytes, bytes], ...]

_log = logging.getLogger(__name__)


def _log_failure(path: str, exception: BaseException) -> None:
    # Neither text nor traceback: both may hold personal data.
    _log.error("The procedure %s failed with %s", path, type(exception).__qualname__)


def _ignore(_procedure: object, _code: str, _seconds: float) -> None:
    """Measure nothing."""


def _unknown(_exception: Exception) -> TRPCError | None:
    """Return None: no exception is a known error."""
    return None


@dataclass(frozen=True, slots=True)
class CallHooks:
    """The functions of an application that are called for each call. They must return quickly.

    They run in worker threads or on the event loop. `after_call` gets the procedure (None: there is no such procedure,
    or the whole request was refused), OK or the error's code, and the seconds since the request. `translate` returns
    the error that the client sees for an exception, or None for a defect. A defect goes to `on_error`, with the path of
    the call.
    """

    after_call: Callable[[Procedure | None, str, float], None] = _ignore
    translate: Callable[[Exception], TRPCError | None] = _unknown
    on_error: Callable[[str, BaseException], None] = _log_failure


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to one call: a JSON object, its HTTP status, and headers for an answer that is not streamed."""

    status: int
    body: bytes
    headers: Headers = ()


# No slots: Python 3.11 cannot subscript a frozen generic class that has them.
@dataclass(frozen=True)
class ProcedureCall(Generic[ContextT]):
    """One procedure call of a request.

    `index` is its place in the batch, and `started` a `time.perf_counter()` value. `input_text` returns the input as
    JSON, or raises a TRPCError.
    """

    index: int
    procedure: Procedure
    context: ContextT
    input_text: Callable[[], bytes]
    started: float


def answer(call: ProcedureCall[ContextT], hooks: CallHooks) -> Reply:
    """Run a call, and return its reply. Every exception becomes an error reply, even `SystemExit`."""
    path = call.procedure.path
    try:
        body = _output(call)
    except BaseException as exception:  # noqa: BLE001 - `SystemExit` would otherwise end the event loop
        return refusal(path, as_error(path, exception, hooks), call.procedure, call.started, hooks)
    _measure(call.procedure, "OK", call.started, hooks)
    return Reply(200, b'{"result":{"data":' + body + b"}}")


def refusal(path: str | None, error: TRPCError, procedure: Procedure | None, started: float, hooks: CallHooks) -> Reply:
    """Return the reply for an error, and report it to `after_call`. Without a `path`, it is for the whole request."""
    _measure(procedure, error.code, started, hooks)
    return Reply(error.http_status, error.envelope(path), error.headers)


def _output(call: ProcedureCall[ContextT]) -> bytes:
    """Return the procedure's output as JSON.

    Raises FORBIDDEN, before the input is parsed, if the caller's role is not enough.
    """
    procedure, role = call.procedure, call.context.role
    if procedure.role is not None and not role.covers(procedure.role):
        needed = f'{procedure.path} needs the role "{procedure.role}", yours is "{role}"'
        raise TRPCError("FORBIDDEN", f"{needed}: ask an administrator of your organisation")
    return procedure.call(call.context, call.input_text)


def as_error(path: str, exception: BaseException, hooks: CallHooks) -> TRPCError:
    """Return the error that the client sees for an exception.

    An exception that the application does not know is reported to its hook `on_error`; the client sees an internal
    error.
    """
    if isinstance(exception, TRPCError):
        return exception
    if isinstance(exception, Exception) and (known := hooks.translate(exception)) is not None:
        return known
    _report(path, exception, hooks)
    return internal_error()


def _report(path: str, exception: BaseException, hooks: CallHooks) -> None:
    """Report a defect to the application's hook `on_error`. If that raises too, the client still gets its reply."""
    try:
        hooks.on_error(path, exception)
    except Exception as broken:  # noqa: BLE001 - the hook that reports defects is the one that failed
        _log_failure("on_error", broken)


def _measure(procedure: Procedure | None, code: str, started: float, hooks: CallHooks) -> None:
    try:
        hooks.after_call(procedure, code, perf_counter() - started)
    except Exception as broken:  # noqa: BLE001 - a failed measurement does not prevent the reply
        _report("after_call", broken, hooks)
