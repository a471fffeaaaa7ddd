"""The API on one core, asked over 16 connections, beside the reference server whose procedures do nothing."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from api.trpc import Role
from bench import peers
from bench.figures import Figure, Scale, script
from bench.stage import Stage, stage
from mailchimp_pipeline.embedded.processes import foreign_environment, run
from mailchimp_pipeline.local.stack import free_port, installed, wait_for_port

CONNECTIONS = 16
SEGMENTS = 20
CALLERS = 128
"""Each with an organisation of its own: how many calls of one run at once is limited."""

_WHERE = (
    "The core is busy throughout, two thirds of it with PostgreSQL: each call is a transaction of its own, in "
    "which the connection is tried, the role and the organisation are set for the policies on rows, and one to "
    "three queries are made by way of SQLAlchemy, in a thread. What is before and after it (the token, the "
    "limits, the log line) is a tenth. The reference knows no caller and asks no database."
)

_SECONDS = 10
_REFERENCE = "@trpc/server@11.25.2"
_SCRIPTS = Path(__file__).parent / "peer_scripts"
_PROCEDURES = ("segments.list", "connection.get")


@dataclass(frozen=True, slots=True)
class _Rate:
    """Requests a second, and milliseconds within which 99 of 100 were answered."""

    rate: float
    p99: float


def _measure(scale: Scale) -> Sequence[Figure]:
    seconds = _SECONDS if scale.is_full else 1
    with stage() as here:
        tokens = here.stack.dagster_home / "tokens.json"
        tokens.write_text(json.dumps([_caller(here, f"org{number:03}") for number in range(scale.of(CALLERS))]))
        ports = [_start_ours(here)]
        # At a smaller scale there is no time to install the reference: the API is then compared with itself.
        ports += [_start_reference(here)] if scale.is_full else []
        return [_figure(name, [_asked(port, name, tokens, seconds) for port in ports]) for name in _PROCEDURES]


def _caller(stage: Stage, organisation_id: str) -> str:
    """Make a connected organisation with segments; return a token for it."""
    stage.connect(organisation_id, [])
    for number in range(SEGMENTS):
        stage.segment(organisation_id, f"{organisation_id}a{number}")
    return stage.token(organisation_id, Role.VIEWER)


def _start_ours(stage: Stage) -> int:
    port = stage.stack.settings.api_port
    command = [*_on_core(0), installed("mailchimp-pipeline"), "api"]
    stage.stack.children.start("api", command, stage.stack.environment)
    wait_for_port(port, stage.stack.children, what="The API")
    return port


def _start_reference(stage: Stage) -> int:
    port, home = free_port(), peers.node_modules("trpc", _REFERENCE)
    there = home / "nothing.mjs"
    shutil.copyfile(_SCRIPTS / "nothing.mjs", there)
    stage.stack.children.start("reference", [*_on_core(0), "node", str(there), str(port)], foreign_environment())
    wait_for_port(port, stage.stack.children, what="The reference server")
    return port


def _asked(port: int, procedure: str, tokens: Path, seconds: int) -> _Rate:
    url = f"http://127.0.0.1:{port}/api/trpc/mailchimp.{procedure}"
    load = [*_on_core(1), "node", str(_SCRIPTS / "load.mjs"), url, str(tokens), str(seconds), str(CONNECTIONS)]
    return _Rate(**json.loads(run(load, foreign_environment())))


def _on_core(core: int) -> list[str]:
    """Return what keeps a command to one core, where this machine has it."""
    return ["taskset", "--cpu-list", str(core % (os.cpu_count() or 1))] if shutil.which("taskset") else []


def _figure(procedure: str, rates: Sequence[_Rate]) -> Figure:
    ours, theirs = rates[0], rates[-1]
    told = " the reference, doing nothing, ".join(
        f"{rate.rate:,.0f} a second, p99 {rate.p99:.0f} ms;" for rate in rates
    )
    what = f"requests a second at {CONNECTIONS} connections on one core ÷ those of @trpc/server doing nothing"
    beside = told.removesuffix(";")
    return Figure(f"API: `{procedure}`", what, ours.rate / theirs.rate, "", "≥", 0.3, 0.6, beside, _WHERE)


if __name__ == "__main__":
    script(_measure)
