"""The HTTP answer made of the replies to a request's calls: one object, an array, or a stream in order of completion.

What does not belong here: running the calls.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.types import Send

from api.trpc.calls import Headers, Reply
from api.trpc.requests import Form

Arrivals = asyncio.Queue[tuple[int, Reply]]
"""The replies of one request, by the calls' indices, in the order in which they were ready."""

# Queries hold personal data, and a shared cache does not look at who asks.
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
    """Send the replies to all calls of a request as they were asked for."""
    if form is Form.SINGLE:
        await respond(send, (await arrivals.get())[1])
    elif form is Form.BATCH:
        by_index = dict([await arrivals.get() for _ in range(count)])
        await respond(send, _array([by_index[index] for index in range(count)]))
    else:
        await _stream(send, _json_lines(count, arrivals) if form is Form.JSON_LINES else _object(count, arrivals))


def _array(replies: Sequence[Reply]) -> Reply:
    """Return a batch as one reply: the status they share, or 207; what headers any of them adds."""
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
    """Yield client 11's form: a head that promises a chunk for each call, then the chunks as they come."""
    yield b"{" + b",".join([b'"%d":[[0],[null,0,%d]]' % (index, index) for index in range(count)]) + b"}\n"
    for _ in range(count):
        index, reply = await arrivals.get()
        yield b"[%d,0,[[%b]]]\n" % (index, reply.body)


async def _object(count: int, arrivals: Arrivals) -> AsyncIterator[bytes]:
    """Yield client 10's form: one object, an entry a line, the comma at the line's start."""
    for position in range(count):
        index, reply = await arrivals.get()
        yield b'%b"%d":%b\n' % (b"," if position else b"{", index, reply.body)
    yield b"}"
