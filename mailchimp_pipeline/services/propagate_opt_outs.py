"""Pushes the opt-outs of an organisation to every audience of its account.

The API does it at once for the members that are known; a run, or the job `mailchimp_opt_outs`, pulls the audiences
first. What is outstanding follows from the tables, so it cannot be lost.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import Source, read_contacts
from mailchimp_pipeline.database.erased_contacts import NOBODY, ErasedAmong
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.services.pull_audiences import pull_audiences
from mailchimp_pipeline.sync import Audiences, push_opt_outs


def propagate_opt_outs(
    organisation_id: str, open_mailchimp: Callable[[], AbstractContextManager[Audiences]], *, records: DatabaseRecords
) -> int:
    """Unsubscribe the members that are known and may not be e-mailed; return how many there were.

    Mailchimp is opened only where there are any. Raises its errors, and those of opening it; what was not pushed then
    is outstanding still. An audience that refuses does not keep the others from it.
    """
    list_ids = records.audiences_to_unsubscribe(organisation_id)
    if not list_ids:
        return 0
    with open_mailchimp() as mailchimp:
        done, problems = push_to_audiences(organisation_id, list_ids, mailchimp, records=records, is_pulled=False)
    for problem in problems.values():
        raise problem
    return sum(done.values())


def pull_and_propagate(
    organisation_id: str,
    open_mailchimp: Callable[[], AbstractContextManager[Audiences]],
    *,
    source: Callable[[], Source],
    records: DatabaseRecords,
    clock: Clock,
) -> tuple[Mapping[str, int], Mapping[str, PipelineError]]:
    """Pull every audience of the account, and unsubscribe in each the members who may not be e-mailed.

    Return how many there were, and the problems, by audience. Raises the errors of Mailchimp, and those of opening it;
    and those of the source, which has the present addresses of the contacts who opted out, after all others.
    """
    begun = clock()
    with open_mailchimp() as mailchimp:
        audiences = pull_audiences(organisation_id, mailchimp, records=records, clock=clock)
        taken = _take_addresses(organisation_id, source, records)
        erased = taken if isinstance(taken, ErasedAmong) else NOBODY
        done, problems = push_to_audiences(organisation_id, audiences, mailchimp, records=records, erased=erased)
    if isinstance(taken, PipelineError):
        raise taken
    if not problems:
        records.mark_propagated(organisation_id, begun)
    return done, problems


def _take_addresses(
    organisation_id: str, source: Callable[[], Source], records: DatabaseRecords
) -> ErasedAmong | PipelineError:
    """Take the present addresses of contacts who opted out from the source; return who is erased, or the failure."""
    relations = records.suppressed_relations(organisation_id)
    try:
        if relations:
            contacts = read_contacts(source(), organisation_id, sorted(relations))
            return records.take_addresses(organisation_id, contacts)
    except PipelineError as error:
        return error
    return NOBODY


def push_to_audiences(  # noqa: PLR0913 - each is one thing that a push needs
    organisation_id: str,
    list_ids: Iterable[str],
    mailchimp: Audiences,
    *,
    records: DatabaseRecords,
    is_pulled: bool = True,
    erased: ErasedAmong = NOBODY,
) -> tuple[Mapping[str, int], Mapping[str, PipelineError]]:
    """Push the opt-outs to these audiences: return how many members were unsubscribed, and the problems, by audience.

    Members with the addresses of the `erased`, who are in the source, are unsubscribed as well.

    Raises the errors that pass by themselves.
    """
    done: dict[str, int] = {}
    problems: dict[str, PipelineError] = {}
    for list_id in list_ids:
        try:
            ledger = records.ledger(organisation_id, list_id, erased)
            done[list_id] = push_opt_outs(list_id, audiences=mailchimp, ledger=ledger, is_pulled=is_pulled)
        except PermanentError as error:
            problems[list_id] = error
    return done, problems
