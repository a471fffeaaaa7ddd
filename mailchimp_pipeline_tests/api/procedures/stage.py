"""A running API with PostgreSQL, source files and the sandbox, and one tenant for each organisation."""

import csv
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

from api.app import api_parts, create_app
from api.procedures.context import CallBudget
from api.serving import in_thread
from api.trpc import Role
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.mailchimp import Retries, Timeouts
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.api.served import SECRET, a_token
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.source_fake import backdate
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Sandbox

NO_INPUT = object()
"""No input, as opposed to null."""

NO_PAUSES = CallBudget(
    Retries(budget=1.5, first_pause=0.05, sleep=lambda _seconds: None, clock=lambda: 0.0),
    Timeouts(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS),
)
"""Retries without pauses. Only the pauses count against the budget, so slow machines change nothing."""

_COLUMNS = (
    "organisation_id",
    "id",
    "email",
    "first_name",
    "last_name",
    "department",
    "location",
    "employment_type",
    "employment_status",
)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A running API and its dependencies."""

    url: str
    parts: Resources
    sandbox: Sandbox
    files: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation with a Mailchimp account that has one audience."""

    stage: Stage
    organisation_id: str
    api_key: str
    account_id: str
    list_id: str
    actor: str = "alice"

    def ask(self, target: str, *, method: str = "GET", value: object = NO_INPUT, role: Role = Role.ADMIN) -> Answer:
        """Send a request to a path under the tRPC prefix. `value` is the JSON body."""
        body = None if value is NO_INPUT else json.dumps(value)
        token = a_token(organisation_id=self.organisation_id, actor=self.actor, role=role)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return send(self.stage.port, f"/api/trpc/mailchimp.{target}", method, body, headers)

    def query(self, path: str, value: object = NO_INPUT, *, role: Role = Role.VIEWER) -> Answer:
        suffix = "" if value is NO_INPUT else f"?input={quote(json.dumps(value))}"
        return self.ask(path + suffix, role=role)

    def mutate(self, path: str, value: object = NO_INPUT, *, role: Role = Role.ADMIN) -> Answer:
        return self.ask(path, method="POST", value=value, role=role)

    def connect(self) -> Answer:
        return self.mutate("connection.connect", {"apiKey": self.api_key})

    def create(self, **changed: object) -> Answer:
        wanted = {"name": "Everybody", "segmentType": "mixed", "mailchimpListId": self.list_id}
        return self.mutate("segments.create", wanted | changed)

    def sync(self, *segment_ids: str) -> None:
        """Sync these segments as a run does, or else all segments of the first page."""
        wanted = segment_ids or [segment["id"] for segment in self.query("segments.list").data["items"]]
        keys = [f"{self.organisation_id}/{segment_id}" for segment_id in wanted]
        list(Pipeline(self.stage.parts).sync(keys, run_id=f"run-{next(_numbers)}", push=True))

    def add_member(self, address: str, entity_id: str, *, entity_type: EntityType = EntityType.EMPLOYEE) -> None:
        """Record a contact at the address as a member of an audience of its own, which a segment feeds."""
        audience = self.stage.sandbox.add_audience(self.account_id, f"Audience of {entity_id}")
        assert self.create(mailchimpListId=audience).status == 200
        member = AudienceMemberRow(
            organisation_id=self.organisation_id,
            mailchimp_list_id=audience,
            subscriber_hash=subscriber_hash(address),
            entity_type=entity_type.value,
            entity_id=entity_id,
            status="subscribed",
        )
        with self.stage.parts.database.organisation(self.organisation_id) as session:
            session.add(member)

    def audit_actions(self) -> list[str]:
        """Return the actions of the audit log, latest first."""
        return [entry["action"] for entry in self.query("audit.list").data["items"]]

    def add_employees(self, *people: Mapping[str, str]) -> None:
        """Add employees to the source file."""
        with (self.stage.files / "employees.csv").open("a", encoding="utf-8", newline="") as file:
            for number, person in enumerate(people, start=1):
                row = _an_employee(self.organisation_id, number) | dict(person)
                csv.writer(file).writerow([row[column] for column in _COLUMNS])
        backdate(self.stage.files / "employees.csv")

    def remove_employees(self) -> None:
        """Remove all employees, of every organisation, from the source file."""
        _write_header(self.stage.files / "employees.csv")


def a_tenant(stage: Stage, *, connected: bool = False) -> Tenant:
    """Create an organisation."""
    number = next(_numbers)
    api_key = f"{number:032x}-us6"
    account_id = stage.sandbox.add_account(api_key, f"Acme {number}")
    tenant = Tenant(stage, f"acme-{number}", api_key, account_id, stage.sandbox.add_audience(account_id, "Staff"))
    if connected:
        assert tenant.connect().status == 200
    return tenant


@contextmanager
def a_stage(database_url: str, files: Path, sandbox: Sandbox, *, budget: CallBudget = NO_PAUSES) -> Generator[Stage]:
    """Run the API until the end of the block."""
    for name in ("employees", "vendors"):
        _write_header(files / f"{name}.csv")
    with (
        open_resources(settings_for(database_url, files, sandbox)) as parts,
        in_thread(create_app(api_parts(parts, budget=budget)), grace_seconds=1) as url,
    ):
        yield Stage(url, parts, sandbox, files)


def settings_for(database_url: str, files: Path, sandbox: Sandbox, **more: str) -> Settings:
    environment: dict[str, str] = {
        "MAILCHIMP_PIPELINE_DATABASE_URL": database_url,
        "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": "test:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
        "MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET,
        "MAILCHIMP_PIPELINE_SOURCE": str(files),
        "MAILCHIMP_API_ROOT": sandbox.api_root,
    }
    return Settings.from_environment(environment | more)


def parse_time(text: str) -> datetime:
    """Parse a time of the API. Its text cannot be compared: full seconds have no fraction."""
    return datetime.fromisoformat(text)


def _write_header(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(_COLUMNS)
    backdate(path)


def _an_employee(organisation_id: str, number: int) -> dict[str, str]:
    return {
        "organisation_id": organisation_id,
        "id": str(number),
        "email": f"person{number}@{organisation_id}.test",
        "first_name": "Ann",
        "last_name": "Lee",
        "department": "Sales",
        "location": "Berlin",
        "employment_type": "full-time",
        "employment_status": "active",
    }
