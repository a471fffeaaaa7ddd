"""`mailchimp.preferences`: the consent of contacts, and the consent rule of an organisation."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from api.procedures.context import Context
from api.procedures.inputs import Address, EntityInput, PageInput
from api.trpc import Role, Router, UtcTime, WireModel
from mailchimp_pipeline.consent import RESERVED_SOURCES
from mailchimp_pipeline.contacts import EntityType, may_hold_address, subscriber_hash
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import Connection, ConnectionStore
from mailchimp_pipeline.database.contact_data import contacts_with_address
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.services.resources import NotConnected
from mailchimp_pipeline.services.update_opt_status import UpdateOptStatus

router: Router[Context] = Router("mailchimp.preferences")

_MOST_FOUND = 100
"""The most contacts that a search returns."""


def _channel(source: str) -> str:
    if may_hold_address(source):
        raise ValueError("an e-mail address must not be stored here: name the channel that the contact used")
    if source.lower() in RESERVED_SOURCES:
        raise ValueError(f"{source} is written by the pipeline itself: name the channel that the contact used")
    return source


# The source is written to the audit log, which no erasure changes: it must not contain an address.
ConsentSource = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^@\x00]*$"),
    AfterValidator(_channel),
]


class OptStatusInput(EntityInput):
    """An opt-in or opt-out of a contact."""

    opted_in: bool
    consent_source: ConsentSource
    """The channel, such as `signup form`; not an address, and not `mailchimp`, which the pipeline itself writes."""


class PreferenceView(WireModel):
    """Whether a contact opted in or out, and the times of its latest opt-in and latest opt-out."""

    entity_id: str
    entity_type: EntityType
    opted_in: bool
    consent_given_at: UtcTime | None
    consent_withdrawn_at: UtcTime | None
    consent_source: str
    updated_at: UtcTime


class PreferencePage(WireModel):
    """A page of preferences, the most recently changed first."""

    items: list[PreferenceView]
    next_cursor: str | None


class AddressInput(WireModel):
    """An e-mail address."""

    address: Address


class FoundContact(WireModel):
    """An employee or vendor that was found."""

    entity_type: EntityType
    entity_id: str


class FoundContacts(WireModel):
    """The contacts that were found, sorted by type and id."""

    items: list[FoundContact]


class ConsentRule(WireModel):
    """Which contacts the organisation sends to Mailchimp."""

    opt_in_only: bool
    """True: only contacts who opted in. False: all contacts who did not opt out."""


@router.query("getForEntity")
def get_for_entity(context: Context, wanted: EntityInput) -> PreferenceView | None:
    """Return a contact's preference, or null if no opt-in or opt-out is recorded."""
    with context.session() as session:
        found = PreferenceStore(session).get(wanted.entity_type, wanted.entity_id)
        return found and PreferenceView.model_validate(found)


@router.query("list")
def list_preferences(context: Context, wanted: PageInput | None) -> PreferencePage:
    """Return a page of all preferences, the most recently changed first."""
    asked = wanted or PageInput()
    with context.session() as session:
        found = PreferenceStore(session).list(limit=asked.limit, cursor=asked.cursor)
        return PreferencePage.model_validate(found)


@router.mutation("updateOptStatus")
def update_opt_status(context: Context, wanted: OptStatusInput) -> PreferenceView:
    """Record an opt-in or opt-out. An opt-out is pushed to Mailchimp now, or by the next run if Mailchimp fails."""
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
    return PreferenceView.model_validate(recorded)


# A mutation, although it only reads: no cache may keep the answer, no URL the address, and the audit log has an entry.
@router.mutation("findByAddress")
def find_by_address(context: Context, wanted: AddressInput) -> FoundContacts:
    """Return the contacts, at most 100, that were synced with an address. Erased contacts are not found.

    The audit log records the search and the number of contacts, but not the address.
    """
    with context.session() as session:
        found = contacts_with_address(session, context.parts.keyring, subscriber_hash(wanted.address))[:_MOST_FOUND]
        organisation = audit_log.Entity("organisation", context.organisation_id)
        searched = audit_log.Entry(
            context.actor, "contact.searched", organisation, context.clock(), {"found": len(found)}
        )
        audit_log.write(session, searched)
    return FoundContacts(items=[FoundContact(entity_type=kind, entity_id=each) for kind, each in found])


@router.query("getConsentRule")
def get_consent_rule(context: Context) -> ConsentRule:
    """Return the consent rule. Raises PRECONDITION_FAILED if the organisation is not connected."""
    with context.session() as session:
        return _rule(context, ConnectionStore(session, context.parts.keyring).live())


@router.mutation("setConsentRule", role=Role.ADMIN)
def set_consent_rule(context: Context, wanted: ConsentRule) -> ConsentRule:
    """Set the consent rule. It applies from the next sync on, and stays when the organisation connects again."""
    with context.session() as session:
        store = ConnectionStore(session, context.parts.keyring)
        chosen = store.set_opt_in_only(opt_in_only=wanted.opt_in_only, by=context.actor, at=context.clock())
        return _rule(context, chosen)


def _rule(context: Context, connection: Connection | None) -> ConsentRule:
    if connection is None:
        raise NotConnected(context.organisation_id)
    return ConsentRule(opt_in_only=connection.opt_in_only)
