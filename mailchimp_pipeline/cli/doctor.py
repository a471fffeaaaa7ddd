"""`mailchimp-pipeline doctor`: checks everything the pipeline needs, and says what is missing and what to do.

The checks: settings, database, login, keys, Dagster's daemon, sources, and each organisation's Mailchimp. The results
are printed as lines, or as a JSON document for scripts.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connection_store import (
    connected_organisations,
    sharing_audiences,
    sharing_organisations,
)
from mailchimp_pipeline.database.key_rotation import held_secrets
from mailchimp_pipeline.database.migrations import current_revision, require_tables
from mailchimp_pipeline.database.session import DatabaseRole, login
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import VARIABLES, Settings

if TYPE_CHECKING:
    import dagster as dg


class Level(StrEnum):
    """The severity of a result."""

    WELL = "well"
    WARNING = "warning"
    """It works, but should be changed."""
    MISSING = "missing"
    """It does not work."""


class Missing(PermanentError):
    """A part that the pipeline needs is missing."""


class Doubtful(PermanentError):
    """A part works, but should be changed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: what was checked, and what was found or what to do. It has no secret or personal data."""

    about: str
    level: Level
    says: str

    @property
    def is_well(self) -> bool:
        """Whether the pipeline works in spite of this result, as it does with a warning."""
        return self.level is not Level.MISSING


ALIVE_SECONDS = 120
"""The maximum age of a heartbeat. A daemon sends one every 30 s."""


def heartbeat(settings: Settings) -> str:
    """Check Dagster's daemon, and return a text about its state.

    Raises `Missing` if the daemon is silent or its storage cannot be read, and `Doubtful` if the daemon reported an
    error, or a schedule or sensor is switched off.
    """
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


_IMPATIENT = Retries(budget=5)
"""A short retry budget, because a person waits for the result."""

_CLOCKS_MAY_DIFFER = timedelta(minutes=10)
"""The largest difference from Mailchimp's clock with which the consent rule in `consent.decision` still works."""

_CLOCKS_SHOULD_DIFFER = timedelta(seconds=30)

_Look = Callable[[], str]


def findings(settings: Settings | None = None) -> Iterator[Finding]:
    """Yield the result of each check. An error of the settings or the database ends the checks."""
    try:
        given = settings or Settings.from_environment()
        with open_resources(given) as resources:
            yield Finding("settings", Level.WELL, _database_kind(given))
            for about, look in _looks(resources, is_local=given.database_url is None):
                yield _found(about, look)
    except PipelineError as error:
        yield Finding("settings and database", Level.MISSING, str(error))


def _looks(resources: Resources, *, is_local: bool) -> Iterator[tuple[str, _Look]]:
    yield "database", partial(_migrated, resources)
    yield "database role", partial(_bound, resources, is_local=is_local)
    yield "encryption keys", partial(_keys, resources)
    yield "tokens", partial(_tokens, resources)
    yield "Dagster", partial(heartbeat, resources.settings)
    for relation in EntityType:
        yield f"source of {relation.value}s", partial(_rows, resources, relation)
    with resources.database.everyone() as session:
        organisations = connected_organisations(session)
    yield "connections", partial(_each_its_own, resources) if organisations else _nobody_connected
    for organisation_id in organisations:
        yield f"Mailchimp for {organisation_id}", partial(_account, resources, organisation_id)


def _found(about: str, look: _Look) -> Finding:
    try:
        return Finding(about, Level.WELL, look())
    except Doubtful as doubt:
        return Finding(about, Level.WARNING, str(doubt))
    except PipelineError as error:
        return Finding(about, Level.MISSING, str(error))


def _database_kind(settings: Settings) -> str:
    return "all can be used" if settings.database_url else f"all can be used; local state in {settings.home}"


def _migrated(resources: Resources) -> str:
    require_tables(resources.database)
    return f"reachable, at revision {current_revision(resources.database)}"


def _bound(resources: Resources, *, is_local: bool) -> str:
    who = login(resources.database)
    if who.tables_open:
        raise Missing(f"{', '.join(who.tables_open)} have no policies on rows. Run `mailchimp-pipeline migrate`.")
    if who.roles_lacking:
        roles = ", ".join(who.roles_lacking)
        raise Missing(f"{who.user} may not take on {roles}. As the tables' owner run: grant {roles} to {who.user}.")
    if who.powers and not is_local:
        raise Doubtful(
            f"{who.user} {' and '.join(who.powers)}. Sessions take on a role that the policies on rows bind, but who "
            f"has this password is bound by none. Give the API and the runs a login of their own that is granted "
            f"{' and '.join(DatabaseRole)}; keep this one for `mailchimp-pipeline migrate`."
        )
    return f"{who.user} works under the policies on rows"


