"""Sample procedures. The bearer token is the caller's role. `node/reference.mjs` defines the same procedures."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator
from starlette.requests import HTTPConnection

from api.trpc import Code, Procedure, Procedures, Role, Router, TRPCError, UtcTime, WireModel
from api.trpc.procedures import Kind
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually


@dataclass(frozen=True, slots=True)
class Caller:
    role: Role
    organisation_id: str = "acme"


def authenticate(connection: HTTPConnection) -> Caller:
    """Return the caller whose role is the token."""
    token = connection.headers.get("authorization", "").removeprefix("Bearer ")
    if token == "broken":
        raise RuntimeError("the secret key store is away")
    if not token:
        raise TRPCError("UNAUTHORIZED", "Sign in first")
    return Caller(Role(token))


class Colour(StrEnum):
    """A colour."""

    RED = "red"
    DARK_BLUE = "dark-blue"


class EchoInput(WireModel):
    """The input of `echo`."""

    some_text: str = Field(min_length=1)
    """Returned */ unchanged."""
    times: int = Field(1, ge=1, le=9)
    colours: tuple[Colour, ...] = ()
    weight: float | None = None

    @field_validator("some_text")
    @classmethod
    def _not_forbidden(cls, text: str) -> str:
        if text == "forbidden":
            raise ValueError("Choose another text")
        return text


class Echo(WireModel):
    """The output of `echo`."""

    some_text: str
    times: int
    colours: tuple[Colour, ...]
    weight: float | None
    at: UtcTime


class FailInput(WireModel):
    """The error to raise."""

    code: Code


class WaitInput(WireModel):
    """The time to wait."""

    millis: int


class PageInput(WireModel):
    """The page to return."""

    limit: int = 2
    cursor: str | None = None


class Page(WireModel):
    """A page of numbers."""

    items: list[int]
    next_cursor: str | None = None
    counts: dict[Colour, int] = Field(default_factory=dict[Colour, int])


class AddInput(WireModel):
    """The amount to double."""

    amount: int


AT = datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))

test: Router[Caller] = Router("test")
admin: Router[Caller] = Router("test.admin")


@test.query("nothing", role=None)
def nothing(_caller: Caller) -> None:
    """Return null."""


@test.query("echo")
def echo(_caller: Caller, wanted: EchoInput) -> Echo:
    """Return the input.

    Not for the types.
    """
    return Echo(**dict(wanted), at=AT)


@test.query("fail")
def fail(_caller: Caller, wanted: FailInput) -> None:
    """Fail with a code."""
    raise TRPCError(wanted.code, f"failed with {wanted.code}")


@test.query("crash")
def crash(_caller: Caller) -> int:
    """Raise an unexpected error."""
    raise RuntimeError("a secret of the inside")


@test.query("exit")
def leave(_caller: Caller) -> int:
    """Try to end the process."""
    raise SystemExit(3)


@test.query("away")
def away(_caller: Caller) -> int:
    """Raise a known error."""
    raise TransientError("The post office is closed: try tomorrow")


@test.query("wait")
def wait(_caller: Caller, wanted: WaitInput) -> int:
    """Wait, and return the milliseconds."""
    time.sleep(wanted.millis / 1000)
    return wanted.millis


@test.query("page")
def page(_caller: Caller, wanted: PageInput | None) -> Page:
    """Return numbers."""
    return Page(items=list(range((wanted or PageInput()).limit)))


@test.mutation("add")
def add(_caller: Caller, wanted: AddInput) -> int:
    """Return the amount doubled."""
    return wanted.amount * 2


@admin.mutation("erase", role=Role.ADMIN)
def erase(caller: Caller) -> Role:
    """Return the caller's role."""
    return caller.role


@test.query("limited")
def limited(_caller: Caller) -> int:
    """Raise TOO_MANY_REQUESTS with a time to wait."""
    raise TRPCError("TOO_MANY_REQUESTS", "Too many", retry_after=7)


@test.query("field")
def field(_caller: Caller) -> int:
    """Reject a field."""
    raise TRPCError("BAD_REQUEST", "The key is wrong", {"apiKey": ["must end in -us1"]})


def sample(*more: Router[Caller] | Procedure) -> Procedures[Caller]:
    """Return the sample procedures, and these additional ones."""
    return Procedures(test, admin, *more)


def returns(output: Any, value: object, path: str = "given") -> Procedure:  # noqa: ANN401 - any type may be declared
    """Return a procedure with this output type and value."""

    def give(_caller: Caller) -> object:
        return value

    return Procedure(path, Kind.QUERY, give, output, None)


class Gate:
    """A procedure `gate` that waits until the gate is open, and records when it starts and ends."""

    def __init__(self, kind: Kind = Kind.MUTATION) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.finished = threading.Event()
        self.procedure = Procedure("gate", kind, self._pass, type(None), None)

    def open_once(self, condition: Callable[[], object]) -> threading.Thread:
        """Open the gate in a background thread as soon as the condition is true, and return the thread."""

        def wait_and_open() -> None:
            eventually(condition)
            self.opened.set()

        opening = threading.Thread(target=wait_and_open)
        opening.start()
        return opening

    def _pass(self, _caller: object) -> None:
        self.entered.set()
        assert self.opened.wait(2 * TIMEOUT_SECONDS), "nobody opened it"
        self.finished.set()
