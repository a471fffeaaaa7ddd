"""A small API on a free loopback port, and tokens to call it."""

import io
import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.routing import Route

from api.app import ApiParts, create_app
from api.auth import Authenticator, Caller, SharedSecret, make_token
from api.serving import in_thread
from api.trpc import Procedures, Role, Router, TRPCError, WireModel
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.logs import json_handler
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.database.builders import KEYRING
from mailchimp_pipeline_tests.waiting import eventually

SECRET = "a-token-secret-of-more-than-32-characters"
OTHER_SECRET = "another-token-secret-of-more-than-32-characters"
PERSON = "ada@example.com"


class Note(WireModel):
    text: str
    """The text, one line at most."""
    times: int = 1


notes: Router[Caller] = Router("notes")


@notes.query("whoami")
def whoami(caller: Caller) -> str:
    return f"{caller.actor}@{caller.organisation_id} as {caller.role}"


@notes.query("find")
def find(_caller: Caller, wanted: Note) -> Note | None:
    logging.getLogger("api.sample").info("looking")
    return wanted


@notes.query("crash")
def crash(_caller: Caller) -> None:
    """Raise an unexpected error."""
    raise RuntimeError(f"{PERSON} is not in the list")


@notes.mutation("write")
def write(_caller: Caller, note: Note) -> int:
    """Return the length of the note."""
    return len(note.text)


@dataclass(frozen=True, slots=True)
class Api:
    """A running API and its log lines."""

    url: str
    log: io.StringIO

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(
        self, target: str, *, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request unchanged."""
        return send(self.port, target, method, body, headers or {})

    def call(self, path: str, *, method: str = "GET", body: str | None = None, **claims: Any) -> Answer:  # noqa: ANN401 - as `a_token` takes them
        """Call a procedure with a token that has these claims."""
        headers = {"authorization": f"Bearer {a_token(**claims)}", "content-type": "application/json"}
        return self.ask(f"/api/trpc/{path}", method=method, body=body, headers=headers)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        known = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in known if line["event"] == event]

    def line(self, event: str) -> dict[str, Any]:
        """Wait for the last log line of an event, which the API writes after the answer."""
        return eventually(lambda: self.lines(event))[-1]


def a_token(
    *,
    secret: str = SECRET,
    organisation_id: str = "acme",
    actor: str = "alice",
    role: Role = Role.ADMIN,
    now: datetime | None = None,
) -> str:
    """Return a valid token."""
    moment = now or datetime.now(UTC)
    return make_token(secret, organisation_id=organisation_id, actor=actor, role=role, now=moment)


def parts(**changed: Any) -> ApiParts[Caller]:  # noqa: ANN401 - as `ApiParts` takes them
    """Return the API's default parts, except for the given ones."""
    authenticate = Authenticator(SharedSecret(SECRET), KEYRING)
    usual = ApiParts[Caller](procedures=Procedures(notes), make_context=authenticate, check_ready=lambda: None)
    return replace(usual, **changed)


@contextmanager
def an_api(
    *routes: Route,
    **changed: Any,  # noqa: ANN401 - as `ApiParts` takes them
) -> Generator[Api]:
    """Run the API with additional routes until the end of the block."""
    app = create_app(parts(**changed))
    app.router.routes.extend(routes)
    with logged_lines() as log, in_thread(app, grace_seconds=1) as url:
        yield Api(url, log)


@contextmanager
def logged_lines() -> Generator[io.StringIO]:
    """Collect the API's log lines."""
    stream = io.StringIO()
    handler, log = json_handler(stream), logging.getLogger("api")
    log.addHandler(handler)
    level, log.level = log.level, logging.INFO
    try:
        yield stream
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def failing_check() -> None:
    """Fail as an unavailable database does."""
    raise TransientError("PostgreSQL (db.internal:5432) cannot be reached: start it")


def known_failure(exception: Exception) -> TRPCError | None:
    """Treat every RuntimeError as a known failure."""
    return TRPCError("CONFLICT", "known") if isinstance(exception, RuntimeError) else None
