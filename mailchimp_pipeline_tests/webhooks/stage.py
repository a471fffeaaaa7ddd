"""An API that the sandbox can call, and webhooks with a known path and secret."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import select

from api.app import api_parts, create_app
from api.serving import ApiServer, listen
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.consent import ConsentStatement, Preference
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.contact_data import contact_data
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.tables import AudienceMemberRow, WebhookRow
from mailchimp_pipeline.database.webhook_store import WebhookStore
from mailchimp_pipeline.mailchimp.webhook_events import PATH
from mailchimp_pipeline.services.pull_audiences import pull_audiences
from mailchimp_pipeline.services.resources import open_resources
from mailchimp_pipeline_tests.api.procedures.stage import NO_PAUSES, Stage, Tenant, a_tenant, settings_for
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.database.builders import a_member, a_segment, put_members
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from mailchimp_pipeline_tests.webhooks.calls import ANN, SECRET, a_form, signed
from sandbox import Sandbox, Seed

FORM = "application/x-www-form-urlencoded"
EMPLOYEE = (EntityType.EMPLOYEE, "1")


@contextmanager
def a_stage_with_url(database_url: str, files: Path, sandbox: Sandbox) -> Generator[Stage]:
    """Run the API until the end of the block, with its own URL in the settings."""
    with listen(0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = settings_for(database_url, files, sandbox, MAILCHIMP_PIPELINE_PUBLIC_URL=url)
        with open_resources(settings) as parts:
            ready = Event()
            server = ApiServer(create_app(api_parts(parts, budget=NO_PAUSES)), ready.set, 1)
            thread = Thread(target=server.run, args=([listener],))
            thread.start()
            try:
                assert ready.wait(TIMEOUT_SECONDS), "the API did not start"
                yield Stage(url, parts, sandbox, files)
            finally:
                server.should_exit = True
                thread.join()


@dataclass(frozen=True)
class Hook:
    """A webhook of an audience that contains Ann, employee 1. The test calls it in place of Mailchimp."""

    tenant: Tenant
    token: str
    secret: str | None

    @property
    def path(self) -> str:
        return f"{PATH}/{self.token}"

    @property
    def port(self) -> int:
        return self.tenant.stage.port

    @property
    def sandbox(self) -> Sandbox:
        return self.tenant.stage.sandbox

    def form(self, kind: str = "unsubscribe", *, at: datetime | None = None, **data: str) -> bytes:
        """Return the body of a call about Ann, with the current time by default."""
        return a_form(kind, at=at or datetime.now(UTC), **{"list_id": self.tenant.list_id} | data)

    def call(self, body: bytes, *, signature: str | None = None, **headers: str) -> Answer:
        """Call the webhook as Mailchimp does, with a current signature by default."""
        if signature is None and self.secret is not None:
            signature = signed(body, at=datetime.now(UTC), secret=self.secret)
        known = {"content-type": FORM} | ({"x-mailchimp-signature": signature} if signature else {})
        return send(self.port, self.path, "POST", body, known | headers)

    def send_event(self, kind: str = "unsubscribe", *, at: datetime | None = None, **data: str) -> int:
        """Call the webhook about Ann and return the status of the answer."""
        return self.call(self.form(kind, at=at, **data)).status

    def status(self, address: str = ANN) -> str | None:
        return status_of(self.tenant, address)

    def preference(self) -> Preference | None:
        return preference_of(self.tenant)

    def statements(self) -> list[ConsentStatement]:
        return statements_of(self.tenant)


def a_hook(stage: Stage, *, secret: str | None = SECRET, is_made: bool = True) -> Hook:
    """Create a webhook without Mailchimp, for an audience that Ann joined after its last pull."""
    tenant = a_tenant(stage, connected=True)
    records = DatabaseRecords(stage.parts.database, stage.parts.keyring, utc_now)
    with closing(stage.parts.client(tenant.organisation_id)) as mailchimp:
        pull_audiences(tenant.organisation_id, mailchimp, records=records, clock=utc_now)
    stage.sandbox.add_members(tenant.list_id, [Seed(email_address=ANN)])
    create_segment_with_ann(tenant, tenant.list_id)
    with stage.parts.database.organisation(tenant.organisation_id) as session:
        store = WebhookStore(session, stage.parts.keyring)
        token = store.begin(tenant.list_id, at=datetime.now(UTC))
        if is_made:
            store.finish(token, "w1", secret, by="alice", at=datetime.now(UTC))
    return Hook(tenant, token, secret)


def create_segment_with_ann(tenant: Tenant, list_id: str) -> None:
    """Create a segment of the audience with Ann, employee 1."""
    database = tenant.stage.parts.database
    put_members(database, a_segment(database, tenant.organisation_id, list_id=list_id), a_member(ANN))


def status_of(tenant: Tenant, address: str = ANN, list_id: str | None = None) -> str | None:
    """Return the member's status in the ledger, or None."""
    key = (tenant.organisation_id, list_id or tenant.list_id, subscriber_hash(address))
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        row = session.get(AudienceMemberRow, key)
        return row and row.status


def preference_of(tenant: Tenant) -> Preference | None:
    """Return Ann's preference."""
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        return PreferenceStore(session).get(*EMPLOYEE)


def statements_of(tenant: Tenant) -> list[ConsentStatement]:
    """Return Ann's consent statements."""
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        return list(contact_data(session, tenant.stage.parts.keyring, EMPLOYEE).statements)


def stored_webhooks(tenant: Tenant) -> list[WebhookRow]:
    """Return the organisation's stored webhooks."""
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        ours = WebhookRow.organisation_id == tenant.organisation_id
        return list(session.scalars(select(WebhookRow).where(ours)))
