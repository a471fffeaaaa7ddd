"""An HTTP client for the sandbox, a clock and a member's body."""

from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import requests

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

KEY = f"{'0123456789abcdef' * 2}-us6"
START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
ANN = "ann@acme-staff.io"
BOB = "bob@acme-staff.io"


class SetClock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, *, seconds: float) -> datetime:
        """Advance the clock and return the new time."""
        self.moment += timedelta(seconds=seconds)
        return self.moment


class Api:
    """An HTTP client of one sandbox with one API key."""

    def __init__(self, root: str, key: str = KEY) -> None:
        self.root = root
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = ("any name", key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    def call(self, method: str, path: str, body: object = None, **query: object) -> requests.Response:
        """Send a request."""
        parameters = {name: str(value) for name, value in query.items()}
        return self.session.request(method, f"{self.root}{path}", json=body, params=parameters, timeout=TIMEOUT_SECONDS)

    def get(self, path: str, **query: object) -> requests.Response:
        return self.call("GET", path, **query)

    def post(self, path: str, body: object = None, **query: object) -> requests.Response:
        return self.call("POST", path, body, **query)

    def put(self, path: str, body: object, **query: object) -> requests.Response:
        return self.call("PUT", path, body, **query)

    def patch(self, path: str, body: object, **query: object) -> requests.Response:
        return self.call("PATCH", path, body, **query)

    def delete(self, path: str) -> requests.Response:
        return self.call("DELETE", path)


class AudienceApi(Api):
    """An HTTP client of one audience."""

    def __init__(self, root: str, list_id: str, key: str = KEY) -> None:
        super().__init__(root, key)
        self.list_id = list_id

    @property
    def here(self) -> str:
        """The path of the audience."""
        return f"/lists/{self.list_id}"

    def member(self, address: str = ANN) -> str:
        """The path of a member, by address."""
        return f"{self.here}/members/{address}"

    def delete_permanently(self, address: str = ANN) -> requests.Response:
        """Delete a member permanently."""
        return self.post(f"{self.here}/members/{subscriber_hash(address)}/actions/delete-permanent")

    def batch(self, *members: object, update_existing: bool = False, **query: object) -> dict[str, Any]:
        """Send a batch and return its answer."""
        body = {"members": list(members), "update_existing": update_existing}
        answer = self.post(self.here, body, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, address: str = ANN) -> str | None:
        """Return a member's status, or None."""
        answer = self.get(self.member(address))
        return None if answer.status_code == 404 else answer.json()["status"]


def a_member(email_address: str = ANN, status: str = "subscribed", **more: object) -> dict[str, object]:
    """Return a member's body."""
    return {"email_address": email_address, "status": status, **more}


def errors_of(answer: requests.Response) -> dict[str, str]:
    """Return the `errors` of a problem document by field."""
    return {error["field"]: error["message"] for error in answer.json()["errors"]}
