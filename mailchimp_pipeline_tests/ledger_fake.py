"""A ledger in memory, for tests of what uses the port `sync.Ledger`.

`database/test_ledger_contract.py` holds it to the real one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import RLock

import pandas as pd

from mailchimp_pipeline.contacts import ARROW_STRING, EntityType, content_digest
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus, Outcome, Refusal, Standing

_CONTACT = ("subscriber_hash", "email", "first_name", "last_name", "entity_type", "entity_id")


@dataclass(frozen=True)
class Wanted:
    """A member of a segment; a missing name is None."""

    subscriber_hash: str
    email: str
    first_name: str | None
    last_name: str | None
    entity_type: str
    entity_id: str
    digest: str

    @property
    def place(self) -> tuple[object, ...]:
        """Employees before vendors, whole numbers by value before other ids."""
        is_whole = self.entity_id.isascii() and self.entity_id.isdigit()
        number = int(self.entity_id) if is_whole else 0
        return (self.entity_type == EntityType.VENDOR, not is_whole, number, self.entity_id.encode(), self.digest)


@dataclass(frozen=True)
class Known:
    """What the audience has of a contact."""

    state: Outcome = Outcome.SEEN
    status: MemberStatus | None = None
    digest: str | None = None
    attempted_digest: str | None = None
    refusal: Refusal | None = None


class FakeLedger:
    """The ledger of one audience into which these segments go: their members by segment id."""

    def __init__(self, segments: Mapping[str, pd.DataFrame], *, piece: int = 10_000) -> None:
        self._segments = {segment_id: _wanted(members) for segment_id, members in segments.items()}
        self._piece = piece
        self._lock = RLock()
        self._read_through: datetime | None = None
        self.known: dict[str, Known] = {}

    def replace_members(self, segment_id: str, members: pd.DataFrame) -> None:
        """Make these the members of a segment."""
        self._segments[segment_id] = _wanted(members)

    def read_through(self) -> datetime | None:
        return self._read_through

    def finish_reading(self, through: datetime) -> None:
        self._read_through = through

    def take_over(self, standings: Sequence[Standing]) -> None:
        with self._lock:
            for standing in standings:
                known = self.known.get(standing.subscriber_hash, Known())
                if known.status is standing.status:
                    continue
                state = known.state
                if state is Outcome.REFUSED:
                    state = Outcome.PUSHED if known.digest else Outcome.SEEN
                self.known[standing.subscriber_hash] = Known(state, standing.status, known.digest)

    def knows_unsubscribed(self) -> bool:
        return any(known.status not in {None, MemberStatus.SUBSCRIBED} for known in self.known.values())

    def differences(self, segment_id: str) -> Iterator[pd.DataFrame]:
        differing = [
            wanted
            for wanted in self._wanted(segment_id)
            if not self._was_refused(wanted) and not self._is_as_wanted(wanted)
        ]
        for start in range(0, len(differing), self._piece):
            yield self._frame(differing[start : start + self._piece])

    def standing_counts(self, segment_id: str) -> Mapping[str, int]:
        members = self._wanted(segment_id)
        refused = sum(map(self._was_refused, members))
        unchanged = sum(self._is_as_wanted(wanted) and not self._was_refused(wanted) for wanted in members)
        return {"unchanged": unchanged, "refused_before": refused}

    def record(self, rows: pd.DataFrame, outcomes: Sequence[MemberOutcome]) -> None:
        sent = rows.set_index("subscriber_hash")["digest"]
        with self._lock:
            for line in outcomes:
                digest, before = str(sent[line.subscriber_hash]), self.known.get(line.subscriber_hash, Known())
                status = line.status or before.status
                self.known[line.subscriber_hash] = (
                    Known(Outcome.PUSHED, status, digest)
                    if line.outcome is Outcome.PUSHED
                    else replace(
                        before,
                        state=Outcome.REFUSED,
                        status=status,
                        attempted_digest=digest,
                        refusal=line.refusal or Refusal.OTHER,
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
        statuses = [self.known.get(member.subscriber_hash, Known()).status for member in members]
        columns["known_status"] = [status and status.value for status in statuses]
        return pd.DataFrame(columns, dtype=ARROW_STRING)


def _wanted(members: pd.DataFrame) -> list[Wanted]:
    complete = members.loc[:, list(_CONTACT)].assign(digest=content_digest(members))
    rows = complete.astype(object).where(complete.notna(), None).itertuples(index=False, name=None)
    return [Wanted(*row) for row in rows]
