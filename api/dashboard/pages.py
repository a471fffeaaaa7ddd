"""The pages of the dashboard, one function for each request that a page can make."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse, Response

from api.dashboard.rendering import HEADERS
from api.dashboard.visit import CallFailed, Visit
from api.procedures.campaigns import CampaignHistory
from api.trpc import Role
from mailchimp_pipeline.campaigns import Figures, Stats, counts_plot, rates_plot, rates_text
from mailchimp_pipeline.clock import last_daily_sync
from mailchimp_pipeline.contacts import may_hold_address
from mailchimp_pipeline.segments import FilterCriteria

CRITERIA = {to_camel(name): name.replace("_", " ").capitalize() for name in FilterCriteria.model_fields}
"""The labels of the filter criteria, by name."""

_LISTED = 50
"""The items of a list on one page."""

_ATTENTION = 10
"""The segments in error that the overview shows."""

_ERASURE_PATIENCE = timedelta(days=1)
"""How long an erasure may wait for Mailchimp before a person should look at it."""


async def overview(visit: Visit) -> Response:
    """Show the health of the connection, and what needs attention."""
    connected = await visit.call("connection.get")
    values: dict[str, Any] = {"connection": connected, "audiences": None, "audiences_problem": None}
    values["failed"] = await visit.call("segments.list", limit=_ATTENTION, status="error")
    values["syncing"] = await visit.call("segments.list", limit=_ATTENTION, status="syncing")
    values["recent"] = await visit.call("segments.list", limit=1)
    values["erasures"] = await visit.call("preferences.pendingErasures")
    now = datetime.now(UTC)
    values["erasures_overdue"] = _is_overdue(values["erasures"]["oldestRequestedAt"], now)
    values["next_sync"] = (last_daily_sync(now) + timedelta(days=1)).isoformat()
    if connected and not connected["keyRefusedAt"]:
        try:
            values["audiences"] = await visit.call("connection.listAudiences")
        except CallFailed as failure:
            values["audiences_problem"] = _text(failure)
    return visit.page("overview.html", **values)


async def connection(visit: Visit, failure: CallFailed | None = None) -> Response:
    """Show the connection to Mailchimp, or the form that makes one."""
    connected = await visit.call("connection.get")
    return visit.page("connection.html", failure, connection=connected)


async def connect(visit: Visit) -> Response:
    """Connect the account of an API key."""
    try:
        await visit.call("connection.connect", apiKey=visit.form.text("apiKey"))
    except CallFailed as failure:
        return await connection(visit, failure.beside("apiKey"))
    return visit.redirect("/connection", done="connected")


async def disconnect(visit: Visit) -> Response:
    """End the connection."""
    await visit.call("connection.disconnect")
    return visit.redirect("/connection", done="disconnected")


async def segments(visit: Visit) -> Response:
    """List the segments, of one status if the URL names one."""
    status = visit.query("status")
    filtered = {"status": status} if status else {}
    found = await visit.call("segments.list", limit=_LISTED, cursor=visit.query("cursor"), **filtered)
    connected = await visit.call("connection.get")
    return visit.page("segments.html", segments=found, status_filter=status, connection=connected)


async def new_segment(visit: Visit) -> Response:
    """Show the form of a new segment."""
    visit.require(Role.EDITOR)
    return await _segment_form(visit, segment=None, values=_EMPTY_SEGMENT)


async def create_segment(visit: Visit) -> Response:
    """Create a segment, count its members (the button "Preview"), or show the values in the source."""
    values = _segment_values(visit)
    if visit.form.has("preview") or visit.form.has("values"):
        return await _segment_form(visit, segment=None, values=values)
    try:
        made = await visit.call("segments.create", **values)
    except CallFailed as failure:
        return await _segment_form(visit, failure, segment=None, values=values)
    return visit.redirect(f"/segments/{made['id']}", done="segment_created")


async def segment(visit: Visit, failure: CallFailed | None = None, *, planned: Any = None) -> Response:  # noqa: ANN401 - JSON
    """Show a segment, the result of its last sync, its rejected contacts, and what a sync would do if it is `planned`.

    What is planned is shown once, because it takes seconds to compute.
    """
    found = await visit.call("segments.get", id=visit.id)
    rejected = await visit.call("segments.rejected", id=visit.id, limit=_LISTED, cursor=visit.query("cursor"))
    history = await visit.call("segments.history", id=visit.id, limit=_LISTED)
    connected = await visit.call("connection.get")
    return visit.page(
        "segment.html",
        failure,
        segment=found,
        planned=planned,
        rejected=rejected,
        history=history["items"],
        plot=_members_plot(history["items"]),
        connection=connected,
        criteria=CRITERIA,
    )


async def sync_segment(visit: Visit) -> Response:
    """Request a sync of a segment."""
    confirmed = visit.form.has("confirmDepartures")
    await visit.call("segments.sync", id=visit.id, confirmDepartures=confirmed)
    return visit.redirect(f"/segments/{visit.id}")


async def preview_sync(visit: Visit) -> Response:
    """Show a segment with what a sync would do."""
    try:
        planned = await visit.call("segments.previewSync", id=visit.id)
    except CallFailed as failure:
        return await segment(visit, failure)
    return await segment(visit, planned=planned)


async def edit_segment(visit: Visit) -> Response:
    """Show the form that changes a segment."""
    visit.require(Role.EDITOR)
    found = await visit.call("segments.get", id=visit.id)
    return await _segment_form(visit, segment=found, values=found)


async def update_segment(visit: Visit) -> Response:
    """Change a segment, count its members (the button "Preview"), or show the values in the source."""
    found = await visit.call("segments.get", id=visit.id)
    given = _segment_values(visit)
    kept = {name: found[name] for name in ("segmentType", "mailchimpListId")}
    if visit.form.has("preview") or visit.form.has("values"):
        return await _segment_form(visit, segment=found, values=given | kept)
    changes = {name: value for name, value in given.items() if name not in kept}
    try:
        await visit.call("segments.update", id=visit.id, **changes)
    except CallFailed as failure:
        return await _segment_form(visit, failure, segment=found, values=given | kept)
    return visit.redirect(f"/segments/{visit.id}", done="segment_changed")


async def delete_segment(visit: Visit) -> Response:
    """Delete a segment."""
    await visit.call("segments.delete", id=visit.id)
    return visit.redirect("/segments", done="segment_deleted")


async def retry_rejected(visit: Visit) -> Response:
    """Let the next sync send the rejected contacts of a segment again."""
    await visit.call("segments.retryRejected", id=visit.id)
    return visit.redirect(f"/segments/{visit.id}", done="retry_recorded")


async def rejected_csv(visit: Visit) -> Response:
    """Return all rejected contacts of a segment as a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = ("entityType", "entityId", "reason", "text", "attempts", "rejectedAt", "nextAttemptAt", "isFinal")
    writer.writerow(columns)
    async for contact in _all_rejected(visit):
        writer.writerow([_cell(contact[column]) for column in columns])
    named = {"content-disposition": 'attachment; filename="rejected-contacts.csv"'}
    return Response(text.getvalue(), 200, {**HEADERS, **named}, "text/csv; charset=utf-8")


