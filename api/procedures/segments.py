"""`mailchimp.segments`: creates, changes and previews segments, and requests syncs."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import AfterValidator, Field
from pydantic.alias_generators import to_camel

from api.procedures.context import Context
from api.procedures.inputs import Description, ForeignId, Name, PageInput, left_out, not_found, without_address
from api.trpc import Concurrency, Router, TRPCError, UtcTime, WireModel
from mailchimp_pipeline.contacts import EntityType, read_contacts
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_member_store import rejected_contacts, retry_rejected
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentChanges, SegmentStore
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.mailchimp.api_errors import AudienceGone
from mailchimp_pipeline.segments import (
    Exclusion,
    FilterCriteria,
    OnLeave,
    Population,
    Segment,
    SegmentStatus,
    SegmentType,
)
from mailchimp_pipeline.segments.segment import MOST_VALUES, folded
from mailchimp_pipeline.services.preview_sync import PlannedContacts, preview_sync, read_candidates
from mailchimp_pipeline.services.resources import NotConnected
from mailchimp_pipeline.sync import Audience, Rejection
from mailchimp_pipeline.sync.rejections import text as rejection_text
from mailchimp_pipeline.sync.segment_results import StopReason

if TYPE_CHECKING:
    import pandas as pd

router: Router[Context] = Router("mailchimp.segments")


class SegmentInput(WireModel):
    """A segment, by its id."""

    id: str


def _without_address(criteria: FilterCriteria) -> FilterCriteria:
    for values in criteria.model_dump().values():
        for value in values:
            without_address(value)
    return criteria


_KeptCriteria = Annotated[FilterCriteria, AfterValidator(_without_address)]


class NewSegmentInput(WireModel):
    """The segment to create."""

    name: Name
    description: Description | None = None
    segment_type: SegmentType
    mailchimp_list_id: ForeignId
    """The audience to which its members are sent."""
    filter_criteria: _KeptCriteria = Field(default_factory=FilterCriteria)
    on_leave: OnLeave = OnLeave.KEEP
    """What Mailchimp does with members who leave the segment."""


class SegmentChangesInput(WireModel):
    """The changes to a segment. A field that is left out keeps its value."""

    id: str
    name: Name = Field(default_factory=left_out)
    description: Description | None = None
    filter_criteria: _KeptCriteria = Field(default_factory=left_out)
    on_leave: OnLeave = Field(default_factory=left_out)

    @property
    def changes(self) -> SegmentChanges:
        """The fields that were sent, with their new values."""
        given: Any = {name: getattr(self, name) for name in self.model_fields_set - {"id"}}
        return given


class PreviewInput(WireModel):
    """The segment to preview."""

    segment_type: SegmentType
    filter_criteria: FilterCriteria = Field(default_factory=FilterCriteria)


Count = Annotated[int, Field(ge=0)]


class SegmentCounts(WireModel):
    """The numbers of the segment's members at the last sync, by outcome."""

    wanted: Count
    """The members that belong in the audience."""
    in_audience: Count
    """The wanted members that are subscribed."""
    awaiting_confirmation: Count
    """Members whom Mailchimp has asked to confirm."""
    rejected: dict[Rejection, Count]
    """Members whom Mailchimp rejects, by reason."""
    withheld: dict[Rejection, Count]
    """Members who are not sent because of their status in the audience, by reason."""


class SegmentView(WireModel):
    """A group of contacts that is synced into an audience."""

    id: str
    name: str
    description: str | None
    segment_type: SegmentType
    mailchimp_list_id: str
    mailchimp_list_name: str | None
    filter_criteria: FilterCriteria
    on_leave: OnLeave
    status: SegmentStatus
    last_error: str | None
    """Why the last sync failed, and what to do."""
    member_count: int | None
    """The number of members at the last sync; null before the first sync."""
    counts: SegmentCounts | None = None
    """The outcome of the last sync. Null before the first sync, or if the last one failed too early."""
    last_synced_at: UtcTime | None
    sync_requested_at: UtcTime | None
    """When the sync was requested that has yet to end. Null if no requested sync is waiting or running."""
    created_at: UtcTime
    updated_at: UtcTime
    soft_deleted_at: UtcTime | None


