"""The client before a sandbox, for tests of what the port `sync.Audiences` promises."""

from datetime import UTC, datetime, timedelta

from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.sync import Audiences, MemberState, MemberStatus, Rejection
from mailchimp_pipeline_tests.mailchimp.builders import A_KEY, LIST_ID
from sandbox import Sandbox, Seed, Status

FORGOTTEN = "forgotten@acme.test"
FAKE = "someone@example.com"


def status_of(answer: MemberState | Rejection | None) -> MemberStatus | None:
    """Return the status of a member that Mailchimp answered with."""
    return answer.status if isinstance(answer, MemberState) else None


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


class SandboxStage:
    """The client before a sandbox that has one account and one audience, and what others do to its members."""

    def __init__(self, sandbox: Sandbox, client: MailchimpClient, hours: Hours) -> None:
        self.audiences: Audiences = client
        self.hours = hours
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
