"""Push one segment: send the planned contacts, archive the members who left, and record each answer.

Calls run in parallel, one for each connection of the account. After a failure, the calls that are running are still
recorded, and the next sync sends the contacts that are left.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.audience import (
    AddressChangeResult,
    Audience,
    BatchAnswer,
    MemberRef,
    MemberState,
    MemberStatus,
    Rejection,
    SyncReport,
)
from mailchimp_pipeline.sync.member_states import Action, is_allowed
from mailchimp_pipeline.sync.opt_outs import push_opt_outs
from mailchimp_pipeline.sync.plan import Batches, Plan, members, plan, refs, why_withheld
from mailchimp_pipeline.sync.pull import pull_departures
from mailchimp_pipeline.sync.tasks import Result, in_parallel, merged, report

if TYPE_CHECKING:
    import pandas as pd

    from mailchimp_pipeline.sync.ports import Audiences, Ledger


_FEW = 10
"""For up to this number of members, one call each is cheaper than a batch, or than listing the audience."""

_LATEST = 50_000
"""How many of the audience's latest changes are read, at most, to find more than `_FEW` members in them: fifty
pages."""


def push_segment(
    segment_id: str,
    audience: Audience,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    stopping: Callable[[], bool] = lambda: False,
) -> SyncReport:
    """Send the segment's differences to the audience, and return the report.

    The audience's changes must have been pulled before. Raises the errors of `audiences`, and `Stopped` if `stopping`
    returns true.
    """
    push = _Push(segment_id, audience, audiences=audiences, ledger=ledger, stopping=stopping)
    done = merged([*in_parallel(push.tasks(), stopping), *in_parallel(push.departures(), stopping)])
    if push.has_begun:
        ledger.end_push()
        # A running batch subscribes a contact who opts out meanwhile.
        push_opt_outs(audience.id, audiences=audiences, ledger=ledger, stopping=stopping)
    return report(done)


class _Push:
    """Sends what differs in one segment and records the answers. Its methods run in parallel threads."""

    def __init__(
        self,
        segment_id: str,
        audience: Audience,
        *,
        audiences: "Audiences",
        ledger: "Ledger",
        stopping: Callable[[], bool],
    ) -> None:
        self.has_begun = False
        self._segment_id = segment_id
        self._audience = audience
        self._audiences = audiences
        self._ledger = ledger
        self._stopping = stopping
        self._merge_tags = ledger.merge_tags()

    def tasks(self) -> Iterator[Callable[[], Result]]:
        new, changed = Batches(), Batches()
        for piece in self._ledger.compare(self._segment_id):
            planned = plan(piece.differences)
            withheld = {reason: len(rows) for reason, rows in planned.withheld.items()}
            yield partial(Result, {"unchanged": piece.unchanged}, waiting=piece.waiting, withheld=withheld)
            self._begin(planned)
            # A batch identifies members by address. If Mailchimp spells an address differently, a batch adds a second
            # member.
            by_id = planned.changed["member_id"].notna()
            yield from (partial(self.update, row) for row in _one_by_one(planned.changed[by_id]))
            yield from (partial(self.update, rows) for rows in changed.full(planned.changed[~by_id]))
            yield from (partial(self._admit, Action.ADD, self.create, rows) for rows in new.full(planned.new))
            yield from (partial(self._admit, Action.ADD, self.move, row) for row in _one_by_one(planned.moved))
            yield from (partial(self.subscribe_again, row) for row in _one_by_one(planned.returning))
        for rows in changed.last():
            pieces = _one_by_one(rows) if len(rows) <= _FEW else [rows]
            yield from (partial(self.update, piece) for piece in pieces)
        yield from (partial(self._admit, Action.ADD, self.create, rows) for rows in new.last())

    def departures(self) -> Iterator[Callable[[], Result]]:
        for member in self._ledger.leavers():
            self._note_begun()
            yield partial(self.archive, member)

    def _begin(self, planned: Plan) -> None:
        if planned.sends:
            self._note_begun()

    def _note_begun(self) -> None:
        if not self.has_begun:
            self._ledger.begin_push()
            self.has_begun = True

    def _admit(self, action: Action, send: "Callable[[pd.DataFrame], Result]", rows: "pd.DataFrame") -> Result:
        """Send the rows for which the action is still allowed.

        Every call that subscribes contacts is made through this method.
        """
        left_out = self._left_out(action, rows)
        admitted = rows[~rows["subscriber_hash"].isin(list(left_out))] if left_out else rows
        withheld = Result(withheld=Counter(left_out.values()))
        return withheld if admitted.empty else merged([withheld, send(admitted)])

    def _left_out(self, action: Action, rows: "pd.DataFrame") -> dict[str, Rejection]:
        """Return the rows that must not be sent any more, as reasons by subscriber hash."""
        left_out: dict[str, Rejection] = {}
        for key, known in self._ledger.recheck(self._segment_id, rows).items():
            if not known.may_be_sent:
                left_out[key] = Rejection.WITHDRAWN
            elif not is_allowed(action, known.status):
                left_out[key] = why_withheld(known.status)
        return left_out

    def create(self, rows: "pd.DataFrame") -> Result:
        status = MemberStatus.PENDING if self._audience.double_optin else MemberStatus.SUBSCRIBED
        batch = members(rows, status, self._merge_tags)
        answer = self._audiences.subscribe(self._audience.id, batch, update_existing=False)
        created = self._recorded(rows, answer, status, "new")
        if not answer.existing:
            return created
        return merged([created, self._adopt(rows[rows["subscriber_hash"].isin(list(answer.existing))])])

    def update(self, rows: "pd.DataFrame") -> Result:
        """Send changed data of subscribed members: a few of them one by one, more of them in a batch.

        A call about one member keeps its status, but a batch subscribes its members.
        """
        if len(rows) <= _FEW:
            return merged(self._admit(Action.CHANGE, self._change, row) for row in _one_by_one(rows))
        # The batch subscribes members who unsubscribed or were archived since the pull. One connection avoids any
        # delay.
        with self._audiences.one_connection():
            pull_departures(self._audience.id, audiences=self._audiences, ledger=self._ledger)
            return self._admit(Action.CHANGE, self._change_together, rows)

    def _change(self, row: "pd.DataFrame") -> Result:
        (contact,) = members(row, MemberStatus.SUBSCRIBED, self._merge_tags)
        (ref,) = refs(row)
        member = self._audiences.change_member(self._audience.id, ref, contact.merge_fields)
        if isinstance(member, Rejection):
            return merged([Result({"calls": 1}), self._reject(row, member)])
        if member is None:
            self._ledger.record_result(ref.subscriber_hash, None)
            return Result({"calls": 1}, withheld={Rejection.OTHER: 1})
        if member.status is not MemberStatus.SUBSCRIBED:
            self._ledger.record_member_states([member])
            return Result({"calls": 1}, withheld={why_withheld(member.status): 1})
        accepted = {ref.subscriber_hash: MemberRef(ref.subscriber_hash, member.contact_id, member.member_id)}
        self._ledger.record_accepted(row, accepted, member.status, member.changed_at)
        return Result({"changed": 1, "calls": 1})

    def _change_together(self, rows: "pd.DataFrame") -> Result:
        def nobody_left() -> bool:
            # Minutes may pass between a failed attempt and the next one. If a member left, the sync fails and the next
            # one sends the others.
            pull_departures(self._audience.id, audiences=self._audiences, ledger=self._ledger)
            return not self._left_out(Action.CHANGE, rows)

        batch = members(rows, MemberStatus.SUBSCRIBED, self._merge_tags)
        answer = self._audiences.subscribe(self._audience.id, batch, update_existing=True, may_repeat=nobody_left)
        return self._recorded(rows, answer, MemberStatus.SUBSCRIBED, "changed")

    def move(self, row: "pd.DataFrame") -> Result:
        """Change a member's address.

        If the audience does not have the former address, or has the new one already, the contact is added as a new
        member.
        """
        former = MemberRef(_value(row, "moved_from") or "", member_id=_value(row, "moved_from_id"))
        moved = self._audiences.change_address(self._audience.id, former, _value(row, "email") or "")
        one_call = Result({"calls": 1})
        if isinstance(moved, Rejection):
            return merged([one_call, self._reject(row, moved)])
        if isinstance(moved, AddressChangeResult):
            return merged([one_call, self._drop(former, moved), self.create(row)])
        self._ledger.record_address(former.subscriber_hash, row, moved)
        if moved.status is not MemberStatus.SUBSCRIBED:
            return Result({"moved": 1, "calls": 1}, withheld={why_withheld(moved.status): 1})
        return merged([Result({"moved": 1, "calls": 1}), self._change(row.assign(member_id=moved.member_id))])

    def subscribe_again(self, row: "pd.DataFrame") -> Result:
        """Subscribe a contact who opted in again.

        Its state is read first: if it has been asked to confirm already, by a call whose answer was lost, a second call
        would subscribe it without its confirmation.
        """
        (ref,) = refs(row)
        reading, member = Result({"calls": 1}), self._audiences.member_state(self._audience.id, ref)
        if member:
            self._ledger.record_member_states([member])
        if member and member.status is MemberStatus.SUBSCRIBED:
            return merged([reading, self._admit(Action.CHANGE, self._change, row)])
        return merged([reading, self._admit(Action.SUBSCRIBE_AGAIN, self._set_subscribed, row)])

    def _set_subscribed(self, row: "pd.DataFrame") -> Result:
        """Set an unsubscribed member to subscribed.

        The contact is asked to confirm if the audience has double opt-in, or if Mailchimp requires it.
        """
        (ref,) = refs(row)
        asked = MemberStatus.PENDING if self._audience.double_optin else MemberStatus.SUBSCRIBED
        member = self._audiences.set_member_status(self._audience.id, ref, asked)
        if member is Rejection.COMPLIANCE and asked is MemberStatus.SUBSCRIBED:
            member = self._audiences.set_member_status(self._audience.id, ref, MemberStatus.PENDING)
        if isinstance(member, Rejection):
            return merged([Result({"calls": 1}), self._reject(row, member)])
        if member is None:
            return self.create(row)
        self._ledger.record_result(ref.subscriber_hash, member)
        if member.status is not MemberStatus.SUBSCRIBED:
            return Result({"calls": 1}, withheld={why_withheld(member.status): 1})
        return merged([Result({"returned": 1, "calls": 1}), self._change(row)])

    def archive(self, ref: MemberRef) -> Result:
        """Archive a member if it is still subscribed.

        Its state is read first, because archiving would hide that the member unsubscribed since the pull.
        """
        member = self._audiences.member_state(self._audience.id, ref)
        if member and member.status is MemberStatus.SUBSCRIBED:
            member = self._audiences.archive_member(self._audience.id, ref)
            if member and member.status is MemberStatus.ARCHIVED:
                self._ledger.record_archived(ref.subscriber_hash, member.changed_at)
                return Result({"archived": 1, "calls": 2})
        if member is None or member.status is MemberStatus.ARCHIVED:
            # An administrator archived the member, so a returning contact is not subscribed again.
            self._ledger.record_result(ref.subscriber_hash, member)
        else:
            self._ledger.record_member_states([member])
        return Result({"calls": 1})

    def _drop(self, former: MemberRef, moved: AddressChangeResult) -> Result:
        """Archive the former address of a contact whose new address is in the audience already.

        Otherwise the contact would get each e-mail twice. If the audience does not have the former address, only that
        is recorded.
        """
        if moved is AddressChangeResult.TAKEN:
            return self.archive(former)
        self._ledger.record_result(former.subscriber_hash, None)
        return Result()

    def _adopt(self, rows: "pd.DataFrame") -> Result:
        """Record contacts that joined the audience since the pull, and update the data of those who are subscribed."""
        found = self._found(rows["subscriber_hash"].tolist())
        self._ledger.record_member_states([member for member in found.values() if member])
        statuses = {key: member and member.status for key, member in found.items()}
        withheld = Counter(why_withheld(each) for each in statuses.values() if each is not MemberStatus.SUBSCRIBED)
        subscribed = [key for key, status in statuses.items() if status is MemberStatus.SUBSCRIBED]
        if not subscribed:
            return Result(withheld=withheld)
        return merged([Result(withheld=withheld), self.update(rows[rows["subscriber_hash"].isin(subscribed)])])

    def _found(self, keys: Sequence[str]) -> Mapping[str, MemberState | None]:
        """Return the current states of members by subscriber hash, None if the audience does not have the member.

        After a lost answer these members are a whole batch and among the audience's latest changes, so the latest
        changes are read first. Members that are not among them are read one by one, in parallel.
        """
        found: dict[str, MemberState | None] = {}
        if len(keys) > _FEW:
            wanted, read = set(keys), 0
            for page in self._audiences.member_states(self._audience.id, since=self._ledger.read_through()):
                found |= {member.subscriber_hash: member for member in page if member.subscriber_hash in wanted}
                read += len(page)
                if len(found) == len(wanted) or read >= _LATEST:
                    break

        def look_up(key: str) -> tuple[str, MemberState | None]:
            return key, self._audiences.member_state(self._audience.id, MemberRef(key))

        tasks = (partial(look_up, key) for key in keys if key not in found)
        return {**found, **dict(in_parallel(tasks, self._stopping))}

    def _recorded(self, rows: "pd.DataFrame", answer: BatchAnswer, status: MemberStatus, count: str) -> Result:
        self._ledger.record_accepted(rows, answer.accepted, status, answer.changed_at)
        # If a single contact is rejected, the reason applies to that contact, not to the batch.
        is_all = len(answer.rejected) == len(rows) > 1
        self._ledger.record_rejected(rows, answer.rejected, of_whole_batch=is_all)
        invited = len(answer.accepted) if status is MemberStatus.PENDING else 0
        counts = {count: len(answer.accepted), "invited": invited, "calls": 1}
        return Result(counts, rejected=Counter(answer.rejected.values()))

    def _reject(self, row: "pd.DataFrame", why: Rejection) -> Result:
        key = _value(row, "subscriber_hash") or ""
        self._ledger.record_rejected(row, {key: why}, of_whole_batch=False)
        return Result(rejected={why: 1})


def _value(row: "pd.DataFrame", column: str) -> str | None:
    value: object = row[column].iloc[0]
    return value if isinstance(value, str) else None


def _one_by_one(rows: "pd.DataFrame") -> Iterator["pd.DataFrame"]:
    return (rows.iloc[place : place + 1] for place in range(len(rows)))
