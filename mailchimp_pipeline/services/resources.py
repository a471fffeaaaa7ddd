"""The database, source and Mailchimp clients of a process, built from the settings on first use."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import RLock

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import Source
from mailchimp_pipeline.database.connection_store import Connection, ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erasure_store import DatabaseErasures
from mailchimp_pipeline.database.locks import DatabaseConnectionSlots
from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database, TimeLimits
from mailchimp_pipeline.embedded.local_state import local_state
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.erasure import Erasures
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries, Timeouts
from mailchimp_pipeline.mailchimp.api_errors import KeyRefused, NotPermitted
from mailchimp_pipeline.services.export_contact import ExportContact
from mailchimp_pipeline.services.register_webhooks import Registration
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.sources import LateSource, open_source

_POOL = 24
"""PostgreSQL connections per process. Each push writes from ten threads, for several organisations in parallel."""

_PATIENT = Retries(budget=60)
"""The retry budget of work that a later run repeats."""

OpenAccount = Callable[[str], AbstractContextManager[MailchimpClient]]
"""Opens the Mailchimp account of an organisation, by the organisation's id."""


class NotConnected(PermanentError):
    """The organisation has no live connection to Mailchimp."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(f"Organisation {organisation_id} is not connected to Mailchimp. Connect it with its API key.")


class NoSource(PermanentError):
    """The setting for the source of employees and vendors is missing."""

    def __init__(self) -> None:
        super().__init__(
            "MAILCHIMP_PIPELINE_SOURCE is not set. Set it to a directory with employees.csv and vendors.csv, or to "
            "the SQLAlchemy URL of a database that has these tables."
        )


@contextmanager
def complete_settings(settings: Settings | None = None) -> Generator[Settings]:
    """Yield complete settings: generate missing keys, and start the embedded PostgreSQL if no database URL is set.

    Raises `settings.SettingsError` if a setting is invalid or cannot be generated, and
    `embedded.postgres.EmbeddedDatabaseUnavailable` if the embedded PostgreSQL is not installed or does not start.
    """
    settings = settings or Settings.from_environment()
    if settings.database_url:
        yield local_state(settings)
        return
    with EmbeddedServer(settings.home) as server:
        yield embedded_settings(settings, server)


def embedded_settings(settings: Settings, server: EmbeddedServer) -> Settings:
    """Create or update the embedded server's tables. Return the settings with its URLs and generated keys."""
    complete = local_state(settings)
    migrate(server.database_url)
    urls = {"MAILCHIMP_PIPELINE_DATABASE_URL": server.database_url, "DAGSTER_POSTGRES_URL": server.dagster_url}
    return Settings.from_environment(urls | complete.environment())


