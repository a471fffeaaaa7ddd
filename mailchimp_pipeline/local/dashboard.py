"""A client of the API (tRPC over HTTP) for one organisation, for the demo.

What does not belong here: the procedures (`api`).
"""

import json
from types import TracebackType
from typing import Any, Self

import requests

from mailchimp_pipeline.errors import PermanentError, TransientError

_TIMEOUTS = (5, 60)
"""Seconds to connect, and to wait for the answer."""


class ApiAway(TransientError):
    """The API does not answer."""


class ApiRefusal(PermanentError):
    """The API refused a call. The text is the API's."""


class Dashboard:
    """Calls procedures with one bearer token. Calls raise `ApiAway` and `ApiRefusal`."""

    def __init__(self, url: str, token: str) -> None:
        """Take the root URL of the API, such as http://127.0.0.1:8000."""
        self._prefix = f"{url}/api/trpc"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._session.close()

    def query(self, procedure: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        """Return the result of a query."""
        params = {"input": json.dumps(given)} if given else {}
        return self._called("GET", procedure, params=params)

    def mutate(self, procedure: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        """Return the result of a mutation."""
        return self._called("POST", procedure, json=given)

    def _called(self, method: str, procedure: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = self._session.request(method, f"{self._prefix}/{procedure}", timeout=_TIMEOUTS, **arguments)
        except requests.RequestException as error:
            raise ApiAway(f"The API does not answer: {type(error).__name__}. Start it and try again.") from None
        body = answer.json()
        if "error" in body:
            raise ApiRefusal(f"{procedure} was refused: {body['error']['message']}")
        return body["result"].get("data")
