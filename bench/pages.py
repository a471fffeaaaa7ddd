"""The dashboard's pages for an organisation with 10,000 segments: CPU time of the API process for each."""

from collections.abc import Sequence

import psutil
import requests
from sqlalchemy import text

from api.trpc import Role
from bench.figures import Figure, Scale, script
from bench.stage import Stage, stage
from mailchimp_pipeline.local.stack import installed, wait_for_port

ORGANISATION, AUDIENCE = "acme", "a1b2c3d4e5"
SEGMENTS = 10_000
REQUESTS = 20
"""Requests for each page, after a first one that is not measured."""

_MORE_SEGMENTS = text("""
insert into contact_segments (
    organisation_id, name, segment_type, mailchimp_list_id, filter_criteria, on_leave, status, last_error,
    created_at, updated_at, status_changed_at
)
select :organisation_id, 'Segment ' || number, 'employee', :list_id, '{}'::jsonb, 'keep',
    case when number % 3 = 0 then 'error' else 'pending' end, case when number % 3 = 0 then 'Mailchimp failed.' end,
    now(), now(), now()
from generate_series(1, :count) as number
""")

_WHERE = (
    "Each page calls one to six procedures, and each call is a transaction of its own; the template is a tenth of it. "
    "The overview also asks Mailchimp for the audiences."
)


def _measure(scale: Scale) -> Sequence[Figure]:
    with stage() as here:
        here.connect(ORGANISATION, [AUDIENCE])
        segment = here.segment(ORGANISATION, AUDIENCE)
        with here.pipeline.resources.database.organisation(ORGANISATION) as session:
            values = {"organisation_id": ORGANISATION, "list_id": AUDIENCE, "count": scale.of(SEGMENTS)}
            session.execute(_MORE_SEGMENTS, values)
        paths = ("/", "/segments", "/segments?status=error", f"/segments/{segment.id}", "/segments/new")
        paths += ("/campaigns", "/contacts", "/audit", "/connection", "/settings")
        seconds = _cpu_seconds(here, paths, scale.of(REQUESTS))
    beside = ", ".join(f"{path.replace(segment.id, '…')} {1000 * each:.0f}" for path, each in seconds.items())
    what = f"ms of CPU of the API process for the slowest page, with {SEGMENTS:,} segments"
    slowest = 1000 * max(seconds.values())
    return [Figure("Dashboard: a page", what, slowest, "ms", "≤", 200, 60, f"{beside} ms", _WHERE)]


def _cpu_seconds(stage: Stage, paths: Sequence[str], count: int) -> dict[str, float]:
    """Return the CPU seconds of the API process for one request of each page, as the mean of `count` requests."""
    port = stage.stack.settings.api_port
    stage.stack.children.start("api", [installed("mailchimp-pipeline"), "api"], stage.stack.environment)
    wait_for_port(port, stage.stack.children, what="The API")
    api = _listening(port)
    found: dict[str, float] = {}
    with requests.Session() as browser:
        browser.headers["authorization"] = f"Bearer {stage.token(ORGANISATION, Role.ADMIN)}"
        for path in paths:
            browser.get(f"http://127.0.0.1:{port}{path}", timeout=60).raise_for_status()
            before = api.cpu_times()
            for _ in range(count):
                browser.get(f"http://127.0.0.1:{port}{path}", timeout=60).raise_for_status()
            after = api.cpu_times()
            found[path] = (after.user + after.system - before.user - before.system) / count
    return found


def _listening(port: int) -> psutil.Process:
    """Return the child process that listens on the port."""
    children = psutil.Process().children(recursive=True)
    return next(each for each in children if any(one.laddr[1:] == (port,) for one in each.net_connections("tcp4")))


if __name__ == "__main__":
    script(_measure)
