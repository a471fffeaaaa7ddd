"""What every figure stands on: PostgreSQL, Mailchimp with a set latency, and connected organisations, by themselves.

What does not belong here: what is measured (the scripts), the employees (`people`).
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import LiteralString

import psycopg
from sqlalchemy import func, select, text

from api.auth import make_token
from api.trpc import Role
from bench.people import HumanResources, driver_url, email
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.consent import ConsentStatement
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.consent_statements import record_statements
from mailchimp_pipeline.database.erasure_store import ErasureStore
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.tables import SegmentMemberRow
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.erasure import Demand
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.local.stack import SandboxStack, free_port, sandbox_stack
from mailchimp_pipeline.segments import FilterCriteria, Segment, SegmentType
from mailchimp_pipeline.services.pipeline import Pipeline, open_pipeline
from mailchimp_pipeline.settings import Settings
from sandbox import SandboxControl, Status

LATENCY_MS = 300
LATENCY_PER_CONTACT_MS = 0.2
"""How long Mailchimp takes for a call, and for each contact of a batch more."""

_LATENCY = {"latency_ms": LATENCY_MS, "latency_per_contact_ms": LATENCY_PER_CONTACT_MS}
_A_DAY_EARLIER = (
    "update audience_members set pushed_at = pushed_at - interval '1 day', changed_at = changed_at - interval '1 day'",
    "update audience_reads set read_through = read_through - interval '1 day'",
)
_NO_LATENCY = dict.fromkeys(_LATENCY, 0)


class WorkNotDone(PermanentError):
    """What was measured did not do what it was to do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The pipeline and all around it; nothing else uses any of it."""

    stack: SandboxStack
    pipeline: Pipeline
    sandbox: SandboxControl
    hr: HumanResources

    def connect(self, organisation_id: str, audiences: Sequence[str]) -> None:
        """Give the organisation an account of its own with these audiences, and connect it."""
        account_id = self.sandbox.add_account(api_key(organisation_id), organisation_id, organisation_id)
        for list_id in audiences:
            self.sandbox.add_audience(account_id, list_id, list_id)
        account = Account(account_id, organisation_id, ApiKey.parse(api_key(organisation_id)))
        with self.pipeline.resources.database.organisation(organisation_id) as session:
            ConnectionStore(session, self.pipeline.resources.keyring).connect(account, by="bench", at=utc_now())

    def segment(self, organisation_id: str, list_id: str, **criteria: tuple[str, ...]) -> Segment:
        """Make a segment of the employees who match."""
        wanted = FilterCriteria.model_validate(criteria)
        new = NewSegment(f"Into {list_id} {criteria}", SegmentType.EMPLOYEE, list_id, filter_criteria=wanted)
        with self.pipeline.resources.database.organisation(organisation_id) as session:
            return SegmentStore(session).create(new, by="bench", at=utc_now())

    def token(self, organisation_id: str, role: Role) -> str:
        """Return a token for the API, valid for an hour."""
        secret = self.stack.settings.token_secret
        return make_token(
            secret.get_secret_value() if secret else "",
            organisation_id=organisation_id,
            actor="bench",
            role=role,
            now=utc_now(),
            lifetime=timedelta(hours=1),
        )

    def suppress(self, organisation_id: str, ids: Sequence[int]) -> None:
        """Let these employees opt out, and erase the last of them."""
        people = [(EntityType.EMPLOYEE, str(number), subscriber_hash(email(organisation_id, number))) for number in ids]
        with self.pipeline.resources.database.organisation(organisation_id) as session:
            statements = [
                ConsentStatement(
                    opted_in=False, source="bench", stated_at=utc_now(), contact=(kind, number), subscriber_hash=key
                )
                for kind, number, key in people
            ]
            record_statements(session, self.pipeline.resources.keyring, statements, by="bench", at=utc_now())
            kind, number, key = people[-1]
            erasure = Demand(kind, number, (key,), by="bench")
            ErasureStore(session, self.pipeline.resources.keyring).ask(erasure, at=utc_now())

    @contextmanager
    def without_latency(self) -> Generator[None]:
        """Let Mailchimp answer at once, for what has to be there before a figure is taken."""
        self.sandbox.configure(**_NO_LATENCY)
        yield
        self.sandbox.configure(**_LATENCY)

    def let_a_day_pass(self, segment: Segment) -> None:
        """Let the last sync of the segment's audience have been yesterday, for us and for Mailchimp."""
        self.sandbox.call("let_time_pass", list_id=segment.mailchimp_list_id, seconds=24 * 60 * 60)
        with self.pipeline.resources.database.organisation(segment.organisation_id) as session:
            for statement in _A_DAY_EARLIER:
                session.execute(text(statement))

    def start_daemon(self, module: str) -> None:
        """Start Dagster's daemon over the code location in a module."""
        self.stack.start("dagster-daemon", "dagster-daemon", "run", "-m", module)

    def dagster(self, query: LiteralString) -> float:
        """Return the number that a query finds in Dagster's own database; 0 before Dagster has made its tables."""
        url = driver_url(self.stack.environment["DAGSTER_POSTGRES_URL"])
        with suppress(psycopg.errors.UndefinedTable), psycopg.connect(url) as connection:
            row = connection.execute(query).fetchone()
            return float(row[0] or 0) if row else 0.0
        return 0.0

    def memberships(self) -> int:
        """Count who is in which segment."""
        with self.pipeline.resources.database.everyone() as session:
            return session.scalars(select(func.count()).select_from(SegmentMemberRow)).one()

    def expect_subscribed(self, list_id: str, count: int) -> None:
        """Raise where Mailchimp has not so many subscribers: a figure of work that was not done is none."""
        found = self.sandbox.statuses(list_id)
        if found != {Status.SUBSCRIBED: count}:
            raise WorkNotDone(f"The audience {list_id} was to have {count} subscribers, it has {dict(found)}.")

    def calls(self) -> int:
        """Return how often Mailchimp was asked so far."""
        return self.sandbox.counts().total.calls

    def pushes(self) -> int:
        """Return how many batches Mailchimp was sent so far."""
        return self.sandbox.counts().total.calls_to("POST", "/lists/{list_id}")


def api_key(organisation_id: str) -> str:
    """Return the key of the organisation's account."""
    return f"{organisation_id.encode().hex():0>32}-us6"


@contextmanager
def stage() -> Generator[Stage]:
    """Start it all in an empty directory, and leave nothing."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with (
        TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory,
        EmbeddedServer(Path(directory)) as server,
    ):
        hr = HumanResources.beside(server.database_url)
        settings = Settings.from_environment(
            {
                "MAILCHIMP_PIPELINE_HOME": directory,
                "MAILCHIMP_PIPELINE_API_PORT": str(free_port()),
                "MAILCHIMP_PIPELINE_SANDBOX_PORT": str(free_port()),
                "MAILCHIMP_PIPELINE_SOURCE": hr.url,
            }
        )
        with (
            sandbox_stack(settings) as stack,
            open_pipeline(stack.settings) as pipeline,
            SandboxControl(stack.sandbox_url) as sandbox,
        ):
            sandbox.configure(**_LATENCY)
            yield Stage(stack, pipeline, sandbox, hr)
