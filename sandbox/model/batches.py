"""Batch subscribe: up to 500 members in one call. Mailchimp accepts or rejects each member, and answers 200."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from sandbox.model import entries, problems
from sandbox.model.addresses import address_hash
from sandbox.model.enrolment import Enrolment
from sandbox.model.entries import Entry
from sandbox.model.members import Member, Status
from sandbox.model.problems import FieldError, Problem

LARGEST_BATCH = 500

EXISTS = "ERROR_CONTACT_EXISTS"
GENERIC = "ERROR_GENERIC"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a batch request."""

    update_existing: bool = False
    sync_tags: bool = False
    skip_duplicate_check: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A rejected member of a batch."""

    email_address: str
    error: str
    error_code: str = GENERIC
    field: str = ""
    field_message: str = ""


@dataclass(slots=True)
class Outcome:
    """The result of a batch. Skipped duplicates are in none of the three lists."""

    created: list[Member] = field(default_factory=list[Member])
    updated: list[Member] = field(default_factory=list[Member])
    refused: list[Refused] = field(default_factory=list[Refused])


def subscribe(enrolment: Enrolment, members: Sequence[object], options: Options) -> Outcome:
    """Process a batch, or raise the problem that rejects all of it."""
    _check_whole(enrolment, members, options)
    outcome = Outcome()
    seen: set[str] = set()
    for body in members:
        address = _address(body)
        key = address_hash(address)
        if key in seen:
            if not options.skip_duplicate_check:
                outcome.refused.append(Refused(address, f"{address} is more than once in this batch."))
            continue
        seen.add(key)
        try:
            _take(enrolment, _entry(body), key, options, outcome)
        except Problem as problem:
            outcome.refused.append(_refusal(address, problem))
    return outcome


def _entry(body: object) -> Entry:
    """Parse a member of a batch. Mailchimp ignores `status_if_new` and `marketing_permissions` in a batch."""
    entry = entries.parse(body)
    if entry.status_if_new is None and entry.marketing_permissions is None:
        return entry
    return entry.model_copy(update={"status_if_new": None, "marketing_permissions": None})


def _check_whole(enrolment: Enrolment, members: Sequence[object], options: Options) -> None:
    if len(members) > LARGEST_BATCH:
        message = f"Array must contain no more than {LARGEST_BATCH} items."
        raise problems.invalid_schema(FieldError("members", message))
    if options.skip_duplicate_check or enrolment.behaviours.duplicates_in_batch == "error":
        return
    if len({address_hash(_address(body)) for body in members}) < len(members):
        raise problems.invalid("The members of a batch must be unique.")


def _take(enrolment: Enrolment, entry: Entry, key: str, options: Options, outcome: Outcome) -> None:
    member = enrolment.audience.members.get(key)
    if member is None:
        member = enrolment.take_in(entry)
        outcome.created.append(member)
    else:
        _take_existing(enrolment, member, entry, options, outcome)
    if enrolment.behaviours.batch_takes_tags and (entry.tags is not None or options.sync_tags):
        _tag(enrolment, member, entry, replace_all=options.sync_tags)


def _take_existing(enrolment: Enrolment, member: Member, entry: Entry, options: Options, outcome: Outcome) -> None:
    returns = member.status is Status.ARCHIVED and enrolment.behaviours.archived_in_batch == "returns"
    if not options.update_existing and not returns:
        outcome.refused.append(_exists(entry.required_address()))
        return
    if member.bar is not None and enrolment.behaviours.compliance_in_batch == "ignored":
        kept = entry.model_copy(update={"status": None}) if entry.status == Status.SUBSCRIBED else entry
        outcome.updated.append(enrolment.change(member, kept))
        return
    outcome.updated.append(enrolment.change(member, entry))


def _tag(enrolment: Enrolment, member: Member, entry: Entry, *, replace_all: bool) -> None:
    segments = enrolment.audience.segments
    if replace_all:
        segments.set_tags(member.number, entry.tag_names, enrolment.deed.at)
        return
    for name in entry.tag_names:
        segments.tag(member.number, name, enrolment.deed.at)


def _address(body: object) -> str:
    if isinstance(body, dict):
        address = cast("dict[str, object]", body).get("email_address")
        if isinstance(address, str):
            return address
    raise problems.invalid_schema(FieldError("members", "Each member needs an email_address."))


def _exists(address: str) -> Refused:
    text = (
        f"{address} is already a list member, do you want to update? "
        "please provide update_existing:true in the request body"
    )
    return Refused(address, text, EXISTS)


def _refusal(address: str, problem: Problem) -> Refused:
    if not problem.errors:
        return Refused(address, problem.detail)
    first = problem.errors[0]
    return Refused(address, problem.detail, GENERIC, first.field, first.message)
