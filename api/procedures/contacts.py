"""`mailchimp.contacts`: which segments a contact is in, and why not in others."""

from pydantic.alias_generators import to_camel

from api.procedures.context import Context
from api.procedures.inputs import EntityInput, PageInput
from api.trpc import Router, WireModel
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.segments import Exclusion
from mailchimp_pipeline.services.explain_contact import ContactInSegment, ExplainContact
from mailchimp_pipeline.sync import KnownStatus, Rejection
from mailchimp_pipeline.sync.rejections import text as rejection_text

router: Router[Context] = Router("mailchimp.contacts")


class ContactInput(EntityInput, PageInput):
    """A contact, and a page of the organisation's segments."""


class ContactSegment(WireModel):
    """Whether the contact is a member of a segment, and why not."""

    segment_id: str
    segment_name: str
    mailchimp_list_id: str
    mailchimp_list_name: str | None
    is_member: bool
    """Whether the last sync made the contact a member."""
    mismatches: list[str]
    """The filter criteria that the contact does not match now, such as `department`."""
    exclusion: Exclusion | None
    """Why the contact is excluded now, although it matches the filter."""
    status: KnownStatus | None
    """The contact's status in the audience when that was last read. `removed` means that the pipeline archived it."""
    rejection: Rejection | None
    """Why Mailchimp rejects the contact."""
    rejection_text: str | None
    """The same in words, and what to do."""


class ContactSegments(WireModel):
    """The segments of the contact's type, the newest first."""

    is_in_source: bool
    is_known: bool
    """Whether the database has a preference, a consent statement or a membership of the contact."""
    is_erased: bool
    items: list[ContactSegment]
    next_cursor: str | None


@router.query("segments")
def segments(context: Context, wanted: ContactInput) -> ContactSegments:
    """Return for each segment whether the contact is a member, and why not. Mailchimp is not asked.

    Segments of the other type are left out, so a page may have fewer items than `limit`.
    """
    with context.session() as session:
        page = SegmentStore(session).list(limit=wanted.limit, cursor=wanted.cursor)
    explanations = ExplainContact(context.parts.database, context.parts.keyring, context.parts.source)
    contact = (wanted.entity_type, wanted.entity_id)
    found = explanations.explain(context.organisation_id, contact, page.items)
    return ContactSegments(
        is_in_source=found.is_in_source,
        is_known=found.is_known,
        is_erased=found.is_erased,
        items=[_view(each) for each in found.segments],
        next_cursor=page.next_cursor,
    )


def _view(explained: ContactInSegment) -> ContactSegment:
    segment, rejection = explained.segment, explained.rejection
    return ContactSegment(
        segment_id=segment.id,
        segment_name=segment.name,
        mailchimp_list_id=segment.mailchimp_list_id,
        mailchimp_list_name=segment.mailchimp_list_name,
        is_member=explained.is_member,
        mismatches=[to_camel(name) for name in explained.mismatches],
        exclusion=explained.exclusion,
        status=explained.status,
        rejection=rejection,
        rejection_text=None if rejection is None else rejection_text(rejection),
    )