class SegmentsInput(PageInput):
    """A page of segments, of all of them or of those with one status."""

    status: SegmentStatus | None = None


class RejectedInput(SegmentInput, PageInput):
    """A page of a segment's rejected contacts."""


class RejectedContact(WireModel):
    """A member of the segment whom Mailchimp rejects."""

    entity_id: str
    entity_type: EntityType
    reason: Rejection
    text: str
    """The reason in words, and what to do."""
    attempts: Count
    rejected_at: UtcTime
    """When Mailchimp rejected the contact."""
    next_attempt_at: UtcTime | None
    """When the contact is sent again. If null and not final, it is sent again when its data or the merge fields of the
    audience change."""
    is_final: bool
    """Whether the contact is sent again only after `retryRejected`."""


class RejectedPage(WireModel):
    """A page of rejected contacts, the latest first."""

    items: list[RejectedContact]
    next_cursor: str | None


class SegmentPage(WireModel):
    """A page of segments, the newest first."""

    items: list[SegmentView]
    next_cursor: str | None


class Preview(WireModel):
    """How many contacts match the filter, how many of them would be members, and how many are excluded, by reason."""

    matching: Count
    members: Count
    excluded: dict[Exclusion, Count]


@router.query("list")
def list_segments(context: Context, wanted: SegmentsInput | None) -> SegmentPage:
    """Return a page of segments, the newest first."""
    asked = wanted or SegmentsInput()
    with context.session() as session:
        found = SegmentStore(session).list(limit=asked.limit, cursor=asked.cursor, status=asked.status)
        return SegmentPage(items=_shown(session, *found.items), next_cursor=found.next_cursor)


@router.query("get")
def get(context: Context, wanted: SegmentInput) -> SegmentView:
    """Return one segment."""
    with context.session() as session:
        return _shown(session, require_segment(session, wanted.id))[0]


@router.mutation("create")
def create(context: Context, wanted: NewSegmentInput) -> SegmentView:
    """Create a segment. It is synced by the next scheduled sync, or on request.

    Raises CONFLICT if a segment of another organisation uses the audience.
    """
    audience = _audience(context, wanted.mailchimp_list_id)
    new = NewSegment(
        name=wanted.name,
        segment_type=wanted.segment_type,
        mailchimp_list_id=audience.id,
        description=wanted.description,
        mailchimp_list_name=audience.name,
        filter_criteria=wanted.filter_criteria,
        on_leave=wanted.on_leave,
    )
    with context.session() as session:
        made = _shown(session, SegmentStore(session).create(new, by=context.actor, at=context.clock()))[0]
    context.webhook_registration().register(audience.id)
    return made


@router.mutation("update")
def update(context: Context, wanted: SegmentChangesInput) -> SegmentView:
    """Change a segment's name, description, filter criteria, or what happens to members who leave it."""
    if not wanted.changes:
        return get(context, SegmentInput(id=wanted.id))
    with context.session() as session:
        changed = SegmentStore(session).update(wanted.id, wanted.changes, by=context.actor, at=context.clock())
        if changed is None:
            raise not_found("segment")
        return _shown(session, changed)[0]


@router.mutation("delete")
def delete(context: Context, wanted: SegmentInput) -> SegmentView:
    """Delete a segment. Its members stay in the audience."""
    with context.session() as session:
        deleted = SegmentStore(session).delete(wanted.id, by=context.actor, at=context.clock())
        if deleted is None:
            raise not_found("segment")
        return _shown(session, deleted)[0]


class SyncInput(SegmentInput):
    """The segment to sync."""

    confirm_departures: bool = False
    """Let members leave even if they are more than half of the segment."""


