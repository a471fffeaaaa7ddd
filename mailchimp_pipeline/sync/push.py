"""The push: unsubscribe who opted out, send what the plan says, archive who left; write down each answer.

Calls travel at once, as many as the account has connections. A failure ends the sync after those under way
have been written down; what was done stays done, and the next sync goes on from there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.model import (
    Audience,
    BatchAnswer,
    MemberOutcome,
    MemberStatus,
    Outcome,
    Refusal,
    Renaming,
    Standing,
    SyncReport,
)
from mailchimp_pipeline.sync.parallel import in_parallel
from mailchimp_pipeline.sync.plan import WITHHELD, batches, members, plan
from mailchimp_pipeline.tracing import carried

if TYPE_CHECKING:
    import pandas as pd

    from mailchimp_pipeline.sync.ports import Audiences, Ledger


_LOOKED_UP_SINGLY = 10
"""So many members cost fewer calls one by one than by pages of the audience."""

_LATEST = 50_000
"""So many of the latest changes are read for more: fifty pages, against a call for each of a batch."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What one task adds to the report; the counts by the names that the report gives them."""

    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    refused: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    withheld: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])


def sync_audience(
    segment_id: str,
    audience: Audience,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    stopping: Callable[[], bool] = lambda: False,
) -> SyncReport:
    """Bring the audience, whose standings were read, in step with the segment's members.

    Goes on until `stopping` says that no more may be sent. Raises the errors of the audiences, and `Stopped`.
    """
    withdrawn = withdraw(audience.id, audiences=audiences, ledger=ledger, stopping=stopping)
    with ThreadPoolExecutor(1, thread_name_prefix="count") as pool:
        counting = pool.submit(carried(ledger.standing_counts), segment_id)
        pieces = ledger.differences(segment_id)
        first = next(pieces, None)
        # What its merge fields are is asked only where somebody is to be sent: on most days nobody is.
        merge_tags = frozenset[str]() if first is None else audiences.merge_tags(audience.id)
        left_out = counting.result()
    push = _Push(audience, merge_tags, audiences, ledger, stopping)
    ledger.begin_push()
    differences = pieces if first is None else chain([first], pieces)
    results = [*in_parallel(push.tasks(differences), stopping), *in_parallel(push.departures(), stopping)]
    ledger.end_push()
    return _report(results, left_out, withdrawn)


def withdraw(
    list_id: str, *, audiences: "Audiences", ledger: "Ledger", stopping: Callable[[], bool] = lambda: False
) -> int:
    """Unsubscribe at Mailchimp whoever opted out and is subscribed or pending there. Return how many there were."""

    def unsubscribe(subscriber_hash: str) -> None:
        status = audiences.set_member_status(list_id, subscriber_hash, MemberStatus.UNSUBSCRIBED)
        if isinstance(status, Refusal):
            # It would not be changed in its present form; what it is now decides whether it can be mailed.
            status = audiences.member_status(list_id, subscriber_hash)
        ledger.note_withdrawn(subscriber_hash, status)

    tasks = (partial(unsubscribe, subscriber_hash) for subscriber_hash in ledger.withdrawn())
    return sum(1 for _ in in_parallel(tasks, stopping))


