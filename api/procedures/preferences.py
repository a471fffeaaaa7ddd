"""`mailchimp.preferences`: what contacts said about e-mail."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from api.procedures.context import Context
from api.procedures.inputs import EntityInput, PageInput
from api.trpc import Role, Router, UtcTime, WireModel
from mailchimp_pipeline.consent import RESERVED_SOURCES
from mailchimp_pipeline.contacts import EntityType, may_hold_address
from mailchimp_pipeline.database.connections import Connection, ConnectionStore
from mailchimp_pipeline.database.preferences import PreferenceStore
from mailchimp_pipeline.services.resources import NotConnected
from mailchimp_pipeline.services.update_opt_status import UpdateOptStatus

router: Router[Context] = Router("mailchimp.preferences")


def _channel(source: str) -> str:
    if may_hold_address(source):
        raise ValueError("an e-mail address must not be kept here: name the channel that the contact used")
    if source.lower() in RESERVED_SOURCES:
        raise ValueError(f"{source} is written by the pipeline itself: name the channel that the contact used")
    return source


# The source goes into the audit log, where nothing is ever deleted: what may be an address must not get there.
ConsentSource = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^@\x00]*$"),
    AfterValidator(_channel),
]


class OptStatusInput(EntityInput):
    """What a contact said, and where."""

    opted_in: bool
    consent_source: ConsentSource
    """The channel or mechanism, such as `signup form`; never an address, nor `mailchimp`, which is said there."""


class Preference(WireModel):
    """A contact's last word on e-mail; the time of the opposite one stays."""

    entity_id: str
    entity_type: EntityType
    opted_in: bool
    consent_given_at: UtcTime | None
    consent_withdrawn_at: UtcTime | None
    consent_source: str
    updated_at: UtcTime


class PreferencePage(WireModel):
    """Some preferences, those that changed last first."""

    items: list[Preference]
    next_cursor: str | None


class ConsentRule(WireModel):
    """Whom the organisation sends to Mailchimp."""

    opt_in_only: bool
    """Only contacts who opted in; otherwise everybody who did not opt out."""


@router.query("getForEntity")
def get_for_entity(context: Context, wanted: EntityInput) -> Preference | None:
    """Return a contact's preference, null where it never said anything."""
    with context.session() as session:
        found = PreferenceStore(session).get(wanted.entity_type, wanted.entity_id)
        return found and Preference.model_validate(found)


@router.query("list")
def list_preferences(context: Context, wanted: PageInput | None) -> PreferencePage:
    """Return a page of all preferences, those that changed last first."""
    asked = wanted or PageInput()
    with context.session() as session:
        found = PreferenceStore(session).list(limit=asked.limit, cursor=asked.cursor)
        return PreferencePage.model_validate(found)


@router.mutation("updateOptStatus")
def update_opt_status(context: Context, wanted: OptStatusInput) -> Preference:
    """Record that a contact opted in or out; an opt-out goes to Mailchimp at once, or with the next run."""
    parts = context.parts
    recorded = UpdateOptStatus(parts.database, parts.keyring, lambda: parts.source, context.clock).record(
        context.organisation_id,
        (wanted.entity_type, wanted.entity_id),
        opted_in=wanted.opted_in,
        consent_source=wanted.consent_source,
        by=context.actor,
    )
    if not wanted.opted_in:
        context.propagate_opt_outs()
    return Preference.model_validate(recorded)


@router.query("getConsentRule")
def get_consent_rule(context: Context) -> ConsentRule:
    """Return whom the organisation sends to Mailchimp. Raises PRECONDITION_FAILED where it is not connected."""
    with context.session() as session:
        return _rule(context, ConnectionStore(session, context.parts.keyring).live())


@router.mutation("setConsentRule", role=Role.ADMIN)
def set_consent_rule(context: Context, wanted: ConsentRule) -> ConsentRule:
    """Choose whom the organisation sends to Mailchimp, from the next sync on, and also after it connects again."""
    with context.session() as session:
        store = ConnectionStore(session, context.parts.keyring)
        chosen = store.set_opt_in_only(opt_in_only=wanted.opt_in_only, by=context.actor, at=context.clock())
        return _rule(context, chosen)


def _rule(context: Context, connection: Connection | None) -> ConsentRule:
    if connection is None:
        raise NotConnected(context.organisation_id)
    return ConsentRule(opt_in_only=connection.opt_in_only)