async def campaigns(visit: Visit, failure: CallFailed | None = None) -> Response:
    """List the tracked campaigns, and for an editor those that can be tracked."""
    found = await visit.call("campaigns.list", limit=_LISTED, cursor=visit.query("cursor"))
    wanted = visit.form.text("mailchimpCampaignId")
    available, problem = None, None
    if visit.caller.role.covers(Role.EDITOR) and await visit.call("connection.get"):
        try:
            available = await visit.call("campaigns.available")
        except CallFailed as missing:
            problem = _text(missing)
    return visit.page(
        "campaigns.html", failure, campaigns=found, wanted=wanted, available=available, available_problem=problem
    )


async def track_campaign(visit: Visit) -> Response:
    """Track the campaign that the form names, and go to its page. If there is none, show the form with the error."""
    try:
        tracked = await visit.call(
            "campaigns.trackCampaign", mailchimpCampaignId=visit.form.text("mailchimpCampaignId")
        )
    except CallFailed as failure:
        return await campaigns(visit, failure.beside("mailchimpCampaignId"))
    return visit.redirect(f"/campaigns/{tracked['id']}", done="campaign_tracked")


async def campaign(visit: Visit) -> Response:
    """Show a campaign, and its rates over time."""
    found = await visit.call("campaigns.get", id=visit.id)
    history = await visit.call("campaigns.history", id=visit.id, limit=100)
    return visit.page("campaign.html", campaign=found, history=history, plot=_plot(found["title"], history))


async def refresh_campaign(visit: Visit) -> Response:
    """Refresh the figures of a campaign."""
    await visit.call("campaigns.refreshStats", id=visit.id)
    return visit.redirect(f"/campaigns/{visit.id}", done="campaign_refreshed")