@dataclass(frozen=True, slots=True)
class _Push:
    """Sends one audience what it lacks and writes down what became of it; its methods run in worker threads."""

    audience: Audience
    merge_tags: frozenset[str]
    audiences: "Audiences"
    ledger: "Ledger"
    stopping: Callable[[], bool]

    def tasks(self, differences: "Iterable[pd.DataFrame]") -> Iterator[Callable[[], _Result]]:
        for piece in differences:
            planned = plan(piece)
            yield partial(_Result, withheld=planned.withheld)
            yield from (partial(self.update, rows) for rows in batches(planned.changed))
            yield from (partial(self.create, rows) for rows in batches(planned.new))
            yield from (partial(self.move, row) for row in _singly(planned.moved))
            yield from (partial(self.bring_back, row) for row in _singly(planned.returning))

    def departures(self) -> Iterator[Callable[[], _Result]]:
        return (partial(self.archive, subscriber_hash) for subscriber_hash in self.ledger.leavers())

    def create(self, rows: "pd.DataFrame") -> _Result:
        status = MemberStatus.PENDING if self.audience.double_optin else MemberStatus.SUBSCRIBED
        answer = self._send(rows, status, update_existing=False)
        created = self._recorded(rows, answer, status, "new")
        if not answer.existing:
            return created
        return _sum([created, self._adopt(rows[rows["subscriber_hash"].isin(list(answer.existing))])])

    def update(self, rows: "pd.DataFrame") -> _Result:
        answer = self._send(rows, MemberStatus.SUBSCRIBED, update_existing=True)
        return self._recorded(rows, answer, MemberStatus.SUBSCRIBED, "changed")

    def move(self, row: "pd.DataFrame") -> _Result:
        """Give a member its new address; where that cannot be, treat the contact as a new one."""
        former = str(row["moved_from"].iloc[0])
        moved = self.audiences.rename_member(self.audience.id, former, str(row["email"].iloc[0]))
        one_call = _Result({"calls": 1})
        if isinstance(moved, Refusal):
            return _sum([one_call, self._refuse(row, moved)])
        if moved is not Renaming.RENAMED:
            return _sum([one_call, self._drop(former, moved), self.create(row)])
        self.ledger.rename(former, row)
        key = str(row["subscriber_hash"].iloc[0])
        status = self.audiences.member_status(self.audience.id, key)
        if status is not MemberStatus.SUBSCRIBED:
            self.ledger.take_over([Standing(key, status)] if status else [])
            return _Result({"moved": 1, "calls": 1}, withheld={_why_withheld(status): 1})
        return _sum([_Result({"moved": 1, "calls": 1}), self.update(row)])

    def bring_back(self, row: "pd.DataFrame") -> _Result:
        """Subscribe who opted in again; where Mailchimp wants to hear it from the contact, let it ask."""
        key = str(row["subscriber_hash"].iloc[0])
        asked = MemberStatus.PENDING if self.audience.double_optin else MemberStatus.SUBSCRIBED
        status = self.audiences.set_member_status(self.audience.id, key, asked)
        if status is Refusal.COMPLIANCE and asked is MemberStatus.SUBSCRIBED:
            status = self.audiences.set_member_status(self.audience.id, key, MemberStatus.PENDING)
        if isinstance(status, Refusal):
            return _sum([_Result({"calls": 1}), self._refuse(row, status)])
        if status is None:
            return self.create(row)
        self.ledger.take_over([Standing(key, status)])
        if status is not MemberStatus.SUBSCRIBED:
            return _Result({"calls": 1}, withheld={_why_withheld(status): 1})
        return _sum([_Result({"returned": 1, "calls": 1}), self.update(row)])

    def archive(self, subscriber_hash: str) -> _Result:
        status = self.audiences.archive_member(self.audience.id, subscriber_hash)
        self.ledger.note_archived(subscriber_hash, status)
        return _Result({"archived": int(status is MemberStatus.ARCHIVED), "calls": 1})

    def _drop(self, former: str, moved: Renaming) -> _Result:
        """See to the former address of a contact that could not be moved: nobody is to be mailed twice."""
        if moved is Renaming.TAKEN:
            return self.archive(former)
        self.ledger.note_archived(former, None)
        return _Result()

    def _adopt(self, rows: "pd.DataFrame") -> _Result:
        """Look up members that came to the audience since it was read; only the subscribed are taken over."""
        found = self._statuses(rows["subscriber_hash"].tolist())
        self.ledger.take_over([Standing(key, status) for key, status in found.items() if status])
        withheld = Counter(_why_withheld(status) for status in found.values() if status is not MemberStatus.SUBSCRIBED)
        subscribed = [key for key, status in found.items() if status is MemberStatus.SUBSCRIBED]
        if not subscribed:
            return _Result(withheld=withheld)
        return _sum([_Result(withheld=withheld), self.update(rows[rows["subscriber_hash"].isin(subscribed)])])

    def _statuses(self, keys: Sequence[str]) -> Mapping[str, MemberStatus | None]:
        """Return how members stand; after a lost answer they are a whole batch, and among the latest to have changed.

        Those who are not are looked up one by one, several at once.
        """
        found: dict[str, MemberStatus | None] = {}
        if len(keys) > _LOOKED_UP_SINGLY:
            wanted, read = set(keys), 0
            for page in self.audiences.standings(self.audience.id, since=self.ledger.read_through()):
                found |= {member.subscriber_hash: member.status for member in page if member.subscriber_hash in wanted}
                read += len(page)
                if len(found) == len(wanted) or read >= _LATEST:
                    break

        def look_up(key: str) -> tuple[str, MemberStatus | None]:
            return key, self.audiences.member_status(self.audience.id, key)

        tasks = (partial(look_up, key) for key in keys if key not in found)
        return {**found, **dict(in_parallel(tasks, self.stopping))}

    def _send(self, rows: "pd.DataFrame", status: MemberStatus, *, update_existing: bool) -> BatchAnswer:
        batch = members(rows, status, self.merge_tags)
        return self.audiences.subscribe(self.audience.id, batch, update_existing=update_existing)

    def _recorded(self, rows: "pd.DataFrame", answer: BatchAnswer, status: MemberStatus, count: str) -> _Result:
        outcomes = [
            MemberOutcome(key, Outcome.PUSHED, status, contact_id=contact_id)
            for key, contact_id in answer.accepted.items()
        ]
        outcomes += [MemberOutcome(key, Outcome.REFUSED, refusal=why) for key, why in answer.refused.items()]
        self.ledger.record(rows, outcomes)
        return _Result({count: len(answer.accepted), "calls": 1}, refused=Counter(answer.refused.values()))

    def _refuse(self, row: "pd.DataFrame", why: Refusal) -> _Result:
        key = str(row["subscriber_hash"].iloc[0])
        self.ledger.record(row, [MemberOutcome(key, Outcome.REFUSED, refusal=why)])
        return _Result(refused={why: 1})


