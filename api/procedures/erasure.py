"""`mailchimp.preferences.gdprDelete` and `.export`: what the law lets a contact ask for. For administrators.

What does not belong here: what contacts said (`preferences`), what an erasure does (`mailchimp_pipeline.erasure`).
"""

import time
from collections.abc import Callable
from typing import Any

from api.error_mapping import told
from api.procedures.context import Context
from api.procedures.inputs import EntityInput
from api.procedures.preferences import Preference
from api.trpc import Role, Router, UtcTime, WireModel
from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.erasure import ErasureStatus
from mailchimp_pipeline.services.export_contact import Disclosure

router: Router[Context] = Router("mailchimp.preferences")

_SECONDS = 20.0
"""How long a call goes on to ask Mailchimp: a person waits for the answer, and the rest is done without them."""


class Erasure(WireModel):
    """How far the erasure of a contact has come."""

    entity_id: str
    entity_type: EntityType
    status: ErasureStatus
    """Completed once Mailchimp has confirmed it for every audience; until then it goes on by itself."""
    audiences: int
    """In how many audiences the contact is or was."""


class Membership(WireModel):
    """The contact in a segment."""

    segment_id: str
    segment_name: str
    mailchimp_list_id: str
    email: str
    first_name: str | None
    last_name: str | None


class Sending(WireModel):
    """What was sent of the contact to an audience, and when."""

    mailchimp_list_id: str
    email: str | None
    subscriber_hash: str
    contact_id: str | None
    status: str | None
    """Mailchimp's status of the contact, as it was read last; `removed` where we archived it."""
    first_pushed_at: UtcTime | None
    pushed_at: UtcTime | None
    changed_at: UtcTime | None


class RejectedSending(WireModel):
    """Why Mailchimp did not accept the contact in an audience."""

    mailchimp_list_id: str
    subscriber_hash: str
    reason: str
    rejected_at: UtcTime
    next_attempt_at: UtcTime | None


class Statement(WireModel):
    """A consent statement of the contact, or one that was made at its address."""

    opted_in: bool
    source: str
    stated_at: UtcTime
    subscriber_hash: str | None
    mailchimp_list_id: str | None
    """The audience in which it was made, null where it was made here."""
    channel: Channel | None


class PastErasure(WireModel):
    """An erasure that was asked for."""

    status: ErasureStatus
    requested_at: UtcTime
    completed_at: UtcTime | None


class ContactAuditEntry(WireModel):
    """A change of what is kept about the contact."""

    actor: str
    action: str
    at: UtcTime
    details: dict[str, Any]


class AudienceEntry(WireModel):
    """The contact in an audience, now."""

    mailchimp_list_id: str
    mailchimp_list_name: str
    member: dict[str, Any]
    """All that Mailchimp says of it, in its own words."""


class MailchimpHoldings(WireModel):
    """What Mailchimp holds now."""

    entries: list[AudienceEntry]
    incomplete_because: str | None
    """Why not all audiences could be asked, null where all were."""


class ContactExport(WireModel):
    """Everything held about a contact."""

    entity_id: str
    entity_type: EntityType
    exported_at: UtcTime
    preference: Preference | None
    statements: list[Statement]
    """The consent statements, the oldest first."""
    memberships: list[Membership]
    sent: list[Sending]
    rejected: list[RejectedSending]
    erasures: list[PastErasure]
    audit: list[ContactAuditEntry]
    """The entries about the contact, newest first."""
    mailchimp: MailchimpHoldings
    source_asked: bool
    """Whether the contact's present address was known; without it Mailchimp was asked for the former ones alone."""


@router.mutation("gdprDelete", role=Role.ADMIN)
def gdpr_delete(context: Context, wanted: EntityInput) -> Erasure:
    """Erase a contact here and in every audience; pending until Mailchimp has confirmed it for each of them."""
    erasures = context.parts.erasures(lambda _organisation_id: context.mailchimp(), clock=context.clock)
    contact = (wanted.entity_type, wanted.entity_id)
    attempt = erasures.erase(context.organisation_id, contact, by=context.actor, stopping=_after(_SECONDS))
    return Erasure(
        entity_id=wanted.entity_id,
        entity_type=wanted.entity_type,
        status=attempt.request.status,
        audiences=attempt.request.audiences,
    )


# A mutation, though it reads: its answer must lie in no cache, its input in no URL, and that it was asked is told.
@router.mutation("export", role=Role.ADMIN)
def export(context: Context, wanted: EntityInput) -> ContactExport:
    """Return everything held about a contact: here, and at Mailchimp as far as it answers. Noted in the audit log."""
    export = context.parts.export_contact(lambda _organisation_id: context.mailchimp())
    contact = (wanted.entity_type, wanted.entity_id)
    return _shown(export.export(context.organisation_id, contact, by=context.actor))


def _shown(found: Disclosure) -> ContactExport:
    held = found.contact_data
    return ContactExport(
        entity_id=found.entity_id,
        entity_type=found.entity_type,
        exported_at=found.at,
        preference=held.preference and Preference.model_validate(held.preference),
        statements=[Statement.model_validate(statement) for statement in held.statements],
        memberships=[Membership.model_validate(row) for row in held.memberships],
        sent=[Sending.model_validate(row) for row in held.audience_members],
        rejected=[RejectedSending.model_validate(row) for row in held.rejections],
        erasures=[PastErasure.model_validate(request) for request in held.erasures],
        audit=[ContactAuditEntry.model_validate(entry) for entry in held.audit_entries],
        mailchimp=MailchimpHoldings(
            entries=[
                AudienceEntry(
                    mailchimp_list_id=there.audience.id,
                    mailchimp_list_name=there.audience.name,
                    member=dict(there.member),
                )
                for there in found.members
            ],
            incomplete_because=found.mailchimp_problem and told(found.mailchimp_problem),
        ),
        source_asked=found.source_problem is None,
    )


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
