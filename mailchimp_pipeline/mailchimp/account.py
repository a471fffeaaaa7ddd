"""Calls about the account of an API key."""

from mailchimp_pipeline.mailchimp.calls import Call
from mailchimp_pipeline.mailchimp.models import AccountEntry, Health
from mailchimp_pipeline.mailchimp.transport import Transport


class AccountCalls:
    """Calls about the account."""

    _transport: Transport

    def account(self) -> AccountEntry:
        """Return the account. Raises `KeyRefused` if Mailchimp does not accept the key."""
        fields = {"fields": "account_id,account_name,role"}
        return self._transport.fetch(Call("GET", "/", "asking for the account of the API key", fields), AccountEntry)

    def ping(self) -> None:
        """Check that Mailchimp answers and accepts the key. Raises the errors of `mailchimp.errors` otherwise."""
        self._transport.fetch(Call("GET", "/ping", "asking whether Mailchimp is there"), Health)