async def contacts(visit: Visit, failure: CallFailed | None = None, *, found: Any = None) -> Response:  # noqa: ANN401 - JSON
    """List the recorded preferences, with a form to find one contact, and the contacts that it `found`."""
    preferences = await visit.call("preferences.list", limit=_LISTED, cursor=visit.query("cursor"))
    contact = _contact(visit)
    return visit.page(
        "contacts.html",
        failure,
        preferences=preferences,
        found=found,
        wanted=contact["entityId"],
        entityType=contact["entityType"],
    )


async def find_contact(visit: Visit) -> Response:
    """Show the contact of an id, or that of an address; if several have it, list them.

    What is searched for is sent as a form, because URLs are logged and an id may be an address.
    """
    try:
        if _is_search_by_address(visit):
            return await _contacts_with_address(visit)
        return await _contact_page(visit, _contact(visit))
    except CallFailed as failure:
        return await contacts(visit, failure)


async def update_opt_status(visit: Visit) -> Response:
    """Record an opt-in or opt-out."""
    opted_in = _choice(visit, "optedIn")
    source = visit.form.text("consentSource")
    try:
        await visit.call("preferences.updateOptStatus", **_contact(visit), optedIn=opted_in, consentSource=source)
    except CallFailed as failure:
        return await _contact_page(visit, _contact(visit), failure)
    return await _contact_page(visit, _contact(visit), happened="opted_in" if opted_in else "opted_out")


async def export_contact(visit: Visit) -> Response:
    """Return all data about a contact: on the page, or as a JSON file."""
    exported = await visit.call("preferences.export", **_contact(visit))
    if visit.form.has("download"):
        named = {"content-disposition": 'attachment; filename="contact.json"'}
        return JSONResponse(exported, 200, {**HEADERS, **named})
    return await _contact_page(visit, _contact(visit), exported=exported)


async def erase_contact(visit: Visit) -> Response:
    """Erase a contact, after its id was typed to confirm it."""
    contact = _contact(visit)
    if visit.form.text("confirmation").strip() != contact["entityId"].strip():
        failure = CallFailed.refusal("BAD_REQUEST", "This is not the id of the contact.", "confirmation")
        return await _contact_page(visit, contact, failure)
    erasure = await visit.call("preferences.gdprDelete", **contact)
    return await _contact_page(visit, contact, erasure=erasure)


async def audit(visit: Visit) -> Response:
    """Show the audit log, of one entity or actor if the URL names one.

    URLs never name contacts: their page has their log. The log's names of actors are no addresses.
    """
    entity_type, entity_id = visit.query("entityType"), visit.query("entityId")
    named = {"entityType": entity_type, "entityId": entity_id} if entity_type and entity_id else {}
    actor = (visit.query("actor") or "").strip()
    by = {"actor": actor} if actor else {}
    found = await visit.call("audit.list", limit=_LISTED, cursor=visit.query("cursor"), **named, **by)
    return visit.page("audit.html", entries=found, filters=named | by, actor=actor)


async def settings(visit: Visit, failure: CallFailed | None = None) -> Response:
    """Show the consent rule."""
    connected = await visit.call("connection.get")
    rule = await visit.call("preferences.getConsentRule") if connected else None
    return visit.page("settings.html", failure, rule=rule)


async def save_settings(visit: Visit) -> Response:
    """Set the consent rule."""
    try:
        await visit.call("preferences.setConsentRule", optInOnly=_choice(visit, "optInOnly"))
    except CallFailed as failure:
        return await settings(visit, failure)
    return visit.redirect("/settings", done="settings_saved")


_EMPTY_SEGMENT: dict[str, Any] = {
    "name": "",
    "description": None,
    "segmentType": "employee",
    "mailchimpListId": "",
    "filterCriteria": {name: [] for name in CRITERIA},
    "onLeave": "keep",
}


def _segment_values(visit: Visit) -> dict[str, Any]:
    """Return the fields of a segment's form, as the input of `segments.create`."""
    form = visit.form
    return {
        "name": form.text("name"),
        "description": form.text("description").strip() or None,
        "segmentType": form.text("segmentType"),
        "mailchimpListId": form.text("mailchimpListId"),
        "filterCriteria": {name: form.lines(name) for name in CRITERIA},
        "onLeave": form.text("onLeave"),
    }