@router.mutation("sync")
def sync(context: Context, wanted: SyncInput) -> SegmentView:
    """Request a sync now. A second request while the first is waiting changes nothing. Returns the segment."""
    with context.session() as session:
        found = SegmentStore(session).get(wanted.id)
        asked = SyncRequestStore(session).ask(
            wanted.id, by=context.actor, at=context.clock(), departures_confirmed=wanted.confirm_departures
        )
        if found is None or asked is None:
            raise not_found("segment")
        if ConnectionStore(session, context.parts.keyring).live() is None:
            raise NotConnected(context.organisation_id)
        return _shown(session, found)[0]


@router.query("rejected")
def rejected(context: Context, wanted: RejectedInput) -> RejectedPage:
    """Return a page of the members whom Mailchimp rejects, with the reason and when each is sent again."""
    with context.session() as session:
        require_segment(session, wanted.id)
        found = rejected_contacts(session, wanted.id, limit=wanted.limit, cursor=wanted.cursor)
    return RejectedPage(
        items=[
            RejectedContact(
                entity_id=each.entity_id,
                entity_type=EntityType(each.entity_type),
                reason=Rejection(each.reason),
                text=rejection_text(Rejection(each.reason)),
                attempts=each.attempts,
                rejected_at=each.rejected_at,
                next_attempt_at=each.next_attempt_at,
                is_final=each.is_final,
            )
            for each in found.items
        ],
        next_cursor=found.next_cursor,
    )


@router.mutation("retryRejected")
def retry(context: Context, wanted: SegmentInput) -> SegmentView:
    """Let the next sync send the segment's rejected contacts again, whatever the reason was. Returns the segment."""
    with context.session() as session:
        found = require_segment(session, wanted.id)
        retry_rejected(session, wanted.id, by=context.actor, at=context.clock())
        return _shown(session, found)[0]


_PREVIEWS = Concurrency(
    total=2,
    per_organisation=1,
    waiting=20,
    wait_seconds=15,
    busy="Another preview of this organisation is running, or previews of others are.",
)
"""A preview reads an organisation's whole source: 100,000 contacts take seconds and hundreds of megabytes."""


@router.query("preview", concurrency=_PREVIEWS)
def preview(context: Context, wanted: PreviewInput) -> Preview:
    """Count the members that a segment would have now, and the excluded contacts. Stores and sends nothing."""
    records = DatabaseRecords(context.parts.database, context.parts.keyring, context.clock)
    contacts = read_candidates(records, context.parts.source, context.organisation_id, wanted.segment_type)
    population = Population.prepare(contacts, records.read_suppressions(context.organisation_id, contacts))
    found = population.membership(wanted.segment_type, wanted.filter_criteria)
    return Preview(matching=found.matching, members=len(found.members), excluded=dict(found.excluded))


class ContactOfSource(WireModel):
    """An employee or vendor, by the id in the source."""

    entity_type: EntityType
    entity_id: str


class PlannedContactsView(WireModel):
    """A number of contacts, and at most ten of them as examples. Erased contacts are counted, and are no examples."""

    count: Count
    examples: list[ContactOfSource]


class PlannedActions(WireModel):
    """What a sync would do with contacts. Those whom Mailchimp asks to confirm are in `add` and `subscribeAgain`."""

    add: PlannedContactsView
    update: PlannedContactsView
    """The members whose data changed."""
    move: PlannedContactsView
    """The members whose address changed."""
    subscribe_again: PlannedContactsView
    """The contacts who unsubscribed, and opted in later."""
    archive: PlannedContactsView
    unsubscribe: PlannedContactsView
    """The members who opted out here, and whom Mailchimp still has as subscribed."""


class SyncPreviewView(WireModel):
    """What a sync of a segment would do now."""

    audience_read_at: UtcTime | None
    """When the audience was last read. Later changes at Mailchimp are not known. If null, the audience was never read,
    and all members count as new."""
    error: str | None
    """Why the sync would stop before it sends anything, and what to do; null if it would not. The figures are those of
    a sync with `confirmDepartures`."""
    stopped_by: StopReason | None
    matching: Count
    """The contacts that match the filter."""
    members: Count
    leaving: Count
    """The members who would leave the segment."""
    unchanged: Count
    """The members whom the audience has already."""
    actions: PlannedActions
    excluded: dict[Exclusion, PlannedContactsView]
    """The matching contacts that are no members, by reason."""
    withheld: dict[Rejection, PlannedContactsView]
    """Members who are not sent because of their status in the audience, by reason."""
    rejected: dict[Rejection, PlannedContactsView]
    """Members whom Mailchimp rejected, and who are not due to be sent again, by reason."""


