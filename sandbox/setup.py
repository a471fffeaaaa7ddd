"""The initial content of a sandbox, also as a JSON file."""

from pydantic import BaseModel, ConfigDict

from sandbox.control import Controls
from sandbox.control.members import Seed
from sandbox.model.behaviours import Behaviours
from sandbox.model.faults import Fault


class _SetupModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AudienceSetup(_SetupModel):
    """An audience to create."""

    name: str = "Staff"
    list_id: str | None = None
    double_optin: bool = False
    marketing_permissions: bool = False
    members: tuple[Seed, ...] = ()


class AccountSetup(_SetupModel):
    """An account to create."""

    key: str
    name: str = "Acme"
    account_id: str | None = None
    audiences: tuple[AudienceSetup, ...] = ()


class Setup(_SetupModel):
    """Accounts, behaviours and faults to start with."""

    accounts: tuple[AccountSetup, ...] = ()
    behaviours: Behaviours = Behaviours()
    faults: tuple[Fault, ...] = ()

    def apply(self, controls: Controls) -> None:
        """Apply the setup to an empty sandbox."""
        controls.configure(**self.behaviours.model_dump())
        for account in self.accounts:
            account_id = controls.add_account(account.key, account.name, account.account_id)
            for audience in account.audiences:
                _add(controls, account_id, audience)
        for fault in self.faults:
            controls.add_fault(fault)


def _add(controls: Controls, account_id: str, audience: AudienceSetup) -> None:
    list_id = controls.add_audience(
        account_id,
        audience.name,
        audience.list_id,
        double_optin=audience.double_optin,
        marketing_permissions=audience.marketing_permissions,
    )
    controls.add_members(list_id, audience.members)
