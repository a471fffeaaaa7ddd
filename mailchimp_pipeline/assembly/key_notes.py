"""What Mailchimp makes of an organisation's key, noted on its connection: that it is refused, or taken again.

What does not belong here: which answer is a refusal (`mailchimp`).
"""

from collections.abc import Callable
from datetime import datetime

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.connections import Connection, ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.mailchimp.errors import KeyRefused, NotPermitted


class KeyNotes:
    """A `mailchimp.KeyWatch` of one client. Nothing is noted where another key took its place meanwhile."""

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
        """Note that the key was refused."""
        self._note(ConnectionStore.mark_key_refused)
        # Who may read but not write is answered in between: that says nothing of what was not permitted.
        self._is_marked = not isinstance(error, NotPermitted)

    def accepted(self) -> None:
        """Note that a key that had been refused is taken again."""
        if self._is_marked and self._note(ConnectionStore.clear_key_refused):
            self._is_marked = False

    def _note(self, what: Callable[[ConnectionStore, datetime], None]) -> bool:
        """Write it down; false where that is not possible now."""
        try:
            with self._database.organisation(self._organisation_id) as session:
                store = ConnectionStore(session, self._keyring)
                if store.api_key(lock=True) == self._api_key:
                    what(store, self._clock())
        except PipelineError:
            return False
        return True
