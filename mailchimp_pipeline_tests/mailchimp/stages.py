"""A place for the contract of `sync.Audiences` to play: the fake, and the real client before the sandbox."""

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta

from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.sandbox import Sandbox, Seed, Status
from mailchimp_pipeline.sync import Audiences, MemberStatus, Refusal
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.mailchimp.builders import A_KEY, LIST_ID

FORGOTTEN = "forgotten@acme.test"
FAKE = "someone@example.com"


class Hours:
    """A clock that a test puts on; it stands still otherwise."""

    def __init__(self) -> None:
        self.turn_back()

    def turn_back(self) -> None:
        """Begin again."""
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def pass_one(self) -> datetime:
        """Let an hour pass and return the time halfway."""
        self.now += timedelta(hours=1)
        return self.now - timedelta(minutes=30)


class Stage(ABC):
    """Audiences, with what others than the pipeline do to them."""

    def __init__(self, audiences: Audiences, hours: Hours) -> None:
        self.audiences = audiences
        self.hours = hours

    @abstractmethod
    def put(self, email: str, status: MemberStatus) -> None:
        """Have a member with this status there."""

    @abstractmethod
    def leave(self, email: str) -> None:
        """Let a member unsubscribe by the link in a mail."""


class FakeStage(Stage):
    """The fake."""

    def __init__(self) -> None:
        hours = Hours()
        refusals = {FORGOTTEN: Refusal.FORGOTTEN, FAKE: Refusal.FAKE}
        self.fake = FakeAudiences(FakeAudience(LIST_ID, refusals=refusals), clock=hours, page_size=2)
        super().__init__(self.fake, hours)

    def put(self, email: str, status: MemberStatus) -> None:
        """Have a member with this status there."""
        self.fake.put(LIST_ID, email, status)

    def leave(self, email: str) -> None:
        """Let a member unsubscribe by the link in a mail."""
        self.fake.put(LIST_ID, email, MemberStatus.UNSUBSCRIBED, barred=True)


class SandboxStage(Stage):
    """The real client before a sandbox, which has nothing but one account and an audience."""

    def __init__(self, sandbox: Sandbox, client: MailchimpClient, hours: Hours) -> None:
        super().__init__(client, hours)
        hours.turn_back()
        sandbox.reset()
        self.client = client
        self.sandbox = sandbox
        self.account_id = sandbox.add_account(A_KEY)
        sandbox.add_audience(self.account_id, "Staff", LIST_ID)
        self.put(FORGOTTEN, MemberStatus.SUBSCRIBED)
        sandbox.delete_as_admin(LIST_ID, FORGOTTEN)

    def put(self, email: str, status: MemberStatus) -> None:
        """Have a member with this status there."""
        self.sandbox.add_members(LIST_ID, [Seed(email_address=email, status=Status(status))])

    def leave(self, email: str) -> None:
        """Let a member unsubscribe by the link in a mail."""
        self.sandbox.unsubscribe_by_link(LIST_ID, email)
