"""The sample organisations at work: their accounts in the sandbox, their connections and their segments.

What does not belong here: their employees and vendors (`sample`), starting anything (`local_stack`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailchimp_pipeline.assembly import Parts
from mailchimp_pipeline.dashboard import Dashboard
from mailchimp_pipeline.database.ledger import forget_audiences
from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.sandbox import AccountSetup, AudienceSetup, SandboxControl
from mailchimp_pipeline.segments import FilterCriteria, SegmentType


@dataclass(frozen=True, slots=True)
class SampleAudience:
    """An audience in the sandbox."""

    id: str
    name: str
    double_optin: bool = False


@dataclass(frozen=True, slots=True)
class SampleOrganisation:
    """An organisation of the sample data with an account of its own."""

    id: str
    name: str
    api_key: str
    audiences: tuple[SampleAudience, ...]
    segments: tuple[NewSegment, ...]


def _criteria(**values: tuple[str, ...]) -> FilterCriteria:
    return FilterCriteria.model_validate(values)


_ACTIVE = ("active", "on_leave")

ORGANISATIONS = (
    SampleOrganisation(
        "acme",
        "Acme Corp",
        "sample0acme0acme0acme0acme0acme0-us6",
        (
            SampleAudience("ac0e5a11f1", "Acme staff"),
            SampleAudience("ac0e5a11f2", "Acme partners"),
            SampleAudience("ac0e5a11f3", "Acme newsletter", double_optin=True),
        ),
        (
            NewSegment(
                "All active employees",
                SegmentType.EMPLOYEE,
                "ac0e5a11f1",
                filter_criteria=_criteria(employment_status=_ACTIVE),
            ),
            NewSegment(
                "Engineers in Berlin",
                SegmentType.EMPLOYEE,
                "ac0e5a11f1",
                filter_criteria=_criteria(department=("Engineering",), location=("Berlin",), employment_status=_ACTIVE),
            ),
            NewSegment("Vendors", SegmentType.VENDOR, "ac0e5a11f2"),
            NewSegment(
                "Newsletter readers", SegmentType.MIXED, "ac0e5a11f3", filter_criteria=_criteria(location=("London",))
            ),
        ),
    ),
    SampleOrganisation(
        "borealis",
        "Borealis Energy",
        "sample0b0realis0b0realis0b0reali-us14",
        (SampleAudience("b0ea115e01", "Borealis people"), SampleAudience("b0ea115e02", "Borealis suppliers")),
        (
            NewSegment(
                "Staff", SegmentType.EMPLOYEE, "b0ea115e01", filter_criteria=_criteria(employment_status=_ACTIVE)
            ),
            NewSegment(
                "Suppliers in the north",
                SegmentType.VENDOR,
                "b0ea115e02",
                filter_criteria=_criteria(location=("Tromsø", "Reykjavík")),
            ),
        ),
    ),
    SampleOrganisation(
        "cormorant",
        "Cormorant Ferries",
        "sample0c0rm0rant0c0rm0rant0c0rm0-us21",
        (SampleAudience("c0a3a27e01", "Cormorant crew and partners"),),
        (
            NewSegment(
                "Full-time crew",
                SegmentType.EMPLOYEE,
                "c0a3a27e01",
                filter_criteria=_criteria(employment_type=("full_time",), employment_status=_ACTIVE),
            ),
            NewSegment("Everyone", SegmentType.MIXED, "c0a3a27e01"),
        ),
    ),
)


def open_accounts(sandbox: SandboxControl) -> None:
    """Make the organisations' accounts and audiences in an empty sandbox."""
    for organisation in ORGANISATIONS:
        account_id = sandbox.add_account(organisation.api_key, organisation.name)
        for audience in organisation.audiences:
            sandbox.add_audience(account_id, audience.name, audience.id, double_optin=audience.double_optin)


def accounts() -> tuple[AccountSetup, ...]:
    """Return the organisations' accounts and audiences, for a sandbox that begins with them."""
    return tuple(
        AccountSetup(
            key=organisation.api_key,
            name=organisation.name,
            audiences=tuple(
                AudienceSetup(name=audience.name, list_id=audience.id, double_optin=audience.double_optin)
                for audience in organisation.audiences
            ),
        )
        for organisation in ORGANISATIONS
    )


def forget(parts: Parts) -> None:
    """Forget what we know of the organisations' audiences: a sandbox that was started anew has forgotten them too."""
    for organisation in ORGANISATIONS:
        with parts.database.organisation(organisation.id) as session:
            forget_audiences(session)


def connect(dashboard: Dashboard, organisation: SampleOrganisation) -> None:
    """Connect the organisation with its key, which the API verifies at Mailchimp."""
    dashboard.mutate("mailchimp.connection.connect", apiKey=organisation.api_key)


def create_segments(dashboard: Dashboard, organisation: SampleOrganisation) -> list[str]:
    """Create the organisation's segments; return their ids."""
    return [
        dashboard.mutate(
            "mailchimp.segments.create",
            name=segment.name,
            segmentType=segment.segment_type,
            mailchimpListId=segment.mailchimp_list_id,
            filterCriteria=segment.filter_criteria.model_dump(mode="json", by_alias=True),
        )["id"]
        for segment in organisation.segments
    ]


def settle(parts: Parts, sandbox: SandboxControl, dashboard_of: Callable[[str], Dashboard]) -> None:
    """Make an empty sandbox and the database fit each other: the accounts are there and the organisations connected."""
    open_accounts(sandbox)
    forget(parts)
    for organisation in ORGANISATIONS:
        with dashboard_of(organisation.id) as dashboard:
            is_new = not dashboard.query("mailchimp.segments.list")["items"]
            connect(dashboard, organisation)
            if is_new:
                create_segments(dashboard, organisation)


def audiences() -> Iterator[tuple[SampleOrganisation, SampleAudience]]:
    """Yield every audience with its organisation."""
    return ((organisation, audience) for organisation in ORGANISATIONS for audience in organisation.audiences)
