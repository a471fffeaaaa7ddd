"""The push: unsubscribe who opted out, send what the plan says, archive who left; write down each answer.

Calls travel at once, as many as the account has connections. A failure ends the sync after those under way
have been written down; what was done stays done, and the next sync goes on from there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from mailchimp_pipeline.clock import Clock
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
from mailchimp_pipeline.sync.plan import WITHHELD, Batches, Plan, members, plan
from mailchimp_pipeline.sync.reading import read_departures
from mailchimp_pipeline.sync.results import Result, report, together
from mailchimp_pipeline.sync.withdrawal import withdraw

if TYPE_CHECKING:
    import pandas as pd

    from mailchimp_pipeline.sync.ports import Audiences, Ledger


_LOOKED_UP_SINGLY = 10
"""So many members cost fewer calls one by one than by pages of the audience."""

_LATEST = 50_000
"""So many of the latest changes are read for more: fifty pages, against a call for each of a batch."""


def sync_audience(  # noqa: PLR0913 - each is one thing that the sync is handed
    segment_id: str,
    audience: Audience,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    clock: Clock,
    merge_tags: Callable[[], frozenset[str]] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> SyncReport:
    """Bring the audience, whose standings were read, in step with the segment's members.

    `merge_tags` are its merge fields, where somebody else reads them already. Goes on until `stopping` says that no
    more may be sent. Raises the errors of the audiences, and `Stopped`.
    """
    withdrawn = withdraw(audience.id, audiences=audiences, ledger=ledger, stopping=stopping)
    push = _Push(
        segment_id,
        audience,
        audiences=audiences,
        ledger=ledger,
        clock=clock,
        merge_tags=merge_tags or partial(audiences.merge_tags, audience.id),
        stopping=stopping,
    )
    done = together([*in_parallel(push.tasks(), stopping), *in_parallel(push.departures(), stopping)])
    push.end(done)
    if push.has_begun:
        # Whoever opted out while a batch with them was under way is subscribed by it.
        withdrawn += withdraw(audience.id, audiences=audiences, ledger=ledger, stopping=stopping)
    return report(done, withdrawn)


class _Push:
    """Sends one audience what it lacks and writes down what became of it; its methods run in worker threads."""

    def __init__(  # noqa: PLR0913 - those of `sync_audience`
        self,
        segment_id: str,
        audience: Audience,
        *,
        audiences: "Audiences",
        ledger: "Ledger",
        clock: Clock,
        merge_tags: Callable[[], frozenset[str]],
        stopping: Callable[[], bool],
    ) -> None:
        self.has_begun = False
        self._segment_id = segment_id
        self._audience = audience
        self._audiences = audiences
        self._ledger = ledger
        self._clock = clock
        self._stopping = stopping
        self._merge_tags = cache(merge_tags)
        self._has_looked = False

    def tasks(self) -> Iterator[Callable[[], Result]]:
        new, changed = Batches(), Batches()
        for piece in self._ledger.compare(self._segment_id):
            planned = plan(piece.differences)
            left_out = {"unchanged": piece.unchanged, "refused_before": piece.refused_before}
            yield partial(Result, left_out, withheld=planned.withheld)
            if planned.sends:
                self._prepare(planned)
            yield from (partial(self._admit, self.update, rows) for rows in changed.full(planned.changed))
            yield from (partial(self._admit, self.create, rows) for rows in new.full(planned.new))
            yield from (partial(self._admit, self.move, row) for row in _singly(planned.moved))
            yield from (partial(self._admit, self.bring_back, row) for row in _singly(planned.returning))
        yield from (partial(self._admit, self.update, rows) for rows in changed.last())
        yield from (partial(self._admit, self.create, rows) for rows in new.last())

    def departures(self) -> Iterator[Callable[[], Result]]:
        for subscriber_hash in self._ledger.leavers():
            self._begin()
            yield partial(self.archive, subscriber_hash)

    def end(self, done: Result) -> None:
        """Note that every answer is written down."""
        if self.has_begun:
            self._ledger.end_push(done.changed_at)

    def _begin(self) -> None:
        if not self.has_begun:
            self._ledger.begin_push()
            self.has_begun = True

    def _prepare(self, planned: Plan) -> None:
        """Ask what is needed before the first are sent: on most days nobody is."""
        self._merge_tags()  # once, and not by every worker at once
        if not self._has_looked and not planned.changed.empty:
            # Who was unsubscribed there since the audience was read would be subscribed again by what is sent.
            read_departures(self._audience.id, audiences=self._audiences, ledger=self._ledger, now=self._clock())
            self._has_looked = True
        self._begin()

    def _admit(self, send: "Callable[[pd.DataFrame], Result]", rows: "pd.DataFrame") -> Result:
        """Send those of the rows who may still be sent. Nobody is made a subscriber but through here."""
        barred = self._ledger.barred(self._segment_id, rows)
        if send == self.bring_back:  # these did leave
            barred = {key: why for key, why in barred.items() if why is Refusal.WITHDRAWN}
        admitted = rows[~rows["subscriber_hash"].isin(list(barred))] if barred else rows
        withheld = Result(withheld=Counter(barred.values()))
        return withheld if admitted.empty else together([withheld, send(admitted)])

    def create(self, rows: "pd.DataFrame") -> Result:
        status = MemberStatus.PENDING if self._audience.double_optin else MemberStatus.SUBSCRIBED
        answer = self._send(rows, status, update_existing=False)
        created = self._recorded(rows, answer, status, "new")
        if not answer.existing:
            return created
        return together([created, self._adopt(rows[rows["subscriber_hash"].isin(list(answer.existing))])])

    def update(self, rows: "pd.DataFrame") -> Result:
        answer = self._send(rows, MemberStatus.SUBSCRIBED, update_existing=True)
        return self._recorded(rows, answer, MemberStatus.SUBSCRIBED, "changed")

    def move(self, row: "pd.DataFrame") -> Result:
        """Give a member its new address; where that cannot be, treat the contact as a new one."""
        former = str(row["moved_from"].iloc[0])
        moved = self._audiences.rename_member(self._audience.id, former, str(row["email"].iloc[0]))
        one_call = Result({"calls": 1})
        if isinstance(moved, Refusal):
            return together([one_call, self._refuse(row, moved)])
        if moved is not Renaming.RENAMED:
            return together([one_call, self._drop(former, moved), self.create(row)])
        self._ledger.rename(former, row)
        key = str(row["subscriber_hash"].iloc[0])
        status = self._audiences.member_status(self._audience.id, key)
        if status is not MemberStatus.SUBSCRIBED:
            self._ledger.take_over([Standing(key, status)] if status else [])
            return Result({"moved": 1, "calls": 1}, withheld={_why_withheld(status): 1})
        return together([Result({"moved": 1, "calls": 1}), self.update(row)])

    def bring_back(self, row: "pd.DataFrame") -> Result:
        """Subscribe who opted in again; where Mailchimp wants to hear it from the contact, let it ask."""
        key = str(row["subscriber_hash"].iloc[0])
        asked = MemberStatus.PENDING if self._audience.double_optin else MemberStatus.SUBSCRIBED
        status = self._audiences.set_member_status(self._audience.id, key, asked)
        if status is Refusal.COMPLIANCE and asked is MemberStatus.SUBSCRIBED:
            status = self._audiences.set_member_status(self._audience.id, key, MemberStatus.PENDING)
        if isinstance(status, Refusal):
            return together([Result({"calls": 1}), self._refuse(row, status)])
        if status is None:
            return self.create(row)
        self._ledger.take_over([Standing(key, status)])
        if status is not MemberStatus.SUBSCRIBED:
            return Result({"calls": 1}, withheld={_why_withheld(status): 1})
        return together([Result({"returned": 1, "calls": 1}), self.update(row)])

    def archive(self, subscriber_hash: str) -> Result:
        status = self._audiences.archive_member(self._audience.id, subscriber_hash)
        self._ledger.note_archived(subscriber_hash, status)
        return Result({"archived": int(status is MemberStatus.ARCHIVED), "calls": 1})

    def _drop(self, former: str, moved: Renaming) -> Result:
        """See to the former address of a contact that could not be moved: nobody is to be mailed twice."""
        if moved is Renaming.TAKEN:
            return self.archive(former)
        self._ledger.note_archived(former, None)
        return Result()

    def _adopt(self, rows: "pd.DataFrame") -> Result:
        """Look up members that came to the audience since it was read; only the subscribed are taken over."""
        found = self._statuses(rows["subscriber_hash"].tolist())
        self._ledger.take_over([Standing(key, status) for key, status in found.items() if status])
        withheld = Counter(_why_withheld(status) for status in found.values() if status is not MemberStatus.SUBSCRIBED)
        subscribed = [key for key, status in found.items() if status is MemberStatus.SUBSCRIBED]
        if not subscribed:
            return Result(withheld=withheld)
        return together([Result(withheld=withheld), self.update(rows[rows["subscriber_hash"].isin(subscribed)])])

    def _statuses(self, keys: Sequence[str]) -> Mapping[str, MemberStatus | None]:
        """Return how members stand; after a lost answer they are a whole batch, and among the latest to have changed.

        Those who are not are looked up one by one, several at once.
        """
        found: dict[str, MemberStatus | None] = {}
        if len(keys) > _LOOKED_UP_SINGLY:
            wanted, read = set(keys), 0
            for page in self._audiences.standings(self._audience.id, since=self._ledger.read_through()):
                found |= {member.subscriber_hash: member.status for member in page if member.subscriber_hash in wanted}
                read += len(page)
                if len(found) == len(wanted) or read >= _LATEST:
                    break

        def look_up(key: str) -> tuple[str, MemberStatus | None]:
            return key, self._audiences.member_status(self._audience.id, key)

        tasks = (partial(look_up, key) for key in keys if key not in found)
        return {**found, **dict(in_parallel(tasks, self._stopping))}

    def _send(self, rows: "pd.DataFrame", status: MemberStatus, *, update_existing: bool) -> BatchAnswer:
        batch = members(rows, status, self._merge_tags())
        return self._audiences.subscribe(self._audience.id, batch, update_existing=update_existing)

    def _recorded(self, rows: "pd.DataFrame", answer: BatchAnswer, status: MemberStatus, count: str) -> Result:
        outcomes = [
            MemberOutcome(key, Outcome.PUSHED, status, contact_id=contact_id)
            for key, contact_id in answer.accepted.items()
        ]
        outcomes += [MemberOutcome(key, Outcome.REFUSED, refusal=why) for key, why in answer.refused.items()]
        self._ledger.record(rows, outcomes)
        counts = {count: len(answer.accepted), "calls": 1}
        return Result(counts, refused=Counter(answer.refused.values()), changed_at=answer.changed_at)

    def _refuse(self, row: "pd.DataFrame", why: Refusal) -> Result:
        key = str(row["subscriber_hash"].iloc[0])
        self._ledger.record(row, [MemberOutcome(key, Outcome.REFUSED, refusal=why)])
        return Result(refused={why: 1})


def _why_withheld(status: MemberStatus | None) -> Refusal:
    """Return why a member with this standing is not sent; None for one that was said to exist, and then does not."""
    return WITHHELD.get(status, Refusal.OTHER) if status else Refusal.OTHER


def _singly(rows: "pd.DataFrame") -> Iterator["pd.DataFrame"]:
    return (rows.iloc[place : place + 1] for place in range(len(rows)))
