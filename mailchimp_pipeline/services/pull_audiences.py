"""Pull all audiences of an organisation's account: read what changed at Mailchimp, and record it.

An unsubscribe in one audience applies to all. So all audiences are pulled before contacts are sent to one.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import DatabaseRetry
from mailchimp_pipeline.mailchimp.api_errors import AudienceGone
from mailchimp_pipeline.sync import Audience, Audiences, pull_changes

_AUDIENCES_AT_ONCE = 4
"""Number of parallel pulls. Each holds a connection to PostgreSQL."""


@dataclass(frozen=True, slots=True)
class PulledAudience:
    """An audience, and how many of its members the pull read from Mailchimp."""

    audience: Audience
    read: int


def pull_audiences(  # noqa: PLR0913 - each is one thing that a pull needs
    organisation_id: str,
    mailchimp: Audiences,
    *,
    records: DatabaseRecords,
    clock: Clock,
    with_segments: Collection[str] = (),
    database_retry: DatabaseRetry | None = None,
) -> Mapping[str, PulledAudience]:
    """Read the changes of every audience of the account, in parallel, and record them. Return the audiences by id.

    For audiences with their id in `with_segments`, the merge fields are read too. With `database_retry`, a pull is
    repeated while PostgreSQL is unavailable. An audience that was deleted meanwhile is left out. The error of any other
    audience is raised, because without all pulls some unsubscribes are unknown.
    """

    def pulled(audience: Audience) -> PulledAudience | None:
        list_id = audience.id
        merge_fields = partial(mailchimp.merge_fields, list_id) if list_id in with_segments else None
        ledger = records.ledger(organisation_id, list_id)
        with records.hold_audience(organisation_id, list_id):
            try:
                read = pull_changes(list_id, audiences=mailchimp, ledger=ledger, now=clock(), merge_fields=merge_fields)
            except AudienceGone:
                return None
        return PulledAudience(audience, read)

    def task(audience: Audience) -> PulledAudience | None:
        return database_retry.do(partial(pulled, audience)) if database_retry else pulled(audience)

    with ThreadPoolExecutor(_AUDIENCES_AT_ONCE, thread_name_prefix="audience") as pool:
        pending = [pool.submit(copy_context().run, task, audience) for audience in mailchimp.audiences()]
        found = [each.result() for each in pending]
    return {each.audience.id: each for each in found if each}
