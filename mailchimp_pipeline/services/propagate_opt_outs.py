"""Push the opt-outs of an organisation: unsubscribe the contacts in every audience of its Mailchimp account.

The API unsubscribes the members that the database knows immediately. A sync run and the job `mailchimp_opt_outs` read
the audiences first, and so find members that the database does not know. Which opt-outs are outstanding is computed
from the tables, so none is lost.
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
    """Unsubscribe members who may not be e-mailed, as far as the database knows them. Return their number.

    Mailchimp is opened only if there are such members. A permanent error of one audience is raised after the other
    audiences; all other errors are raised at once. Opt-outs that were not pushed stay outstanding, so a later run
    pushes them.
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
    """Read the changes of every audience of the account, and unsubscribe the members who may not be e-mailed.

    Return the number of unsubscribed members and the permanent errors, both by audience id. Only the source has the
    current addresses of contacts. If it fails, the opt-outs of known addresses are pushed, and then its error is
    raised. All other errors of Mailchimp are raised at once.
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
    """Record the current addresses of contacts who opted out, as the source has them.

    Return the erased contacts that the source has, or the source's error.
    """
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
    """Unsubscribe the members of the audiences `list_ids` who may not be e-mailed.

    Return the number of unsubscribed members and the permanent errors, both by audience id. Members with an address of
    the `erased` contacts are unsubscribed too. If the audiences were not pulled just before (`is_pulled` is false),
    each member is read first. Raises `TransientError` at once if Mailchimp or the database is unavailable.
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
