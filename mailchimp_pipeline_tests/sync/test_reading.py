"""Which standings are read: all the first time, then what changed and matters."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.errors import PassingError
from mailchimp_pipeline.sync import MemberStatus, Standing, read_standings
from mailchimp_pipeline_tests.database.builders import AT, LIST, a_member, members
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.ledger_fake import FakeLedger

HOUR = timedelta(hours=1)
OVERLAP = timedelta(minutes=5)
SUBSCRIBED, UNSUBSCRIBED, ARCHIVED = MemberStatus.SUBSCRIBED, MemberStatus.UNSUBSCRIBED, MemberStatus.ARCHIVED


class Listening(FakeAudiences):
    """Notes what it is asked for."""

    def __init__(self, page_size: int = 1000) -> None:
        self.at = AT
        super().__init__(FakeAudience(LIST), clock=lambda: self.at, page_size=page_size)
        self.asked: list[tuple[MemberStatus | None, datetime | None]] = []

    def standings(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[Standing]]:
        self.asked.append((status, since))
        return super().standings(list_id, status=status, since=since)


def read(audiences: Listening, ledger: FakeLedger) -> int:
    return read_standings(LIST, audiences=audiences, ledger=ledger, now=audiences.at)


def test_the_first_time_all_are_read_the_archived_too() -> None:
    audiences, ledger = Listening(page_size=1), FakeLedger({})
    for number, status in enumerate(MemberStatus):
        audiences.put(LIST, f"p{number}@acme.test", status)
    assert read(audiences, ledger) == len(MemberStatus)
    assert audiences.asked == [(None, None), (ARCHIVED, None)]
    assert {known.status for known in ledger.known.values()} == set(MemberStatus)
    assert ledger.read_through() == AT


def test_after_a_clock_that_was_ahead_all_are_read_again() -> None:
    audiences, ledger = Listening(), FakeLedger({})
    ledger.finish_reading(AT + timedelta(days=400))
    audiences.put(LIST, "ann@acme.test", UNSUBSCRIBED)
    read(audiences, ledger)
    assert ledger.known[subscriber_hash("ann@acme.test")].status is UNSUBSCRIBED
    assert ledger.read_through() == AT


def test_then_only_what_changed_since() -> None:
    audiences, ledger = Listening(), FakeLedger({})
    audiences.put(LIST, "ann@acme.test", SUBSCRIBED)
    audiences.at += HOUR
    read(audiences, ledger)
    audiences.put(LIST, "gone@acme.test", UNSUBSCRIBED)
    assert read(audiences, ledger) == 1
    watched = (UNSUBSCRIBED, MemberStatus.CLEANED, ARCHIVED, SUBSCRIBED)
    assert audiences.asked[2:] == [(status, AT + HOUR - OVERLAP) for status in watched]


def test_what_we_pushed_ourselves_is_not_read_back() -> None:
    audiences = Listening()
    ledger = FakeLedger({"segment": members(a_member())})
    read(audiences, ledger)
    ledger.end_push(AT + HOUR)
    audiences.at += 2 * HOUR
    read(audiences, ledger)
    assert audiences.asked[-2:] == [(ARCHIVED, AT - OVERLAP), (SUBSCRIBED, AT + HOUR + timedelta(seconds=1))]


def test_what_changed_while_it_was_read_is_read_again() -> None:
    audiences, ledger = Listening(), FakeLedger({})
    audiences.put(LIST, "ann@acme.test", SUBSCRIBED)
    audiences.at += OVERLAP / 2
    read(audiences, ledger)
    audiences.at -= OVERLAP / 4  # Mailchimp's clock is behind ours
    audiences.put(LIST, "ann@acme.test", UNSUBSCRIBED)
    audiences.at += HOUR
    assert read(audiences, ledger) == 1
    assert ledger.known[subscriber_hash("ann@acme.test")].status is UNSUBSCRIBED


def test_who_came_back_is_read_where_somebody_was_away() -> None:
    audiences, ledger = Listening(), FakeLedger({})
    audiences.put(LIST, "ann@acme.test", UNSUBSCRIBED)
    read(audiences, ledger)
    audiences.at += HOUR
    audiences.put(LIST, "ann@acme.test", SUBSCRIBED)
    assert read(audiences, ledger) == 1
    assert (SUBSCRIBED, AT - OVERLAP) in audiences.asked
    assert not ledger.knows_unsubscribed()


def test_a_reading_that_fails_is_begun_again_where_it_was() -> None:
    audiences, ledger = Listening(), FakeLedger({})
    audiences.failures.extend([None, PassingError("Mailchimp is away.")])
    with pytest.raises(PassingError):
        read(audiences, ledger)
    assert ledger.read_through() is None
