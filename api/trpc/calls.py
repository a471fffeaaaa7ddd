"""One call: may the caller do it, is the input right, what came out, and how that looks on the wire.

Runs in a worker thread and always returns a reply. What does not belong here: HTTP, other calls of the request.
"""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Generic, TypeVar

from api.trpc.errors import TRPCError, internal_error
from api.trpc.procedures import HasRole, Procedure
from api.trpc.requests import Inputs

ContextT = TypeVar("ContextT", bound=HasRole)

Headers = tuple[tuple[bytes, bytes], ...]

_log = logging.getLogger(__name__)


def _log_failure(path: str, exception: BaseException) -> None:
    # Neither text nor traceback: both may hold personal data. An application that scrubs them hands in its own.
    _log.error("The procedure %s failed with %s", path, type(exception).__qualname__)


def _allow(_context: object, _procedure: object) -> None:
    """Let every call pass."""


def _forget(_procedure: object, _code: str, _seconds: float) -> None:
    """Measure nothing."""


def _everybody(_context: object) -> Hashable:
    """Let all calls share one lane."""
    return None


def _unknown(_exception: Exception) -> TRPCError | None:
    """Know no exception of the business."""
    return None


# No slots: Python 3.11 cannot make a subscripted generic, `Hooks[Caller](...)`, of a frozen class that has them.
@dataclass(frozen=True)
class Hooks(Generic[ContextT]):
    """What an application adds around each call. All run in worker threads or on the event loop: none may wait long.

    `before_call` may raise a TRPCError (a rate limit, an audit). `after_call` gets the procedure (None: no such one,
    or the whole request was refused), OK or the error's code, and the seconds since the request came in.
    `translate` turns an exception of the business into what the client sees; None makes it a defect, which
    `on_error` is told with the call's path. `lane_of` says whose calls share a part of the threads (`Limits`).
    """

    before_call: Callable[[ContextT, Procedure], None] = _allow
    after_call: Callable[[Procedure | None, str, float], None] = _forget
    translate: Callable[[Exception], TRPCError | None] = _unknown
    on_error: Callable[[str, BaseException], None] = _log_failure
    lane_of: Callable[[ContextT], Hashable] = _everybody


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one call: a JSON object, its HTTP status, and headers for an answer that is not streamed."""

    status: int
    body: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Call(Generic[ContextT]):
    """One call of a request; `started` is on the clock of `time.perf_counter`."""

    index: int
    path: str
    procedure: Procedure
    inputs: Inputs
    started: float


def answer(call: Call[ContextT], context: ContextT, hooks: Hooks[ContextT]) -> Reply:
    """Return the reply to a call. Nothing escapes: in a thread nobody would see it, and the client would wait."""
    try:
        body = _output(call, context, hooks)
    except BaseException as exception:  # noqa: BLE001 - SystemExit too: it would end the thread, not the call
        return refusal(call.path, as_error(call.path, exception, hooks), call.procedure, call.started, hooks)
    _measure(call.procedure, "OK", call.started, hooks)
    return Reply(200, b'{"result":{"data":' + body + b"}}")


def refusal(
    path: str | None,
    error: TRPCError,
    procedure: Procedure | None,
    started: float,
    hooks: Hooks[ContextT],
) -> Reply:
    """Return the reply that an error makes; `path` None: the whole request is refused."""
    _measure(procedure, error.code, started, hooks)
    return Reply(error.http_status, error.envelope(path), error.headers)


def _output(call: Call[ContextT], context: ContextT, hooks: Hooks[ContextT]) -> bytes:
    """Return what the procedure returned, as JSON. The input is looked at only after the caller was let in."""
    procedure = call.procedure
    if procedure.role is not None and not context.role.covers(procedure.role):
        needed = f'{call.path} needs the role "{procedure.role}", yours is "{context.role}"'
        raise TRPCError("FORBIDDEN", f"{needed}: ask an administrator of your organisation")
    hooks.before_call(context, procedure)
    return procedure.call(context, partial(call.inputs.text, call.index))


def as_error(path: str, exception: BaseException, hooks: Hooks[ContextT]) -> TRPCError:
    """Return what the client may know of an exception."""
    if isinstance(exception, TRPCError):
        return exception
    if isinstance(exception, Exception) and (known := hooks.translate(exception)) is not None:
        return known
    report(path, exception, hooks)
    return internal_error()


def report(path: str, exception: BaseException, hooks: Hooks[ContextT]) -> None:
    """Tell the application of a defect; one in its own hook must not take the answer away."""
    try:
        hooks.on_error(path, exception)
    except Exception as broken:  # noqa: BLE001 - the hook that would be told is the one that broke
        _log_failure("on_error", broken)


def _measure(procedure: Procedure | None, code: str, started: float, hooks: Hooks[ContextT]) -> None:
    try:
        hooks.after_call(procedure, code, perf_counter() - started)
    except Exception as broken:  # noqa: BLE001 - a broken metric must not take the answer away
        report("after_call", broken, hooks)
