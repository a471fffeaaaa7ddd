"""A place for the contract of `sync.Ledger` to play: the real ledger, and the fake."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.members import MemberStore
from mailchimp_pipeline.database.preferences import PreferenceStore, Word
from mailchimp_pipeline.database.segments import SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import OnLeave
from mailchimp_pipeline.sync import Ledger
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_segment, members, put_members
from mailchimp_pipeline_tests.ledger_fake import FakeLedger
from mailchimp_pipeline_tests.ledger_values import Said

Member: TypeAlias = dict[str, str | None]
Members: TypeAlias = Sequence[Member]


class Stage(ABC):
    """A ledger of an audience with these segments, and what people and runs do beside it. It is always `AT`."""

    ledger: Ledger
    segment_ids: list[str]

    @abstractmethod
    def say(self, entity_id: str, *, opted_in: bool, at: datetime = AT) -> None:
        """Let an employee tell us whether they want mail."""

    @abstractmethod
    def replace(self, segment_id: str, *rows: Member, on_leave: OnLeave = OnLeave.KEEP) -> None:
        """Make these the members of a segment, however many leave it."""

    @abstractmethod
    def has_opted_out(self, entity_id: str) -> bool:
        """Tell whether an employee's last word is no."""


class RealStage(Stage):
    """The real ledger."""

    def __init__(self, database: Database, *segments: Members, piece: int = 10_000) -> None:
        self._database = database
        self._segments = {segment.id: segment for segment in (a_segment(database) for _ in segments)}
        for segment, rows in zip(self._segments.values(), segments, strict=True):
            put_members(database, segment, *rows)
        self.ledger = DatabaseLedger(database, ACME, LIST, lambda: AT, piece)
        self.segment_ids = list(self._segments)

    def say(self, entity_id: str, *, opted_in: bool, at: datetime = AT) -> None:
        """Let an employee tell us whether they want mail."""
        word = Word(EntityType.EMPLOYEE, entity_id, opted_in=opted_in, source="letter")
        with self._database.organisation(ACME) as session:
            PreferenceStore(session, KEYRING).record(word, by="alice", at=at)

    def replace(self, segment_id: str, *rows: Member, on_leave: OnLeave = OnLeave.KEEP) -> None:
        """Make these the members of a segment, however many leave it."""
        with self._database.organisation(ACME) as session:
            segment = SegmentStore(session).update(segment_id, {"on_leave": on_leave}, by="alice", at=AT)
            MemberStore(session).replace(
                segment or self._segments[segment_id], members(*rows), departures_confirmed=True
            )

    def has_opted_out(self, entity_id: str) -> bool:
        """Tell whether an employee's last word is no."""
        with self._database.organisation(ACME) as session:
            said = PreferenceStore(session, KEYRING).get(EntityType.EMPLOYEE, entity_id)
        return said is not None and not said.opted_in


class FakeStage(Stage):
    """The fake."""

    def __init__(self, *segments: Members, piece: int = 10_000) -> None:
        self._segments = {f"segment-{place}": members(*rows) for place, rows in enumerate(segments)}
        self._fake = FakeLedger(self._segments, piece=piece, clock=lambda: AT)
        self.ledger = self._fake
        self.segment_ids = list(self._segments)

    def say(self, entity_id: str, *, opted_in: bool, at: datetime = AT) -> None:
        """Let an employee tell us whether they want mail."""
        self._fake.said["employee", entity_id] = Said(opted_in, at)

    def replace(self, segment_id: str, *rows: Member, on_leave: OnLeave = OnLeave.KEEP) -> None:
        """Make these the members of a segment, however many leave it."""
        before, self._segments[segment_id] = self._segments[segment_id], members(*rows)
        if on_leave is OnLeave.ARCHIVE:
            self._fake.leaving |= set(before["subscriber_hash"]) - {row["subscriber_hash"] for row in rows}
        self._fake.replace_members(segment_id, self._segments[segment_id])

    def has_opted_out(self, entity_id: str) -> bool:
        """Tell whether an employee's last word is no."""
        said = self._fake.said.get(("employee", entity_id))
        return said is not None and not said.opted_in
