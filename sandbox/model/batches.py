"""Batch subscribe: up to 500 members in one call. Mailchimp accepts or rejects each member, and answers 200."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from sandbox.model import member_body, problems
from sandbox.model.addresses import address_hash
from sandbox.model.member_body import MemberBody
from sandbox.model.member_writer import MemberWriter
from sandbox.model.members import Member, Status
from sandbox.model.problems import FieldError, Problem

LARGEST_BATCH = 500

EXISTS = "ERROR_CONTACT_EXISTS"
GENERIC = "ERROR_GENERIC"


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options of a batch request."""

    update_existing: bool = False
    sync_tags: bool = False
    skip_duplicate_check: bool = False


@dataclass(frozen=True, slots=True)
class RejectedMember:
    """A rejected member of a batch."""

    email_address: str
    error: str
    error_code: str = GENERIC
    field: str = ""
    field_message: str = ""


@dataclass(slots=True)
class BatchResult:
    """The result of a batch. Skipped duplicates are in none of the three lists."""

    created: list[Member] = field(default_factory=list[Member])
    updated: list[Member] = field(default_factory=list[Member])
    rejected: list[RejectedMember] = field(default_factory=list[RejectedMember])


def subscribe(writer: MemberWriter, members: Sequence[object], options: BatchOptions) -> BatchResult:
    """Process a batch, or raise the problem that rejects all of it."""
    _check_batch(writer, members, options)
    result = BatchResult()
    seen: set[str] = set()
    for body in members:
        address = _address(body)
        key = address_hash(address)
        if key in seen:
            if not options.skip_duplicate_check:
                result.rejected.append(RejectedMember(address, f"{address} is more than once in this batch."))
            continue
        seen.add(key)
        try:
            _process(writer, _parse(body), key, options, result)
        except Problem as problem:
            result.rejected.append(_rejected(address, problem))
    return result


def _parse(body: object) -> MemberBody:
    """Parse a member of a batch. Mailchimp ignores `status_if_new` and `marketing_permissions` in a batch."""
    requested = member_body.parse(body)
    if requested.status_if_new is None and requested.marketing_permissions is None:
        return requested
    return requested.model_copy(update={"status_if_new": None, "marketing_permissions": None})


def _check_batch(writer: MemberWriter, members: Sequence[object], options: BatchOptions) -> None:
    if len(members) > LARGEST_BATCH:
        message = f"Array must contain no more than {LARGEST_BATCH} items."
        raise problems.invalid_schema(FieldError("members", message))
    if options.skip_duplicate_check or writer.behaviours.duplicates_in_batch == "error":
        return
    if len({address_hash(_address(body)) for body in members}) < len(members):
        raise problems.invalid("The members of a batch must be unique.")


def _process(writer: MemberWriter, requested: MemberBody, key: str, options: BatchOptions, result: BatchResult) -> None:
    member = writer.audience.members.get(key)
    if member is None:
        member = writer.add(requested)
        result.created.append(member)
    else:
        _update_existing(writer, member, requested, options, result)
    if writer.behaviours.batch_takes_tags and (requested.tags is not None or options.sync_tags):
        _tag(writer, member, requested, replace_all=options.sync_tags)


def _update_existing(
    writer: MemberWriter, member: Member, requested: MemberBody, options: BatchOptions, result: BatchResult
) -> None:
    returns = member.status is Status.ARCHIVED and writer.behaviours.archived_in_batch == "returns"
    if not options.update_existing and not returns:
        result.rejected.append(_existing(requested.required_address()))
        return
    if member.compliance_state is not None and writer.behaviours.compliance_in_batch == "ignored":
        kept = requested.model_copy(update={"status": None}) if requested.status == Status.SUBSCRIBED else requested
        result.updated.append(writer.update(member, kept))
        return
    result.updated.append(writer.update(member, requested))


def _tag(writer: MemberWriter, member: Member, requested: MemberBody, *, replace_all: bool) -> None:
    segments = writer.audience.segments
    if replace_all:
        segments.set_tags(member.number, requested.tag_names, writer.origin.at)
        return
    for name in requested.tag_names:
        segments.tag(member.number, name, writer.origin.at)


def _address(body: object) -> str:
    if isinstance(body, dict):
        address = cast("dict[str, object]", body).get("email_address")
        if isinstance(address, str):
            return address
    raise problems.invalid_schema(FieldError("members", "Each member needs an email_address."))


def _existing(address: str) -> RejectedMember:
    text = (
        f"{address} is already a list member, do you want to update? "
        "please provide update_existing:true in the request body"
    )
    return RejectedMember(address, text, EXISTS)


def _rejected(address: str, problem: Problem) -> RejectedMember:
    if not problem.errors:
        return RejectedMember(address, problem.detail)
    first = problem.errors[0]
    return RejectedMember(address, problem.detail, GENERIC, first.field, first.message)
