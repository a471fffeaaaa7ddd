"""What each procedure is given: who calls, and the parts of the pipeline, narrowed to the caller's organisation.

What does not belong here: what a procedure does.
"""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace

from api.auth import Caller
from api.procedures.deadline import TimedSlots
from api.trpc import Role
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.database.locks import DatabaseConnectionSlots
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp import ConnectionSlots as Slots
from mailchimp_pipeline.mailchimp import KeyWatch, MailchimpClient, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.services.propagate_opt_outs import propagate_opt_outs
from mailchimp_pipeline.services.register_webhooks import Registration
from mailchimp_pipeline.services.resources import NotConnected, Resources

_log = logger("api.procedures")

_SLOT_SECONDS = 5.0
"""How long a call waits while syncs use all of the account's connections."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits: for Mailchimp, and for its turn at what costs much."""

    retries: Retries
    timeouts: Timeouts
    mailchimp_seconds: float = 20.0
    """From when Mailchimp is opened; after that no request is begun, and what it was for is left to the next run."""
    turn_seconds: float = 15.0


PATIENCE = Patience(
    Retries(budget=10.0, first_pause=0.5, longest_pause=4.0), Timeouts(connect=5.0, read=10.0, total=20.0)
)
"""That of a person who waits for the answer, and can ask again."""


@dataclass(frozen=True, slots=True)
class Context:
    """A call by `caller`, served with `parts`."""

    caller: Caller
    parts: Resources
    patience: Patience = PATIENCE
    clock: Clock = utc_now
    mailchimp_until: float | None = None
    """By the monotonic clock; None: each time that Mailchimp is opened the time begins anew."""

    def in_time(self) -> "Context":
        """Return the call with one time for Mailchimp, however often that is opened."""
        return replace(self, mailchimp_until=self._mailchimp_until)

    @property
    def _mailchimp_until(self) -> float:
        if self.mailchimp_until is not None:
            return self.mailchimp_until
        return time.monotonic() + self.patience.mailchimp_seconds

    @property
    def actor(self) -> str:
        """Who calls, for the audit log."""
        return self.caller.actor

    @property
    def organisation_id(self) -> str:
        """Whose rows there are."""
        return self.caller.organisation_id

    @property
    def role(self) -> Role:
        """What the caller may do."""
        return self.caller.role

    def session(self) -> AbstractContextManager[OrganisationSession]:
        """Open a transaction of the organisation; never around a call to Mailchimp, which may take long."""
        return self.parts.database.organisation(self.organisation_id)

    @contextmanager
    def mailchimp(self) -> Generator[MailchimpClient]:
        """Yield the organisation's Mailchimp. Raises `NotConnected`. What it makes of the key is noted.

        With the key as it is now: another process may have replaced it since the last call.
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
        """Return what makes and removes the organisation's webhooks."""
        return self.parts.webhook_registration(self.organisation_id, self.actor, self.mailchimp, clock=self.clock)

    def propagate_opt_outs(self) -> None:
        """Push opt-outs to Mailchimp at once. Where it does not answer the next run does: nobody asks again."""
        records = DatabaseRecords(self.parts.database, self.parts.keyring, self.clock)
        try:
            propagate_opt_outs(self.organisation_id, self.mailchimp, records=records)
        except PipelineError as error:
            _log.warning("opt-outs outstanding", organisation_id=self.organisation_id, failure=type(error).__name__)

    def mailchimp_of(self, api_key: ApiKey) -> MailchimpClient:
        """Return the Mailchimp that a key opens, for one call. Whose slots that takes, only its answer says."""
        return self._client(api_key, ThreadSlots(1))

    def _client(self, api_key: ApiKey, slots: Slots, key_watch: KeyWatch | None = None) -> MailchimpClient:
        return MailchimpClient(
            api_key,
            slots=TimedSlots(slots, self._mailchimp_until),
            root=self.parts.settings.api_root,
            retries=self.patience.retries,
            timeouts=self.patience.timeouts,
            proxy=self.parts.settings.proxy,
            key_watch=key_watch,
        )
