"""The client of one Mailchimp account. Implements the port `sync.Audiences`."""

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
    """The client of one Mailchimp account. Threads may share it. Every call may raise the errors of `mailchimp.errors`.

    `slots` are the account's connections: each request holds one, a pause before a retry holds none. `key_watch` is
    called when Mailchimp accepts or refuses the API key. `proxy` is the URL of an HTTP proxy.
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
        """Time of Mailchimp's last answer, by Mailchimp's clock, in whole seconds. None before the first answer."""
        return self._transport.server_time

    def one_connection(self) -> AbstractContextManager[None]:
        """Reserve one connection for this thread's calls in the block, which then never wait for a free connection."""
        return self._transport.one_slot()

    def close(self) -> None:
        """Close the HTTP connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
