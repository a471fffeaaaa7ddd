"""A ledger in memory, for tests of what uses the port `sync.Ledger`.

`database/test_ledger_contract.py` holds it to the real one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import RLock

import pandas as pd

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.contacts import ARROW_STRING, content_digest
from mailchimp_pipeline.sync import Compared, MemberOutcome, MemberStatus, Outcome, Refusal, Standing, Withdrawal
from mailchimp_pipeline.sync.plan import WITHHELD
from mailchimp_pipeline_tests.ledger_values import Known, Said, Wanted

_MAILED = (MemberStatus.SUBSCRIBED, MemberStatus.PENDING)
_LEFT = (MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED, MemberStatus.ARCHIVED)
_CLOCKS_DIFFER = timedelta(minutes=5)
_CONTACT = ("subscriber_hash", "email", "first_name", "last_name", "entity_type", "entity_id")


class FakeLedger:
    """The ledger of one audience into which these segments go: their members by segment id.

    `said` has contacts' words by entity type and id, `leaving` the hashes of members to be archived.
    """

    def __init__(
        self,
        segments: Mapping[str, pd.DataFrame],
        *,
        piece: int = 10_000,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self.said: dict[tuple[str, str], Said] = {}
        self.leaving: set[str] = set()
        self._segments = {segment_id: _wanted(members) for segment_id, members in segments.items()}
        self._piece = piece
        self._lock = RLock()
        self._read_through: datetime | None = None
        self._push_unfinished = False
        self._pushed_through: datetime | None = None
        self.known: dict[str, Known] = {}

    def replace_members(self, segment_id: str, members: pd.DataFrame) -> None:
        """Make these the members of a segment. Whoever is new at an address is who is mailed there."""
        before, self._segments[segment_id] = set(self._segments.get(segment_id, [])), _wanted(members)
        for member in self._segments[segment_id]:
            known = self.known.get(member.subscriber_hash)
            if known and known.entity and member not in before:
                self.known[member.subscriber_hash] = replace(known, entity=(member.entity_type, member.entity_id))
        now = self._segments[segment_id]
        entities = {(member.entity_type, member.entity_id) for member in now}
        for key in {member.subscriber_hash for member in before} - {member.subscriber_hash for member in now}:
            if (known := self.known.get(key)) and known.state is Outcome.PUSHED and known.entity in entities:
                self.leaving.add(key)

    def read_through(self) -> datetime | None:
        return self._read_through

    def finish_reading(self, through: datetime) -> None:
        self._read_through = through
        self._push_unfinished = False

    def take_over(self, standings: Sequence[Standing]) -> None:
        with self._lock:
            for standing in standings:
                known = self.known.get(standing.subscriber_hash) or Known(entity=self._owner(standing.subscriber_hash))
                if known.status is standing.status and not _is_news(known, standing):
                    continue
                if self._came_back(known, standing) and standing.status is MemberStatus.PENDING:
                    continue
                state = known.state
                if state in {Outcome.REFUSED, Outcome.ARCHIVED}:
                    state = Outcome.PUSHED if known.digest else Outcome.SEEN
                changed_at = standing.changed_at or self._clock()
                if self._came_back(known, standing) and known.entity:
                    self.said[known.entity] = Said(opted_in=True, at=changed_at, at_mailchimp=True)
                self.known[standing.subscriber_hash] = Known(
                    state, standing.status, known.digest, entity=known.entity, changed_at=changed_at
                )
                if standing.status is MemberStatus.UNSUBSCRIBED:
                    self._withdraw_consent(standing.subscriber_hash, changed_at)

    def knows_unsubscribed(self) -> bool:
        return any(known.status not in {None, MemberStatus.SUBSCRIBED} for known in self.known.values())

    def pushed_through(self) -> datetime | None:
        return self._pushed_through

    def begin_push(self) -> None:
        self._push_unfinished = True

    def end_push(self, through: datetime | None) -> None:
        self._push_unfinished = False
        self._pushed_through = max(filter(None, (self._pushed_through, through)), default=None)

    def push_is_unfinished(self) -> bool:
        return self._push_unfinished

    def compare(self, segment_id: str) -> Iterator[Compared]:
        with self._lock:
            members = self._wanted(segment_id)
            refused = [wanted for wanted in members if self._was_refused(wanted)]
            unchanged = [wanted for wanted in members if self._is_as_wanted(wanted) and wanted not in refused]
            differing = [wanted for wanted in members if wanted not in refused and wanted not in unchanged]
        for start in range(0, max(len(differing), 1), self._piece):
            with self._lock:
                frame = self._frame(differing[start : start + self._piece])
            is_first = start == 0
            yield Compared(frame, len(unchanged) * is_first, len(refused) * is_first)

    def barred(self, segment_id: str, rows: pd.DataFrame) -> Mapping[str, Refusal]:
        with self._lock:
            out = {entity for entity, said in self.said.items() if not said.opted_in}
            members = {member.subscriber_hash for member in self._segments.get(segment_id, [])}
            barred: dict[str, Refusal] = {}
            for key, *entity in zip(rows["subscriber_hash"], rows["entity_type"], rows["entity_id"], strict=True):
                known = self.known.get(key, Known())
                if key not in members or tuple(entity) in out:
                    barred[key] = Refusal.WITHDRAWN
                elif known.status and known.status in _LEFT and known.state is not Outcome.ARCHIVED:
                    barred[key] = WITHHELD[known.status]
            return barred

    def withdrawn(self) -> Sequence[Withdrawal]:
        out = {entity for entity, said in self.said.items() if not said.opted_in}
        keys = (key for key, known in self.known.items() if known.status in _MAILED and known.entity in out)
        return [Withdrawal(key) for key in sorted(keys)]

    def leavers(self) -> Sequence[str]:
        everybody = [member for members in self._segments.values() for member in members]
        # Who only has another address keeps the former one until Mailchimp mails the other.
        unmailed = {
            (member.entity_type, member.entity_id)
            for member in everybody
            if self.known.get(member.subscriber_hash, Known()).status is not MemberStatus.SUBSCRIBED
        }
        return sorted(
            key
            for key in self.leaving - {member.subscriber_hash for member in everybody}
            if (known := self.known.get(key))
            and known.state is Outcome.PUSHED
            and known.status is MemberStatus.SUBSCRIBED
            if known.entity not in unmailed
        )

    def note_withdrawn(self, subscriber_hash: str, status: MemberStatus | None) -> None:
        self._note(subscriber_hash, status, self.known[subscriber_hash].state)

    def note_archived(self, subscriber_hash: str, status: MemberStatus | None) -> None:
        state = Outcome.ARCHIVED if status is MemberStatus.ARCHIVED else self.known[subscriber_hash].state
        self._note(subscriber_hash, status, state)

    def rename(self, subscriber_hash: str, row: pd.DataFrame) -> None:
        with self._lock:
            known = self.known.pop(subscriber_hash)
            self.known[str(row["subscriber_hash"].iloc[0])] = replace(known, digest=None)
            self.leaving.discard(subscriber_hash)

    def record(self, rows: pd.DataFrame, outcomes: Sequence[MemberOutcome]) -> None:
        sent = rows.set_index("subscriber_hash")
        with self._lock:
            for line in outcomes:
                row, before = sent.loc[line.subscriber_hash], self.known.get(line.subscriber_hash, Known())
                digest, entity = str(row["digest"]), (str(row["entity_type"]), str(row["entity_id"]))
                status = line.status or before.status
                self.leaving.discard(line.subscriber_hash)
                self.known[line.subscriber_hash] = (
                    Known(Outcome.PUSHED, status, digest, entity=entity, changed_at=self._clock())
                    if line.outcome is Outcome.PUSHED
                    else replace(
                        before,
                        state=Outcome.REFUSED,
                        status=status,
                        attempted_digest=digest,
                        refusal=line.refusal or Refusal.OTHER,
                        entity=before.entity or entity,
                    )
                )

    def _wanted(self, segment_id: str) -> list[Wanted]:
        """Return, by hash, the first of all segments' members for each address of the segment."""
        ours = {member.subscriber_hash for member in self._segments.get(segment_id, [])}
        first: dict[str, Wanted] = {}
        everybody = [member for members in self._segments.values() for member in members]
        for member in sorted(everybody, key=lambda member: member.place):
            if member.subscriber_hash in ours:
                first.setdefault(member.subscriber_hash, member)
        return [first[subscriber_hash] for subscriber_hash in sorted(first)]

    def _was_refused(self, wanted: Wanted) -> bool:
        known = self.known.get(wanted.subscriber_hash, Known())
        return known.state is Outcome.REFUSED and known.attempted_digest == wanted.digest

    def _is_as_wanted(self, wanted: Wanted) -> bool:
        known = self.known.get(wanted.subscriber_hash, Known())
        return known.status is MemberStatus.SUBSCRIBED and known.digest == wanted.digest

    def _frame(self, members: Sequence[Wanted]) -> pd.DataFrame:
        columns = {name: [getattr(member, name) for member in members] for name in (*_CONTACT, "digest")}
        known = [self.known.get(member.subscriber_hash, Known()) for member in members]
        statuses = [None if each.state is Outcome.ARCHIVED else each.status for each in known]
        columns["known_status"] = [status and status.value for status in statuses]
        columns["returns"] = [self._returns(*pair) for pair in zip(members, known, strict=True)]
        former = self._former()
        columns["moved_from"] = [
            None if member.subscriber_hash in self.known else former.get((member.entity_type, member.entity_id))
            for member in members
        ]
        # No standing here tells of a member that has another address now.
        columns["own_address"] = [None] * len(members)
        return pd.DataFrame(columns, dtype=ARROW_STRING)

    def _returns(self, member: Wanted, known: Known) -> str | None:
        said = self.said.get((member.entity_type, member.entity_id))
        is_later = said and said.opted_in and known.changed_at and said.at > known.changed_at
        return "yes" if known.status is MemberStatus.UNSUBSCRIBED and is_later else None

    def _former(self) -> dict[tuple[str, str], str]:
        """Return, by entity, the hash of a member from us that nobody has as an address any more."""
        wanted = {each.subscriber_hash for members in self._segments.values() for each in members}
        return {
            known.entity: key
            for key, known in self.known.items()
            if known.entity and known.state is Outcome.PUSHED and known.status in _MAILED and key not in wanted
        }

    def _note(self, subscriber_hash: str, status: MemberStatus | None, state: Outcome) -> None:
        with self._lock:
            known = self.known[subscriber_hash]
            digest = known.digest if status else None
            self.known[subscriber_hash] = replace(
                known, status=status, state=state, digest=digest, changed_at=self._clock()
            )
            if status is not MemberStatus.PENDING:
                self.leaving.discard(subscriber_hash)

    def _owner(self, subscriber_hash: str) -> tuple[str, str] | None:
        members = [member for members in self._segments.values() for member in members]
        owners = [(each.entity_type, each.entity_id) for each in members if each.subscriber_hash == subscriber_hash]
        return min(owners, default=None)

    def _withdraw_consent(self, subscriber_hash: str, at: datetime) -> None:
        members = [member for members in self._segments.values() for member in members]
        entities = {(each.entity_type, each.entity_id) for each in members if each.subscriber_hash == subscriber_hash}
        known = self.known[subscriber_hash].entity
        for entity in entities | ({known} if known else set[tuple[str, str]]()):
            said = self.said.get(entity)
            if said is None or (said.opted_in and said.at.replace(microsecond=0) <= at):
                self.said[entity] = Said(opted_in=False, at=at, at_mailchimp=True)

    def _came_back(self, known: Known, standing: Standing) -> bool:
        """Tell whether a member who left there is back, or about to be, and nobody but we was told otherwise."""
        if known.status is not MemberStatus.UNSUBSCRIBED or standing.status not in _MAILED or self._push_unfinished:
            return False
        said, changed_at = known.entity and self.said.get(known.entity), standing.changed_at or self._clock()
        if not said or said.opted_in or not said.at_mailchimp:
            return False
        return known.changed_at == said.at and said.at.replace(microsecond=0) < changed_at


def _is_news(known: Known, standing: Standing) -> bool:
    if standing.status not in {MemberStatus.ARCHIVED, MemberStatus.UNSUBSCRIBED}:
        return False
    if standing.changed_at is None or known.changed_at is None:
        return False
    return standing.changed_at > known.changed_at + _CLOCKS_DIFFER


def _wanted(members: pd.DataFrame) -> list[Wanted]:
    complete = members.loc[:, list(_CONTACT)].assign(digest=content_digest(members))
    rows = complete.astype(object).where(complete.notna(), None).itertuples(index=False, name=None)
    return [Wanted(*row) for row in rows]
