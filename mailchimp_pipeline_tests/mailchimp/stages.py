"""The client with a sandbox, for tests of the port `sync.Audiences`."""

from datetime import UTC, datetime, timedelta

from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.sync import Audiences, MemberState, MemberStatus, Rejection
from mailchimp_pipeline_tests.mailchimp.builders import A_KEY, LIST_ID
from sandbox import Sandbox, Seed, Status

DELETED = "forgotten@acme.test"
FAKE = "someone@example.com"


def status_of(answer: MemberState | Rejection | None) -> MemberStatus | None:
    """Return the status in an answer, or None for a rejection."""
    return answer.status if isinstance(answer, MemberState) else None


class HourClock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Return to the start."""
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def pass_hour(self) -> datetime:
        """Advance by an hour and return the time half an hour ago."""
        self.now += timedelta(hours=1)
        return self.now - timedelta(minutes=30)


class SandboxStage:
    """The client with a sandbox that has one account and one audience."""

    def __init__(self, sandbox: Sandbox, client: MailchimpClient, hours: HourClock) -> None:
        self.audiences: Audiences = client
        self.hours = hours
        hours.reset()
        sandbox.reset()
        self.client = client
        self.sandbox = sandbox
        self.account_id = sandbox.add_account(A_KEY)
        sandbox.add_audience(self.account_id, "Staff", LIST_ID)
        self.add_member(DELETED, MemberStatus.SUBSCRIBED)
        sandbox.delete_as_admin(LIST_ID, DELETED)

    def add_member(self, email: str, status: MemberStatus) -> None:
        """Add a member with this status at Mailchimp."""
        self.sandbox.add_members(LIST_ID, [Seed(email_address=email, status=Status(status))])

    def unsubscribe(self, email: str) -> None:
        """Unsubscribe a member by the link in an e-mail."""
        self.sandbox.unsubscribe_by_link(LIST_ID, email)
