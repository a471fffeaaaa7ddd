"""The routes for an audience's abuse reports."""

from sandbox.model.audiences import AbuseReport, Audience
from sandbox.web.endpoints import Answer, Call, Endpoint
from sandbox.web.member_shapes import moment
from sandbox.web.queries import PAGES

_REPORTS = "/lists/{list_id}/abuse-reports"


def list_reports(call: Call) -> Answer:
    """GET abuse-reports."""
    reports = call.audience.abuse_reports
    shown = [_shape(call.audience, report) for report in call.query.page(reports)]
    return Answer(
        {"abuse_reports": shown, "list_id": call.audience.id, "total_items": len(reports), "_links": []},
    )


def _shape(audience: Audience, report: AbuseReport) -> dict[str, object]:
    return {
        "id": report.id,
        "campaign_id": "",
        "list_id": audience.id,
        "email_id": report.email_id,
        "email_address": report.email_address,
        "merge_fields": audience.merge_fields.read(report.member.values),
        "vip": report.member.attributes.vip,
        "date": moment(report.at),
        "_links": [],
    }


_SAMPLE: dict[str, object] = {
    **dict.fromkeys(("id", "campaign_id", "list_id", "email_id", "email_address", "vip", "date"), ""),
    "merge_fields": [],
    "_links": [],
}

ENDPOINTS = (Endpoint("GET", _REPORTS, list_reports, query=PAGES, samples={"abuse_reports": _SAMPLE}),)
