"""The state of the sandbox: accounts, keys, behaviours, faults and counts.

One lock guards all of it: readers and writers hold `lock`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from threading import RLock

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.errors import PermanentError
from sandbox.model import problems
from sandbox.model.accounts import Account
from sandbox.model.audiences import Audience, Description
from sandbox.model.behaviours import Behaviours
from sandbox.model.campaigns import Campaign
from sandbox.model.faults import FaultPlan
from sandbox.model.hooks import Hooks
from sandbox.model.journal import Journal
from sandbox.model.member_listing import MemberListing
from sandbox.model.member_writer import MemberWriter
from sandbox.model.members import Actor, ChangeOrigin
from sandbox.model.recorder import Recorder
from sandbox.model.signup_limits import SignupLimits
from sandbox.model.webhooks import Delivery


class SandboxResourceError(PermanentError):
    """An operation names a resource that does not exist, or creates one that exists already."""


class SandboxState:
    """The state of one sandbox."""

    def __init__(self, clock: Clock, seed: int, send: Callable[[Delivery], None]) -> None:
        """Start empty. Equal seeds give equal ids and faults. `send` takes webhook deliveries."""
        self.lock = RLock()
        self.clock = clock
        self.send = send
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Reset everything, including behaviours and faults."""
        self._random = Random(self._seed)  # noqa: S311 -- repeatable on purpose; no secret is drawn from it
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Account] = {}
        self.listings: dict[str, MemberListing] = {}
        self.behaviours = Behaviours()
        self.faults = FaultPlan(self._seed)
        self.limits = SignupLimits()
        self.hooks = Hooks()
        self.journal = Journal()
        self.recorder = Recorder()
        self._audiences: dict[str, Audience] = {}
        self._campaigns: dict[str, Campaign] = {}
        self._last_web_id = 0

    def now(self) -> datetime:
        """Return the time of Mailchimp's clock, to the second."""
        ahead = timedelta(seconds=self.behaviours.clock_ahead_seconds)
        return (self.clock().astimezone(UTC) + ahead).replace(microsecond=0)

    def new_id(self, digits: int = 10) -> str:
        """Return an id with this number of hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def new_web_id(self) -> int:
        """Return a new `web_id`."""
        self._last_web_id += 1
        return self._last_web_id

    def account(self, account_id: str) -> Account:
        """Return an account by id."""
        if account_id not in self.accounts:
            msg = f"The sandbox has no account {account_id}. Add it with add_account."
            raise SandboxResourceError(msg)
        return self.accounts[account_id]

    def audience(self, list_id: str) -> Audience:
        """Return an audience of any account by id."""
        if list_id not in self._audiences:
            msg = f"The sandbox has no audience {list_id}. Add it with add_audience."
            raise SandboxResourceError(msg)
        return self._audiences[list_id]

    def campaign(self, campaign_id: str) -> Campaign:
        """Return a campaign of any account by id."""
        if campaign_id not in self._campaigns:
            msg = f"The sandbox has no campaign {campaign_id}. Add it with add_campaign."
            raise SandboxResourceError(msg)
        return self._campaigns[campaign_id]

    def add_key(self, account: Account, key: str) -> None:
        """Add an API key to an account."""
        if key in self.keys:
            msg = "The key belongs to an account already. Use another key, or revoke this one first."
            raise SandboxResourceError(msg)
        self.keys[key] = account

    def add_audience(self, account: Account, description: Description, list_id: str | None = None) -> Audience:
        """Create an empty audience in an account."""
        chosen = list_id or self.new_id()
        if chosen in self._audiences:
            msg = f"The sandbox has an audience {chosen} already. Use another id."
            raise SandboxResourceError(msg)
        audience = Audience(chosen, self.new_web_id(), description, self.now(), self.send, journal=self.journal)
        account.audiences[chosen] = self._audiences[chosen] = audience
        self.listings[chosen] = MemberListing(audience)
        return audience

    def add_campaign(self, account: Account, campaign: Campaign) -> None:
        """Add a campaign to an account."""
        account.audience(campaign.list_id)
        account.campaigns[campaign.id] = self._campaigns[campaign.id] = campaign

    def remove_campaign(self, campaign_id: str) -> None:
        """Delete a campaign."""
        del self._campaigns[self.campaign(campaign_id).id]
        for account in self.accounts.values():
            account.campaigns.pop(campaign_id, None)

    def remove_audience(self, list_id: str) -> None:
        """Delete an audience with its campaigns."""
        account = self.owner(list_id)
        for campaign_id in [c.id for c in account.campaigns.values() if c.list_id == list_id]:
            self.remove_campaign(campaign_id)
        del account.audiences[list_id], self._audiences[list_id], self.listings[list_id]

    def owner(self, list_id: str) -> Account:
        """Return the account of an audience."""
        self.audience(list_id)
        return next(account for account in self.accounts.values() if list_id in account.audiences)

    def authenticate(self, key: str | None) -> Account:
        """Return the account of an API key, or raise `key_missing` or `key_invalid`."""
        if key is None:
            raise problems.key_missing()
        if key not in self.keys:
            raise problems.key_invalid()
        return self.keys[key]

    def member_writer(self, audience: Audience, *, skip_merge_validation: bool = False) -> MemberWriter:
        """Return the member operations for one API call."""
        origin = ChangeOrigin(Actor.API, self.now())
        return MemberWriter(audience, self.behaviours, origin, skip_merge_validation, self.limits)