@router.query("previewSync", concurrency=_PREVIEWS)
def preview_of_sync(context: Context, wanted: SegmentInput) -> SyncPreviewView:
    """Return what a sync of the segment would do now, with ids of contacts as examples. Stores and sends nothing.

    Raises CONFLICT if a sync of the audience is running.
    """
    with context.session() as session:
        segment = require_segment(session, wanted.id)
        if ConnectionStore(session, context.parts.keyring).live() is None:
            raise NotConnected(context.organisation_id)
    records = DatabaseRecords(context.parts.database, context.parts.keyring, context.clock)
    found = preview_sync(records, context.parts.source, segment)
    fields = {name: getattr(found, name) for name in SyncPreviewView.model_fields}
    by_reason = {name: _planned(fields[name]) for name in ("actions", "excluded", "withheld", "rejected")}
    return SyncPreviewView.model_validate({**fields, **by_reason})


def _planned(groups: Mapping[str, PlannedContacts]) -> dict[str, object]:
    return {
        name: {
            "count": group.count,
            "examples": [{"entity_type": kind, "entity_id": entity_id} for kind, entity_id in group.examples],
        }
        for name, group in sorted(groups.items())
    }


@router.query("filterValues", concurrency=_PREVIEWS)
def filter_values(context: Context) -> dict[str, list[str]]:
    """Return the values that the source has for each filter criterion, sorted, at most 100 of each."""
    contacts = read_contacts(context.parts.source, context.organisation_id, list(EntityType))
    return {to_camel(criterion): _values(contacts[criterion]) for criterion in FilterCriteria.model_fields}


def _values(column: "pd.Series[str]") -> list[str]:
    """Return the different values of a column, each in its first spelling."""
    by_folded: dict[str, str] = {}
    for value in column.dropna().unique():
        if value:
            by_folded.setdefault(folded(value), value)
    return sorted(by_folded.values(), key=folded)[:MOST_VALUES]


def _shown(session: OrganisationSession, *segments: Segment) -> list[SegmentView]:
    """Return the segments as clients see them."""
    requested_at = SyncRequestStore(session).open_since([segment.id for segment in segments])
    return [_view(segment, requested_at.get(segment.id)) for segment in segments]


def _view(segment: Segment, sync_requested_at: datetime | None) -> SegmentView:
    report = segment.last_report or {}
    computed = {"counts", "sync_requested_at"}
    fields = {name: getattr(segment, name) for name in SegmentView.model_fields if name not in computed}
    counts = None
    if "in_audience" in report:
        counts = SegmentCounts.model_validate(
            {name: report[name] for name in SegmentCounts.model_fields if name != "rejected"}
            | {"rejected": sum_by_reason(report.get("rejected"), report.get("waiting"))}
        )
    return SegmentView.model_validate({**fields, "counts": counts, "sync_requested_at": sync_requested_at})


def sum_by_reason(*by_reason: object) -> dict[str, int]:
    """Return the sums of counts by reason. None has no counts."""
    counts: Counter[str] = Counter()
    for each in by_reason:
        counts.update(cast("dict[str, int]", each or {}))
    return dict(counts)


def require_segment(session: OrganisationSession, segment_id: str) -> Segment:
    """Return the segment. Raises NOT_FOUND if there is none with this id."""
    found = SegmentStore(session).get(segment_id)
    if found is None:
        raise not_found("segment")
    return found


def _audience(context: Context, list_id: str) -> Audience:
    """Return the audience from Mailchimp. Raises BAD_REQUEST if the account has no audience with this id."""
    with context.mailchimp() as mailchimp:
        try:
            return mailchimp.audience(list_id)
        except AudienceGone as gone:
            raise TRPCError("BAD_REQUEST", str(gone), {"mailchimpListId": [str(gone)]}) from None
