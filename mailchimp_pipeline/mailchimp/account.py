"""Calls about the account that a key belongs to."""

from mailchimp_pipeline.mailchimp.calls import Call
from mailchimp_pipeline.mailchimp.models import AccountEntry, Health
from mailchimp_pipeline.mailchimp.transport import Transport


class AccountCalls:
    """The account."""

    _transport: Transport

    def account(self) -> AccountEntry:
        """Return the account; `KeyRefused` where Mailchimp does not accept the key."""
        fields = {"fields": "account_id,account_name,role"}
        return self._transport.fetch(Call("GET", "/", "asking for the account of the API key", fields), AccountEntry)

    def ping(self) -> None:
        """Return where Mailchimp answers and accepts the key; otherwise its error says why not."""
        self._transport.fetch(Call("GET", "/ping", "asking whether Mailchimp is there"), Health)