class KeyStatusRecorder:
    """Records in the database whether Mailchimp accepts the API key of a connection.

    If the organisation has replaced the key meanwhile, nothing is recorded.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        connection: Connection,
        api_key: ApiKey,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._organisation_id = connection.organisation_id
        self._api_key = api_key
        self._clock = clock
        self._is_marked = connection.key_refused_at is not None

    def refused(self, error: KeyRefused) -> None:
        """Record that Mailchimp refused the key."""
        self._record(ConnectionStore.mark_key_refused)
        # Mailchimp accepts reads with a read-only key, which must not clear the mark.
        self._is_marked = not isinstance(error, NotPermitted)

    def accepted(self) -> None:
        """Record that Mailchimp accepts the key again, if a refusal is recorded."""
        if self._is_marked and self._record(ConnectionStore.clear_key_refused):
            self._is_marked = False

    def _record(self, change: Callable[[ConnectionStore, datetime], None]) -> bool:
        """Record the change. Return False if the database failed."""
        try:
            with self._database.organisation(self._organisation_id) as session:
                store = ConnectionStore(session, self._keyring)
                if store.api_key(lock=True) == self._api_key:
                    change(store, self._clock())
        except PipelineError:
            return False
        return True


@dataclass(frozen=True)
class Resources:
    """Database, source and Mailchimp clients, built on first use. Threads may share them."""

    settings: Settings
    database: Database
    _clients: dict[str, MailchimpClient] = field(default_factory=dict[str, MailchimpClient])
    _slots: dict[str, DatabaseConnectionSlots] = field(default_factory=dict[str, DatabaseConnectionSlots])
    _lock: RLock = field(default_factory=RLock)

    @property
    def database_url(self) -> str:
        """The database URL, with its password."""
        return _database_url(self.settings)

    @cached_property
    def keyring(self) -> Keyring:
        """The encryption keys. Raises `database.encryption.KeyringInvalid` if the setting is empty or malformed."""
        return Keyring.parse(self.settings.encryption_keys.get_secret_value())

    @cached_property
    def source(self) -> Source:
        """The source of employees and vendors, opened by the first read.

        If no source is set, each read raises `NoSource`. If the source cannot be opened, each read raises the source's
        error.
        """
        return LateSource(self._opened_source)

    def _opened_source(self) -> Source:
        if self.settings.source is None:
            raise NoSource
        return open_source(self.settings.source.get_secret_value(), self.settings.employees, self.settings.vendors)

    def audiences(self, organisation_id: str) -> MailchimpClient:
        """Return the organisation's Mailchimp client, which all threads share. Raises the errors of `client`."""
        with self._lock:
            if organisation_id not in self._clients:
                self._clients[organisation_id] = self.client(organisation_id)
            return self._clients[organisation_id]

    def client(
        self, organisation_id: str, *, retries: Retries | None = None, timeouts: Timeouts | None = None
    ) -> MailchimpClient:
        """Return a new client of the organisation's Mailchimp account. The caller must close it.

        Raises `NotConnected` if the organisation is not connected, and `database.encryption.SecretUnreadable` if its
        API key cannot be decrypted.
        """
        with self.database.organisation(organisation_id) as session:
            store = ConnectionStore(session, self.keyring)
            connection, api_key = store.live(), store.api_key()
        if connection is None or api_key is None:
            raise NotConnected(organisation_id)
        slots = self.slots(connection.account_id)
        return MailchimpClient(
            api_key,
            slots=slots,
            root=self.settings.api_root,
            retries=retries,
            timeouts=timeouts,
            proxy=self.settings.proxy,
            key_watch=self.key_status_recorder(connection, api_key),
        )

    def key_status_recorder(self, connection: Connection, api_key: ApiKey) -> KeyStatusRecorder:
        """Return a recorder of whether Mailchimp accepts the connection's API key."""
        return KeyStatusRecorder(self.database, self.keyring, connection, api_key, utc_now)

    def slots(self, account_id: str) -> DatabaseConnectionSlots:
        """Return the slots that limit the simultaneous connections to a Mailchimp account, over all processes."""
        # Two objects for one account would use more connections than Mailchimp allows.
        with self._lock:
            if account_id not in self._slots:
                self._slots[account_id] = DatabaseConnectionSlots(self.database, account_id)
            return self._slots[account_id]

    def erasures(self, mailchimp: OpenAccount | None = None, *, clock: Clock = utc_now) -> Erasures:
        """Return an `Erasures`. `mailchimp` opens an organisation's account, by default with a retry budget of 60 s."""
        records = DatabaseErasures(self.database, self.keyring, clock)
        return Erasures(records, lambda: self.source, mailchimp or self._patient_client, clock)

    def export_contact(self, mailchimp: OpenAccount | None = None) -> ExportContact:
        """Return an `ExportContact`. `mailchimp` opens an organisation's account, by default as in `erasures`."""
        return ExportContact(
            self.database, self.keyring, lambda: self.source, mailchimp or self._patient_client, utc_now
        )

    def webhook_registration(
        self,
        organisation_id: str,
        actor: str,
        mailchimp: Callable[[], AbstractContextManager[MailchimpClient]],
        *,
        clock: Clock = utc_now,
    ) -> Registration:
        """Return the `Registration` of the organisation's webhooks. `mailchimp` opens its account."""
        return Registration(
            organisation_id=organisation_id,
            actor=actor,
            public_url=self.settings.public_url,
            database=self.database,
            keyring=self.keyring,
            clock=clock,
            mailchimp=mailchimp,
        )

    def _patient_client(self, organisation_id: str) -> MailchimpClient:
        return self.client(organisation_id, retries=_PATIENT)

    def close(self) -> None:
        """Close all Mailchimp clients and connection slots."""
        for each in (*self._clients.values(), *self._slots.values()):
            each.close()


@contextmanager
def open_resources(settings: Settings | None = None, *, time_limits: TimeLimits | None = None) -> Generator[Resources]:
    """Yield the resources for the settings, completed as by `complete_settings`. Close them at the end."""
    with ExitStack() as stack:
        complete = stack.enter_context(complete_settings(settings))
        database = Database(_database_url(complete), pool_size=_POOL, time_limits=time_limits)
        stack.enter_context(database)
        yield stack.enter_context(closing(Resources(complete, database)))


def _database_url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ValueError("the settings are not complete: see `complete_settings`")
    return settings.database_url.get_secret_value()
