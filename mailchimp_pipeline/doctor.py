"""`mailchimp-pipeline doctor`: looks at everything the pipeline needs, and says what is missing and what to do.

What does not belong here: mending anything.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.markup import escape

from mailchimp_pipeline.assembly import Parts, open_parts
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connections import connected_organisations
from mailchimp_pipeline.database.migrations import current_revision, expected_revision
from mailchimp_pipeline.errors import LastingError, PipelineError
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline.settings import Settings

_IMPATIENT = Retries(budget=5)
"""A person waits for the answer."""


class Missing(LastingError):
    """Something that the pipeline needs is not there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, or what to do."""

    about: str
    is_well: bool
    says: str


def examine(console: Console) -> bool:
    """Look at everything, print a line for each thing, and tell whether all is well."""
    all_well = True
    for finding in findings():
        mark = "[green]well[/]   " if finding.is_well else "[red]missing[/]"
        console.print(f"{mark} {escape(f'{finding.about}: {finding.says}')}", highlight=False, soft_wrap=True)
        all_well = all_well and finding.is_well
    return all_well


def findings(settings: Settings | None = None) -> Iterator[Finding]:
    """Yield what is found, one thing after the other; a thing that all others need ends it when it is missing."""
    try:
        given = settings or Settings.from_environment()
        with open_parts(given) as parts:
            yield Finding("settings", is_well=True, says=_database_kind(given))
            for about, look in _looks(parts):
                yield _found(about, look)
    except PipelineError as error:
        yield Finding("settings and database", is_well=False, says=str(error))


def _looks(parts: Parts) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "database", partial(_migrated, parts)
    yield "encryption keys", partial(_keys, parts)
    for relation in EntityType:
        yield f"source of {relation.value}s", partial(_rows, parts, relation)
    with parts.database.everyone() as session:
        organisations = connected_organisations(session)
    if not organisations:
        yield "connections", _nobody_connected
    for organisation_id in organisations:
        yield f"Mailchimp for {organisation_id}", partial(_account, parts, organisation_id)


def _found(about: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(about, is_well=True, says=look())
    except PipelineError as error:
        return Finding(about, is_well=False, says=str(error))


def _database_kind(settings: Settings) -> str:
    return "all can be used" if settings.database_url else f"all can be used; local state in {settings.home}"


def _migrated(parts: Parts) -> str:
    current, expected = current_revision(parts.database), expected_revision()
    if current != expected:
        raise Missing(f"at revision {current}, this version needs {expected}. Run `mailchimp-pipeline migrate`.")
    return f"reachable, at revision {current}"


def _keys(parts: Parts) -> str:
    return f"new secrets are encrypted with {parts.keyring.current!r}"


def _rows(parts: Parts, relation: EntityType) -> str:
    return f"{parts.source.describe(relation).rows} rows"


def _nobody_connected() -> str:
    raise Missing("no organisation is connected. Connect one with its API key, by the API.")


def _account(parts: Parts, organisation_id: str) -> str:
    with closing(parts.client(organisation_id, retries=_IMPATIENT)) as mailchimp:
        return f"the key opens the account {mailchimp.account().account_name!r}"
