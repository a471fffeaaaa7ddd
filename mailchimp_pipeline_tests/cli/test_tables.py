"""Tables in a terminal show every figure, and never interpret user text as markup."""

from dataclasses import replace
from io import StringIO

from rich.console import Console, RenderableType

from mailchimp_pipeline.cli.terminal_tables import audience_table, erasure_table, segment_table
from mailchimp_pipeline.erasure import ErasureRequest, ErasureStatus
from mailchimp_pipeline.segments import Segment, SegmentStatus, SegmentType
from mailchimp_pipeline_tests.database.builders import AT

REPORT = {
    "matching": 12,
    "excluded": {"invalid_address": 2, "duplicate": 0},
    "new": 3,
    "changed": 4,
    "unchanged": 5,
    "calls": 6,
    "rejected": {"looks_fake": 1},
    "withheld": {"awaiting_confirmation": 7},
    "waiting": {"too_many_signups": 8},
}


def a_segment(name: str = "Everybody") -> Segment:
    return Segment("1", "acme", name, SegmentType.EMPLOYEE, "a1b2c3d4e5", AT, AT)


def printed(table: RenderableType, width: int = 160) -> str:
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


def test_segments_fit_into_80_columns() -> None:
    name, many = (
        "Suppliers in the north",
        dict.fromkeys(("missing_address", "invalid_address", "opted_out"), 1000),
    )
    report = REPORT | {"matching": 100_000, "unchanged": 100_000, "excluded": many}
    segment = replace(a_segment(name=name), status=SegmentStatus.SYNCED, last_report=report)
    shown = printed(segment_table([segment], title="All"), width=80).splitlines()
    figures = next(line for line in shown if name in line)
    assert figures.split()[-4:] == ["synced", "100000", "7", "100000"]
    assert max(len(line.rstrip()) for line in shown) <= 80
    assert "1000 missing address, 1000 invalid address" in " ".join(" ".join(shown).split())


def test_a_segment_shows_what_its_last_sync_did() -> None:
    segment = replace(a_segment(), status=SegmentStatus.SYNCED, last_report=REPORT, mailchimp_list_name="Staff")
    shown = printed(segment_table([segment], title="All"))
    assert "acme: Everybody" in shown
    row = next(line for line in shown.splitlines() if "acme" in line).split()
    assert [word for word in row if word.isdigit()] == ["12", "7", "5"]
    assert all(reason in shown for reason in ("2 invalid address", "1 looks fake", "7 awaiting", "8 too many signups"))
    assert "duplicate" not in shown


def test_a_segment_that_was_never_synced_has_no_figures() -> None:
    shown = printed(segment_table([a_segment()], title="All"))
    row = next(line for line in shown.splitlines() if "acme" in line)
    assert row.split() == ["acme:", "Everybody", "pending"]


def test_errors_stand_below_in_full_and_brackets_in_them_stay() -> None:
    error = "Install it with `pip install 'mailchimp-pipeline[local]'`. " * 4
    segment = replace(a_segment(name="[bold]Staff"), status=SegmentStatus.ERROR, last_error=error)
    shown = printed(segment_table([segment], title="Segments [of] acme"))
    assert "mailchimp-pipeline[local]" in shown
    assert "acme: [bold]Staff" in shown
    assert "Segments [of] acme" in shown


def test_an_erasure_shows_what_it_waits_for() -> None:
    request = ErasureRequest(
        id="erasure-1",
        organisation_id="acme",
        status=ErasureStatus.PENDING,
        audiences=1,
        attempts=3,
        last_tried_at=AT,
        last_error="Mailchimp [us6] is away.",
        requested_by="alice",
        requested_at=AT,
        completed_at=None,
    )
    shown = printed(erasure_table([request]))
    assert all(text in shown for text in ("erasure-1", "2026-03-01 05:00 UTC", " 3 ", "Mailchimp [us6] is away."))


def test_audiences_show_their_members_by_status() -> None:
    rows = [("acme", "Staff", {"subscribed": 3, "pending": 1}), ("globex", "All", {"subscribed": 2})]
    shown = [line.split() for line in printed(audience_table(rows, title="Audiences")).splitlines()]
    assert ["organisation", "audience", "pending", "subscribed"] in shown
    assert ["globex", "All", "0", "2"] in shown
