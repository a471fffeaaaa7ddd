"""Check that Dagster's daemon is alive, and that no schedule or sensor is switched off.

What does not belong here: the definitions (`defs`).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailchimp_pipeline.doctor.results import Doubtful, Missing
from mailchimp_pipeline.settings import VARIABLES, Settings

if TYPE_CHECKING:
    import dagster as dg

ALIVE_SECONDS = 120
"""The maximum age of a heartbeat. A daemon sends one every 30 s."""


def heartbeat(settings: Settings) -> str:
    """Return a text about the state of Dagster's daemon. Raises `Missing` and `Doubtful`."""
    home = _home(settings)
    # Dagster's storages raise the errors of any driver.
    try:
        silent, failing, stopped = _state(home)
    except Exception as error:
        raise Missing(
            f"its storage cannot be read ({type(error).__name__}). Check dagster.yaml in {home} and that "
            f"{VARIABLES['dagster_postgres_url']} names a server that runs, with the right user and password."
        ) from error
    if silent:
        raise Missing(
            f"no sign of life of {', '.join(silent)} in {ALIVE_SECONDS} s: nothing is synced, no request is served. "
            f"Start `dagster-daemon run` with DAGSTER_HOME={home}."
        )
    if stopped:
        raise Doubtful(f"{', '.join(stopped)} are switched off. Switch them on in Dagster's UI, under Automation.")
    if failing:
        raise Doubtful(f"{', '.join(failing)} reported an error. Dagster's UI shows it, under Deployment, Daemons.")
    return "its daemon is alive, and everything is switched on"


def _home(settings: Settings) -> Path:
    home = settings.dagster_home or settings.home / "dagster"
    if not home.is_dir():
        raise Missing(
            f"there is no directory {home}. Set {VARIABLES['dagster_home']} to the directory with dagster.yaml, as it "
            "is set for Dagster's daemon; on one machine `make dev` makes it."
        )
    return home


def _state(home: Path) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Return the silent daemons, the daemons with errors, and the schedules and sensors that are switched off."""
    import dagster as dg  # noqa: PLC0415 - takes seconds to import

    with dg.DagsterInstance.from_config(str(home)) as instance:
        return _daemons(instance)


def _daemons(instance: "dg.DagsterInstance") -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    from dagster._core.scheduler.instigation import InstigatorStatus  # noqa: PLC0415 - no public name for it

    latest = time.time() - ALIVE_SECONDS
    beats = instance.get_daemon_heartbeats()
    required = sorted(instance.get_required_daemon_types())
    silent = [name for name in required if name not in beats or beats[name].timestamp < latest]
    failing = [name for name in required if name in beats and beats[name].errors]
    states = instance.all_instigator_state()
    stopped = sorted(state.instigator_name for state in states if state.status is InstigatorStatus.STOPPED)
    return silent, failing, stopped
