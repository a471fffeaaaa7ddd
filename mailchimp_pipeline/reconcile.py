"""`mailchimp-pipeline reconcile`: what was corrected after an older database was restored, printed.

What does not belong here: correcting it (`services.reconcile`), restoring (`docs/backup.md`).
"""

from collections.abc import Iterator
from contextlib import closing

from rich.console import Console

from mailchimp_pipeline.assembly import Parts, open_parts
from mailchimp_pipeline.database.connections import connected_organisations
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.services.reconcile import ReconciledAudience, Reconciliation
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.tables import reconciliation_table


class NotReconciled(PermanentError):
    """There is nothing to reconcile with, by that name."""


def reconcile(
    console: Console, organisation_id: str | None, *, dry_run: bool, settings: Settings | None = None
) -> bool:
    """Reconcile one organisation, or all that are connected; print what was found. Tell whether all could be read."""
    with open_parts(settings) as parts:
        found = [
            audience
            for each in _organisations(parts, organisation_id)
            for audience in _reconciled(parts, each, dry_run=dry_run)
        ]
    title = "What would be corrected" if dry_run else "What was corrected"
    console.print(reconciliation_table(found, title=title))
    if any(audience.deleted for audience in found):
        console.print(
            "Members that Mailchimp deleted permanently are e-mailed in no audience until they opt in again. "
            "Erase again whoever was erased after the backup: docs/backup.md says how.",
            soft_wrap=True,
        )
    return all(audience.error is None for audience in found)


def _organisations(parts: Parts, organisation_id: str | None) -> list[str]:
    with parts.database.everyone() as session:
        connected = connected_organisations(session)
    if organisation_id is not None and organisation_id not in connected:
        raise NotReconciled(f"Organisation {organisation_id} is not connected to Mailchimp. Check its id.")
    return list(connected) if organisation_id is None else [organisation_id]


def _reconciled(parts: Parts, organisation_id: str, *, dry_run: bool) -> Iterator[ReconciledAudience]:
    opened = Reconciliation(
        parts.database,
        parts.keyring,
        organisation_id,
        lambda: closing(parts.client(organisation_id)),
        dry_run=dry_run,
    )
    try:
        yield from opened.audiences()
    except PipelineError as error:
        yield ReconciledAudience(organisation_id, "all", error=str(error))