async def _segment_form(
    visit: Visit,
    failure: CallFailed | None = None,
    **values: Any,  # noqa: ANN401 - JSON
) -> Response:
    audiences: Any = []
    counted, problem = None, None
    known: Any = {}
    if values["segment"] is None:
        try:
            audiences = await visit.call("connection.listAudiences")
        except CallFailed as missing:
            problem = _text(missing)
    if visit.form.has("preview"):
        given = values["values"]
        try:
            counted = await visit.call(
                "segments.preview", segmentType=given["segmentType"], filterCriteria=given["filterCriteria"]
            )
        except CallFailed as refused:
            failure = refused
    if visit.form.has("values"):
        try:
            known = await visit.call("segments.filterValues")
        except CallFailed as refused:
            failure = refused
    return visit.page(
        "segment_form.html",
        failure,
        audiences=audiences,
        audiences_problem=problem,
        preview=counted,
        criteria=CRITERIA,
        known=known,
        **values,
    )


async def _all_rejected(visit: Visit) -> AsyncIterator[dict[str, Any]]:
    cursor = None
    while True:
        page = await visit.call("segments.rejected", id=visit.id, limit=100, cursor=cursor)
        for contact in page["items"]:
            yield contact
        cursor = page["nextCursor"]
        if cursor is None:
            return


_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # noqa: RUF001 - spreadsheets take them for ASCII


def _cell(value: object) -> str:
    """Return the value of a CSV cell. A spreadsheet would run a text that begins like a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _choice(visit: Visit, name: str) -> bool | None:
    """Return which of two buttons was chosen, None if it was neither: every procedure refuses that."""
    return {"true": True, "false": False}.get(visit.form.text(name))


def _contact(visit: Visit) -> dict[str, str]:
    """Return the contact that a form names, by its own field or as what is searched for."""
    entity_id = visit.form.text("entityId") or visit.form.text("wanted")
    return {"entityId": entity_id, "entityType": visit.form.text("entityType") or "employee"}


def _is_search_by_address(visit: Visit) -> bool:
    """Return whether an address is searched for. An `entityId` is an id, although it may have the form of an address.

    Viewers find contacts by their ids only, as in the API.
    """
    is_search = not visit.form.has("entityId")
    return is_search and may_hold_address(visit.form.text("wanted")) and visit.caller.role.covers(Role.EDITOR)


async def _contacts_with_address(visit: Visit) -> Response:
    found = (await visit.call("preferences.findByAddress", address=visit.form.text("wanted")))["items"]
    if len(found) == 1:
        return await _contact_page(visit, found[0])
    return await contacts(visit, found=found)


async def _contact_page(  # noqa: PLR0913 - what happened to the contact, all by name
    visit: Visit,
    contact: Mapping[str, str],
    failure: CallFailed | None = None,
    *,
    happened: str | None = None,
    exported: Any = None,  # noqa: ANN401 - JSON
    erasure: Any = None,  # noqa: ANN401 - JSON
) -> Response:
    preference = await visit.call("preferences.getForEntity", **contact)
    entries = await visit.call("audit.list", limit=_LISTED, **contact)
    segments_of_it, problem = None, None
    try:
        cursor = visit.form.text("cursor") or None
        segments_of_it = await visit.call("contacts.segments", limit=_LISTED, cursor=cursor, **contact)
    except CallFailed as unread:
        problem = _text(unread)
    return visit.page(
        "contact.html",
        failure,
        segments=segments_of_it,
        segments_problem=problem,
        criteria=CRITERIA,
        entityId=contact["entityId"],
        entityType=contact["entityType"],
        preference=preference,
        entries=entries,
        happened=happened,
        exported=exported,
        erasure=erasure,
    )


def _plot(title: str, history: Any) -> Markup:  # noqa: ANN401 - JSON
    """Return the plot of a campaign's rates, which begins with the oldest."""
    stats = [
        Stats(each.refreshed_at, each.status, Figures(**each.model_dump(exclude={"refreshed_at", "status"})))
        for each in reversed(CampaignHistory.model_validate(history).items)
    ]
    if not stats:
        return Markup()
    figure = Markup('<figure role="img" aria-label="{}">{}</figure>')
    return figure.format(rates_text([(title, stats)]), Markup(rates_plot([(title, stats)])))  # noqa: S704 - it is escaped


def _members_plot(history: Sequence[Any]) -> Markup | None:
    """Return the plot of the members in the audience. None if fewer than two syncs succeeded."""
    counts = [
        (datetime.fromisoformat(sync["endedAt"]), sync["counts"]["inAudience"])
        for sync in reversed(history)
        if sync["counts"]
    ]
    return Markup(counts_plot(counts)) if len(counts) > 1 else None  # noqa: S704 - dates and numbers only


def _text(failure: CallFailed) -> str:
    return " ".join(text for texts in failure.messages.values() for text in texts)


def _is_overdue(requested_at: str | None, now: datetime) -> bool:
    return requested_at is not None and now - datetime.fromisoformat(requested_at) > _ERASURE_PATIENCE
