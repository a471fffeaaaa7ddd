"""The HTTP answer to a request: one object, an array, or a stream of the replies in order of completion.

What does not belong here: running the calls.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.types import Send

from api.trpc.calls import Headers, Reply
from api.trpc.requests import Form

Arrivals = asyncio.Queue[tuple[int, Reply]]
"""The replies of one request with the indices of their calls, in order of completion."""

# Answers contain personal data, and a shared cache does not distinguish callers.
_UNCACHED = (b"cache-control", b"no-store")

_COMMON: Headers = ((b"content-type", b"application/json"), (b"vary", b"trpc-accept, accept"), _UNCACHED)


async def respond(send: Send, reply: Reply) -> None:
    """Send one complete answer."""
    headers = [*_COMMON, (b"content-length", b"%d" % len(reply.body)), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def respond_without_content(send: Send) -> None:
    """Send the answer to HEAD."""
    await send({"type": "http.response.start", "status": 204, "headers": [_UNCACHED]})
    await send({"type": "http.response.body", "body": b""})


async def compose(send: Send, form: Form, count: int, arrivals: Arrivals) -> None:
    """Send the replies to all calls of a request in the form that the client asked for."""
    if form is Form.SINGLE:
        await respond(send, (await arrivals.get())[1])
    elif form is Form.BATCH:
        by_index = dict([await arrivals.get() for _ in range(count)])
        await respond(send, _array([by_index[index] for index in range(count)]))
    else:
        await _stream(send, _json_lines(count, arrivals) if form is Form.JSON_LINES else _object(count, arrivals))


def _array(replies: Sequence[Reply]) -> Reply:
    """Return a batch as one reply: its status is that of all calls, or 207; its headers are those of any call."""
    statuses = {reply.status for reply in replies}
    headers = dict(header for reply in replies for header in reply.headers)
    body = b"[" + b",".join([reply.body for reply in replies]) + b"]"
    return Reply(statuses.pop() if len(statuses) == 1 else 207, body, tuple(headers.items()))


async def _stream(send: Send, lines: AsyncIterator[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(_COMMON)})
    async for line in lines:
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _json_lines(count: int, arrivals: Arrivals) -> AsyncIterator[bytes]:
    """Yield the form of client 11: a head that announces a chunk for each call, then the chunks."""
    yield b"{" + b",".join([b'"%d":[[0],[null,0,%d]]' % (index, index) for index in range(count)]) + b"}\n"
    for _ in range(count):
        index, reply = await arrivals.get()
        yield b"[%d,0,[[%b]]]\n" % (index, reply.body)


async def _object(count: int, arrivals: Arrivals) -> AsyncIterator[bytes]:
    """Yield the form of client 10: one object, an entry per line, with the comma at the start of the line."""
    for position in range(count):
        index, reply = await arrivals.get()
        yield b'%b"%d":%b\n' % (b"," if position else b"{", index, reply.body)
    yield b"}"
