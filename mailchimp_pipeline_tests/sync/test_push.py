"""What is sent to an audience, what is not, and what is written down of it."""

from collections.abc import Sequence
from itertools import count

import pandas as pd
import pytest

from mailchimp_pipeline.errors import LastingError, PassingError
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus, Outcome, Refusal
from mailchimp_pipeline.sync.parallel import Stopped
from mailchimp_pipeline_tests.database.builders import LIST, a_member, members
from mailchimp_pipeline_tests.fakes import FakeAudiences
from mailchimp_pipeline_tests.ledger_fake import FakeLedger
from mailchimp_pipeline_tests.sync.stage import ANN, BOB, SEGMENT, a_stage, people
from mailchimp_pipeline_tests.waiting import eventually

SUBSCRIBED, UNSUBSCRIBED = MemberStatus.SUBSCRIBED, MemberStatus.UNSUBSCRIBED
_CALLS_BEFORE_A_PUSH = 4
"""Two readings, the audience, its merge fields."""


def test_who_is_new_is_subscribed_once() -> None:
    stage = a_stage(a_member(ANN), a_member(BOB, entity_id="2"))
    first, second = stage.sync(), stage.sync()
    assert (first.new, first.wanted, first.calls) == (2, 2, 1)
    assert (second.unchanged, second.wanted, second.calls) == (2, 2, 0)
    assert (stage.status(ANN), len(stage.audiences.batches)) == (SUBSCRIBED, 1)


def test_who_changed_is_sent_alone_and_over_what_is_there() -> None:
    stage = a_stage(a_member(ANN), a_member(BOB, entity_id="2"))
    stage.sync()
    stage.ledger.replace_members(SEGMENT, members(a_member(ANN, last_name="King"), a_member(BOB, entity_id="2")))
    report = stage.sync()
    assert (report.changed, report.unchanged, report.new) == (1, 1, 0)
    assert stage.audiences.batches[-1].update_existing
    assert [member.merge_fields["LNAME"] for member in stage.audiences.batches[-1].members] == ["King"]


def test_an_audience_with_double_opt_in_asks_the_contact_first() -> None:
    stage = a_stage(a_member(ANN), double_optin=True)
    assert stage.sync().new == 1
    assert stage.status(ANN) is MemberStatus.PENDING
    assert stage.sync().withheld == {Refusal.PENDING: 1}
    stage.audiences.put(LIST, ANN, SUBSCRIBED)
    assert stage.sync().unchanged == 1
    assert len(stage.audiences.batches) == 1


def test_who_came_to_the_audience_by_themselves_is_adopted() -> None:
    stage = a_stage(a_member(ANN), a_member(BOB, entity_id="2"))
    stage.audiences.put(LIST, ANN, SUBSCRIBED)
    report = stage.push()
    assert (report.new, report.changed, report.calls) == (1, 1, 2)
    assert [batch.update_existing for batch in stage.audiences.batches] == [False, True]
    assert stage.sync().unchanged == 2


@pytest.mark.parametrize("status", [UNSUBSCRIBED, MemberStatus.CLEANED])
def test_who_came_and_left_since_the_reading_is_not_subscribed_again(status: MemberStatus) -> None:
    stage = a_stage(a_member(ANN))
    stage.audiences.put(LIST, ANN, status)
    report = stage.push()
    assert (sum(report.withheld.values()), report.changed) == (1, 0)
    assert not any(batch.update_existing for batch in stage.audiences.batches)
    assert stage.status(ANN) is status


