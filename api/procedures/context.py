"""The context of a call: the caller, the parts of the pipeline for the caller's organisation, and the deadline."""

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace

from api.auth import Caller
from api.trpc import Role
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.locks import DatabaseConnectionSlots
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.errors import PipelineError, TransientError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import ConnectionSlots, KeyWatch, MailchimpClient, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.services.propagate_opt_outs import propagate_opt_outs
from mailchimp_pipeline.services.register_webhooks import Registration
from mailchimp_pipeline.services.resources import NotConnected, Resources


class OutOfTime(TransientError):
    """The call's deadline passed before all its requests to Mailchimp were begun."""

    def __init__(self) -> None:
        super().__init__("Mailchimp answered too slowly for all of it to be asked in time. Try again later.")


@dataclass(frozen=True, slots=True)
class TimedSlots:
    """The connection slots of a Mailchimp account, with a deadline.

    After `end`, a value of `clock`, no request to Mailchimp may begin.
    """

    slots: ConnectionSlots
    end: float
    clock: Callable[[], float] = time.monotonic

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold a connection slot during the block; wait until one is free. Raises `OutOfTime` if `end` has passed."""
        if self.clock() > self.end:
            raise OutOfTime
        with self.slots.slot():
            yield


_log = logger("api.procedures")

_SLOT_SECONDS = 5.0
"""How many seconds a call waits while syncs use all connections of the account."""


@dataclass(frozen=True, slots=True)
class CallBudget:
    """How much time an API call may spend on requests to Mailchimp."""

    retries: Retries
    timeouts: Timeouts
    mailchimp_seconds: float = 20.0
    """The seconds after the opening of a client in which requests to Mailchimp may begin. The next run does the
    rest."""


CALL_BUDGET = CallBudget(
    Retries(budget=10.0, first_pause=0.5, longest_pause=4.0), Timeouts(connect=5.0, read=10.0, total=20.0)
)
"""The limits of API calls. They are short, because a person waits for the answer and can try again."""


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a procedure call: its caller, and the resources that serve it (`parts`)."""

    caller: Caller
    parts: Resources
    budget: CallBudget = CALL_BUDGET
    clock: Clock = utc_now
    mailchimp_until: float | None = None
    """The `time.monotonic()` value after which no request to Mailchimp begins. If None, each client has
    `budget.mailchimp_seconds` of its own."""

    def in_time(self) -> "Context":
        """Return a copy of this context whose Mailchimp clients share one deadline, by default counted from now."""
        return replace(self, mailchimp_until=self._mailchimp_until)

    @property
    def _mailchimp_until(self) -> float:
        if self.mailchimp_until is not None:
            return self.mailchimp_until
        return time.monotonic() + self.budget.mailchimp_seconds

    @property
    def actor(self) -> str:
        """The name of the caller in the audit log."""
        return self.caller.actor

    @property
    def organisation_id(self) -> str:
        """The organisation whose rows the caller sees."""
        return self.caller.organisation_id

    @property
    def role(self) -> Role:
        """The role of the caller: viewer, editor or admin."""
        return self.caller.role

    def session(self) -> AbstractContextManager[OrganisationSession]:
        """Open a database transaction of the organisation. Never call Mailchimp in it, because that may take long."""
        return self.parts.database.organisation(self.organisation_id)

    @contextmanager
    def mailchimp(self) -> Generator[MailchimpClient]:
        """Yield a client for the organisation's Mailchimp account. It records whether Mailchimp refuses the API key.

        The key is read from the database each time, because another process may have replaced it. Raises `NotConnected`
        if the organisation is not connected.
        """
        with self.session() as session:
            store = ConnectionStore(session, self.parts.keyring)
            connection, api_key = store.live(), store.api_key()
        if connection is None or api_key is None:
            raise NotConnected(self.organisation_id)
        slots = DatabaseConnectionSlots(self.parts.database, connection.account_id, wait_seconds=_SLOT_SECONDS)
        notes = self.parts.key_status_recorder(connection, api_key)
        with closing(slots), self._client(api_key, slots, notes) as client:
            yield client

    def webhook_registration(self) -> Registration:
        """Return the `Registration` that registers and removes the organisation's webhooks."""
        return self.parts.webhook_registration(self.organisation_id, self.actor, self.mailchimp, clock=self.clock)

    def propagate_opt_outs(self) -> None:
        """Push the organisation's opt-outs to Mailchimp. If that fails, the next run pushes them."""
        records = DatabaseRecords(self.parts.database, self.parts.keyring, self.clock)
        try:
            propagate_opt_outs(self.organisation_id, self.mailchimp, records=records)
        except PipelineError as error:
            _log.warning("opt-outs outstanding", organisation_id=self.organisation_id, failure=type(error).__name__)

    def mailchimp_of(self, api_key: ApiKey) -> MailchimpClient:
        """Return a client for an API key. It takes no slots of an account, because the account is not known yet."""
        return self._client(api_key, ThreadSlots(1))

    def _client(self, api_key: ApiKey, slots: ConnectionSlots, key_watch: KeyWatch | None = None) -> MailchimpClient:
        return MailchimpClient(
            api_key,
            slots=TimedSlots(slots, self._mailchimp_until),
            root=self.parts.settings.api_root,
            retries=self.budget.retries,
            timeouts=self.budget.timeouts,
            proxy=self.parts.settings.proxy,
            key_watch=key_watch,
        )
