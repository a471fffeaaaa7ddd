"""`mailchimp.audit`: who changed what. For every role, for it holds no personal data and auditors may only read."""

from typing import Annotated, Any, Self

from pydantic import StringConstraints, model_validator

from api.procedures.context import Context
from api.procedures.inputs import EntityId, PageInput
from api.trpc import Router, UtcTime, WireModel
from mailchimp_pipeline.database import audit

router: Router[Context] = Router("mailchimp.audit")


class AuditInput(PageInput):
    """Which page of the log: of all of it, or of one thing's entries."""

    entity_type: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")] | None = None
    """What kind of thing, such as `segment`; goes with `entityId`."""
    entity_id: EntityId | None = None

    @model_validator(mode="after")
    def _names_a_whole_entity(self) -> Self:
        if (self.entity_type is None) != (self.entity_id is None):
            raise ValueError("entityType and entityId go together: send both, or neither")
        return self

    @property
    def entity(self) -> audit.Entity | None:
        """The thing whose entries are wanted."""
        return audit.Entity(self.entity_type, self.entity_id) if self.entity_type and self.entity_id else None


class AuditEntry(WireModel):
    """One change of state."""

    actor: str
    """Who did it: a token's `sub`, or the pipeline itself."""
    action: str
    """What was done, such as `segment.created`."""
    entity_type: str
    entity_id: str
    at: UtcTime
    details: dict[str, Any]


class AuditPage(WireModel):
    """Some entries, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


@router.query("list")
def list_entries(context: Context, wanted: AuditInput | None) -> AuditPage:
    """Return a page of the audit log, newest first."""
    asked = wanted or AuditInput()
    with context.session() as session:
        found = audit.entries(session, limit=asked.limit, cursor=asked.cursor, entity=asked.entity)
    return AuditPage(items=[_shown(entry) for entry in found.items], next_cursor=found.next_cursor)


def _shown(entry: audit.Entry) -> AuditEntry:
    return AuditEntry(
        actor=entry.actor,
        action=entry.action,
        entity_type=entry.entity.type,
        entity_id=entry.entity.id,
        at=entry.at,
        details=dict(entry.details),
    )
