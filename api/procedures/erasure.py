"""`mailchimp.preferences.gdprDelete`, `.pendingErasures` and `.export`: the rights of a contact under the GDPR."""

import time
from collections.abc import Callable
from typing import Any

from api.error_mapping import public_message
from api.procedures.context import Context
from api.procedures.inputs import EntityInput
from api.procedures.preferences import PreferenceView
from api.trpc import Role, Router, UtcTime, WireModel
from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.erasure_store import count_pending
from mailchimp_pipeline.erasure import ErasureStatus
from mailchimp_pipeline.services.export_contact import Disclosure

router: Router[Context] = Router("mailchimp.preferences")

_SECONDS = 20.0
"""For how many seconds a call sends requests to Mailchimp. A run does the rest."""


class Erasure(WireModel):
    """The erasure of a contact: whether Mailchimp has confirmed it for every audience."""

    entity_id: str
    entity_type: EntityType
    status: ErasureStatus
    """`completed` when Mailchimp has confirmed the erasure for every audience. Until then `pending`, and it is
    retried."""
    audiences: int
    """The number of audiences in which the contact is or was."""


class PendingErasures(WireModel):
    """The erasures that Mailchimp has yet to confirm. They are retried until it does."""

    count: int
    oldest_requested_at: UtcTime | None
    """When the oldest of them was requested; null if none is pending."""


class MembershipView(WireModel):
    """A segment that has the contact as a member, and the contact's data there."""

    segment_id: str
    segment_name: str
    mailchimp_list_id: str
    email: str
    first_name: str | None
    last_name: str | None


class Sending(WireModel):
    """What was sent about the contact to an audience, and when."""

    mailchimp_list_id: str
    email: str | None
    subscriber_hash: str
    contact_id: str | None
    status: str | None
    """Mailchimp's last known status of the contact; `removed` if the pipeline archived it."""
    first_pushed_at: UtcTime | None
    pushed_at: UtcTime | None
    changed_at: UtcTime | None


class RejectedSending(WireModel):
    """Why Mailchimp rejected the contact in an audience."""

    mailchimp_list_id: str
    subscriber_hash: str
    reason: str
    rejected_at: UtcTime
    next_attempt_at: UtcTime | None


class Statement(WireModel):
    """A consent statement of the contact, or one recorded for its address."""

    opted_in: bool
    source: str
    stated_at: UtcTime
    subscriber_hash: str | None
    mailchimp_list_id: str | None
    """The audience in which it was made; null if it was recorded by the API."""
    channel: Channel | None


class PastErasure(WireModel):
    """An erasure of the contact that was requested."""

    status: ErasureStatus
    requested_at: UtcTime
    completed_at: UtcTime | None


class ContactAuditEntry(WireModel):
    """An entry of the audit log about the contact."""

    actor: str
    action: str
    at: UtcTime
    details: dict[str, Any]


class AudienceEntry(WireModel):
    """The contact as a member of an audience."""

    mailchimp_list_id: str
    mailchimp_list_name: str
    member: dict[str, Any]
    """The member as Mailchimp returns it."""


class MailchimpHoldings(WireModel):
    """The data about the contact at Mailchimp."""

    entries: list[AudienceEntry]
    incomplete_because: str | None
    """Why some audiences could not be read; null if all were."""


class ContactExport(WireModel):
    """All data about a contact."""

    entity_id: str
    entity_type: EntityType
    exported_at: UtcTime
    preference: PreferenceView | None
    statements: list[Statement]
    """The consent statements, the oldest first."""
    memberships: list[MembershipView]
    sent: list[Sending]
    rejected: list[RejectedSending]
    erasures: list[PastErasure]
    audit: list[ContactAuditEntry]
    """The entries about the contact, the newest first."""
    mailchimp: MailchimpHoldings
    source_asked: bool
    """Whether the source was read; if not, Mailchimp was searched only for addresses known from before."""


@router.mutation("gdprDelete", role=Role.ADMIN)
def gdpr_delete(context: Context, wanted: EntityInput) -> Erasure:
    """Erase a contact in the database and in every audience. Pending until Mailchimp has confirmed each deletion."""
    erasures = context.parts.erasures(lambda _organisation_id: context.mailchimp(), clock=context.clock)
    contact = (wanted.entity_type, wanted.entity_id)
    attempt = erasures.erase(context.organisation_id, contact, by=context.actor, stopping=_after(_SECONDS))
    return Erasure(
        entity_id=wanted.entity_id,
        entity_type=wanted.entity_type,
        status=attempt.request.status,
        audiences=attempt.request.audiences,
    )


@router.query("pendingErasures")
def pending_erasures(context: Context) -> PendingErasures:
    """Return how many erasures of the organisation are pending, and since when."""
    with context.session() as session:
        count, oldest = count_pending(session)
    return PendingErasures(count=count, oldest_requested_at=oldest)


# A mutation, although it only reads: no cache may keep the answer, no URL the input, and the audit log has an entry.
@router.mutation("export", role=Role.ADMIN)
def export(context: Context, wanted: EntityInput) -> ContactExport:
    """Return all data about a contact, in the database and at Mailchimp. The audit log records the export."""
    export = context.parts.export_contact(lambda _organisation_id: context.mailchimp())
    contact = (wanted.entity_type, wanted.entity_id)
    return _shown(export.export(context.organisation_id, contact, by=context.actor))


def _shown(found: Disclosure) -> ContactExport:
    held = found.contact_data
    return ContactExport(
        entity_id=found.entity_id,
        entity_type=found.entity_type,
        exported_at=found.at,
        preference=held.preference and PreferenceView.model_validate(held.preference),
        statements=[Statement.model_validate(statement) for statement in held.statements],
        memberships=[MembershipView.model_validate(row) for row in held.memberships],
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
            incomplete_because=found.mailchimp_problem and public_message(found.mailchimp_problem),
        ),
        source_asked=found.source_problem is None,
    )


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
