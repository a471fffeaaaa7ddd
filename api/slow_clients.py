"""Clients that take their time, or never end: what they may hold, and for how long.

`BodyTimeout` answers a body that does not come; `PatientProtocol` cuts connections on which no whole request comes,
and those whose client does not take its answer.
What does not belong here: how large a request may be (`trpc.Limits`).
"""

import asyncio
from asyncio import TimerHandle

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.trpc import TRPCError

BODY_SECONDS = 15.0
REQUEST_SECONDS = 30.0
SEND_SECONDS = 30.0
MAX_HEAD_BYTES = 64 * 1024

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Of one request as it comes: the longest body that is read, in the smallest chunks. Whoever sends more is cut off."""

_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"connection", b"close"),
)


class BodyTimeout:
    """Middleware that gives up on a body after so many seconds: whoever reads it gets a TRPCError, TIMEOUT."""

    def __init__(self, app: ASGIApp, *, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, asyncio.get_running_loop().time() + self._seconds)

        async def sent(message: Message) -> None:
            if body.is_late and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, body.receive, sent)


class _Body:
    """The body of one request, to be there by a time of the event loop's clock."""

    def __init__(self, receive: Receive, deadline: float) -> None:
        self.is_late = False
        self._receive = receive
        self._deadline = deadline
        self._is_whole = False

    async def receive(self) -> Message:
        # What comes after the body is the client's leaving, which may be awaited for as long as the answer takes.
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.is_late = True
            raise TRPCError("TIMEOUT", "The request's body did not arrive in time: send it again") from None
        self._is_whole = not message.get("more_body", False)
        return message


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with what it lacks: times for a request to come and for an answer to go, errors in JSON.

    Also sizes of a request's head and of all of it, without trailers, and no change to another protocol.
    """

    request_seconds = REQUEST_SECONDS
    send_seconds = SEND_SECONDS
    _timer: TimerHandle | None = None
    _sending: TimerHandle | None = None
    _bytes = 0
    _is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for the first request."""
        # Whatever the client has not taken yet counts, not only what is more than the usual 64 KiB.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Wait for the rest of this request."""
        super().on_message_begin()
        self._bytes, self._is_in_head = 0, True
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head. Trailers come by the same way: nobody here reads them, and they have no end."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Go on to the body."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait no longer, unless this request is answered already: then the next one is waited for."""
        if not self.cycle.response_complete:
            self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request. uvicorn does too, but only until anything comes."""
        super().on_response_complete()
        if not self.pipeline and self._timer is None:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in what came, unless the request has no end."""
        super().data_received(data)
        self._bytes += len(data)
        if self.transport.is_closing():
            return
        if self._is_in_head and self._bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"The request's headers are longer than {MAX_HEAD_BYTES} bytes")
        elif self._bytes > MAX_REQUEST_BYTES:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self._stop_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client a time to take what is sent. To close would not do: that waits for the client too."""
        super().pause_writing()
        self._stop_sending()
        self._sending = self.loop.call_later(self.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client took it."""
        self._stop_sending()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as the clients can read it, and hang up."""
        body = TRPCError("BAD_REQUEST", msg).envelope()
        head = b"".join(b"%b: %b\r\n" % header for header in (*_HEADERS, (b"content-length", b"%d" % len(body))))
        self.transport.write(STATUS_LINE[400] + head + b"\r\n" + body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if no other protocol was asked for, and hang up: what follows is no HTTP. Anybody may ask."""
        self.cycle.keep_alive = False

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(self.request_seconds, self.transport.close)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
