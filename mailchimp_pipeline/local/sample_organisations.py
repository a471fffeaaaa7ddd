"""The sample organisations: their accounts in the sandbox, their connections and their segments.

They exist in the embedded database only: the functions take the embedded server, and no database URL.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.ledger import forget_audiences
from mailchimp_pipeline.database.segment_store import NewSegment
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ConnectionRow
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.local.stack import Dashboard, SandboxStack
from mailchimp_pipeline.segments import FilterCriteria, SegmentType
from sandbox import AccountSetup, AudienceSetup, CampaignStatus, Figures, SandboxControl


class NotASampleOrganisation(PermanentError):
    """An organisation with the id of a sample organisation is connected to another account."""

    def __init__(self, organisation_id: str) -> None:
        super().__init__(
            f"Organisation {organisation_id} is connected to an account of its own, and has the id of a sample "
            "organisation. Set MAILCHIMP_API_ROOT and MAILCHIMP_PIPELINE_SOURCE to work with its account, or set "
            "MAILCHIMP_PIPELINE_HOME to another directory for the sample organisations."
        )


@dataclass(frozen=True, slots=True)
class SampleAudience:
    """An audience of a sample organisation in the sandbox."""

    id: str
    name: str
    double_optin: bool = False


@dataclass(frozen=True, slots=True)
class SampleOrganisation:
    """A sample organisation with its account in the sandbox."""

    id: str
    name: str
    api_key: str
    audiences: tuple[SampleAudience, ...]
    segments: tuple[NewSegment, ...]


def _criteria(**values: tuple[str, ...]) -> FilterCriteria:
    return FilterCriteria.model_validate(values)


_ACTIVE = ("active", "on_leave")

_FIGURES = Figures(emails_sent=980, opens=790, unique_opens=466, clicks=155, unique_clicks=120, subscriber_clicks=104)

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


def accounts() -> tuple[AccountSetup, ...]:
    """Return the organisations' accounts and audiences, for the start of a sandbox."""
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


def forget(server: EmbeddedServer) -> None:
    """Delete what the database records about the sample organisations' audiences, because a new sandbox has no members.

    Raises `NotASampleOrganisation` before any change if one of the organisations is connected to another account.
    """
    with Database(server.database_url) as database:
        for organisation in ORGANISATIONS:
            with database.organisation(organisation.id) as session:
                live = select(ConnectionRow).where(ConnectionRow.soft_deleted_at.is_(None))
                connection = session.scalar(live.where(ConnectionRow.organisation_id == organisation.id))
            key = ApiKey.parse(organisation.api_key)
            if connection and (connection.api_key_hint, connection.data_center) != (key.hint, key.data_center):
                raise NotASampleOrganisation(organisation.id)
        for organisation in ORGANISATIONS:
            with database.organisation(organisation.id) as session:
                forget_audiences(session)


def set_up(stack: SandboxStack, sandbox: SandboxControl) -> list[tuple[str, str]]:
    """Add the accounts and audiences to an empty sandbox, connect the organisations, and create missing segments.

    Return the organisation's id and the segment's id of each new segment. Raises `NotASampleOrganisation` before any
    change if one of the organisations is connected to another account.
    """
    forget(stack.server)
    for organisation in ORGANISATIONS:
        account_id = sandbox.add_account(organisation.api_key, organisation.name)
        for audience in organisation.audiences:
            sandbox.add_audience(account_id, audience.name, audience.id, double_optin=audience.double_optin)
        _add_campaigns(sandbox, organisation.audiences[0].id)
    created: list[tuple[str, str]] = []
    for organisation in ORGANISATIONS:
        with stack.dashboard(organisation.id) as dashboard:
            is_new = not dashboard.query("mailchimp.segments.list")["items"]
            dashboard.mutate("mailchimp.connection.connect", apiKey=organisation.api_key)
            if is_new:
                created += [(organisation.id, segment_id) for segment_id in _create_segments(dashboard, organisation)]
    return created


def _add_campaigns(sandbox: SandboxControl, list_id: str) -> None:
    """Add a sent campaign, and a draft, which can be tracked. They have the same ids in every sandbox."""
    sent = sandbox.add_campaign(list_id, "Summer news", "What is new in summer", f"5{list_id[1:]}")
    sandbox.move_campaign(sent, CampaignStatus.SENT)
    sandbox.set_figures(sent, _FIGURES)
    sandbox.add_campaign(list_id, "Winter news", "What is new in winter", f"3{list_id[1:]}")


def _create_segments(dashboard: Dashboard, organisation: SampleOrganisation) -> list[str]:
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


def audiences() -> Iterator[tuple[SampleOrganisation, SampleAudience]]:
    """Yield every audience of the sample organisations, with its organisation."""
    return ((organisation, audience) for organisation in ORGANISATIONS for audience in organisation.audiences)
