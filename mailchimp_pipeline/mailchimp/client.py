"""The Marketing API of one account, as one object. It fulfils the port `sync.Audiences`."""

from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Self

from mailchimp_pipeline.connections import API_ROOT, ApiKey, root_for
from mailchimp_pipeline.mailchimp.account import AccountCalls
from mailchimp_pipeline.mailchimp.audiences import AudienceCalls
from mailchimp_pipeline.mailchimp.campaigns import CampaignCalls
from mailchimp_pipeline.mailchimp.members import MemberCalls
from mailchimp_pipeline.mailchimp.retries import Retries
from mailchimp_pipeline.mailchimp.slots import ConnectionSlots
from mailchimp_pipeline.mailchimp.transport import KeyWatch, Timeouts, Transport
from mailchimp_pipeline.mailchimp.webhooks import WebhookCalls


class MailchimpClient(AccountCalls, AudienceCalls, MemberCalls, CampaignCalls, WebhookCalls):
    """One account at Mailchimp; threads may share it. Every call may raise the errors of `mailchimp.errors`.

    `slots` are the account's connections: each request holds one, a pause before a retry holds none.
    `key_watch` is called when Mailchimp accepts or refuses the key. `proxy` is the URL of an HTTP proxy.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that a caller may choose
        self,
        api_key: ApiKey,
        *,
        slots: ConnectionSlots,
        root: str = API_ROOT,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        proxy: str | None = None,
        key_watch: KeyWatch | None = None,
    ) -> None:
        self._transport = Transport(
            api_key,
            root_for(api_key, root),
            slots=slots,
            timeouts=timeouts or Timeouts(),
            retries=retries or Retries(),
            proxy=proxy,
            key_watch=key_watch,
        )

    @property
    def server_time(self) -> datetime | None:
        """When Mailchimp sent its last answer, by its own clock, to the second; None before the first."""
        return self._transport.server_time

    def one_connection(self) -> AbstractContextManager[None]:
        """Make the calls of the block, in this thread, over one connection: nothing is waited for between them."""
        return self._transport.one_slot()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
