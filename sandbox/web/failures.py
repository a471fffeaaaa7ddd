"""HTTP responses for faults."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from sandbox.model import problems
from sandbox.model.faults import Fault, FaultKind
from sandbox.web.answers import problem_response

_STATUSES: Mapping[FaultKind, HTTPStatus] = {
    FaultKind.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    FaultKind.BLOCKED: HTTPStatus.FORBIDDEN,
    FaultKind.BAD_GATEWAY: HTTPStatus.BAD_GATEWAY,
    FaultKind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    FaultKind.EMPTY: HTTPStatus.OK,
}
_WITH_PAGE = frozenset({FaultKind.BAD_GATEWAY, FaultKind.UNAVAILABLE})


def failure(fault: Fault, right: Response | None) -> Response | None:
    """Return the response of a failed request, or None to cut the connection.

    `right` is the correct answer, None if the request was not processed.
    """
    headers = {} if fault.retry_after_seconds is None else {"Retry-After": str(fault.retry_after_seconds)}
    if fault.kind is FaultKind.CUT:
        return None
    if fault.kind is FaultKind.BROKEN:
        return problem_response(problems.internal(), headers)
    if fault.is_eventually_correct and right is not None:
        return right
    if fault.kind is FaultKind.MALFORMED and right is not None:
        body = bytes(right.body)
        return Response(body[: len(body) // 2], right.status_code, media_type="application/json; charset=utf-8")
    return _plain(_STATUSES.get(fault.kind, HTTPStatus.OK), headers, page=fault.kind in _WITH_PAGE)


def _plain(status: HTTPStatus, headers: Mapping[str, str], *, page: bool) -> Response:
    if not page:
        return Response(b"", status, dict(headers))
    title = f"{status.value} {status.phrase}"
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(html, status, dict(headers), media_type="text/html")
