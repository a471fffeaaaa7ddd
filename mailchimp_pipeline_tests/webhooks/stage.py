"""The API at an address that the sandbox can call, and webhooks of which a test knows path and secret."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import select

from api.app import create_app
from api.composition import api_parts
from api.limits import Rate, Rates
from api.serving import Server, listen
from api.webhooks import PATH
from mailchimp_pipeline.assembly import open_parts
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.preferences import Preference, PreferenceStore
from mailchimp_pipeline.database.tables import AudienceMemberRow, WebhookRow
from mailchimp_pipeline.database.webhooks import WebhookStore
from mailchimp_pipeline.sandbox import Sandbox
from mailchimp_pipeline_tests.api.procedures.stage import IMPATIENT, Stage, Tenant, settings_for
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.database.builders import LIST, a_member, a_segment, put_members
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS
from mailchimp_pipeline_tests.webhooks.calls import ANN, SECRET, signed

FORM = "application/x-www-form-urlencoded"
_ENDLESS = Rate(burst=1_000_000, per_second=1_000_000)


@contextmanager
def a_public_stage(database_url: str, files: Path, sandbox: Sandbox) -> Generator[Stage]:
    """Serve the API until the end of the block; the settings say where it is."""
    with listen(0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = settings_for(database_url, files, sandbox, MAILCHIMP_PIPELINE_PUBLIC_URL=url)
        with open_parts(settings) as parts:
            served = replace(api_parts(parts, patience=IMPATIENT), rates=Rates(_ENDLESS, _ENDLESS))
            ready = Event()
            server = Server(create_app(served), ready.set, 1)
            thread = Thread(target=server.run, args=([listener],))
            thread.start()
            try:
                assert ready.wait(PATIENCE_SECONDS), "the API did not start"
                yield Stage(url, parts, sandbox, files)
            finally:
                server.should_exit = True
                thread.join()


@dataclass(frozen=True)
class Hook:
    """A webhook of an audience that has Ann, employee 1, in a segment."""

    stage: Stage
    organisation_id: str
    token: str
    secret: str | None

    @property
    def path(self) -> str:
        return f"{PATH}/{self.token}"

    def call(self, body: bytes, *, signature: str | None = None, **headers: str) -> Answer:
        """Call it as Mailchimp does, signed for it now where no signature is given."""
        if signature is None and self.secret is not None:
            signature = signed(body, at=datetime.now(UTC), secret=self.secret)
        known = {"content-type": FORM} | ({"x-mailchimp-signature": signature} if signature else {})
        return send(self.stage.port, self.path, "POST", body, known | headers)

    def status(self, address: str = ANN) -> str | None:
        """Return how the ledger has the member; None where it is not there."""
        with self.stage.parts.database.organisation(self.organisation_id) as session:
            row = session.get(AudienceMemberRow, (self.organisation_id, LIST, subscriber_hash(address)))
            return row and row.status

    def preference(self) -> Preference | None:
        with self.stage.parts.database.organisation(self.organisation_id) as session:
            return PreferenceStore(session, self.stage.parts.keyring).get(EntityType.EMPLOYEE, "1")


def a_hook(stage: Stage, organisation_id: str, *, secret: str | None = SECRET, is_made: bool = True) -> Hook:
    """Make a webhook without asking Mailchimp."""
    database, at = stage.parts.database, datetime.now(UTC)
    put_members(database, a_segment(database, organisation_id), a_member(ANN))
    with database.organisation(organisation_id) as session:
        store = WebhookStore(session, stage.parts.keyring)
        token = store.begin(LIST, at=at)
        if is_made:
            store.finish(token, "w1", secret, by="alice", at=at)
    return Hook(stage, organisation_id, token, secret)


def kept(tenant: Tenant) -> list[WebhookRow]:
    """Return what the database holds of the organisation's webhooks."""
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        ours = WebhookRow.organisation_id == tenant.organisation_id
        return list(session.scalars(select(WebhookRow).where(ours)))
