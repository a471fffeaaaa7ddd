"""`mailchimp-pipeline reconcile`: print the corrections after the restore of an older database.

What does not belong here: the corrections (`services.reconcile_audiences`), the restore (`docs/backup.md`).
"""

from contextlib import closing

from rich.console import Console

from mailchimp_pipeline.cli.tables import reconciliation_table
from mailchimp_pipeline.services.reconcile_audiences import reconcile_audiences
from mailchimp_pipeline.services.resources import open_resources
from mailchimp_pipeline.settings import Settings


def reconcile_and_print(
    console: Console, organisation_id: str | None, *, dry_run: bool, settings: Settings | None = None
) -> bool:
    """Reconcile one organisation, or all connected ones, and print the results. Return whether all could be read."""
    with open_resources(settings) as resources:
        found = list(
            reconcile_audiences(
                resources.database,
                resources.keyring,
                lambda each: closing(resources.client(each)),
                organisation_id=organisation_id,
                dry_run=dry_run,
            )
        )
    title = "What would be corrected" if dry_run else "What was corrected"
    console.print(reconciliation_table(found, title=title))
    if any(audience.deleted for audience in found):
        console.print(
            "Members that Mailchimp deleted permanently are e-mailed in no audience until they opt in again. "
            "Erase the contacts again that were erased after the backup: docs/backup.md says how.",
            soft_wrap=True,
        )
    return all(audience.error is None for audience in found)
