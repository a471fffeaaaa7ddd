"""Control operations on accounts, API keys, audiences and merge fields."""

from sandbox.control.operations import Operations
from sandbox.model.accounts import Account
from sandbox.model.audiences import Description
from sandbox.model.merge_fields import Kind, MergeFieldChange
from sandbox.model.state import SandboxResourceError


class AccountControls(Operations):
    """Create and change accounts, audiences and merge fields."""

    def add_account(self, key: str, name: str = "Acme", account_id: str | None = None, role: str = "owner") -> str:
        """Create an account with an API key and return its id. `role` is the role of the key's user."""
        with self._state.lock:
            chosen = account_id or self._state.new_id()
            if chosen in self._state.accounts:
                msg = f"The sandbox has an account {chosen} already. Use another id."
                raise SandboxResourceError(msg)
            account = Account(chosen, name, self._state.now(), role)
            self._state.add_key(account, key)
            self._state.accounts[chosen] = account
            return chosen

    def add_key(self, account_id: str, key: str) -> None:
        """Add an API key to an account."""
        with self._state.lock:
            self._state.add_key(self._state.account(account_id), key)

    def revoke_key(self, key: str) -> None:
        """Revoke an API key. Revoking an unknown key does nothing."""
        with self._state.lock:
            self._state.keys.pop(key, None)

    def set_deactivated(self, account_id: str, *, deactivated: bool = True) -> None:
        """Deactivate or reactivate an account."""
        with self._state.lock:
            self._state.account(account_id).deactivated = deactivated

    def set_role(self, account_id: str, role: str) -> None:
        """Set the role of the user behind an account's keys. A viewer may not change anything."""
        with self._state.lock:
            self._state.account(account_id).role = role

    def add_audience(
        self,
        account_id: str,
        name: str = "Staff",
        list_id: str | None = None,
        *,
        double_optin: bool = False,
        marketing_permissions: bool = False,
    ) -> str:
        """Create an empty audience with Mailchimp's four default merge fields and return its id."""
        description = Description(name, double_optin=double_optin, marketing_permissions=marketing_permissions)
        with self._state.lock:
            return self._state.add_audience(self._state.account(account_id), description, list_id).id

    def remove_audience(self, list_id: str) -> None:
        """Delete an audience with its members and campaigns."""
        with self._state.lock:
            self._state.remove_audience(list_id)

    def add_merge_field(self, list_id: str, tag: str, kind: Kind = "text", *, required: bool = False) -> int:
        """Create a merge field in an audience and return its id."""
        requested = MergeFieldChange(tag=tag, name=tag, required=required)
        with self._state.lock:
            return self._state.audience(list_id).merge_fields.add(kind, requested).merge_id

    def require_merge_field(self, list_id: str, tag: str, *, required: bool = True) -> None:
        """Make a merge field required or optional."""
        with self._state.lock:
            fields = self._state.audience(list_id).merge_fields
            field = fields.named(tag)
            if field is None:
                msg = f"Audience {list_id} has no merge field {tag}. Add it with add_merge_field."
                raise SandboxResourceError(msg)
            fields.change(field.merge_id, MergeFieldChange(required=required))

    def has_merge_field(self, list_id: str, tag: str) -> bool:
        """Return whether an audience has a merge field."""
        with self._state.lock:
            return self._state.audience(list_id).merge_fields.named(tag) is not None

    def remove_merge_field(self, list_id: str, tag: str) -> None:
        """Delete a merge field of an audience."""
        with self._state.lock:
            fields = self._state.audience(list_id).merge_fields
            field = fields.named(tag)
            if field is not None:
                fields.remove(field.merge_id)