def _why_withheld(status: MemberStatus | None) -> Refusal:
    """Return why a member with this standing is not sent; None for one that was said to exist, and then does not."""
    return WITHHELD.get(status, Refusal.OTHER) if status else Refusal.OTHER


def _singly(rows: "pd.DataFrame") -> Iterator["pd.DataFrame"]:
    return (rows.iloc[place : place + 1] for place in range(len(rows)))


def _sum(results: Iterable[_Result]) -> _Result:
    counts: Counter[str] = Counter()
    refused: Counter[Refusal] = Counter()
    withheld: Counter[Refusal] = Counter()
    for result in results:
        counts.update(result.counts)
        refused.update(result.refused)
        withheld.update(result.withheld)
    return _Result(counts, refused, withheld)


def _report(results: Iterable[_Result], left_out: Mapping[str, int], withdrawn: int) -> SyncReport:
    total = _sum(results)
    counts = Counter(total.counts)
    touched = counts["new"] + counts["changed"] + sum(total.refused.values()) + sum(total.withheld.values())
    return SyncReport(
        wanted=touched + left_out["unchanged"] + left_out["refused_before"],
        new=counts["new"],
        changed=counts["changed"],
        unchanged=left_out["unchanged"],
        refused=total.refused,
        refused_before=left_out["refused_before"],
        withheld=total.withheld,
        moved=counts["moved"],
        returned=counts["returned"],
        withdrawn=withdrawn,
        archived=counts["archived"],
        calls=counts["calls"] + withdrawn,
    )
