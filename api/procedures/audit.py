"""`mailchimp.audit`: who changed what. Every role may read it: it contains no personal data."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, StringConstraints, model_validator

from api.auth import MAX_ACTOR_LENGTH
from api.procedures.context import Context
from api.procedures.inputs import EntityId, PageInput
from api.trpc import Router, UtcTime, WireModel
from mailchimp_pipeline.contacts import EntityType, may_hold_address
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.segments import STORABLE_TEXT

router: Router[Context] = Router("mailchimp.audit")

_CONTACTS = frozenset(EntityType)


def _without_address(actor: str) -> str:
    if may_hold_address(actor):
        raise ValueError(
            "the log names an actor whose id has an @ by a keyed hash: `mailchimp-pipeline actor` prints that name"
        )
    return actor


ActorName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ACTOR_LENGTH, pattern=STORABLE_TEXT),
    AfterValidator(_without_address),
]


class AuditInput(PageInput):
    """A page of the audit log, of all entries, or of those about one entity or by one actor."""

    entity_type: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")] | None = None
    """The kind of entity, such as `segment`. Needs `entityId`."""
    entity_id: EntityId | None = None
    actor: ActorName | None = None
    """The name of the actor in the log, exactly."""

    @model_validator(mode="after")
    def _names_a_whole_entity(self) -> Self:
        if (self.entity_type is None) != (self.entity_id is None):
            raise ValueError("entityType and entityId go together: send both, or neither")
        return self

    def entity(self, session: OrganisationSession, keyring: Keyring) -> audit_log.Entity | None:
        """Return the entity with the id that it has in the audit log, or None if all entries are wanted."""
        if not self.entity_type or not self.entity_id:
            return None
        if self.entity_type in _CONTACTS:
            return audit_log.contact_entity(session, keyring, (EntityType(self.entity_type), self.entity_id))
        return audit_log.Entity(self.entity_type, self.entity_id)


class AuditEntry(WireModel):
    """An entry of the audit log: one change."""

    actor: str
    """Who made the change: the `sub` of the caller's token, `user-` and a keyed hash if that may be an e-mail address,
    or a name of the pipeline."""
    action: str
    """The change, such as `segment.created`."""
    entity_type: str
    entity_id: str
    """The id of the entity, or a keyed hash if the id may be an e-mail address."""
    at: UtcTime
    details: dict[str, Any]


class AuditPage(WireModel):
    """A page of entries, the newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


@router.query("list")
def list_entries(context: Context, wanted: AuditInput | None) -> AuditPage:
    """Return a page of the audit log, the newest entries first."""
    asked = wanted or AuditInput()
    with context.session() as session:
        entity = asked.entity(session, context.parts.keyring)
        found = audit_log.entries(session, limit=asked.limit, cursor=asked.cursor, entity=entity, actor=asked.actor)
    return AuditPage(items=[_shown(entry) for entry in found.items], next_cursor=found.next_cursor)


def _shown(entry: audit_log.Entry) -> AuditEntry:
    return AuditEntry(
        actor=entry.actor,
        action=entry.action,
        entity_type=entry.entity.type,
        entity_id=entry.entity.id,
        at=entry.at,
        details=dict(entry.details),
    )