class Deleted(FakeAudiences):
    """Whoever is looked up was deleted just before."""

    def member_status(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        return None


def test_who_was_deleted_between_the_batch_and_the_look_is_left_for_the_next_time() -> None:
    stage = a_stage(a_member(ANN))
    stage.audiences = Deleted(*stage.audiences.described(), clock=stage.clock)
    stage.audiences.put(LIST, ANN, SUBSCRIBED)
    assert stage.push().withheld == {Refusal.OTHER: 1}


@pytest.mark.parametrize("status", [status for status in MemberStatus if status is not SUBSCRIBED])
def test_who_stands_in_any_other_way_is_never_sent(status: MemberStatus) -> None:
    stage = a_stage(a_member(ANN), a_member(BOB, entity_id="2"))
    stage.audiences.put(LIST, ANN, status)
    report = stage.sync()
    assert (stage.sent(), stage.status(ANN)) == ([BOB], status)
    assert (sum(report.withheld.values()), report.wanted) == (1, 2)


def test_who_was_refused_is_kept_with_the_reason_and_not_tried_again() -> None:
    stage = a_stage(a_member(ANN), refusals={ANN: Refusal.FAKE})
    assert stage.sync().refused == {Refusal.FAKE: 1}
    (known,) = stage.ledger.known.values()
    assert (known.state, known.refusal) == (Outcome.REFUSED, Refusal.FAKE)
    again = stage.sync()
    assert (again.refused_before, again.calls, len(stage.audiences.batches)) == (1, 0, 1)


def test_who_was_refused_is_tried_again_when_something_about_them_changed() -> None:
    stage = a_stage(a_member(ANN), refusals={ANN: Refusal.MERGE_FIELD})
    stage.sync()
    stage.ledger.replace_members(SEGMENT, members(a_member(ANN, first_name="Anna")))
    assert stage.sync().refused == {Refusal.MERGE_FIELD: 1}


def test_a_large_segment_goes_in_batches_that_fit_one_call() -> None:
    stage = a_stage(*people(1203), piece=700)
    report = stage.sync()
    assert (report.new, report.calls) == (1203, 3)
    assert max(len(batch.members) for batch in stage.audiences.batches) == 500


def test_a_failure_lets_what_is_under_way_be_written_down() -> None:
    stage = a_stage(*people(2000))
    stage.audiences.failures.extend([*[None] * (_CALLS_BEFORE_A_PUSH + 1), PassingError("Mailchimp is away.")])
    with pytest.raises(PassingError, match="away"):
        stage.sync()
    written = sum(known.state is Outcome.PUSHED for known in stage.ledger.known.values())
    assert written == len(stage.sent()) > 0
    report = stage.sync()
    assert (report.new, report.unchanged) == (2000 - written, written)
    assert len(stage.sent()) == len(set(stage.sent())) == 2000


def test_a_failure_drops_what_has_not_begun() -> None:
    stage = a_stage(*people(500 * 25))
    stage.audiences.failures.extend([*[None] * _CALLS_BEFORE_A_PUSH, LastingError("The audience is gone.")])
    with pytest.raises(LastingError, match="gone"):
        stage.sync()
    assert len(stage.audiences.batches) < 25


def test_a_sync_that_is_told_to_stop_sends_no_more() -> None:
    stage = a_stage(*people(1500))
    asked = count()

    def after_the_first_batch() -> bool:
        if next(asked) < 2:
            return False
        return bool(eventually(lambda: stage.audiences.batches))

    with pytest.raises(Stopped, match="sync again"):
        stage.sync(after_the_first_batch)
    # Of the two that were let through, one is mostly the task that sends nothing and counts who is withheld.
    sent = len(stage.sent())
    assert sent in {500, 1000}
    assert stage.sync().unchanged == sent


class Forgetful(FakeLedger):
    """Crashes instead of writing down the first batch."""

    crashed = False

    def record(self, rows: pd.DataFrame, outcomes: Sequence[MemberOutcome]) -> None:
        if not self.crashed:
            self.crashed = True
            raise PassingError("The process was killed.")
        super().record(rows, outcomes)


@pytest.mark.parametrize("reads_first", [True, False])
def test_what_mailchimp_took_and_nobody_wrote_down_is_repeated_without_harm(*, reads_first: bool) -> None:
    stage = a_stage()
    stage.ledger = Forgetful({SEGMENT: members(*people(700))}, clock=stage.clock)
    with pytest.raises(PassingError, match="killed"):
        stage.sync()
    report = stage.sync() if reads_first else stage.push()
    assert report.changed + report.new + report.unchanged == 700
    assert all(known.status is SUBSCRIBED and known.digest for known in stage.ledger.known.values())
    assert stage.sync().unchanged == 700


def test_a_contact_that_two_segments_share_is_sent_once() -> None:
    stage = a_stage()
    stage.ledger = FakeLedger({SEGMENT: members(a_member(ANN)), "other": members(a_member(ANN))}, clock=stage.clock)
    stage.sync()
    assert stage.sync().unchanged == 1
    assert stage.sent() == [ANN]


def test_a_report_tells_which_share_was_refused() -> None:
    stage = a_stage(*people(3), refusals={"p0@acme.test": Refusal.FAKE})
    report = stage.sync()
    assert report.refused_share == pytest.approx(1 / 3)
    assert report.as_dict()["refused"] == {"looks_fake": 1}
    assert stage.sync().refused_share == 0
