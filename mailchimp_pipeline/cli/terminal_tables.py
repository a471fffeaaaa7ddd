"""Tables for the terminal: segments, previews of syncs, audiences, erasures and reconciliations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from mailchimp_pipeline.erasure import ErasureRequest
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.services.preview_sync import SyncPreview

_COLOURS = {
    SegmentStatus.SYNCED: "green",
    SegmentStatus.ERROR: "red",
    SegmentStatus.SYNCING: "yellow",
    SegmentStatus.PENDING: "dim",
}


def segment_table(segments: Iterable[Segment], *, title: str) -> Group:
    """Return tables of segments: status and counts, then excluded contacts by reason, then errors.

    They fit into 80 columns.
    """
    table = _table(title, "segment", "status")
    for name in ("matching", "pushed", "unchanged"):
        table.add_column(name, justify="right")
    not_sent = _table("Who matches and is not in the audience", "segment", "contacts")
    errors: list[str] = []
    for segment in segments:
        report, name = segment.last_report or {}, escape(f"{segment.organisation_id}: {segment.name}")
        table.add_row(
            name,
            f"[{_COLOURS[segment.status]}]{segment.status}[/]",
            _text(report.get("matching")),
            str(_count(report.get("new")) + _count(report.get("changed"))) if report else "",
            _text(report.get("unchanged")),
        )
        reasons = _reasons(
            report.get("excluded"), report.get("rejected"), report.get("waiting"), report.get("withheld")
        )
        if reasons:
            not_sent.add_row(name, reasons)
        if segment.last_error:
            errors.append(f"[red]{escape(segment.name)}[/]: {escape(segment.last_error)}")
    return Group(table, *([not_sent] if not_sent.row_count else []), *errors)


def audience_table(rows: Sequence[tuple[str, str, Mapping[str, int]]], *, title: str) -> Table:
    """Return a table of audiences. A row has the organisation's id, the audience's name and its members by status."""
    table = _table(title, "organisation", "audience")
    statuses = sorted({status for _, _, counts in rows for status in counts})
    for status in statuses:
        table.add_column(status, justify="right")
    for organisation, name, counts in rows:
        table.add_row(escape(organisation), escape(name), *(str(counts.get(status, 0)) for status in statuses))
    return table


def erasure_table(pending: Iterable[ErasureRequest]) -> Table:
    """Return a table of pending erasures."""
    table = _table(
        "Erasures that Mailchimp has not confirmed", "id", "organisation", "asked for at", "tried", "waits for"
    )
    for request in pending:
        at = f"{request.requested_at:%Y-%m-%d %H:%M} UTC"
        waits_for = escape(request.last_error or "")
        table.add_row(request.id, escape(request.organisation_id), at, str(request.attempts), waits_for)
    return table


class _Reconciled(Protocol):
    @property
    def organisation_id(self) -> str: ...
    @property
    def list_id(self) -> str: ...
    @property
    def error(self) -> str | None: ...


def reconciliation_table(audiences: Iterable[_Reconciled], *, title: str) -> Table:
    """Return a table of audiences: how many members differed from the database. Errors are listed below the table."""
    table = _table(title, "organisation", "audience")
    names = ("read", "unknown", "changed", "unsubscribed", "deleted", "opted_out")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    errors: list[str] = []
    for each in audiences:
        counts = (str(getattr(each, name)) for name in names)
        table.add_row(escape(each.organisation_id), escape(each.list_id), *counts)
        errors += [f"[red]{escape(each.list_id)}[/]: {escape(each.error)}"] if each.error else []
    table.caption = "\n".join(errors) or None
    return table


def preview_table(preview: SyncPreview, *, title: str) -> Table:
    """Return a table of what a sync would do: contacts by action, or by the reason why they are not sent."""
    table = _table(title, "contacts")
    table.add_column("number", justify="right")
    table.add_column("for example")
    groups = {
        "": preview.actions,
        "left out: ": preview.excluded,
        "not sent: ": preview.withheld,
        "rejected: ": preview.rejected,
    }
    for prefix, group in groups.items():
        for name, planned in group.items():
            if planned.count:
                examples = ", ".join(f"{kind} {entity_id}" for kind, entity_id in planned.examples)
                table.add_row(f"{prefix}{name.replace('_', ' ')}", str(planned.count), escape(examples))
    table.add_row("unchanged", str(preview.unchanged), "")
    read_at = preview.audience_read_at
    audience = f"was last read at {read_at:%Y-%m-%d %H:%M} UTC" if read_at else "was never read, so everybody is new"
    error = [f"[red]The sync would stop[/]: {escape(preview.error)}"] if preview.error else []
    table.caption = "\n".join([f"The audience {audience}.", *error])
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        caption_style="",
        header_style="dim",
        box=SIMPLE_HEAD,
    )
    for column in columns:
        table.add_column(column)
    return table


def _reasons(*counted: object) -> str:
    reasons = [f"{count} {_text(reason).replace('_', ' ')}" for group in counted for reason, count in _items(group)]
    return ", ".join(reasons)


def _items(group: object) -> list[tuple[object, int]]:
    if not isinstance(group, Mapping):
        return []
    reasons = cast("Mapping[object, object]", group)
    return [(reason, count) for reason, count in reasons.items() if isinstance(count, int) and count]


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str:
    return "" if value is None else str(value)