def _keys(resources: Resources) -> str:
    held = held_secrets(resources.database, resources.keyring)
    if held.unreadable:
        raise Missing(
            f"{sum(held.unreadable.values())} stored secrets cannot be read: their keys are "
            f"{', '.join(sorted(held.unreadable))}. Add these to {VARIABLES['encryption_keys']} again, as they were."
        )
    if former := sorted(set(held.readable) - {resources.keyring.current}):
        raise Doubtful(
            f"{sum(held.readable[key_id] for key_id in former)} stored secrets are still under {', '.join(former)}. "
            "Run `mailchimp-pipeline keys rotate`; then these keys may be taken away."
        )
    return (
        f"new secrets are encrypted with {resources.keyring.current!r}, as all {sum(held.readable.values())} stored are"
    )


def _tokens(resources: Resources) -> str:
    settings = resources.settings
    if settings.jwks_url:
        return "verified with the keys that the identity provider publishes"
    if settings.token_secret:
        return "verified with the shared secret"
    names = f"{VARIABLES['jwks_url']} or {VARIABLES['token_secret']}"
    raise Missing(f"the API cannot tell who calls, and does not start. Set {names}.")


def _rows(resources: Resources, relation: EntityType) -> str:
    return f"{resources.source.describe(relation).rows} rows"


def _nobody_connected() -> str:
    raise Missing("no organisation is connected. Connect one with its API key, by the API.")


def _each_its_own(resources: Resources) -> str:
    with resources.database.everyone() as session:
        accounts, audiences = sharing_organisations(session), sharing_audiences(session)
    if audiences:
        raise Doubtful(
            f"segments of {_listed(audiences)} feed the same audience, and each archives and erases the other's "
            "members. Delete the segments of all but one of them."
        )
    if accounts and not resources.settings.shared_accounts:
        raise Doubtful(
            f"{_listed(accounts)} are connected to the same Mailchimp account, where each could change the other's "
            f"members. Disconnect all but one, or set {VARIABLES['shared_accounts']}=true if that is intended."
        )
    return "each audience is fed by one organisation" if accounts else "each account belongs to one organisation"


def _listed(groups: Sequence[tuple[str, ...]]) -> str:
    return "; ".join(" and ".join(group) for group in groups)


def _account(resources: Resources, organisation_id: str) -> str:
    with closing(resources.client(organisation_id, retries=_IMPATIENT)) as mailchimp:
        account = mailchimp.account()
        _compare_clocks(utc_now(), mailchimp.server_time)
        return f"the key opens the account {account.account_name!r}"


def _compare_clocks(ours: datetime, theirs: datetime | None) -> None:
    """Raise `Missing` or `Doubtful` if the clocks differ too much, because consent rules compare times of both."""
    apart = abs(ours - theirs) if theirs else timedelta()
    if apart > _CLOCKS_MAY_DIFFER:
        raise Missing(
            f"this machine's clock and Mailchimp's are {apart.total_seconds() / 60:.0f} minutes apart. Which of an "
            "opt-in here and an unsubscription there is later cannot be told. Set the clock by NTP."
        )
    if apart > _CLOCKS_SHOULD_DIFFER:
        raise Doubtful(
            f"this machine's clock and Mailchimp's are {apart.total_seconds():.0f} seconds apart. Set the clock by NTP."
        )


_MARKS = {Level.WELL: "[green]well[/]   ", Level.WARNING: "[yellow]warning[/]", Level.MISSING: "[red]missing[/]"}


def examine(console: Console, settings: Settings | None = None, *, as_json: bool = False) -> bool:
    """Run all checks, and print their results. Return whether nothing is missing."""
    found: list[Finding] = []
    for finding in findings(settings):
        found.append(finding)
        if not as_json:
            text = escape(f"{finding.about}: {finding.says}")
            console.print(f"{_MARKS[finding.level]} {text}", highlight=False, soft_wrap=True)
    if as_json:
        console.print(_document(found), highlight=False, soft_wrap=True, markup=False)
    return all(finding.is_well for finding in found)


def _document(found: Sequence[Finding]) -> str:
    is_well = all(finding.is_well for finding in found)
    return json.dumps({"is_well": is_well, "findings": [asdict(finding) for finding in found]}, indent=2)
